//! The shape of CDEvents (cdevents.dev, specification 0.4): a context, and a
//! subject with an id and a content that depends on the event's type.

use std::collections::BTreeMap;

use faultline_sdk::{Fault, json};
use serde::Deserialize;

use crate::event::Event;
use crate::plain::Plain;

#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
struct Data {
    #[serde(default)]
    context: Context,
    subject: Subject,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
struct Context {
    timestamp: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
struct Subject {
    id: String,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    content: Content,
}

/// What is used of the contents of all types.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an object")]
struct Content {
    environment: Option<Named>,
    service: Option<Named>,
    artifact_id: Option<String>,
    description: Option<String>,
    summary: Option<String>,
    #[serde(alias = "url")]
    uri: Option<String>,
    #[serde(rename = "ticketURI")]
    ticket_uri: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
struct Named {
    id: String,
}

/// The data of an event in the plain shape.
pub(crate) fn plain(event: &Event) -> Result<Plain, Fault> {
    let data = event.data.as_ref().ok_or_else(|| {
        Fault::malformed("`data`: CDEvents carry their subject here, and it is missing")
    })?;
    let Data { context, subject } = json::from_value(data).map_err(|fault| fault.at("`data`"))?;
    if subject.id.is_empty() {
        return Err(Fault::malformed("`data.subject.id`: it is empty"));
    }
    let (noun, verb) = words(&event.r#type);
    let title = title(noun, verb, &subject);
    let content = subject.content;
    let environment = content.environment.map(|named| named.id);
    let service = content.service.map(|named| named.id);
    let about: BTreeMap<String, String> = [
        ("environment", environment),
        ("service", service.clone()),
        ("artifact", content.artifact_id),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
    .collect();
    // An incident concerns the service it is about; everything else is about
    // its own subject.
    let entity = match (noun, service) {
        ("incident", service) => service.map(|id| format!("service/{id}")),
        ("ticket", _) => None,
        (noun, _) => Some(format!("{noun}/{}", subject.id)),
    };
    let source = subject.source.unwrap_or_else(|| event.source.clone());
    Ok(Plain {
        title: Some(title),
        status: (noun == "ticket").then(|| verb.to_owned()),
        identity: BTreeMap::from([
            ("source".to_owned(), source),
            (noun.to_owned(), subject.id.clone()),
        ]),
        id: (noun == "ticket").then_some(subject.id),
        entities: entity.into_iter().collect(),
        labels: about.clone(),
        attributes: about,
        time: context.timestamp,
        link: content.ticket_uri.or(content.uri),
        ..Plain::default()
    })
}

/// `service` and `deployed` of `dev.cdevents.service.deployed.0.2.0`.
fn words(r#type: &str) -> (&str, &str) {
    let mut segments = r#type.split('.').skip(2);
    (
        segments.next().unwrap_or("subject"),
        segments.next().unwrap_or("changed"),
    )
}

fn title(noun: &str, verb: &str, subject: &Subject) -> String {
    let content = &subject.content;
    if let Some(text) = content.description.as_ref().or(content.summary.as_ref()) {
        return text.clone();
    }
    let title = format!("{noun} {} {verb}", subject.id);
    match &content.environment {
        Some(environment) if noun != "environment" => format!("{title} in {}", environment.id),
        _ => title,
    }
}
