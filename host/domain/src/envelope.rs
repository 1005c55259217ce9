//! Envelopes: payloads as they were received.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{InstanceName, SourceName};
use crate::time::Timestamp;

/// A place in the journal of a scope: 1, 2, 3, … without gaps. Zero is "before
/// the first".
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Before the first envelope.
    pub const START: Position = Position(0);

    /// For signed columns.
    pub const fn as_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// From a signed column.
    pub const fn from_i64(position: i64) -> Self {
        Self(if position < 0 {
            0
        } else {
            position.cast_unsigned()
        })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who can read a payload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Format {
    /// OTLP `ExportMetricsServiceRequest`.
    OtlpMetrics,
    /// OTLP `ExportLogsServiceRequest`.
    OtlpLogs,
    /// OTLP `ExportTraceServiceRequest`.
    OtlpTraces,
    /// Prometheus remote write 1.0.
    RemoteWrite,
    /// What Prometheus posts to Alertmanager's API v2.
    AlertmanagerAlerts,
    /// A connector's vendor format.
    Connector(InstanceName),
    /// Time that passed while nothing came. The host writes these, so that
    /// time is data: what a timeout did can be replayed.
    Clock,
    /// An act of a person on an incident, in order with everything else.
    Command,
    /// What Faultline says about itself: that a plugin is quarantined, that a
    /// stage does not go on.
    Host,
}

impl Format {
    /// The formats that the host itself reads from senders.
    pub const STANDARD: [Format; 5] = [
        Format::OtlpMetrics,
        Format::OtlpLogs,
        Format::OtlpTraces,
        Format::RemoteWrite,
        Format::AlertmanagerAlerts,
    ];

    /// The formats that only the host itself writes.
    pub const OWN: [Format; 3] = [Format::Clock, Format::Command, Format::Host];

    /// Whether only the host itself writes it.
    pub const fn is_own(&self) -> bool {
        matches!(self, Format::Clock | Format::Command | Format::Host)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Format::OtlpMetrics => f.write_str("otlp-metrics"),
            Format::OtlpLogs => f.write_str("otlp-logs"),
            Format::OtlpTraces => f.write_str("otlp-traces"),
            Format::RemoteWrite => f.write_str("remote-write"),
            Format::AlertmanagerAlerts => f.write_str("alertmanager-alerts"),
            Format::Connector(instance) => write!(f, "connector:{instance}"),
            Format::Clock => f.write_str("clock"),
            Format::Command => f.write_str("command"),
            Format::Host => f.write_str("host"),
        }
    }
}

impl From<Format> for String {
    fn from(format: Format) -> String {
        format.to_string()
    }
}

impl TryFrom<String> for Format {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if let Some(instance) = text.strip_prefix("connector:") {
            let instance = InstanceName::new(instance).map_err(|error| error.to_string())?;
            return Ok(Format::Connector(instance));
        }
        Self::STANDARD
            .into_iter()
            .chain(Self::OWN)
            .find(|format| format.to_string() == text)
            .ok_or_else(|| format!("`{text}` is not a format of envelopes"))
    }
}

/// A payload on its way into the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Who sent it.
    pub source: SourceName,
    /// Who can read it.
    pub format: Format,
    /// The media type without parameters, lower case; empty if none was given.
    pub content_type: String,
    /// Headers worth keeping, names in lower case. Never credentials.
    pub headers: Vec<(String, String)>,
    /// The payload, transport encodings undone.
    pub body: Vec<u8>,
    /// The clock at arrival. The journal never goes back: it takes the later
    /// of this and the time of the envelope before.
    pub received: Timestamp,
}

/// A payload as it lies in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Where it lies.
    pub position: Position,
    /// What arrived; `received` never falls from one position to the next.
    pub arrival: Arrival,
}

/// The header that says where an envelope lay that was given to its reader once
/// more.
pub const REDRIVE_OF: &str = "faultline-redrive-of";

impl Envelope {
    /// A copy for the end of the journal, so that its reader is given it once
    /// more, at this time. It says where it comes from.
    #[must_use]
    pub fn redriven(self, received: Timestamp) -> Arrival {
        let Self { position, arrival } = self;
        let mut headers = arrival.headers;
        headers.retain(|(name, _)| name != REDRIVE_OF);
        headers.push((REDRIVE_OF.to_owned(), position.to_string()));
        Arrival {
            headers,
            received,
            ..arrival
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_redriven_says_where_it_lay_last() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let first = Envelope {
            position: Position(7),
            arrival: Arrival {
                source: SourceName::new("ci").expect("a name"),
                format: Format::AlertmanagerAlerts,
                content_type: "application/json".to_owned(),
                headers: vec![header("x-kept", "a")],
                body: b"[]".to_vec(),
                received: Timestamp::from_secs(1),
            },
        };
        let again = first.clone().redriven(Timestamp::from_secs(9));
        let expected = Arrival {
            headers: vec![header("x-kept", "a"), header(REDRIVE_OF, "7")],
            received: Timestamp::from_secs(9),
            ..first.arrival
        };
        assert_eq!(again, expected);
        let second = Envelope {
            position: Position(8),
            arrival: again,
        };
        let last = second.redriven(Timestamp::from_secs(10));
        assert_eq!(
            last.headers,
            [header("x-kept", "a"), header(REDRIVE_OF, "8")]
        );
    }

    #[test]
    fn formats_read_back() {
        let connector = Format::Connector(InstanceName::new("alertmanager").expect("a name"));
        for format in Format::STANDARD
            .into_iter()
            .chain(Format::OWN)
            .chain([connector])
        {
            assert_eq!(Format::try_from(format.to_string()), Ok(format));
        }
        assert!(Format::try_from("connector:".to_owned()).is_err());
        assert!(Format::try_from("smoke-signals".to_owned()).is_err());
    }
}
