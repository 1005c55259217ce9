//! JSON that has another shape than it should.

use faultline_sdk::{Envelope, config, json};
use serde::Deserialize;
use serde_json::{Value, json as value};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Outer {
    #[expect(dead_code, reason = "read, not looked at")]
    list: Vec<Inner>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Inner {
    #[expect(dead_code, reason = "read, not looked at")]
    some_number: u8,
}

fn check(body: &str, expected: &str) {
    let fault = json::from_slice::<Outer>(body.as_bytes()).expect_err(body);
    assert_eq!(
        (fault.code.as_str(), fault.message.as_str()),
        ("malformed", expected)
    );
}

#[test]
fn errors_name_the_field() {
    check(
        r#"{"list": [{"some-number": 1}, {"some-number": "x"}]}"#,
        "`list[1].some-number`: invalid type: string \"x\", expected u8 at line 1 column 49",
    );
    check(
        r#"{"list": [{}]}"#,
        "`list[0]`: missing field `some-number` at line 1 column 12",
    );
    check("{} {}", "missing field `list` at line 1 column 2");
    check(
        r#"{"list": []} {}"#,
        "trailing characters at line 1 column 14",
    );
    check("", "EOF while parsing a value at line 1 column 0");
}

#[test]
fn so_do_those_of_values_and_configurations() {
    let bad = value!({"list": [{"some-number": 300}]});
    let fault = json::from_value::<Outer>(&bad).expect_err("out of range");
    assert_eq!(
        fault.message,
        "`list[0].some-number`: invalid value: integer `300`, expected u8"
    );
    let fault = config::parse::<Outer>(&bad.to_string()).expect_err("out of range");
    assert_eq!(fault.code, "config");
    assert_eq!(
        fault.message,
        "`list[0].some-number`: invalid value: integer `300`, expected u8"
    );
}

#[test]
fn envelopes_say_that_it_is_the_body() {
    let envelope = Envelope::new("application/json", "[", 0).with_header("x-a", "b");
    assert_eq!(envelope.header("x-a"), Some("b"));
    assert_eq!(envelope.header("x-b"), None);
    let fault = envelope.json::<Value>().expect_err("cut off");
    assert_eq!(
        fault.message,
        "the body: EOF while parsing a list at line 1 column 1"
    );
    let fault = Envelope::new("", [0xff], 0).text().expect_err("no UTF-8");
    assert!(fault.message.starts_with("the body is not UTF-8"));
}

#[test]
fn nesting_and_long_names_stay_within_bounds() {
    let deep = "{\"name\":".repeat(10_000);
    let fault = json::from_slice::<Value>(deep.as_bytes()).expect_err("too deep");
    assert!(fault.message.len() < 400, "{}", fault.message);
}
