//! Connector for CloudEvents 1.0 over HTTP, in structured, batched and binary
//! mode.
//!
//! An event is a fact of any kind; what it means here follows from its `type`,
//! by rules: the operator's, then built-in ones for CDEvents and for events of
//! a plain shape. A type that no rule knows is rejected with its name, so that
//! nothing disappears unseen.
//!
//! The identity of an alert must not depend on what differs between the event
//! that says that it fires and the one that says that it has ended: their type
//! and id.

mod binding;
mod cdevents;
mod config;
mod event;
mod plain;
mod signals;
#[cfg(test)]
mod tests;

use faultline_sdk::{Connector, Decoded, Envelope, Fault, Signal, Timestamp, export_connector};

pub use crate::config::{Config, Meaning, Rule, Shape, Unmatched};
use crate::event::Event;
use crate::plain::Plain;
use crate::signals::Reading;

/// The connector.
#[derive(Debug)]
pub struct CloudEvents;

impl Connector for CloudEvents {
    type Config = Config;

    fn decode(config: &Config, envelope: &Envelope) -> Result<Decoded, Fault> {
        let events = binding::events(envelope)?;
        let is_alone = events.len() == 1;
        let mut decoded = Decoded::builder();
        for (index, event) in events.into_iter().enumerate() {
            match event.and_then(|event| signal(config, &event, envelope.received)) {
                Ok(Some(signal)) => decoded.signal(signal),
                Ok(None) => {}
                Err(fault) if is_alone => return Err(fault),
                Err(fault) => decoded.reject(fault.at(format_args!("events[{index}]"))),
            }
        }
        decoded.finish()
    }
}

export_connector!(CloudEvents);

/// What an event means; nothing, if it is to be ignored.
fn signal(config: &Config, event: &Event, received: Timestamp) -> Result<Option<Signal>, Fault> {
    let Some(rule) = config.rule_for(&event.r#type) else {
        return match config.unmatched {
            Unmatched::Ignore => Ok(None),
            Unmatched::Reject => Err(Fault::unsupported(format!(
                "`type`: no rule says what `{}` is; add one to `rules`, if only to ignore it",
                event.r#type
            ))),
        };
    };
    // What is ignored need not be readable.
    if rule.r#as == Meaning::Ignore {
        return Ok(None);
    }
    let said = match rule.data {
        Shape::Plain => Plain::of(event)?,
        Shape::Cdevents => cdevents::plain(event)?,
        Shape::Ignore => Plain::default(),
    };
    let reading = Reading::new(&rule, event, said, received)?;
    Ok(match rule.r#as {
        Meaning::Change => Some(reading.change().into()),
        Meaning::Alert | Meaning::Resolved => Some(reading.alert()?.into()),
        Meaning::Ticket => Some(reading.ticket().into()),
        Meaning::Ignore => None,
    })
}
