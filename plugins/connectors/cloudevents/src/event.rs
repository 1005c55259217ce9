//! One event: its context attributes and its data (CloudEvents 1.0.2,
//! section 3).

use std::collections::BTreeMap;

use faultline_sdk::{Attribute, Fault, Timestamp, time};
use serde_json::Value;

/// The version of the specification that this reads.
const SPEC_VERSION: &str = "1.0";

/// An event whose required attributes are there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    /// Unique among the events of its source.
    pub(crate) id: String,
    /// A URI of where it happened.
    pub(crate) source: String,
    /// What sort of thing happened.
    pub(crate) r#type: String,
    /// What it happened to.
    pub(crate) subject: Option<String>,
    /// When.
    pub(crate) time: Option<Timestamp>,
    /// All other attributes, `dataschema` and extensions.
    pub(crate) others: BTreeMap<String, String>,
    /// JSON data; none if there is none, or none in JSON.
    pub(crate) data: Option<Value>,
}

impl Event {
    /// From attributes by name, and data.
    pub(crate) fn new(
        mut attributes: BTreeMap<String, String>,
        data: Option<Value>,
    ) -> Result<Self, Fault> {
        let version = required(&mut attributes, "specversion")?;
        if version != SPEC_VERSION {
            return Err(Fault::unsupported(format!(
                "`specversion`: this connector reads CloudEvents {SPEC_VERSION}, and got \
                 `{version}`"
            )));
        }
        let time = optional(&mut attributes, "time")
            .map(|text| time::rfc3339(&text).map_err(|fault| fault.at("`time`")))
            .transpose()?;
        attributes.remove("datacontenttype");
        Ok(Self {
            id: required(&mut attributes, "id")?,
            source: required(&mut attributes, "source")?,
            r#type: required(&mut attributes, "type")?,
            subject: optional(&mut attributes, "subject"),
            time,
            others: attributes,
            data,
        })
    }

    /// Unique among all events: the specification makes `source` and `id`
    /// together so.
    pub(crate) fn global_id(&self) -> String {
        format!("{} {}", self.source, self.id)
    }

    /// What the sender said besides, as attributes of a signal.
    pub(crate) fn context(&self) -> impl Iterator<Item = Attribute> + '_ {
        let own = [
            Some(("source", self.source.as_str())),
            Some(("type", self.r#type.as_str())),
            self.subject.as_deref().map(|subject| ("subject", subject)),
        ];
        let others = self.others.iter();
        own.into_iter()
            .flatten()
            .chain(others.map(|(key, value)| (key.as_str(), value.as_str())))
            .map(Into::into)
    }
}

fn optional(attributes: &mut BTreeMap<String, String>, name: &str) -> Option<String> {
    attributes.remove(name).filter(|value| !value.is_empty())
}

fn required(attributes: &mut BTreeMap<String, String>, name: &str) -> Result<String, Fault> {
    optional(attributes, name).ok_or_else(|| {
        Fault::malformed(format!(
            "`{name}`: CloudEvents require this attribute, and it is missing or empty"
        ))
    })
}
