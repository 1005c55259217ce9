//! The connector answers what the cases in the bundle say.

use hello_connector::Hello;

#[test]
fn golden_cases() {
    faultline_sdk::testkit::check_golden_cases::<Hello>("../tests");
}
