//! Situations for tests, put together piece by piece.

use crate::{
    AlertView, Attribute, Change, Dependency, Entity, IncidentView, Severity, Situation, Timestamp,
};

impl AlertView {
    /// A firing alert of a sender, for situations in tests.
    pub fn firing(id: impl Into<String>, title: impl Into<String>, started: Timestamp) -> Self {
        Self {
            id: id.into(),
            firing: true,
            title: title.into(),
            severity: Severity::Warning.into(),
            score: 1.0,
            started,
            at: started,
            entities: Vec::new(),
            labels: Vec::new(),
            origin: "test".to_owned(),
            incident: None,
        }
    }

    /// The same alert, resolved at this time.
    #[must_use]
    pub fn resolved(mut self, at: Timestamp) -> Self {
        self.firing = false;
        self.at = at;
        self
    }

    /// Concerns this entity too.
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

    /// How bad.
    #[must_use]
    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity.into();
        self
    }

    /// With this score.
    #[must_use]
    pub fn with_score(mut self, score: f64) -> Self {
        self.score = score;
        self
    }
}

impl IncidentView {
    /// An open incident, for situations in tests, whose members are now these.
    pub fn open<'a>(
        id: impl Into<String>,
        title: impl Into<String>,
        members: impl IntoIterator<Item = &'a mut AlertView>,
    ) -> Self {
        let mut incident = Self {
            id: id.into(),
            version: 1,
            opened: Timestamp::MAX,
            last: 0,
            severity: Severity::Warning.into(),
            title: title.into(),
            size: 0,
            entities: Vec::new(),
        };
        for alert in members {
            alert.incident = Some(incident.id.clone());
            incident.opened = incident.opened.min(alert.started);
            incident.last = incident.last.max(alert.at);
            incident.size += 1;
            for entity in &alert.entities {
                if !incident.entities.contains(entity) {
                    incident.entities.push(entity.clone());
                }
            }
        }
        incident
    }
}

impl Situation {
    /// Nothing is going on at this time. For tests.
    pub fn quiet(now: Timestamp) -> Self {
        Self {
            now,
            news: Vec::new(),
            alerts: Vec::new(),
            incidents: Vec::new(),
            dependencies: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// With this alert, which is news.
    #[must_use]
    pub fn with_news(mut self, alert: AlertView) -> Self {
        self.news.push(alert.id.clone());
        self.with_alert(alert)
    }

    /// With this alert, which is not news.
    #[must_use]
    pub fn with_alert(mut self, alert: AlertView) -> Self {
        self.alerts.push(alert);
        self
    }

    /// With this incident.
    #[must_use]
    pub fn with_incident(mut self, incident: IncidentView) -> Self {
        self.incidents.push(incident);
        self
    }

    /// With this edge.
    #[must_use]
    pub fn with_dependency(mut self, dependency: Dependency) -> Self {
        self.dependencies.push(dependency);
        self
    }

    /// With this change.
    #[must_use]
    pub fn with_change(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }
}
