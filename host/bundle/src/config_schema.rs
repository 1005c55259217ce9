//! The configuration of an instance: checked against the component's JSON
//! Schema before the component is started, with the schema's defaults filled
//! in.

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};
use thiserror::Error;

/// The most bytes of a configuration.
pub(crate) const CONFIG_BYTES_MAX: usize = 1 << 20;

/// The most bytes of a schema.
const SCHEMA_BYTES_MAX: usize = 256 << 10;

/// The most patterns of a schema, and the most bytes that one of them comes to
/// when it is compiled: a few characters can stand for megabytes.
const PATTERNS_MAX: usize = 64;
const PATTERN_BYTES_MAX: usize = 2 << 20;

/// The most times that a part of a schema is held against a part of a
/// configuration: schemas that refer twice to what refers twice double with each
/// step.
const VISITS_MAX: usize = 200_000;

/// How deep these may be nested.
const VISITS_DEPTH_MAX: usize = 256;

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
    /// The bundle's author again: defaults within defaults.
    #[error(
        "the defaults of the component's config schema come to more than {CONFIG_BYTES_MAX} bytes"
    )]
    DefaultsTooLong,
    /// And again: what would take for ever, or refers to what this host does not
    /// follow.
    #[error(
        "the component's config schema refers to itself without end, by other than `#/…`, or with \
         keywords that this host does not follow"
    )]
    Unbounded,
}

/// A JSON Schema (draft 2020-12) of an object.
#[derive(Debug, Clone)]
pub struct ConfigSchema {
    schema: Value,
    validator: Validator,
}

/// What a key of a configuration holds, as text, for rules that take a host
/// from there; none if it is not there, or holds neither text nor a number.
pub fn setting(config: &Value, key: &str) -> Option<String> {
    match config.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl ConfigSchema {
    /// Reads a schema. It must describe an object, and refer to nothing
    /// outside itself.
    ///
    /// # Errors
    /// If it is not a JSON Schema of this kind.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let bad = |reason: String| ConfigError::BadSchema(reason);
        if text.len() > SCHEMA_BYTES_MAX {
            let bytes = text.len();
            return Err(bad(format!("{bytes} bytes; {SCHEMA_BYTES_MAX} at most")));
        }
        let schema: Value = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(bad("its `type` must be `object`".to_owned()));
        }
        if patterns(&schema) > PATTERNS_MAX {
            return Err(bad(format!("more than {PATTERNS_MAX} patterns")));
        }
        // Patterns are the author's and texts the operator's: an engine that
        // takes linear time keeps the one from stalling on the other.
        let validator = jsonschema::draft202012::options()
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX))
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
        let mut filler = Filler {
            root: &self.schema,
            bytes_left: CONFIG_BYTES_MAX,
            visits: Visits::default(),
        };
        filler.fill(&mut config, &self.schema, 0)?;
        let mut walk = Walk {
            root: &self.schema,
            visits: Visits::default(),
            way: Vec::new(),
        };
        walk.visit(&self.schema, &config, 0)
            .ok_or(ConfigError::Unbounded)?;
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

/// How many regular expressions a schema has, or something that looks like one.
fn patterns(schema: &Value) -> usize {
    match schema {
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| {
                let own = match (key.as_str(), value) {
                    ("pattern", _) => 1,
                    ("patternProperties", Value::Object(patterns)) => patterns.len(),
                    _ => 0,
                };
                own + patterns(value)
            })
            .sum(),
        Value::Array(items) => items.iter().map(patterns).sum(),
        _ => 0,
    }
}

/// What an object or a list holds.
fn all(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(object) => object.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    }
}

/// How many there may still be of what [`VISITS_MAX`] counts.
struct Visits(usize);

impl Default for Visits {
    fn default() -> Self {
        Self(VISITS_MAX)
    }
}

impl Visits {
    /// None if that is too many.
    fn take(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.checked_sub(count)?;
        Some(())
    }
}

/// Goes where a validator would go at most, and counts.
struct Walk<'a> {
    root: &'a Value,
    visits: Visits,
    /// What is referred to, and held against what, on the way here. A validator
    /// does not go in circles either.
    way: Vec<(*const Value, *const Value)>,
}

