//! The plain shape of data: the fields of a signal under their own names, all
//! of them optional. Fields of any other name are passed over, so that data
//! made for other purposes will often do.

use std::collections::BTreeMap;

use faultline_sdk::{Fault, json};
use serde::Deserialize;

use crate::event::Event;

/// What the data of an event says.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, expecting = "an object")]
pub(crate) struct Plain {
    /// The sender's id of a change or ticket.
    pub(crate) id: Option<String>,
    /// A line for people.
    pub(crate) title: Option<String>,
    /// The kind of a change.
    pub(crate) kind: Option<String>,
    /// The severity of an alert.
    pub(crate) severity: Option<String>,
    /// `firing` or `resolved` of an alert; anything of a ticket.
    pub(crate) status: Option<String>,
    /// Whether an alert fires.
    pub(crate) firing: Option<bool>,
    /// What makes it the same alert next time.
    pub(crate) identity: BTreeMap<String, String>,
    /// As `service/checkout`.
    pub(crate) entities: Vec<String>,
    /// Of an alert.
    pub(crate) labels: BTreeMap<String, String>,
    /// Free text of an alert.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Of a change.
    pub(crate) attributes: BTreeMap<String, String>,
    /// When it happened, if not when the event says.
    pub(crate) time: Option<String>,
    /// Since when an alert fires.
    pub(crate) started: Option<String>,
    /// Since when it does not fire any more.
    pub(crate) ended: Option<String>,
    /// Where to read more.
    pub(crate) link: Option<String>,
}

impl Plain {
    /// Reads the data of an event; an event without data says nothing more.
    pub(crate) fn of(event: &Event) -> Result<Self, Fault> {
        match &event.data {
            None => Ok(Self::default()),
            Some(data) => json::from_value(data).map_err(|fault| {
                fault.at("`data` is not of the plain shape (`\"data\": \"ignore\"` passes it over)")
            }),
        }
    }
}
