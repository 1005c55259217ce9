//! What connectors are given, and what they answer.

use std::collections::HashMap;
use std::sync::Arc;

use faultline_domain::decode::Decoded;
use faultline_domain::entity::Entity;
use faultline_domain::envelope::Envelope;
use faultline_domain::fault::Fault;
use faultline_domain::id::ChangeId;
use faultline_domain::signal::{AlertReport, Change, Dependency, Signal, Ticket};
use faultline_domain::telemetry::{LogLines, LogSource, Reading, Samples, SeriesDef, SeriesKey};

use super::words::{entities, entity, labels, severity, text, time};
use crate::bindings::faultline::plugin::{signals as wit, types};

pub(crate) fn envelope_of(envelope: &Envelope) -> wit::Envelope {
    let arrival = &envelope.arrival;
    wit::Envelope {
        content_type: arrival.content_type.clone(),
        headers: arrival
            .headers
            .iter()
            .map(|(key, value)| types::Attribute {
                key: key.clone(),
                value: value.clone(),
            })
            .collect(),
        body: arrival.body.clone(),
        received: arrival.received.as_micros(),
    }
}

/// What an envelope said. Items that cannot be are rejected one by one;
/// columns that do not fit together refuse the envelope.
pub(crate) fn decoded_of(raw: wit::Decoded, family: &str) -> Result<Decoded, Fault> {
    let mut decoded = Decoded::default();
    for fault in raw.rejected {
        decoded.reject(Fault::from(fault));
    }
    decoded.rejected_unlisted += u64::from(raw.rejected_unlisted);
    for (index, signal) in raw.signals.into_iter().enumerate() {
        match signal_of(signal, family) {
            Ok(signal) => decoded.signals.push(signal),
            Err(fault) => decoded.reject(Fault {
                message: format!("signal {index}: {}", fault.message),
                ..fault
            }),
        }
    }
    let series = take_series(raw.series, &mut decoded);
    if let Some(samples) = raw.samples {
        decoded.samples = samples_from(samples, &series, &mut decoded)?;
    }
    let sources = take_sources(raw.log_sources, &mut decoded);
    if let Some(logs) = raw.logs {
        decoded.logs = lines_from(logs, &sources, &mut decoded)?;
    }
    Ok(decoded)
}

fn signal_of(raw: wit::Signal, family: &str) -> Result<Signal, Fault> {
    Ok(match raw {
        wit::Signal::Alert(alert) => Signal::Alert(alert_of(alert)?),
        wit::Signal::Change(change) => Signal::Change(change_of(change, family)?),
        wit::Signal::Dependency(dependency) => Signal::Dependency(dependency_of(&dependency)?),
        wit::Signal::Ticket(ticket) => Signal::Ticket(Ticket {
            id: text(ticket.id),
            title: text(ticket.title),
            status: text(ticket.status),
            entities: entities(&ticket.entities)?,
            link: ticket.link.map(text),
        }),
    })
}

fn alert_of(raw: wit::Alert) -> Result<AlertReport, Fault> {
    let identity = labels(raw.identity);
    if identity.is_empty() {
        return Err(Fault::malformed(
            "an alert without identity would be every alert",
        ));
    }
    Ok(AlertReport {
        identity,
        firing: raw.firing,
        title: text(raw.title),
        severity: severity(&raw.severity),
        started: time(raw.started),
        ended: raw.ended.map(time),
        entities: entities(&raw.entities)?,
        labels: labels(raw.labels),
        annotations: labels(raw.annotations),
        link: raw.link.map(text),
    })
}

/// A change is the same as another if sender's family and id are.
fn change_of(raw: wit::Change, family: &str) -> Result<Change, Fault> {
    if raw.id.is_empty() {
        return Err(Fault::malformed("a change without id"));
    }
    Ok(Change {
        id: ChangeId::derive([family.as_bytes(), raw.id.as_bytes()]),
        reference: text(raw.id),
        kind: text(raw.kind),
        title: text(raw.title),
        at: time(raw.at),
        entities: entities(&raw.entities)?,
        attributes: labels(raw.attributes),
        link: raw.link.map(text),
    })
}

pub(super) fn dependency_of(raw: &wit::Dependency) -> Result<Dependency, Fault> {
    let dependency = Dependency {
        dependent: entity(&raw.dependent)?,
        provider: entity(&raw.provider)?,
        relation: text(raw.relation.clone()),
        seen: time(raw.seen),
    };
    if dependency.dependent == dependency.provider {
        return Err(Fault::malformed(format!(
            "{} cannot depend on itself",
            dependency.provider
        )));
    }
    Ok(dependency)
}

