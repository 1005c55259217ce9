//! What an operator can set: mappings from items of a payload to signals. The
//! schema beside the manifest says the same, and the README explains it.

use std::collections::BTreeMap;

use faultline_sdk::ConfigCheck;
use serde::Deserialize;

use crate::condition::Conditions;
use crate::entity::EntityRule;
use crate::moment::Moment;
use crate::path::Path;
use crate::text::Text;

/// The configuration of an instance.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// What the body is.
    #[serde(default)]
    pub(crate) format: Format,
    /// What becomes of its items.
    pub(crate) mappings: Vec<Mapping>,
    /// What becomes of a payload in which no mapping matches anything.
    #[serde(default)]
    pub(crate) unmatched: Unmatched,
}

/// Reading the configuration has checked the paths, the templates and the
/// formats already, which is what a schema cannot say.
impl ConfigCheck for Config {
    fn check(&self) -> Result<(), Vec<String>> {
        Ok(())
    }
}

/// What the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// One JSON document.
    #[default]
    Json,
    /// One JSON document a line, read as a list of them.
    JsonLines,
}

/// What becomes of a payload in which no mapping matches anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unmatched {
    /// It is refused, and so it is seen.
    #[default]
    Reject,
    /// It says nothing.
    Ignore,
}

/// Which items of a payload, and what each of them is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Fields")]
pub(crate) struct Mapping {
    /// The items.
    pub(crate) items: Path,
    /// The inner items of each.
    pub(crate) each: Option<Path>,
    /// Those that count.
    pub(crate) when: Conditions,
    /// What they are.
    pub(crate) meaning: Meaning,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Meaning {
    Alert(AlertMapping),
    Change(ChangeMapping),
    Dependency(DependencyMapping),
    Ticket(TicketMapping),
    Sample(SampleMapping),
    Log(LogMapping),
    /// Nothing, on purpose.
    Ignore,
}

/// As it stands in the configuration.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Fields {
    #[serde(default = "Path::whole")]
    items: Path,
    each: Option<Path>,
    #[serde(default)]
    when: Conditions,
    alert: Option<AlertMapping>,
    change: Option<ChangeMapping>,
    dependency: Option<DependencyMapping>,
    ticket: Option<TicketMapping>,
    sample: Option<SampleMapping>,
    log: Option<LogMapping>,
    ignore: Option<Nothing>,
}

/// An empty object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl TryFrom<Fields> for Mapping {
    type Error = &'static str;
    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let mut meanings = [
            fields.alert.map(Meaning::Alert),
            fields.change.map(Meaning::Change),
            fields.dependency.map(Meaning::Dependency),
            fields.ticket.map(Meaning::Ticket),
            fields.sample.map(Meaning::Sample),
            fields.log.map(Meaning::Log),
            fields.ignore.map(|Nothing {}| Meaning::Ignore),
        ]
        .into_iter()
        .flatten();
        let (Some(meaning), None) = (meanings.next(), meanings.next()) else {
            return Err(
                "a mapping has exactly one of `alert`, `change`, `dependency`, `ticket`, \
                 `sample`, `log` and `ignore`",
            );
        };
        Ok(Self {
            items: fields.items,
            each: fields.each,
            when: fields.when,
            meaning,
        })
    }
}

/// Names and values, some of them picked by name, some taken over as they are.
pub(crate) type Pairs = BTreeMap<String, Text>;

/// How an item is an alert.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct AlertMapping {
    pub(crate) identity: Pairs,
    pub(crate) title: Text,
    pub(crate) firing: Option<Conditions>,
    pub(crate) resolved: Option<Conditions>,
    pub(crate) severity: Option<Text>,
    pub(crate) started: Option<Moment>,
    pub(crate) ended: Option<Moment>,
    #[serde(default)]
    pub(crate) entities: Vec<EntityRule>,
    #[serde(default)]
    pub(crate) labels: Pairs,
    #[serde(default)]
    pub(crate) labels_from: Vec<Path>,
    #[serde(default)]
    pub(crate) annotations: Pairs,
    #[serde(default)]
    pub(crate) annotations_from: Vec<Path>,
    pub(crate) link: Option<Text>,
}

/// How an item is a change.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ChangeMapping {
    pub(crate) id: Text,
    pub(crate) kind: Text,
    pub(crate) title: Text,
    pub(crate) at: Option<Moment>,
    #[serde(default)]
    pub(crate) entities: Vec<EntityRule>,
    #[serde(default)]
    pub(crate) attributes: Pairs,
    #[serde(default)]
    pub(crate) attributes_from: Vec<Path>,
    pub(crate) link: Option<Text>,
}

/// How an item is an edge of the topology.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct DependencyMapping {
    pub(crate) dependent: Text,
    pub(crate) provider: Text,
    pub(crate) relation: Option<Text>,
    pub(crate) seen: Option<Moment>,
}

/// How an item is a ticket.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct TicketMapping {
    pub(crate) id: Text,
    pub(crate) title: Text,
    pub(crate) status: Text,
    #[serde(default)]
    pub(crate) entities: Vec<EntityRule>,
    pub(crate) link: Option<Text>,
}

/// How an item is a measurement.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct SampleMapping {
    pub(crate) name: Text,
    pub(crate) unit: Option<Text>,
    pub(crate) entity: Text,
    #[serde(default)]
    pub(crate) attributes: Pairs,
    #[serde(default)]
    pub(crate) attributes_from: Vec<Path>,
    pub(crate) time: Option<Moment>,
    pub(crate) value: Text,
}

/// How an item is a log line.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct LogMapping {
    pub(crate) entity: Text,
    #[serde(default)]
    pub(crate) attributes: Pairs,
    #[serde(default)]
    pub(crate) attributes_from: Vec<Path>,
    pub(crate) time: Option<Moment>,
    pub(crate) severity: Option<Text>,
    pub(crate) text: Text,
}
