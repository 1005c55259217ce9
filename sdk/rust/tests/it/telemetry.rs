//! Columns, row by row.

use faultline_sdk::{LogLine, LogLines, Sample, Samples};

#[test]
fn rows_of_samples() {
    let mut samples = Samples::new();
    assert!(samples.is_empty());
    samples.push(7, 100, 0.5);
    samples.push(8, 90, -1.0);
    let rows: Vec<Sample> = samples.rows().collect();
    assert_eq!(
        rows,
        [
            Sample {
                row: 0,
                series: 7,
                time: 100,
                value: 0.5
            },
            Sample {
                row: 1,
                series: 8,
                time: 90,
                value: -1.0
            },
        ]
    );
}

fn texts(lines: &LogLines) -> Vec<&str> {
    lines.rows().map(|line| line.text).collect()
}

#[test]
fn rows_of_lines() {
    let mut lines = LogLines::new();
    assert!(lines.push(1, 10, 9, "häuser"));
    assert!(lines.push(2, 20, 0, ""));
    assert!(lines.push(1, 30, 17, "end"));
    assert_eq!(lines.len(), 3);
    assert_eq!(texts(&lines), ["häuser", "", "end"]);
    assert_eq!(
        lines.rows().last(),
        Some(LogLine {
            row: 2,
            source: 1,
            time: 30,
            severity: 17,
            text: "end"
        })
    );
}

/// The host promises that this does not happen; a plugin must not trap if it
/// does.
#[test]
fn broken_columns_do_no_harm() {
    let lines = LogLines {
        source: vec![1, 1, 1, 1],
        time: vec![1, 2, 3, 4],
        severity: vec![0, 0, 0, 0],
        ends: vec![4, 2, 100, 6],
        text: b"ab\xffdef".to_vec(),
    };
    assert_eq!(texts(&lines), ["ab", "", "", ""]);
    let uneven = Samples {
        series: vec![1, 2],
        time: vec![1],
        value: vec![1.0, 2.0],
    };
    assert_eq!(uneven.rows().count(), 1);
}
