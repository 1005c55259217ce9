//! Texts: what a field of a signal is made of.
//!
//! In the configuration a text is a template such as `{$.host} is down`, or a
//! list of them, of which the first counts whose paths all find something, or
//! an object that also maps the outcome.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::path::{Path, Scope};

/// The most bytes in a template.
const TEMPLATE_BYTES_MAX: usize = 4096;

/// A text that is made for each item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    alternatives: Vec<Template>,
    map: BTreeMap<String, String>,
    default: Option<String>,
}

impl Text {
    /// The text for an item; none if nothing is there to make it of.
    pub(crate) fn of(&self, scope: &Scope<'_>) -> Option<String> {
        let found = self
            .alternatives
            .iter()
            .find_map(|template| template.render(scope));
        match found {
            Some(text) if self.map.is_empty() => Some(text),
            Some(text) => match self.map.get(&text) {
                Some(mapped) => Some(mapped.clone()),
                None => self.default.clone().or(Some(text)),
            },
            None => self.default.clone(),
        }
    }
}

/// The long form of a text.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Mapped {
    value: Alternatives,
    #[serde(default)]
    map: BTreeMap<String, String>,
    #[serde(default)]
    default: Option<String>,
}

/// One template or several.
struct Alternatives(Vec<Template>);

struct AlternativesVisitor;

impl<'de> de::Visitor<'de> for AlternativesVisitor {
    type Value = Alternatives;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a template or a list of templates")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Alternatives, E> {
        let template = Template::parse(text).map_err(E::custom)?;
        Ok(Alternatives(vec![template]))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<Alternatives, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(Alternatives)
    }
}

impl<'de> Deserialize<'de> for Alternatives {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AlternativesVisitor)
    }
}

struct TextVisitor;

impl<'de> de::Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a template, a list of templates, or an object with `value`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
        AlternativesVisitor.visit_str(text).map(Text::from)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<Text, A::Error> {
        AlternativesVisitor.visit_seq(items).map(Text::from)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, members: A) -> Result<Text, A::Error> {
        let mapped = Mapped::deserialize(MapAccessDeserializer::new(members))?;
        Ok(Text {
            alternatives: mapped.value.0,
            map: mapped.map,
            default: mapped.default,
        })
    }
}

impl From<Alternatives> for Text {
    fn from(alternatives: Alternatives) -> Self {
        Self {
            alternatives: alternatives.0,
            map: BTreeMap::new(),
            default: None,
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

/// Text with paths in braces; a brace itself is written twice.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Path(Path),
}

impl Template {
    fn parse(text: &str) -> Result<Self, String> {
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(format!(
                "a template has at most {TEMPLATE_BYTES_MAX} bytes, and this one has {}",
                text.len()
            ));
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, braces) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = ["{{", "}}"]
                .iter()
                .find_map(|twice| braces.strip_prefix(twice))
            {
                plain.push_str(&braces[..1]);
                rest = after;
                continue;
            }
            let inside = braces
                .strip_prefix('{')
                .ok_or("a closing brace without an opening one; write `}}` for the brace itself")?;
            let end = end_of_path(inside)
                .ok_or("an opening brace without a closing one; write `{{` for the brace itself")?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Path(Path::parse(inside[..end].trim())?));
            rest = &inside[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// None if one of the paths finds nothing. Where one finds several things
    /// they are joined by commas.
    fn render(&self, scope: &Scope<'_>) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Path(path) => {
                    let found = path.find(scope);
                    let (first, others) = found.split_first()?;
                    push(&mut text, first);
                    for value in others {
                        text.push_str(", ");
                        push(&mut text, value);
                    }
                }
            }
        }
        Some(text)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// Where the path ends: at the first closing brace that is not in quotes.
fn end_of_path(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, '}') => return Some(at),
            _ => {}
        }
    }
    None
}

/// Texts as they are, everything else as JSON writes it.
pub(crate) fn push(text: &mut String, value: &Value) {
    match value {
        Value::String(plain) => text.push_str(plain),
        other => {
            // Writing into a `String` does not fail.
            let _ = write!(text, "{other}");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: Value, expected: Option<&str>) {
        let item = json!({
            "a": "x", "n": 1.5, "no": null, "empty": "", "list": [1, "two"], "o": {"}": "brace"},
        });
        let scope = Scope {
            item: &item,
            outer: &item,
            body: &item,
            headers: &Value::Null,
        };
        let text: Text = serde_json::from_value(text).expect("a text");
        assert_eq!(text.of(&scope).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn fills_in_what_paths_find() {
        check(json!("plain"), Some("plain"));
        check(json!("{$.a}-{ $.n }"), Some("x-1.5"));
        check(json!("{{{$.a}}}"), Some("{x}"));
        check(json!("{$.list[*]}"), Some("1, two"));
        check(json!("{$.list}"), Some("[1,\"two\"]"));
        check(json!("{$.o['}']}"), Some("brace"));
        check(json!("{$.no}"), None);
        check(json!("{$.a}{$.empty}"), None);
        check(json!("{$.a} {$.missing}"), None);
    }

    #[test]
    fn takes_the_first_alternative_that_is_there() {
        check(json!(["{$.no}", "{$.a}", "z"]), Some("x"));
        check(json!(["{$.no}", "z"]), Some("z"));
        check(json!([]), None);
    }

    #[test]
    fn maps_what_it_knows() {
        check(json!({"value": "{$.a}", "map": {"x": "y"}}), Some("y"));
        check(json!({"value": "{$.a}", "map": {"z": "y"}}), Some("x"));
        check(
            json!({"value": "{$.a}", "map": {"z": "y"}, "default": "d"}),
            Some("d"),
        );
        check(json!({"value": "{$.no}", "default": "d"}), Some("d"));
        check(json!({"value": "{$.a}", "default": "d"}), Some("x"));
        check(json!({"value": ["{$.no}", "{$.a}"]}), Some("x"));
    }

    #[test]
    fn bad_templates_are_refused() {
        for (text, part) in [
            (json!("{$.a"), "opening brace"),
            (json!("a}"), "closing brace"),
            (json!("{a}"), "does not begin with `$`"),
            (json!("{}"), "does not begin with `$`"),
            (json!(3), "a template"),
            (json!({"value": "x", "maps": {}}), "unknown field `maps`"),
            (json!({"map": {}}), "missing field `value`"),
            (json!("x".repeat(TEMPLATE_BYTES_MAX + 1)), "at most"),
        ] {
            let error = serde_json::from_value::<Text>(text.clone()).expect_err("a bad template");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
