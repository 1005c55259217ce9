//! Keys from the environment.

use std::ffi::OsString;

use toml::{Table, Value};

use super::{Config, ConfigProblem};
use faultline_bundle::strict_toml;

/// What all our variables begin with.
const PREFIX: &str = "FAULTLINE__";

/// The variables that are ours. Others may be anything, and are nobody's
/// business here.
///
/// # Errors
/// If one of ours is not text.
pub(super) fn ours(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, ConfigProblem> {
    environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(ConfigProblem::Environment(format!(
                "environment variable {name}: is not UTF-8"
            ))),
        })
        .collect()
}

/// Puts the variables that are keys into the table, in the order of their
/// names.
///
/// # Errors
/// If a variable names a key that there is not, or has a value that is not of
/// the key's type.
pub(super) fn override_keys(
    table: &mut Table,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(), ConfigProblem> {
    let mut ours: Vec<(String, String)> = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    ours.sort_unstable();
    let defaults = Table::try_from(Config::default())
        .expect("the default configuration is what the reference shows, in TOML");
    for (name, text) in ours {
        let path: Vec<String> = name[PREFIX.len()..]
            .split("__")
            .map(|step| step.to_ascii_lowercase().replace('_', "-"))
            .collect();
        let value = typed(&text, find(&defaults, &path));
        let mut alone = Table::new();
        put(&mut alone, &path, value.clone());
        // By itself, so that a problem is this variable's and no other's.
        Value::Table(alone)
            .try_into::<Config>()
            .map_err(|error: toml::de::Error| {
                let message = strict_toml::with_suggestion(error.message());
                ConfigProblem::Environment(format!("environment variable {name}: {message}"))
            })?;
        put(table, &path, value);
    }
    Ok(())
}

/// The text as the type that the key has by default; a text where that is not
/// known, or the text is not of that type.
fn typed(text: &str, default: Option<&Value>) -> Value {
    if matches!(default, Some(Value::String(_))) {
        return Value::String(text.to_owned());
    }
    format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn find<'a>(table: &'a Table, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = table.get(first)?;
    if rest.is_empty() {
        return Some(value);
    }
    find(value.as_table()?, rest)
}

fn put(table: &mut Table, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return;
    }
    let inner = table
        .entry(first.clone())
        .or_insert_with(|| Value::Table(Table::new()));
    if !inner.is_table() {
        *inner = Value::Table(Table::new());
    }
    if let Value::Table(inner) = inner {
        put(inner, rest, value);
    }
}
