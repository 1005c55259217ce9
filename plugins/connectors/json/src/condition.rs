//! Conditions on items.

use serde::Deserialize;
use serde::de;

use crate::path::{Path, Scope};
use crate::text::Text;

/// Holds if everything that it asks for holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Fields")]
pub(crate) struct Condition {
    value: Option<(Text, Words)>,
    exists: Option<Path>,
    absent: Option<Path>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Words {
    In(Vec<String>),
    NotIn(Vec<String>),
}

/// As it stands in the configuration.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Fields {
    value: Option<Text>,
    r#in: Option<Vec<String>>,
    not_in: Option<Vec<String>>,
    exists: Option<Path>,
    absent: Option<Path>,
}

impl TryFrom<Fields> for Condition {
    type Error = String;
    fn try_from(fields: Fields) -> Result<Self, String> {
        let value = match (fields.value, fields.r#in, fields.not_in) {
            (None, None, None) => None,
            (Some(value), Some(words), None) => Some((value, Words::In(words))),
            (Some(value), None, Some(words)) => Some((value, Words::NotIn(words))),
            _ => return Err("`value` needs one of `in` and `not-in`, and they need it".to_owned()),
        };
        if value.is_none() && fields.exists.is_none() && fields.absent.is_none() {
            return Err("a condition has `value`, `exists` or `absent`".to_owned());
        }
        Ok(Self {
            value,
            exists: fields.exists,
            absent: fields.absent,
        })
    }
}

impl Condition {
    /// Whether it holds for an item. A value that is not there is in no list.
    pub(crate) fn holds(&self, scope: &Scope<'_>) -> bool {
        let value = self.value.as_ref().is_none_or(|(value, words)| {
            let word = value.of(scope);
            let is_in = |words: &[String]| word.is_some_and(|word| words.contains(&word));
            match words {
                Words::In(words) => is_in(words),
                Words::NotIn(words) => !is_in(words),
            }
        });
        value
            && self.exists.as_ref().is_none_or(|path| path.finds(scope))
            && !self.absent.as_ref().is_some_and(|path| path.finds(scope))
    }
}

/// One condition, or a list of which all must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Conditions(Vec<Condition>);

impl Conditions {
    /// Whether all hold.
    pub(crate) fn hold(&self, scope: &Scope<'_>) -> bool {
        self.0.iter().all(|condition| condition.holds(scope))
    }
}

struct ConditionsVisitor;

impl<'de> de::Visitor<'de> for ConditionsVisitor {
    type Value = Conditions;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a condition or a list of conditions")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, members: A) -> Result<Conditions, A::Error> {
        let condition = Condition::deserialize(de::value::MapAccessDeserializer::new(members))?;
        Ok(Conditions(vec![condition]))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<Conditions, A::Error> {
        Vec::deserialize(de::value::SeqAccessDeserializer::new(items)).map(Conditions)
    }
}

impl<'de> Deserialize<'de> for Conditions {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ConditionsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(condition: Value, expected: bool) {
        let item = json!({"state": "down", "nothing": null});
        let scope = Scope {
            item: &item,
            outer: &item,
            body: &item,
            headers: &Value::Null,
        };
        let conditions: Conditions = serde_json::from_value(condition).expect("conditions");
        assert_eq!(conditions.hold(&scope), expected, "{conditions:?}");
    }

    #[test]
    fn all_that_is_asked_for_must_hold() {
        check(json!([]), true);
        check(json!({"value": "{$.state}", "in": ["down", "off"]}), true);
        check(json!({"value": "{$.state}", "in": ["up"]}), false);
        check(json!({"value": "{$.state}", "not-in": ["up"]}), true);
        check(json!({"value": "{$.other}", "in": ["up"]}), false);
        check(json!({"value": "{$.other}", "not-in": ["up"]}), true);
        check(json!({"exists": "$.state"}), true);
        check(json!({"exists": "$.nothing"}), false);
        check(json!({"absent": "$.nothing"}), true);
        check(json!({"exists": "$.state", "absent": "$.state"}), false);
        check(json!([{"exists": "$.state"}, {"exists": "$.other"}]), false);
    }

    #[test]
    fn half_conditions_are_refused() {
        for condition in [
            json!({}),
            json!({"value": "{$.state}"}),
            json!({"in": ["down"]}),
            json!({"value": "{$.state}", "in": [], "not-in": []}),
            json!({"exist": "$.state"}),
            json!("{$.state}"),
        ] {
            let read = serde_json::from_value::<Conditions>(condition.clone());
            assert!(read.is_err(), "{condition}");
        }
    }
}
