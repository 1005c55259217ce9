//! What was decoded, line by line, for tests to compare.

use std::fmt::Write as _;

use faultline_domain::decode::Decoded;
use faultline_domain::entity::Entity;
use faultline_domain::fault::Fault;
use faultline_domain::labels::Labels;
use faultline_domain::signal::Signal;
use faultline_domain::telemetry::Span;
use faultline_domain::time::Timestamp;

pub(crate) fn show(decoded: &Result<Decoded, Fault>) -> String {
    match decoded {
        Ok(decoded) => show_decoded(decoded),
        Err(fault) => format!("fault {fault}\n"),
    }
}

fn show_decoded(decoded: &Decoded) -> String {
    let mut out = String::new();
    for signal in &decoded.signals {
        let Signal::Alert(alert) = signal else {
            panic!("no standard format has other signals");
        };
        let entities: Vec<_> = alert.entities.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            out,
            "alert {} firing={} severity={}({}) {}..{} [{}] {} {} {}",
            alert.title,
            alert.firing,
            alert.severity.grade,
            alert.severity.word,
            alert.started,
            alert.ended.map_or_else(String::new, |end| end.to_string()),
            entities.join(" "),
            show_labels(&alert.labels),
            show_labels(&alert.annotations),
            alert.link.as_deref().unwrap_or("-"),
        );
        assert_eq!(alert.identity, alert.labels);
    }
    for series in &decoded.series {
        let key = &series.key;
        let _ = writeln!(
            out,
            "series {} {} {:?}[{}] {}",
            show_entity(key.entity.as_ref()),
            key.name,
            series.reading,
            key.unit,
            show_labels(&key.attributes),
        );
    }
    for (series, time, value) in decoded.samples.rows() {
        let _ = writeln!(out, "sample {series} {time} {value}");
    }
    for source in &decoded.log_sources {
        let entity = show_entity(source.entity.as_ref());
        let _ = writeln!(out, "source {entity} {}", show_labels(&source.attributes));
    }
    let logs = &decoded.logs;
    for row in 0..logs.len() {
        let time = Timestamp::from_micros(logs.time[row]);
        let _ = writeln!(
            out,
            "line {} {time} {} {}",
            logs.source[row],
            logs.severity[row],
            logs.text_of(row)
        );
    }
    for span in &decoded.spans {
        let _ = writeln!(out, "{}", show_span(span));
    }
    for fault in &decoded.rejected {
        let _ = writeln!(out, "rejected {fault}");
    }
    for (note, times) in decoded.notes.iter() {
        let _ = writeln!(out, "note {} {times}", note.as_str());
    }
    out
}

fn show_span(span: &Span) -> String {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    format!(
        "span {} {}<{} {} {:?} `{}` -> {} {}..{} {:?}",
        hex(&span.trace),
        hex(&span.id),
        span.parent.map_or_else(|| "-".to_owned(), |id| hex(&id)),
        show_entity(span.service.as_ref()),
        span.kind,
        span.operation,
        show_entity(span.peer.as_ref()),
        span.start,
        span.end,
        span.outcome,
    )
}

fn show_entity(entity: Option<&Entity>) -> String {
    entity.map_or_else(|| "-".to_owned(), ToString::to_string)
}

fn show_labels(labels: &Labels) -> String {
    let pairs: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{{{}}}", pairs.join(" "))
}