impl Walk<'_> {
    /// None if it comes to too much.
    fn visit(&mut self, schema: &Value, value: &Value, depth: usize) -> Option<()> {
        self.visits.take(1)?;
        if depth > VISITS_DEPTH_MAX {
            return None;
        }
        let Some(schema) = schema.as_object() else {
            return Some(());
        };
        for (keyword, part) in schema {
            match (keyword.as_str(), part) {
                ("$ref", Value::String(reference)) => {
                    let target = target(reference, self.root)?;
                    let step = (std::ptr::from_ref(target), std::ptr::from_ref(value));
                    if !self.way.contains(&step) {
                        self.way.push(step);
                        self.visit(target, value, depth + 1)?;
                        self.way.pop();
                    }
                }
                // These would be followed to places that this does not see.
                ("$dynamicRef" | "$recursiveRef", _) => return None,
                ("$id", _) if depth > 0 => return None,
                ("allOf" | "anyOf" | "oneOf" | "dependentSchemas" | "dependencies", parts) => {
                    for part in all(parts) {
                        self.visit(part, value, depth + 1)?;
                    }
                }
                ("not" | "if" | "then" | "else", part) => self.visit(part, value, depth + 1)?,
                ("properties", Value::Object(properties)) => {
                    self.visits.take(properties.len())?;
                    for (name, part) in properties {
                        if let Some(value) = value.get(name) {
                            self.visit(part, value, depth + 1)?;
                        }
                    }
                }
                ("patternProperties" | "prefixItems", parts) => {
                    for part in all(parts) {
                        for value in all(value) {
                            self.visit(part, value, depth + 1)?;
                        }
                    }
                }
                (
                    "additionalProperties"
                    | "unevaluatedProperties"
                    | "items"
                    | "contains"
                    | "unevaluatedItems",
                    part,
                ) => {
                    for value in all(value) {
                        self.visit(part, value, depth + 1)?;
                    }
                }
                ("propertyNames", part) => {
                    for name in value.as_object().into_iter().flat_map(Map::keys) {
                        self.visit(part, &Value::String(name.clone()), depth + 1)?;
                    }
                }
                (
                    "enum" | "const" | "required" | "dependentRequired" | "type",
                    Value::Array(_) | Value::Object(_),
                ) => self.visits.take(all(part).len())?,
                // Looked into only by who refers to it, or by nobody.
                ("$defs" | "definitions" | "default" | "examples" | "$vocabulary", _) => {}
                // A remark of the author's.
                (keyword, _) if keyword.starts_with("x-") => {}
                // It may apply what it holds, in a way that this does not count.
                (_, Value::Array(_) | Value::Object(_)) => return None,
                _ => {}
            }
        }
        Some(())
    }
}

/// Puts defaults where properties are missing, also within the objects and
/// lists that are there. A property that is missing and has no default stays
/// missing, even if its own properties have defaults: it may be optional as a
/// whole.
struct Filler<'a> {
    root: &'a Value,
    /// How much may still be filled in. A default can have properties with
    /// defaults, twice as many at each level.
    bytes_left: usize,
    visits: Visits,
}

impl<'a> Filler<'a> {
    fn fill(
        &mut self,
        value: &mut Value,
        schema: &'a Value,
        depth: usize,
    ) -> Result<(), ConfigError> {
        self.visits.take(1).ok_or(ConfigError::Unbounded)?;
        let Some(schema) = follow(schema, self.root) else {
            return Ok(());
        };
        if depth >= DEPTH_MAX {
            return Ok(());
        }
        match value {
            Value::Object(object) => self.fill_object(object, schema, depth),
            Value::Array(items) => match schema.get("items") {
                Some(schema) => items
                    .iter_mut()
                    .try_for_each(|item| self.fill(item, schema, depth + 1)),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn fill_object(
        &mut self,
        object: &mut Map<String, Value>,
        schema: &'a Value,
        depth: usize,
    ) -> Result<(), ConfigError> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let looked_at = properties.map_or(0, Map::len);
        self.visits.take(looked_at).ok_or(ConfigError::Unbounded)?;
        for (name, property) in properties.into_iter().flatten() {
            let property = follow(property, self.root).unwrap_or(property);
            if !object.contains_key(name)
                && let Some(default) = property.get("default")
            {
                let bytes = name.len() + default.to_string().len();
                let left = self.bytes_left.checked_sub(bytes);
                self.bytes_left = left.ok_or(ConfigError::DefaultsTooLong)?;
                object.insert(name.clone(), default.clone());
            }
            if let Some(value) = object.get_mut(name) {
                self.fill(value, property, depth + 1)?;
            }
        }
        if let Some(others) = schema.get("additionalProperties").filter(|s| s.is_object()) {
            for (name, value) in object {
                if properties.is_none_or(|properties| !properties.contains_key(name)) {
                    self.fill(value, others, depth + 1)?;
                }
            }
        }
        Ok(())
    }
}

/// Where a reference leads to within the document. What is written with `%` is
/// read by the validator and not here, and would lead it where nobody counts.
fn target<'a>(reference: &str, root: &'a Value) -> Option<&'a Value> {
    let pointer = reference.strip_prefix('#')?;
    if pointer.contains('%') {
        return None;
    }
    root.pointer(pointer)
}

