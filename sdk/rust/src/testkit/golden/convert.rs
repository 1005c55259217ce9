//! From the types of the boundary to those of the cases. Ids of series and
//! sources, which mean nothing outside an answer, disappear on the way.

use super::case;
use crate::{Attribute, Decoded, Entity, Fault, LogLines, Retry, Samples, Signal};

impl case::Envelope {
    /// The envelope that the connector is given.
    pub(super) fn to_envelope(&self) -> Result<crate::Envelope, String> {
        let body = match (&self.body, &self.text, &self.base64) {
            (Some(body), None, None) => body.to_string().into_bytes(),
            (None, Some(text), None) => text.clone().into_bytes(),
            (None, None, Some(base64)) => data_encoding::BASE64
                .decode(base64.as_bytes())
                .map_err(|error| format!("`base64`: {error}"))?,
            _ => return Err("an envelope has one of `body`, `text` and `base64`".to_owned()),
        };
        let mut envelope = crate::Envelope::new(&*self.content_type, body, self.received.0);
        for (name, value) in &self.headers {
            envelope = envelope.with_header(name, value);
        }
        Ok(envelope)
    }
}

impl From<&Decoded> for case::Decoded {
    fn from(decoded: &Decoded) -> Self {
        Self {
            signals: decoded.signals.iter().map(Into::into).collect(),
            series: decoded
                .series
                .iter()
                .map(|series| case::Series {
                    name: series.name.clone(),
                    unit: series.unit.clone(),
                    entity: series.entity.clone().map(case::Entity),
                    attributes: attributes(&series.attributes),
                    samples: rows_of(series.id, decoded.samples.as_ref()),
                })
                .collect(),
            logs: decoded
                .log_sources
                .iter()
                .map(|source| case::LogSource {
                    entity: source.entity.clone().map(case::Entity),
                    attributes: attributes(&source.attributes),
                    lines: lines_of(source.id, decoded.logs.as_ref()),
                })
                .collect(),
            rejected: decoded.rejected.iter().map(Into::into).collect(),
            rejected_unlisted: decoded.rejected_unlisted,
        }
    }
}

fn rows_of(series: u32, samples: Option<&Samples>) -> Vec<(case::Time, f64)> {
    samples
        .into_iter()
        .flat_map(Samples::rows)
        .filter(|row| row.series == series)
        .map(|row| (case::Time(row.time), row.value))
        .collect()
}

fn lines_of(source: u32, logs: Option<&LogLines>) -> Vec<case::LogLine> {
    logs.into_iter()
        .flat_map(LogLines::rows)
        .filter(|line| line.source == source)
        .map(|line| case::LogLine {
            time: case::Time(line.time),
            severity: line.severity,
            text: line.text.to_owned(),
        })
        .collect()
}

impl From<&Signal> for case::Signal {
    fn from(signal: &Signal) -> Self {
        match signal {
            Signal::Alert(alert) => Self::Alert(case::Alert {
                identity: attributes(&alert.identity),
                firing: alert.firing,
                title: alert.title.clone(),
                severity: alert.severity.clone(),
                started: case::Time(alert.started),
                ended: alert.ended.map(case::Time),
                entities: entities(&alert.entities),
                labels: attributes(&alert.labels),
                annotations: attributes(&alert.annotations),
                link: alert.link.clone(),
            }),
            Signal::Change(change) => Self::Change(case::Change {
                id: change.id.clone(),
                kind: change.kind.clone(),
                title: change.title.clone(),
                at: case::Time(change.at),
                entities: entities(&change.entities),
                attributes: attributes(&change.attributes),
                link: change.link.clone(),
            }),
            Signal::Dependency(edge) => Self::Dependency(case::Dependency {
                dependent: case::Entity(edge.dependent.clone()),
                provider: case::Entity(edge.provider.clone()),
                relation: edge.relation.clone(),
                seen: case::Time(edge.seen),
            }),
            Signal::Ticket(ticket) => Self::Ticket(case::Ticket {
                id: ticket.id.clone(),
                title: ticket.title.clone(),
                status: ticket.status.clone(),
                entities: entities(&ticket.entities),
                link: ticket.link.clone(),
            }),
        }
    }
}

impl From<&Fault> for case::Fault {
    fn from(fault: &Fault) -> Self {
        Self {
            code: fault.code.clone(),
            message: fault.message.clone(),
            retry: match fault.retry {
                Retry::Never => case::Retry::Never,
                Retry::Later => case::Retry::Later,
                Retry::AfterMs(milliseconds) => case::Retry::AfterMs(milliseconds),
            },
        }
    }
}

impl From<(crate::log::Level, String)> for case::Line {
    fn from((level, message): (crate::log::Level, String)) -> Self {
        Self {
            level: match level {
                crate::log::Level::Debug => case::Level::Debug,
                crate::log::Level::Info => case::Level::Info,
                crate::log::Level::Warn => case::Level::Warn,
                crate::log::Level::Error => case::Level::Error,
            },
            message,
        }
    }
}

fn attributes(attributes: &[Attribute]) -> case::Attributes {
    attributes
        .iter()
        .map(|attribute| (attribute.key.clone(), attribute.value.clone()))
        .collect()
}

fn entities(entities: &[Entity]) -> Vec<case::Entity> {
    entities.iter().cloned().map(case::Entity).collect()
}
