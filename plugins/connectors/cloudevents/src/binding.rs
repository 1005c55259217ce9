//! The three ways in which HTTP carries events: structured, batched and binary
//! (CloudEvents, "HTTP Protocol Binding", version 1.0.2, section 3).

use std::collections::BTreeMap;

use data_encoding::BASE64;
use faultline_sdk::{Envelope, Fault, json};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::event::Event;

/// What marks an attribute among the headers, in binary mode.
const HEADER_PREFIX: &str = "ce-";

const STRUCTURED: &str = "application/cloudevents";
const BATCHED: &str = "application/cloudevents-batch";
const JSON_SUFFIX: &str = "+json";

/// The events of an envelope, each by itself, and whether there may be
/// several.
///
/// Where the content type does not say the mode, headers that begin with `ce-`
/// mean binary; without them the body may be an event or a list of events
/// nevertheless, since many senders just say `application/json`.
pub(crate) fn events(envelope: &Envelope) -> Result<Vec<Result<Event, Fault>>, Fault> {
    let content_type = envelope.content_type.as_str();
    if let Some(format) = content_type.strip_prefix(BATCHED) {
        check_format(content_type, format)?;
        let items: Vec<Value> = envelope.json()?;
        return Ok(items.iter().map(structured).collect());
    }
    if let Some(format) = content_type.strip_prefix(STRUCTURED) {
        check_format(content_type, format)?;
        return Ok(vec![structured(&envelope.json()?)]);
    }
    let is_binary = envelope
        .headers
        .iter()
        .any(|header| header.key.starts_with(HEADER_PREFIX));
    if is_binary {
        return Ok(vec![binary(envelope)]);
    }
    match envelope.json()? {
        Value::Array(items) => Ok(items.iter().map(structured).collect()),
        event => Ok(vec![structured(&event)]),
    }
}

fn check_format(content_type: &str, format: &str) -> Result<(), Fault> {
    if format.is_empty() || format == JSON_SUFFIX {
        return Ok(());
    }
    Err(Fault::unsupported(format!(
        "the content type `{content_type}`: this connector reads events in JSON"
    )))
}

fn structured(item: &Value) -> Result<Event, Fault> {
    let Value::Object(members) = item else {
        return Err(Fault::malformed("an event is a JSON object"));
    };
    let mut attributes = BTreeMap::new();
    for (name, value) in members {
        let text = match value {
            _ if name == "data" || name == "data_base64" => continue,
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Err(Fault::malformed(format!(
                    "`{name}`: an attribute is a text, a number, true or false"
                )));
            }
        };
        attributes.insert(name.clone(), text);
    }
    let data = structured_data(members, attributes.get("datacontenttype"))?;
    Event::new(attributes, data)
}

/// JSON data stands in `data` as it is, or in `data_base64` as bytes.
fn structured_data(
    members: &Map<String, Value>,
    content_type: Option<&String>,
) -> Result<Option<Value>, Fault> {
    if !content_type.is_none_or(|content_type| is_json(content_type)) {
        return Ok(None);
    }
    match (members.get("data"), members.get("data_base64")) {
        (Some(Value::Null) | None, None) => Ok(None),
        (Some(data), None) => Ok(Some(data.clone())),
        (None, Some(Value::String(encoded))) => {
            let bytes = BASE64.decode(encoded.as_bytes()).map_err(|error| {
                Fault::malformed(format!("`data_base64`: this is not Base64: {error}"))
            })?;
            json::from_slice(&bytes)
                .map(Some)
                .map_err(|fault| fault.at("`data_base64`"))
        }
        (None, Some(_)) => Err(Fault::malformed("`data_base64`: this is not a text")),
        (Some(_), Some(_)) => Err(Fault::malformed(
            "an event has either `data` or `data_base64`, and this one has both",
        )),
    }
}

fn binary(envelope: &Envelope) -> Result<Event, Fault> {
    let mut attributes = BTreeMap::new();
    for header in &envelope.headers {
        if let Some(name) = header.key.strip_prefix(HEADER_PREFIX) {
            attributes.insert(name.to_owned(), header_value(name, &header.value)?);
        }
    }
    let has_json = !envelope.body.is_empty()
        && (envelope.content_type.is_empty() || is_json(&envelope.content_type));
    let data = if has_json {
        Some(json::from_slice(&envelope.body).map_err(|fault| fault.at("`data`"))?)
    } else {
        None
    };
    Event::new(attributes, data)
}

/// Undoes the encoding of section 3.1.3.2: quotes around the value, and
/// percent signs for what a header cannot hold.
fn header_value(name: &str, value: &str) -> Result<String, Fault> {
    let value = value.trim();
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    percent_decode_str(quoted.unwrap_or(value))
        .decode_utf8()
        .map(Into::into)
        .map_err(|_| {
            Fault::malformed(format!(
                "`{name}`: the header's value is not UTF-8 after percent-decoding"
            ))
        })
}

/// `application/json`, `text/json` and anything that ends with `+json`, with
/// or without parameters.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    media_type == "text/json"
        || media_type == "application/json"
        || media_type.ends_with(JSON_SUFFIX)
}
