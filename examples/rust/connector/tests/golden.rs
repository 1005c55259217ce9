//! The connector answers what the cases in the bundle say; and the examples in
//! other languages come with the same cases and settings.

use hello_connector::Hello;

#[test]
fn golden_cases() {
    faultline_sdk::testkit::check_golden_cases::<Hello>("../tests");
}

#[test]
fn other_languages_have_the_same() {
    macro_rules! same {
        ($($file:literal),*) => {$(
            let ours = include_str!(concat!("../../", $file));
            for theirs in [
                include_str!(concat!("../../../c/", $file)),
                include_str!(concat!("../../../go/", $file)),
                include_str!(concat!("../../../javascript/", $file)),
                include_str!(concat!("../../../python/", $file)),
            ] {
                assert_eq!(theirs, ours, $file);
            }
        )*};
    }
    same!(
        "tests/webhook.json",
        "connector.schema.json",
        "detector.schema.json"
    );
}
