//! OTLP logs: `ExportLogsServiceRequest`.
//!
//! A line is the record's body, and the exception that is recorded with it, if
//! the body does not name it. Other attributes of records are not kept: they
//! are of any number (request ids, threads). An event has no body; its line is
//! its name and its attributes.

use std::borrow::Cow;
use std::collections::HashMap;

use faultline_domain::decode::{Decoded, Note};
use faultline_domain::fault::Fault;
use faultline_domain::telemetry::LogSource;
use faultline_domain::time::Timestamp;

use super::place::Place;
use super::resource::Resource;
use super::value::{AnyValue, Attribute, attributes_as_json};
use crate::formats::limits::{Limits, clip};
use crate::formats::wire::{Fields, Unreadable, Within, repeated};

/// Reads `ExportLogsServiceRequest` in protobuf.
pub(super) fn decode(
    body: &[u8],
    received: Timestamp,
    limits: Limits,
) -> Result<Decoded, Unreadable> {
    let mut reader = Reader {
        limits,
        received,
        sources: HashMap::new(),
        decoded: Decoded::default(),
    };
    for (index, resource_logs) in repeated(body, 1).enumerate() {
        resource_logs
            .and_then(|resource_logs| reader.resource_logs(index, resource_logs))
            .within("resourceLogs", index)?;
    }
    Ok(reader.decoded)
}

struct Reader {
    limits: Limits,
    received: Timestamp,
    sources: HashMap<LogSource, u32>,
    decoded: Decoded,
}

impl Reader {
    fn resource_logs(&mut self, resource: usize, bytes: &[u8]) -> Result<(), Unreadable> {
        let from = Resource::of(bytes, self.limits)?;
        let source = LogSource {
            entity: from.entity,
            attributes: from.instance,
        };
        for (scope, scope_logs) in repeated(bytes, 2).enumerate() {
            let scope_logs = scope_logs.within("scopeLogs", scope)?;
            for (item, record) in repeated(scope_logs, 2).enumerate() {
                let place = Place {
                    kind: "Logs",
                    items: "logRecords",
                    resource,
                    scope,
                    item,
                };
                record
                    .and_then(|record| self.record(place, &source, record))
                    .within("logRecords", item)
                    .within("scopeLogs", scope)?;
            }
        }
        Ok(())
    }

    fn source(&mut self, source: &LogSource) -> u32 {
        if let Some(index) = self.sources.get(source) {
            return *index;
        }
        let sources = &mut self.decoded.log_sources;
        let index = u32::try_from(sources.len()).unwrap_or(u32::MAX);
        sources.push(source.clone());
        self.sources.insert(source.clone(), index);
        index
    }

    fn record(&mut self, place: Place, source: &LogSource, bytes: &[u8]) -> Result<(), Unreadable> {
        let record = Record::read(bytes)?;
        let line_max = self.limits.log_line_bytes_max;
        let text = match record.body {
            // A body that is empty is an empty line; no body is none.
            AnyValue::Empty => event_text(&record.event, bytes, line_max)?,
            body => Some(body.into_text(line_max)?),
        };
        let text = text.map(|text| record.exception.append_to(text));
        let Some(text) = text else {
            self.decoded.reject(Fault::malformed(format!(
                "{place}: a record without a body, an event name or attributes"
            )));
            return Ok(());
        };
        let text = text.trim_end_matches(['\r', '\n']);
        let line = clip(text, line_max);
        if line.len() < text.len() {
            self.decoded.notes.add(Note::Clipped, 1);
        }
        let time = match (record.time, record.observed) {
            (0, 0) => {
                self.decoded.notes.add(Note::Timeless, 1);
                self.received
            }
            (0, nanos) | (nanos, _) => Timestamp::from_nanos(nanos),
        };
        let severity = severity_number(record.severity, &record.severity_text);
        let source = self.source(source);
        let max = self.limits.log_lines_per_payload_max;
        let logs = &mut self.decoded.logs;
        if logs.len() < max && logs.push(source, time, severity, line) {
            return Ok(());
        }
        Err(Unreadable::over(
            "limit.log-lines-per-payload",
            format!("a payload may have {max} log lines; send smaller batches"),
        ))
    }
}