/// Puts the series into the answer; gives their places by the guest's ids.
fn take_series(raw: Vec<wit::Series>, decoded: &mut Decoded) -> HashMap<u32, u32> {
    let mut places = HashMap::with_capacity(raw.len());
    for (place, series) in (0..).zip(raw) {
        places.insert(series.id, place);
        let entity = named(series.entity.as_ref(), decoded);
        let series = SeriesDef {
            key: SeriesKey {
                name: text(series.name),
                unit: text(series.unit),
                entity,
                attributes: labels(series.attributes),
            },
            reading: Reading::Gauge,
        };
        decoded.series.push(Arc::new(series));
    }
    places
}

/// The entity of telemetry, if it names one. A bad name is told to whoever
/// looks, and costs the rows only their entity.
fn named(raw: Option<&types::Entity>, decoded: &mut Decoded) -> Option<Entity> {
    entity(raw?).map_err(|fault| decoded.reject(fault)).ok()
}

fn take_sources(raw: Vec<wit::LogSource>, decoded: &mut Decoded) -> HashMap<u32, u32> {
    let mut places = HashMap::with_capacity(raw.len());
    for (place, source) in (0..).zip(raw) {
        places.insert(source.id, place);
        let entity = named(source.entity.as_ref(), decoded);
        decoded.log_sources.push(LogSource {
            entity,
            attributes: labels(source.attributes),
        });
    }
    places
}

fn samples_from(
    raw: wit::Samples,
    places: &HashMap<u32, u32>,
    decoded: &mut Decoded,
) -> Result<Samples, Fault> {
    let rows = raw.series.len();
    if raw.time.len() != rows || raw.value.len() != rows {
        return Err(unequal("samples"));
    }
    let mut samples = Samples::default();
    for ((series, at), value) in raw.series.into_iter().zip(raw.time).zip(raw.value) {
        match places.get(&series) {
            Some(place) => samples.push(*place, time(at), value),
            None => decoded.reject(unannounced("sample", "series", series)),
        }
    }
    Ok(samples)
}

fn lines_from(
    raw: wit::LogLines,
    places: &HashMap<u32, u32>,
    decoded: &mut Decoded,
) -> Result<LogLines, Fault> {
    let rows = raw.source.len();
    if [raw.time.len(), raw.severity.len(), raw.ends.len()] != [rows; 3] {
        return Err(unequal("log-lines"));
    }
    let all = String::from_utf8(raw.text)
        .map_err(|_| Fault::never("contract", "log-lines: the text is not UTF-8"))?;
    // What no line has would be lost in silence.
    if raw.ends.last().map_or(0, |end| *end as usize) != all.len() {
        let why = "log-lines: the last line does not end where the text does";
        return Err(Fault::never("contract", why));
    }
    let mut lines = LogLines::default();
    let mut start = 0;
    for row in 0..rows {
        let end = raw.ends[row] as usize;
        let line = all.get(start..end).ok_or_else(|| {
            Fault::never(
                "contract",
                format!("log-lines: row {row} ends out of place"),
            )
        })?;
        start = end;
        let Some(place) = places.get(&raw.source[row]) else {
            decoded.reject(unannounced("log line", "log source", raw.source[row]));
            continue;
        };
        // It cannot be full: the guest's own columns have 32-bit ends, too.
        let _ = lines.push(*place, time(raw.time[row]), raw.severity[row].min(24), line);
    }
    Ok(lines)
}

fn unequal(what: &str) -> Fault {
    Fault::never(
        "contract",
        format!("{what}: its columns are not equally long"),
    )
}

fn unannounced(row: &str, what: &str, id: u32) -> Fault {
    Fault::never(
        "contract",
        format!("a {row} names {what} {id}, which was not announced"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_no_line_has_breaks_the_contract() {
        let places = HashMap::from([(7, 0)]);
        let read = |ends: &[u32], text: &str| {
            let lines = wit::LogLines {
                source: vec![7; ends.len()],
                time: vec![1; ends.len()],
                severity: vec![0; ends.len()],
                ends: ends.to_vec(),
                text: text.as_bytes().to_vec(),
            };
            lines_from(lines, &places, &mut Decoded::default())
        };
        assert_eq!(read(&[1, 3], "abc").map(|lines| lines.len()), Ok(2));
        assert!(read(&[], "").is_ok());
        for (ends, text) in [(&[1, 2][..], "abc"), (&[], "a"), (&[1, 4], "abc")] {
            let fault = read(ends, text).expect_err(text);
            assert_eq!(fault.code, "contract", "{fault}");
        }
    }
}
