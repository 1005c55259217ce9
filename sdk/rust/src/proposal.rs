//! What correlators see and propose.

use crate::{
    AlertView, Because, Blaming, Cause, Dependency, Entity, Evidence, IncidentView, Joining,
    Merging, Opening, Proposal, Reference, Situation, Splitting, Target,
};

impl Situation {
    /// The alert with this id.
    pub fn alert(&self, id: &str) -> Option<&AlertView> {
        self.alerts.iter().find(|alert| alert.id == id)
    }

    /// The alerts that changed since the last call.
    pub fn news(&self) -> impl Iterator<Item = &AlertView> {
        self.news.iter().filter_map(|id| self.alert(id))
    }

    /// The incident, not closed, that this alert is a member of, if it is shown.
    pub fn incident_of(&self, alert: &AlertView) -> Option<&IncidentView> {
        let id = alert.incident.as_ref()?;
        self.incidents.iter().find(|incident| incident.id == *id)
    }

    /// Those members of this incident that are shown.
    pub fn members_of(&self, incident: &IncidentView) -> impl Iterator<Item = &AlertView> {
        self.alerts
            .iter()
            .filter(|alert| alert.incident.as_ref() == Some(&incident.id))
    }
}

impl Evidence {
    /// One sentence for people. Say what it speaks of with
    /// [`Evidence::about`]: the host refuses references that are not in the
    /// situation.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            references: Vec::new(),
        }
    }

    /// Speaks of this too.
    #[must_use]
    pub fn about(mut self, reference: impl Into<Reference>) -> Self {
        self.references.push(reference.into());
        self
    }
}

impl From<Entity> for Reference {
    fn from(entity: Entity) -> Self {
        Reference::Entity(entity)
    }
}

impl From<&AlertView> for Reference {
    fn from(alert: &AlertView) -> Self {
        Reference::Alert(alert.id.clone())
    }
}

impl From<&crate::Change> for Reference {
    fn from(change: &crate::Change) -> Self {
        Reference::Change(change.id.clone())
    }
}

impl From<&Dependency> for Reference {
    fn from(edge: &Dependency) -> Self {
        Reference::Dependency((edge.dependent.clone(), edge.provider.clone()))
    }
}

impl Because {
    /// One line, for example `both on host/db-1 within 40 s`, and how sure:
    /// 0 to 1. What is outside is clamped; what is not a number counts as 0.
    pub fn new(reason: impl Into<String>, confidence: f64) -> Self {
        Self {
            reason: reason.into(),
            confidence: if confidence.is_nan() {
                0.0
            } else {
                confidence.clamp(0.0, 1.0)
            },
            evidence: Vec::new(),
            against: Vec::new(),
        }
    }

    /// What speaks for it.
    #[must_use]
    pub fn with_evidence(mut self, evidence: Evidence) -> Self {
        self.evidence.push(evidence);
        self
    }

    /// What speaks against it. Look for it: none means that nothing was found.
    #[must_use]
    pub fn with_against(mut self, evidence: Evidence) -> Self {
        self.against.push(evidence);
        self
    }
}

impl From<Entity> for Cause {
    fn from(entity: Entity) -> Self {
        Cause::Entity(entity)
    }
}

impl From<&AlertView> for Cause {
    fn from(alert: &AlertView) -> Self {
        Cause::Alert(alert.id.clone())
    }
}

impl From<&crate::Change> for Cause {
    fn from(change: &crate::Change) -> Self {
        Cause::Change(change.id.clone())
    }
}

impl From<&IncidentView> for Target {
    fn from(incident: &IncidentView) -> Self {
        Target::Incident(incident.id.clone())
    }
}

impl Proposal {
    /// A new incident of these members, at least one of which fires. The tag
    /// names it within this verdict; the target to blame or join it by is
    /// `Target::Opening(tag)`.
    pub fn open(
        tag: impl Into<String>,
        title: impl Into<String>,
        members: impl IntoIterator<Item = impl Into<String>>,
        because: Because,
    ) -> Self {
        Self::Open(Opening {
            tag: tag.into(),
            title: title.into(),
            members: ids(members),
            because,
        })
    }

    /// These alerts belong to that incident.
    pub fn join(
        target: impl Into<Target>,
        members: impl IntoIterator<Item = impl Into<String>>,
        because: Because,
    ) -> Self {
        Self::Join(Joining {
            target: target.into(),
            members: ids(members),
            because,
        })
    }

    /// These incidents are one. `keep` takes the members of the others.
    pub fn merge(
        keep: impl Into<String>,
        fold: impl IntoIterator<Item = impl Into<String>>,
        because: Because,
    ) -> Self {
        Self::Merge(Merging {
            keep: keep.into(),
            fold: ids(fold),
            because,
        })
    }

    /// These members are an incident of their own, named by the tag.
    pub fn split(
        incident: impl Into<String>,
        tag: impl Into<String>,
        title: impl Into<String>,
        members: impl IntoIterator<Item = impl Into<String>>,
        because: Because,
    ) -> Self {
        Self::Split(Splitting {
            incident: incident.into(),
            tag: tag.into(),
            title: title.into(),
            members: ids(members),
            because,
        })
    }

    /// A hypothesis: this may be the cause of that incident. The same cause
    /// again replaces what was said about it; confidence 0 withdraws it.
    pub fn blame(target: impl Into<Target>, cause: impl Into<Cause>, because: Because) -> Self {
        Self::Blame(Blaming {
            target: target.into(),
            cause: cause.into(),
            because,
        })
    }
}

fn ids(ids: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    ids.into_iter().map(Into::into).collect()
}