/// `LogRecord`, as far as it is kept.
struct Record<'a> {
    time: u64,
    observed: u64,
    severity: u64,
    severity_text: Cow<'a, str>,
    body: AnyValue<'a>,
    event: Cow<'a, str>,
    exception: Exception<'a>,
}

/// What was thrown (semantic conventions, "Exceptions in logs"). The stack
/// trace is left out: it is no line.
#[derive(Default)]
struct Exception<'a> {
    class: Cow<'a, str>,
    message: Cow<'a, str>,
}

impl<'a> Exception<'a> {
    fn note(&mut self, attribute: Attribute<'a>) {
        let AnyValue::Text(value) = attribute.value else {
            return;
        };
        match attribute.key.as_ref() {
            "exception.type" => self.class = value,
            "exception.message" => self.message = value,
            _ => {}
        }
    }

    fn append_to<'t>(&self, text: Cow<'t, str>) -> Cow<'t, str> {
        let news: Vec<&str> = [self.class.as_ref(), self.message.as_ref()]
            .into_iter()
            .filter(|part| !part.is_empty() && !text.contains(part))
            .collect();
        if news.is_empty() {
            return text;
        }
        Cow::Owned(format!("{} ({})", text.trim_end(), news.join(": ")))
    }
}

impl<'a> Record<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let mut record = Self {
            time: 0,
            observed: 0,
            severity: 0,
            severity_text: Cow::Borrowed(""),
            body: AnyValue::Empty,
            event: Cow::Borrowed(""),
            exception: Exception::default(),
        };
        for field in Fields::of(bytes) {
            let field = field?;
            match field.number {
                1 => record.time = field.fixed64()?,
                2 => record.severity = field.varint()?,
                3 => record.severity_text = field.text()?,
                5 => record.body = AnyValue::read(field.bytes()?)?,
                6 => record.exception.note(Attribute::read(field.bytes()?)?),
                11 => record.observed = field.fixed64()?,
                12 => record.event = field.text()?,
                _ => {}
            }
        }
        Ok(record)
    }
}

/// The line of an event: its name, then its attributes.
fn event_text(
    event: &str,
    record: &[u8],
    line_max: usize,
) -> Result<Option<Cow<'static, str>>, Unreadable> {
    let attributes = attributes_as_json(repeated(record, 6), line_max)?;
    Ok(match (event, attributes.as_str()) {
        ("", "{}") => None,
        (event, "{}") => Some(Cow::Owned(event.to_owned())),
        ("", _) => Some(Cow::Owned(attributes)),
        (event, _) => Some(Cow::Owned(format!("{event} {attributes}"))),
    })
}

/// OpenTelemetry's number, or what the sender's word for it means (logs data
/// model, "Mapping of `SeverityNumber`" and its appendix); 0 if unknown.
fn severity_number(number: u64, word: &str) -> u8 {
    match u8::try_from(number) {
        Ok(number @ 1..=24) => return number,
        _ if word.len() > 16 => return 0,
        _ => {}
    }
    match word.trim().to_ascii_lowercase().as_str() {
        "trace" | "verbose" | "finest" => 1,
        "debug" | "fine" | "dbug" => 5,
        "info" | "information" | "informational" => 9,
        "notice" => 10,
        "warn" | "warning" => 13,
        "error" | "err" | "severe" => 17,
        "critical" | "crit" => 18,
        "alert" => 19,
        "fatal" | "emergency" | "emerg" | "panic" => 21,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::severity_number;

    #[test]
    fn severity_is_a_number_or_a_word() {
        assert_eq!(severity_number(17, "info"), 17);
        assert_eq!(severity_number(0, " Error"), 17);
        assert_eq!(severity_number(99, ""), 0);
        assert_eq!(severity_number(0, "purple"), 0);
    }
}
