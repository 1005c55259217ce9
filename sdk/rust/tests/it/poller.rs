//! Pollers: what they fetch, and where they go on.

use faultline_sdk::http::{self, Request, Response};
use faultline_sdk::testkit::{FakeHost, decode, poll};
use faultline_sdk::{Alert, Connector, Decoded, Envelope, Fault, Page, Poller};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    address: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Cursor {
    after: u64,
}

struct Pages;

impl Connector for Pages {
    type Config = Config;

    fn decode(_config: &Config, envelope: &Envelope) -> Result<Decoded, Fault> {
        let mut decoded = Decoded::builder();
        decoded.signal(Alert::firing(
            [("page", envelope.text()?)],
            "page",
            envelope.received,
        ));
        decoded.finish()
    }
}

impl Poller for Pages {
    type Cursor = Cursor;

    fn poll(config: &Config, cursor: Option<Cursor>, budget: u32) -> Result<Page<Cursor>, Fault> {
        let after = cursor.map_or(0, |cursor| cursor.after);
        let url = format!("{}?after={after}&limit={budget}", config.address);
        let found: Vec<u64> = http::send(Request::get(url))?.ok()?.json()?;
        let last = found.last().copied().unwrap_or(after);
        let envelopes = found
            .iter()
            .map(|number| Envelope::new("text/plain", number.to_string(), *number))
            .collect();
        Ok(Page::new(Cursor { after: last }, envelopes)
            .with_more(found.len() as u64 == u64::from(budget))
            .with_next_poll_ms(5_000))
    }
}

#[test]
fn pages_follow_one_another() {
    let config = json!({"address": "https://x.example/"});
    let answer = |after, body: &str| {
        (
            format!("https://x.example/?after={after}&limit=2"),
            Response::new(200, body),
        )
    };
    let mut host = FakeHost::new().with_config(&config);
    for (url, response) in [answer(0, "[3,4]"), answer(4, "[9]")] {
        host = host.with_answer("GET", &url, Ok(response));
    }
    let first = poll::<Pages>(&host, None, 2).expect("a page");
    assert!(first.more);
    let second = poll::<Pages>(&host, Some(&first.cursor), 2).expect("a page");
    assert!(!second.more);
    assert_eq!(second.cursor, Cursor { after: 9 });
    assert_eq!(second.next_poll_ms, Some(5_000));

    let decoded = decode::<Pages>(&config, &second.envelopes[0]).expect("an answer");
    assert_eq!(decoded.signals.len(), 1);
}

#[test]
fn what_cannot_be_fetched_is_a_fault() {
    let config = json!({"address": "https://x.example/"});
    let fault = poll::<Pages>(&FakeHost::new().with_config(&config), None, 2);
    assert_eq!(fault.expect_err("nothing is granted").code, "denied");
    let fault = poll::<Pages>(&FakeHost::new(), None, 2).expect_err("no address");
    assert_eq!(fault.message, "missing field `address`");
}
