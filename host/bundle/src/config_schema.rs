//! The configuration of an instance: checked against the component's JSON
//! Schema before the component is started, with the schema's defaults filled
//! in.

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};
use thiserror::Error;

/// The most bytes of a configuration.
pub(crate) const CONFIG_BYTES_MAX: usize = 1 << 20;

/// How deep defaults are looked for: deeper schemas than that refer to
/// themselves.
const DEPTH_MAX: usize = 32;

/// Why a configuration, or its schema, is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The bundle's author is to blame.
    #[error("the component's config schema is no JSON Schema: {0}")]
    BadSchema(String),
    /// The operator is.
    #[error("the configuration is not as the component's config schema wants it: {}", .0.join("; "))]
    Invalid(Vec<String>),
    /// It is not JSON.
    #[error("the configuration is not a JSON object: {0}")]
    NotJson(String),
    /// A limit.
    #[error("the configuration has {0} bytes; {CONFIG_BYTES_MAX} at most")]
    TooLong(usize),
}

/// A JSON Schema (draft 2020-12) of an object.
#[derive(Debug, Clone)]
pub struct ConfigSchema {
    schema: Value,
    validator: Validator,
}

impl ConfigSchema {
    /// Reads a schema. It must describe an object, and refer to nothing
    /// outside itself.
    ///
    /// # Errors
    /// If it is not a JSON Schema of this kind.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let bad = |reason: String| ConfigError::BadSchema(reason);
        let schema: Value = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(bad("its `type` must be `object`".to_owned()));
        }
        // Patterns are the author's and texts the operator's: an engine that
        // takes linear time keeps the one from stalling on the other.
        let validator = jsonschema::draft202012::options()
            .with_pattern_options(PatternOptions::regex())
            .build(&schema)
            .map_err(|error| bad(error.to_string()))?;
        Ok(Self { schema, validator })
    }

    /// For components without a configuration: nothing can be set.
    ///
    /// # Panics
    /// Never: the schema is a constant.
    pub fn empty() -> Self {
        let text = r#"{"type": "object", "additionalProperties": false}"#;
        Self::parse(text).expect("a constant that is a schema")
    }

    /// The configuration with the defaults filled in.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with the place.
    pub fn resolve(&self, text: &str) -> Result<Value, ConfigError> {
        if text.len() > CONFIG_BYTES_MAX {
            return Err(ConfigError::TooLong(text.len()));
        }
        let mut config: Value =
            serde_json::from_str(text).map_err(|error| ConfigError::NotJson(error.to_string()))?;
        if !config.is_object() {
            return Err(ConfigError::NotJson("it is something else".to_owned()));
        }
        fill_defaults(&mut config, &self.schema, &self.schema, 0);
        let errors: Vec<String> = self
            .validator
            .iter_errors(&config)
            .map(|error| {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() { "/" } else { &place };
                format!("at {place}: {error}")
            })
            .collect();
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::Invalid(errors))
        }
    }
}

/// Puts defaults where properties are missing, also within the objects and
/// lists that are there. A property that is missing and has no default stays
/// missing, even if its own properties have defaults: it may be optional as a
/// whole.
fn fill_defaults(value: &mut Value, schema: &Value, root: &Value, depth: usize) {
    let Some(schema) = follow(schema, root) else {
        return;
    };
    if depth >= DEPTH_MAX {
        return;
    }
    match value {
        Value::Object(object) => fill_object(object, schema, root, depth),
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    fill_defaults(item, schema, root, depth + 1);
                }
            }
        }
        _ => {}
    }
}

fn fill_object(object: &mut Map<String, Value>, schema: &Value, root: &Value, depth: usize) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let property = follow(property, root).unwrap_or(property);
        if !object.contains_key(name)
            && let Some(default) = property.get("default")
        {
            object.insert(name.clone(), default.clone());
        }
        if let Some(value) = object.get_mut(name) {
            fill_defaults(value, property, root, depth + 1);
        }
    }
    if let Some(others) = schema.get("additionalProperties").filter(|s| s.is_object()) {
        for (name, value) in object {
            if properties.is_none_or(|properties| !properties.contains_key(name)) {
                fill_defaults(value, others, root, depth + 1);
            }
        }
    }
}

/// The schema that a `$ref` within the document points to.
fn follow<'a>(schema: &'a Value, root: &'a Value) -> Option<&'a Value> {
    let mut schema = schema;
    for _ in 0..DEPTH_MAX {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => schema = root.pointer(reference.strip_prefix('#')?)?,
            None => return Some(schema),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> ConfigSchema {
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["url"],
            "properties": {
                "url": {"type": "string", "pattern": "^https://"},
                "every": {"type": "integer", "default": 30, "minimum": 1},
                "rules": {"type": "array", "items": {"$ref": "#/$defs/rule"}},
                "nested": {"type": "object", "properties": {"a": {"default": 1}}},
                "optional": {"type": "object", "properties": {"a": {"default": 1}}}
            },
            "$defs": {
                "rule": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "weight": {"type": "number", "default": 0.5}}
                }
            }
        });
        ConfigSchema::parse(&schema.to_string()).expect("a schema")
    }

    #[test]
    fn defaults_are_filled_in_where_something_is_missing() {
        let config = schema().resolve(
            r#"{"url": "https://x", "rules": [{"name": "a"}, {"weight": 1}], "nested": {}}"#,
        );
        let expected = json!({
            "url": "https://x", "every": 30, "nested": {"a": 1},
            "rules": [{"name": "a", "weight": 0.5}, {"weight": 1}]
        });
        assert_eq!(config, Ok(expected));
    }

    #[test]
    fn everything_wrong_is_named_with_its_place() {
        let config = r#"{"url": "ftp://x", "every": 0, "evry": 3, "rules": [{"weight": "x"}]}"#;
        let Err(ConfigError::Invalid(errors)) = schema().resolve(config) else {
            panic!("should be refused");
        };
        assert_eq!(errors.len(), 4, "{errors:?}");
        for place in ["at /url:", "at /every:", "at /:", "at /rules/0/weight:"] {
            assert!(
                errors.iter().any(|e| e.starts_with(place)),
                "{place} {errors:?}"
            );
        }
        assert!(matches!(
            schema().resolve("[]"),
            Err(ConfigError::NotJson(_))
        ));
        assert!(matches!(
            schema().resolve("{"),
            Err(ConfigError::NotJson(_))
        ));
    }

    #[test]
    fn schemas_stand_alone() {
        for bad in [
            "{",
            "3",
            r#"{"type": "array"}"#,
            r#"{"type": "object", "properties": 3}"#,
            r#"{"type": "object", "properties": {"a": {"$ref": "https://example.com/x.json"}}}"#,
            r#"{"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}"#,
        ] {
            assert!(
                matches!(ConfigSchema::parse(bad), Err(ConfigError::BadSchema(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = r##"{"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"default": {"a": {}}, "$ref": "#/properties/b"}}}"##;
        let schema = ConfigSchema::parse(schema).expect("a schema");
        assert!(schema.resolve(r#"{"a": {"a": {"a": {}}}}"#).is_ok());
    }

    #[test]
    fn a_component_without_schema_takes_nothing() {
        assert!(ConfigSchema::empty().resolve("{}").is_ok());
        assert!(ConfigSchema::empty().resolve(r#"{"a": 1}"#).is_err());
    }
}
