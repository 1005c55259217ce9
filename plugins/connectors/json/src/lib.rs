//! Connector for any JSON, by a mapping that the operator configures: for
//! sources that are too simple, or too much one's own, for a connector of
//! their own.
//!
//! A mapping selects items of the payload by a path, leaves out those that its
//! conditions do not hold for, and says what each of the others is. All
//! mappings are applied, in order, and an item may be several things. A bad
//! item costs only itself. A payload in which no mapping matches anything is
//! refused, so that a sender who changes his format is noticed.
//!
//! Everything that can be wrong with a mapping (paths, templates, formats) is
//! found when the configuration is read, not when an item is.

mod condition;
mod config;
mod entity;
mod moment;
mod path;
mod reader;
mod signals;
mod telemetry;
#[cfg(test)]
mod tests;
mod text;

use faultline_sdk::{
    Connector, Decoded, DecodedBuilder, Envelope, Fault, export_config_check, export_connector,
    json,
};
use serde_json::Value;

pub use crate::config::Config;
use crate::config::{Format, Mapping, Meaning, Unmatched};
use crate::path::Scope;
use crate::reader::Reader;

/// The most items that one mapping makes of one payload; others are rejected
/// together.
const ITEMS_MAX: usize = 100_000;

/// The connector.
#[derive(Debug)]
pub struct Json;

impl Connector for Json {
    type Config = Config;

    fn decode(config: &Config, envelope: &Envelope) -> Result<Decoded, Fault> {
        let mut decoded = Decoded::builder();
        let (body, lines_rejected) = match config.format {
            Format::Json => (envelope.json()?, 0),
            Format::JsonLines => lines(envelope, &mut decoded)?,
        };
        let headers = headers(envelope);
        let mut matched = 0;
        for (index, mapping) in config.mappings.iter().enumerate() {
            let scope = Scope {
                item: &body,
                outer: &body,
                body: &body,
                headers: &headers,
            };
            let reader = Reader {
                scope,
                received: envelope.received,
            };
            matched += apply(mapping, index, reader, &mut decoded);
        }
        if matched == 0 && lines_rejected == 0 && config.unmatched == Unmatched::Reject {
            return Err(Fault::unsupported(
                "no mapping matches anything in this payload; give what means nothing a mapping \
                 with `ignore`, or set `unmatched` to `ignore`",
            ));
        }
        decoded.finish()
    }
}

export_connector!(Json);
export_config_check!(Config);

/// The documents of JSON Lines as a list, and how many lines were none.
fn lines(envelope: &Envelope, decoded: &mut DecodedBuilder) -> Result<(Value, usize), Fault> {
    let mut items: Vec<Value> = Vec::new();
    let mut rejected = 0;
    for (index, line) in envelope.text()?.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match json::from_slice(line.as_bytes()) {
            Ok(item) => items.push(item),
            Err(fault) => {
                rejected += 1;
                decoded.reject(fault.at(format_args!("line {} of the body", index + 1)));
            }
        }
    }
    Ok((Value::from(items), rejected))
}

fn headers(envelope: &Envelope) -> Value {
    let pairs = envelope
        .headers
        .iter()
        .map(|header| (header.key.clone(), Value::from(header.value.as_str())));
    Value::Object(pairs.collect())
}

/// Reads the items of a mapping, and gives how many it matched.
fn apply(
    mapping: &Mapping,
    index: usize,
    whole: Reader<'_>,
    decoded: &mut DecodedBuilder,
) -> usize {
    let mut matched = 0;
    for (position, scope) in scopes(mapping, whole.scope).enumerate() {
        if !mapping.when.hold(&scope) {
            continue;
        }
        matched += 1;
        if matched > ITEMS_MAX {
            decoded.reject(Fault::new(
                "limit.items",
                format!(
                    "mappings[{index}]: one payload has at most {ITEMS_MAX} items; send fewer at \
                     a time"
                ),
            ));
            break;
        }
        let reader = Reader { scope, ..whole };
        if let Err(fault) = read(&mapping.meaning, &reader, decoded) {
            decoded.reject(fault.at(format_args!("mappings[{index}], item {position}")));
        }
    }
    matched
}

/// The items of a mapping, inner ones where it has them. Made one after the
/// other: a path that looks everywhere finds more than one would like to hold.
fn scopes<'a>(mapping: &'a Mapping, whole: Scope<'a>) -> impl Iterator<Item = Scope<'a>> {
    mapping
        .items
        .find(&whole)
        .into_iter()
        .flat_map(move |outer| {
            let scope = Scope {
                item: outer,
                outer,
                ..whole
            };
            let items = match &mapping.each {
                Some(each) => each.find(&scope),
                None => vec![outer],
            };
            items.into_iter().map(move |item| Scope { item, ..scope })
        })
}

fn read(meaning: &Meaning, reader: &Reader<'_>, decoded: &mut DecodedBuilder) -> Result<(), Fault> {
    match meaning {
        Meaning::Alert(alert) => decoded.signal(alert.read(reader)?),
        Meaning::Change(change) => decoded.signal(change.read(reader)?),
        Meaning::Dependency(dependency) => decoded.signal(dependency.read(reader)?),
        Meaning::Ticket(ticket) => decoded.signal(ticket.read(reader)?),
        Meaning::Sample(sample) => sample.read(reader, decoded)?,
        Meaning::Log(log) => log.read(reader, decoded)?,
        Meaning::Ignore => {}
    }
    Ok(())
}
