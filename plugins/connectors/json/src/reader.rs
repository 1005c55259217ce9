//! Reads the fields of one item, and names the field when it cannot.

use std::collections::BTreeMap;

use faultline_sdk::{Attribute, Entity, Fault, Timestamp};
use serde_json::Value;

use crate::config::Pairs;
use crate::entity::{self, EntityRule};
use crate::moment::Moment;
use crate::path::{Path, Scope};
use crate::text::{self, Text};

/// One item, and when it arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) scope: Scope<'a>,
    pub(crate) received: Timestamp,
}

impl Reader<'_> {
    /// A text that must be there.
    pub(crate) fn required(&self, field: &str, text: &Text) -> Result<String, Fault> {
        text.of(&self.scope).ok_or_else(|| {
            Fault::malformed(format!(
                "`{field}`: nothing of what it is made of is there; give it a `default`, or \
                 leave the item out with `when`"
            ))
        })
    }

    /// A text that may be missing.
    pub(crate) fn optional(&self, text: Option<&Text>) -> Option<String> {
        text.and_then(|text| text.of(&self.scope))
    }

    /// A title: the first line of a text that must be there.
    pub(crate) fn title(&self, text: &Text) -> Result<String, Fault> {
        let title = self.required("title", text)?;
        Ok(faultline_sdk::text::first_line(&title)
            .unwrap_or("untitled")
            .to_owned())
    }

    /// A time that may be missing.
    pub(crate) fn moment(
        &self,
        field: &str,
        moment: Option<&Moment>,
    ) -> Result<Option<Timestamp>, Fault> {
        match moment {
            Some(moment) => moment
                .of(&self.scope)
                .map_err(|fault| fault.at(format_args!("`{field}`"))),
            None => Ok(None),
        }
    }

    /// A time; that of arrival, if it is missing.
    pub(crate) fn moment_or_arrival(
        &self,
        field: &str,
        moment: Option<&Moment>,
    ) -> Result<Timestamp, Fault> {
        Ok(self.moment(field, moment)?.unwrap_or(self.received))
    }

    /// An entity that must be there.
    pub(crate) fn entity(&self, field: &str, text: &Text) -> Result<Entity, Fault> {
        Entity::parse(&self.required(field, text)?)
            .map_err(|fault| fault.at(format_args!("`{field}`")))
    }

    /// Any number of entities.
    pub(crate) fn entities(&self, rules: &[EntityRule]) -> Result<Vec<Entity>, Fault> {
        entity::entities(rules, &self.scope)
    }

    /// Names and values: those taken over as they are, then those picked by
    /// name, which replace them.
    pub(crate) fn pairs(&self, picked: &Pairs, from: &[Path]) -> Vec<Attribute> {
        let mut pairs = BTreeMap::new();
        for value in from.iter().flat_map(|path| path.find(&self.scope)) {
            take_over(&mut pairs, value);
        }
        for (name, text) in picked {
            if let Some(value) = text.of(&self.scope) {
                pairs.insert(name.clone(), value);
            }
        }
        pairs.into_iter().map(Into::into).collect()
    }
}

/// The members of an object that are not lists or objects themselves; of a
/// list its items, each an object with `name` (or `key`) and `value`, or a
/// text such as `env:prod`.
fn take_over(pairs: &mut BTreeMap<String, String>, value: &Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                insert(pairs, name, value);
            }
        }
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::Object(members) => {
                        let name = members.get("name").or_else(|| members.get("key"));
                        if let (Some(Value::String(name)), Some(value)) =
                            (name, members.get("value"))
                        {
                            insert(pairs, name, value);
                        }
                    }
                    Value::String(text) => {
                        if let Some((name, value)) = text.split_once([':', '=']) {
                            insert(pairs, name, &Value::from(value));
                        }
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn insert(pairs: &mut BTreeMap<String, String>, name: &str, value: &Value) {
    if matches!(value, Value::Null | Value::Array(_) | Value::Object(_)) {
        return;
    }
    let mut text = String::new();
    text::push(&mut text, value);
    if !name.is_empty() && !text.is_empty() {
        pairs.insert(name.to_owned(), text);
    }
}
