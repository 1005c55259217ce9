//! Signals: what an envelope says, apart from telemetry.

use crate::{Alert, Attribute, Change, Dependency, Entity, Signal, Ticket, Timestamp};

impl Alert {
    /// A report that a condition holds, identified by these attributes: what
    /// makes it the same condition next time, and never empty. Until said
    /// otherwise it is a warning.
    pub fn firing(
        identity: impl IntoIterator<Item = impl Into<Attribute>>,
        title: impl Into<String>,
        started: Timestamp,
    ) -> Self {
        Self {
            identity: identity.into_iter().map(Into::into).collect(),
            firing: true,
            title: title.into(),
            severity: crate::Severity::Warning.into(),
            started,
            ended: None,
            entities: Vec::new(),
            labels: Vec::new(),
            annotations: Vec::new(),
            link: None,
        }
    }

    /// A report that a condition has ended.
    pub fn resolved(
        identity: impl IntoIterator<Item = impl Into<Attribute>>,
        title: impl Into<String>,
        started: Timestamp,
        ended: Option<Timestamp>,
    ) -> Self {
        Self {
            firing: false,
            ended,
            ..Self::firing(identity, title, started)
        }
    }

    /// How bad: one of the five words, or the sender's own, which the host
    /// grades and keeps.
    #[must_use]
    pub fn with_severity(mut self, severity: impl Into<String>) -> Self {
        self.severity = severity.into();
        self
    }

    /// When it ended, or will count as ended unless reported again.
    #[must_use]
    pub fn with_ended(mut self, ended: Timestamp) -> Self {
        self.ended = Some(ended);
        self
    }

    /// Concerns this entity too. Without any, the host derives entities from
    /// the labels.
    #[must_use]
    pub fn with_entity(mut self, entity: Entity) -> Self {
        self.entities.push(entity);
        self
    }

    /// With this label.
    #[must_use]
    pub fn with_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push(Attribute::new(key, value));
        self
    }

    /// With this free text.
    #[must_use]
    pub fn with_annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.push(Attribute::new(key, value));
        self
    }

    /// Where a person can read more.
    #[must_use]
    pub fn with_link(mut self, link: impl Into<String>) -> Self {
        self.link = Some(link.into());
        self
    }
}

impl Change {
    /// Something was changed on purpose. The id is the sender's own; the kind
    /// is `deployment`, `configuration`, `infrastructure`, `feature-flag`, ….
    pub fn new(
        id: impl Into<String>,
        kind: impl Into<String>,
        title: impl Into<String>,
        at: Timestamp,
    ) -> Self {
        Self {
            id: id.into(),
            kind: kind.into(),
            title: title.into(),
            at,
            entities: Vec::new(),
            attributes: Vec::new(),
            link: None,
        }
    }

    /// Changed this entity too.
    #[must_use]
    pub fn with_entity(mut self, entity: Entity) -> Self {
        self.entities.push(entity);
        self
    }

    /// Whatever else the sender said.
    #[must_use]
    pub fn with_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push(Attribute::new(key, value));
        self
    }

    /// Where a person can read more.
    #[must_use]
    pub fn with_link(mut self, link: impl Into<String>) -> Self {
        self.link = Some(link.into());
        self
    }
}

impl Dependency {
    /// When the provider fails, the dependent may suffer. The relation is
    /// `calls`, `runs-on`, `part-of`, `stores-in`, ….
    pub fn new(
        dependent: Entity,
        provider: Entity,
        relation: impl Into<String>,
        seen: Timestamp,
    ) -> Self {
        Self {
            dependent,
            provider,
            relation: relation.into(),
            seen,
        }
    }
}

impl Ticket {
    /// A work item in another system, with that system's word for its status.
    pub fn new(id: impl Into<String>, title: impl Into<String>, status: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            status: status.into(),
            entities: Vec::new(),
            link: None,
        }
    }

    /// Concerns this entity too.
    #[must_use]
    pub fn with_entity(mut self, entity: Entity) -> Self {
        self.entities.push(entity);
        self
    }

    /// Where a person can read more.
    #[must_use]
    pub fn with_link(mut self, link: impl Into<String>) -> Self {
        self.link = Some(link.into());
        self
    }
}

impl From<Alert> for Signal {
    fn from(alert: Alert) -> Self {
        Signal::Alert(alert)
    }
}

impl From<Change> for Signal {
    fn from(change: Change) -> Self {
        Signal::Change(change)
    }
}

impl From<Dependency> for Signal {
    fn from(dependency: Dependency) -> Self {
        Signal::Dependency(dependency)
    }
}

impl From<Ticket> for Signal {
    fn from(ticket: Ticket) -> Self {
        Signal::Ticket(ticket)
    }
}
