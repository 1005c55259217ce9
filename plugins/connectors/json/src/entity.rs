//! Entities of an item.

use std::fmt;

use faultline_sdk::{Entity, Fault};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer};
use serde::{Deserialize, Deserializer, de};

use crate::path::{Path, Scope};
use crate::text::{self, Text};

/// Where an item names entities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntityRule {
    /// One, as `service/{$.service}`. None if a path finds nothing.
    Whole(Text),
    /// As many of this kind as the path finds names.
    Names { kind: String, names: Path },
}

/// The entities that the rules find, none twice.
pub(crate) fn entities(rules: &[EntityRule], scope: &Scope<'_>) -> Result<Vec<Entity>, Fault> {
    let mut found: Vec<Entity> = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let place = |fault: Fault| fault.at(format_args!("`entities[{index}]`"));
        for entity in rule.entities(scope).map_err(place)? {
            if !found.contains(&entity) {
                found.push(entity);
            }
        }
    }
    Ok(found)
}

impl EntityRule {
    fn entities(&self, scope: &Scope<'_>) -> Result<Vec<Entity>, Fault> {
        match self {
            EntityRule::Whole(text) => match text.of(scope) {
                Some(text) => Ok(vec![Entity::parse(&text)?]),
                None => Ok(Vec::new()),
            },
            EntityRule::Names { kind, names } => Ok(names
                .find(scope)
                .into_iter()
                .map(|value| {
                    let mut name = String::new();
                    text::push(&mut name, value);
                    name
                })
                .map(|name| Entity::new(kind, name))
                .collect()),
        }
    }
}

/// The long form.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Fields {
    kind: String,
    names: Path,
}

struct EntityRuleVisitor;

impl<'de> de::Visitor<'de> for EntityRuleVisitor {
    type Value = EntityRule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a template such as `service/{$.service}`, or an object with `kind` and `names`",
        )
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<EntityRule, E> {
        Text::deserialize(StrDeserializer::new(text)).map(EntityRule::Whole)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<EntityRule, A::Error> {
        Text::deserialize(SeqAccessDeserializer::new(items)).map(EntityRule::Whole)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, members: A) -> Result<EntityRule, A::Error> {
        let Fields { kind, names } = Fields::deserialize(MapAccessDeserializer::new(members))?;
        Ok(EntityRule::Names { kind, names })
    }
}

impl<'de> Deserialize<'de> for EntityRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntityRuleVisitor)
    }
}
