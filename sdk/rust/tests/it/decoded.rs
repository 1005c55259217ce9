//! Putting an answer together.

use faultline_sdk::{
    Alert, Decoded, Entity, Fault, LogSource, REJECTED_LISTED_MAX, Sample, Series,
};

fn host(name: &str) -> Entity {
    Entity::new("host", name)
}

#[test]
fn series_that_come_twice_are_one() {
    let mut decoded = Decoded::builder();
    let load = Series::new("load", "1", host("a"))
        .with_attribute("cpu", "0")
        .with_attribute("mode", "user");
    let again = Series::new("load", "1", host("a"))
        .with_attribute("mode", "user")
        .with_attribute("cpu", "0")
        .with_id(99);
    let other = Series::new("load", "1", host("b"));
    let (load, again, other) = (
        decoded.series(load),
        decoded.series(again),
        decoded.series(other),
    );
    assert_eq!(load, again);
    assert_ne!(load, other);
    decoded.sample(other, 5, 1.0);
    let decoded = decoded.finish().expect("an answer");
    let ids: Vec<u32> = decoded.series.iter().map(|series| series.id).collect();
    assert_eq!(ids, [0, 1]);
}

#[test]
fn rows_come_out_in_order_and_once_for_each_time() {
    let mut decoded = Decoded::builder();
    let a = decoded.series(Series::new("a", "", host("x")));
    let b = decoded.series(Series::new("b", "", host("x")));
    decoded.sample(a, 20, 2.0);
    decoded.sample(b, 10, 7.0);
    decoded.sample(a, 10, 1.0);
    decoded.sample(a, 20, 3.0);
    let decoded = decoded.finish().expect("an answer");
    let samples = decoded.samples.expect("samples");
    let rows: Vec<(u32, u64, f64)> = samples
        .rows()
        .map(
            |Sample {
                 series,
                 time,
                 value,
                 ..
             }| (series, time, value),
        )
        .collect();
    assert_eq!(rows, [(0, 10, 1.0), (1, 10, 7.0), (0, 20, 3.0)]);
}

#[test]
fn lines_keep_their_order() {
    let mut decoded = Decoded::builder();
    let web = decoded.log_source(LogSource::new(host("web")));
    let db = decoded.log_source(LogSource::new(host("db")).with_attribute("unit", "pg"));
    for (source, text) in [(db, "two"), (web, "one"), (db, "three")] {
        decoded.line(source, 1, 9, text).expect("room for a line");
    }
    let decoded = decoded.finish().expect("an answer");
    let logs = decoded.logs.expect("lines");
    let rows: Vec<(u32, &str)> = logs.rows().map(|line| (line.source, line.text)).collect();
    assert_eq!(rows, [(1, "two"), (0, "one"), (1, "three")]);
    assert_eq!(decoded.samples, None);
}

#[test]
fn rejected_items_are_listed_up_to_a_limit() {
    let mut decoded = Decoded::builder();
    decoded.signal(Alert::firing([("a", "b")], "title", 1));
    for index in 0..REJECTED_LISTED_MAX + 3 {
        decoded.reject(Fault::malformed("bad").at(format_args!("items[{index}]")));
    }
    let decoded = decoded.finish().expect("an answer");
    assert_eq!(decoded.rejected.len(), REJECTED_LISTED_MAX);
    assert_eq!(decoded.rejected_unlisted, 3);
    assert_eq!(decoded.rejected[7].message, "items[7]: bad");
}

#[test]
fn nothing_but_rejected_items_is_a_fault() {
    let mut decoded = Decoded::builder();
    decoded.reject(Fault::unsupported("first"));
    decoded.reject(Fault::malformed("second"));
    let fault = decoded.finish().expect_err("nothing could be read");
    assert_eq!(fault, Fault::unsupported("first (1 more rejected)"));
    assert!(Decoded::builder().finish().is_ok());
}

#[test]
fn messages_are_cut() {
    let fault = Fault::malformed("ä".repeat(5_000)).at("here");
    assert_eq!(fault.message.chars().count(), 1_001);
    assert!(fault.message.starts_with("here: ä"));
    assert!(fault.message.ends_with("ä…"));
}
