//! The format of golden cases, as `sdk/golden-cases.md` describes it: the same
//! facts as the types of the boundary, in the form that is best to read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A file of `tests/`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Case {
    /// What the case shows.
    pub(super) about: String,
    /// Which component of the bundle it is for, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) component: Option<String>,
    /// The configuration of the instance.
    #[serde(default = "empty_object")]
    pub(super) config: Value,
    /// What goes in, and what comes out.
    pub(super) steps: Vec<Step>,
    /// What is logged, in all steps together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lines: Vec<Line>,
}

fn empty_object() -> Value {
    Value::Object(serde_json::Map::new())
}

/// One envelope and its answer: `decoded` or `fault`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Step {
    pub(super) envelope: Envelope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) decoded: Option<Decoded>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<Fault>,
}

/// A payload, with exactly one of `body`, `text` and `base64`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Envelope {
    pub(super) received: Time,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) content_type: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) base64: Option<String>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Decoded {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) signals: Vec<Signal>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) series: Vec<Series>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) logs: Vec<LogSource>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) rejected: Vec<Fault>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) rejected_unlisted: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A signal, under the name of its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Signal {
    Alert(Alert),
    Change(Change),
    Dependency(Dependency),
    Ticket(Ticket),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Alert {
    pub(super) identity: Attributes,
    pub(super) firing: bool,
    pub(super) title: String,
    pub(super) severity: String,
    pub(super) started: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<Time>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) entities: Vec<Entity>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: Attributes,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: Attributes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Change {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) title: String,
    pub(super) at: Time,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) entities: Vec<Entity>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: Attributes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Dependency {
    pub(super) dependent: Entity,
    pub(super) provider: Entity,
    pub(super) relation: String,
    pub(super) seen: Time,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Ticket {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) status: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) entities: Vec<Entity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<String>,
}

/// A series with its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Series {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) unit: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) entity: Option<Entity>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: Attributes,
    pub(super) samples: Vec<(Time, f64)>,
}

/// A log source with its lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct LogSource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) entity: Option<Entity>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: Attributes,
    pub(super) lines: Vec<LogLine>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct LogLine {
    pub(super) time: Time,
    #[serde(default)]
    pub(super) severity: u8,
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Fault {
    pub(super) code: String,
    pub(super) message: String,
    #[serde(default, skip_serializing_if = "Retry::is_never")]
    pub(super) retry: Retry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Retry {
    #[default]
    Never,
    Later,
    AfterMs(u64),
}

impl Retry {
    fn is_never(&self) -> bool {
        *self == Retry::Never
    }
}

/// A line that was logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Names and values: the order means nothing, and each name stands once.
pub(super) type Attributes = BTreeMap<String, String>;

/// Microseconds since the epoch, written as RFC 3339 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Time(pub(super) crate::Timestamp);

impl TryFrom<String> for Time {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        crate::time::rfc3339(&text)
            .map(Time)
            .map_err(|fault| fault.message)
    }
}

impl From<Time> for String {
    fn from(time: Time) -> String {
        crate::time::to_rfc3339(time.0)
    }
}

/// Written as `kind/name`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Entity(pub(super) crate::Entity);

impl TryFrom<String> for Entity {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        crate::Entity::parse(&text)
            .map(Entity)
            .map_err(|fault| fault.message)
    }
}

impl From<Entity> for String {
    fn from(entity: Entity) -> String {
        entity.0.to_string()
    }
}