/// The schema that a `$ref` within the document points to.
fn follow<'a>(schema: &'a Value, root: &'a Value) -> Option<&'a Value> {
    let mut schema = schema;
    for _ in 0..DEPTH_MAX {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => schema = target(reference, root)?,
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
    fn defaults_within_defaults_come_to_an_end() {
        let resolve = |default: Value| {
            let twice = json!({"a": {"$ref": "#"}, "b": {"$ref": "#"}});
            let schema = json!({"type": "object", "default": default, "properties": twice});
            let schema = ConfigSchema::parse(&schema.to_string()).expect("a schema");
            schema.resolve("{}")
        };
        assert_eq!(resolve(json!({})), Err(ConfigError::Unbounded));
        let long = json!({"c": "x".repeat(1_000)});
        assert_eq!(resolve(long), Err(ConfigError::DefaultsTooLong));
    }

    #[test]
    fn a_schema_that_unfolds_without_end_is_checked_in_time() {
        let doubled = |to: &str, both: &dyn Fn(Value) -> Value| {
            let levels = 40;
            let mut definitions = Map::new();
            for level in 0..levels {
                let next = json!({"$ref": format!("{to}l{}", level + 1)});
                definitions.insert(format!("l{level}"), both(next));
            }
            definitions.insert(format!("l{levels}"), json!({"required": ["x"]}));
            json!({"type": "object", "$ref": "#/$defs/l0", "$defs": definitions})
        };
        let twice = |next: Value| json!({"allOf": [next, {"anyOf": [next, next]}]});
        let needed = |next: Value| json!({"dependencies": {"a": next, "b": next}});
        let of_names = json!({
            "type": "object",
            "propertyNames": doubled("#/propertyNames/$defs/", &twice)
        });
        let of_names = of_names
            .to_string()
            .replace("#/$defs/l0", "#/propertyNames/$defs/l0");
        for schema in [
            doubled("#/$defs/", &twice).to_string(),
            doubled("#/%24defs/", &twice).to_string(),
            doubled("#/$defs/", &needed).to_string(),
            of_names,
        ] {
            let (done, wait) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                let parsed = ConfigSchema::parse(&schema);
                let resolved = parsed.and_then(|s| s.resolve(r#"{"a": 1, "b": {"c": 1}}"#));
                let _ = done.send(resolved);
            });
            let answer = wait.recv_timeout(std::time::Duration::from_secs(20));
            assert!(
                matches!(
                    answer,
                    Ok(Err(ConfigError::Unbounded | ConfigError::BadSchema(_)))
                ),
                "{answer:?}"
            );
        }
    }

    #[test]
    fn what_would_be_filled_in_without_end_is_given_up_in_time() {
        // Each object has all properties, each of which is such an object.
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let properties: Map<String, Value> = names
            .iter()
            .map(|name| ((*name).to_owned(), json!({"$ref": "#"})))
            .chain((0..2_000).map(|number| (number.to_string(), json!({}))))
            .collect();
        let schema = json!({"type": "object", "properties": properties});
        let schema = ConfigSchema::parse(&schema.to_string()).expect("a schema");
        let many = vec![json!({"a": {}, "b": {}}); 8];
        let config: Map<String, Value> = names
            .iter()
            .map(|name| (*name).to_owned())
            .zip(many)
            .collect();
        let deep = (0..6).fold(Value::from(config), |inner, _| json!({"a": inner, "b": {}}));
        assert!(schema.resolve("{}").is_ok());
        let large = json!({"a": vec![deep.clone(); 20]});
        let _ = schema.resolve(&large.to_string());
        let list = json!({"type": "object", "properties": {"l": {"items": schema.schema}}});
        let list = list
            .to_string()
            .replace("\"#\"", "\"#/properties/l/items\"");
        let list = ConfigSchema::parse(&list).expect("a schema");
        let config = json!({"l": vec![deep; 100]}).to_string();
        assert_eq!(list.resolve(&config), Err(ConfigError::Unbounded));
    }

    #[test]
    fn keywords_that_are_not_followed_are_refused_where_they_apply() {
        let schema = r#"{"type": "object", "contentSchema": {"allOf": [true]}}"#;
        let schema = ConfigSchema::parse(schema).expect("a schema");
        assert_eq!(schema.resolve("{}"), Err(ConfigError::Unbounded));
        let schema = r#"{"type": "object", "x-order": ["b", "a"]}"#;
        let schema = ConfigSchema::parse(schema).expect("a schema");
        assert!(schema.resolve("{}").is_ok());
    }

    #[test]
    fn patterns_are_few_and_small() {
        let with = |pattern: &str, count: usize| {
            let properties: Map<String, Value> = (0..count)
                .map(|number| (number.to_string(), json!({"pattern": pattern})))
                .collect();
            let schema = json!({"type": "object", "properties": properties});
            ConfigSchema::parse(&schema.to_string())
        };
        assert!(with("^[a-z]{1,64}$", PATTERNS_MAX).is_ok());
        assert!(with("^[a-z]{1,64}$", PATTERNS_MAX + 1).is_err());
        assert!(with(r"^(\p{L}\d){900}$", 1).is_err());
    }

    #[test]
    fn a_component_without_schema_takes_nothing() {
        assert!(ConfigSchema::empty().resolve("{}").is_ok());
        assert!(ConfigSchema::empty().resolve(r#"{"a": 1}"#).is_err());
    }
}
