//! From an event, what its data says and what the rule says about it, to a
//! signal.

use std::collections::BTreeMap;

use faultline_sdk::{Alert, Attribute, Change, Entity, Fault, Ticket, Timestamp, text, time};

use crate::config::{Meaning, Rule};
use crate::event::Event;
use crate::plain::Plain;

/// All that there is to say.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    rule: &'a Rule,
    event: &'a Event,
    plain: Plain,
    entities: Vec<Entity>,
    at: Timestamp,
}

impl<'a> Reading<'a> {
    /// Puts it together. An event without a time of its own takes the one of
    /// its arrival.
    pub(crate) fn new(
        rule: &'a Rule,
        event: &'a Event,
        plain: Plain,
        received: Timestamp,
    ) -> Result<Self, Fault> {
        let entities = entities(rule, event, &plain)?;
        let at = time_of("time", plain.time.as_ref())?;
        Ok(Self {
            rule,
            event,
            plain,
            entities,
            at: at.or(event.time).unwrap_or(received),
        })
    }

    /// The change that the event is.
    pub(crate) fn change(self) -> Change {
        Change {
            id: self.id(),
            title: self.title(),
            at: self.at,
            attributes: self.with_context(&self.plain.attributes),
            kind: self.plain.kind.unwrap_or_else(|| self.rule.kind.clone()),
            entities: self.entities,
            link: self.plain.link,
        }
    }

    /// The alert that the event is, or the end of one.
    pub(crate) fn alert(self) -> Result<Alert, Fault> {
        let started = time_of("started", self.plain.started.as_ref())?;
        let ended = time_of("ended", self.plain.ended.as_ref())?;
        let firing = self.firing()?;
        Ok(Alert {
            identity: self.identity()?,
            firing,
            title: self.title(),
            labels: self.with_context(&self.plain.labels),
            annotations: attributes(&self.plain.annotations).collect(),
            severity: self
                .plain
                .severity
                .unwrap_or_else(|| self.rule.severity.into()),
            started: started.unwrap_or(self.at),
            ended: ended.or((!firing).then_some(self.at)),
            entities: self.entities,
            link: self.plain.link,
        })
    }

    /// The ticket that the event is.
    pub(crate) fn ticket(self) -> Ticket {
        Ticket {
            id: self.id(),
            title: self.title(),
            status: self.plain.status.unwrap_or_else(|| "open".to_owned()),
            entities: self.entities,
            link: self.plain.link,
        }
    }

    fn id(&self) -> String {
        match &self.plain.id {
            Some(id) if !id.is_empty() => id.clone(),
            _ => self.event.global_id(),
        }
    }

    fn title(&self) -> String {
        let said = self.plain.title.as_deref().and_then(text::first_line);
        match (said, &self.event.subject) {
            (Some(title), _) => title.to_owned(),
            (None, Some(subject)) => format!("{} {subject}", self.event.r#type),
            (None, None) => self.event.r#type.clone(),
        }
    }

    fn with_context(&self, said: &BTreeMap<String, String>) -> Vec<Attribute> {
        self.event.context().chain(attributes(said)).collect()
    }

    fn firing(&self) -> Result<bool, Fault> {
        if self.rule.r#as == Meaning::Resolved {
            return Ok(false);
        }
        match (self.plain.firing, self.plain.status.as_deref()) {
            (Some(firing), _) => Ok(firing),
            (None, None | Some("firing")) => Ok(true),
            (None, Some("resolved")) => Ok(false),
            (None, Some(other)) => Err(Fault::malformed(format!(
                "`data.status`: an alert is `firing` or `resolved`, not `{other}`"
            ))),
        }
    }

    /// The same for the event that says that the alert fires and for the one
    /// that says that it has ended, so their type and id have no part in it.
    fn identity(&self) -> Result<Vec<Attribute>, Fault> {
        for said in [&self.plain.identity, &self.plain.labels] {
            if said.values().any(|value| !value.is_empty()) {
                return Ok(attributes(said).collect());
            }
        }
        match &self.event.subject {
            Some(subject) => Ok(vec![
                ("source", self.event.source.as_str()).into(),
                ("subject", subject.as_str()).into(),
            ]),
            None => Err(Fault::malformed(
                "nothing identifies the alert: give it `data.identity`, `data.labels` or the \
                 attribute `subject`",
            )),
        }
    }
}

fn entities(rule: &Rule, event: &Event, plain: &Plain) -> Result<Vec<Entity>, Fault> {
    let subject = match (&rule.subject_kind, &event.subject) {
        (Some(kind), Some(name)) => Some(Ok(Entity::new(kind, name))),
        _ => None,
    };
    let said = plain.entities.iter().enumerate().map(|(index, text)| {
        Entity::parse(text).map_err(|fault| fault.at(format_args!("`data.entities[{index}]`")))
    });
    subject.into_iter().chain(said).collect()
}

fn time_of(field: &str, text: Option<&String>) -> Result<Option<Timestamp>, Fault> {
    text.map(|text| time::rfc3339(text).map_err(|fault| fault.at(format_args!("`data.{field}`"))))
        .transpose()
}

fn attributes(pairs: &BTreeMap<String, String>) -> impl Iterator<Item = Attribute> + '_ {
    pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| Attribute::new(key, value))
}
