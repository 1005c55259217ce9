//! From an item to the signal that a mapping makes of it.

use faultline_sdk::{Alert, Change, Dependency, Fault, Severity, Ticket};

use crate::config::{AlertMapping, ChangeMapping, DependencyMapping, TicketMapping};
use crate::reader::Reader;

/// What a dependency is, unless the mapping says.
const RELATION_DEFAULT: &str = "calls";

impl AlertMapping {
    pub(crate) fn read(&self, reader: &Reader<'_>) -> Result<Alert, Fault> {
        let identity = reader.pairs(&self.identity, &[]);
        if identity.is_empty() {
            return Err(Fault::malformed(
                "`identity`: nothing of what it is made of is there, and everything without an \
                 identity would be the same alert",
            ));
        }
        let started = reader.moment("started", self.started.as_ref())?;
        let ended = reader.moment("ended", self.ended.as_ref())?;
        Ok(Alert {
            identity,
            firing: self.fires(reader)?,
            title: reader.title(&self.title)?,
            severity: reader
                .optional(self.severity.as_ref())
                .unwrap_or_else(|| Severity::Warning.into()),
            started: started.or(ended).unwrap_or(reader.received),
            ended,
            entities: reader.entities(&self.entities)?,
            labels: reader.pairs(&self.labels, &self.labels_from),
            annotations: reader.pairs(&self.annotations, &self.annotations_from),
            link: reader.optional(self.link.as_ref()),
        })
    }

    /// With one of the two conditions, what it does not hold for is the other;
    /// with both, what neither holds for is nothing that can be said.
    fn fires(&self, reader: &Reader<'_>) -> Result<bool, Fault> {
        match (&self.firing, &self.resolved) {
            (None, None) => Ok(true),
            (Some(firing), None) => Ok(firing.hold(&reader.scope)),
            (None, Some(resolved)) => Ok(!resolved.hold(&reader.scope)),
            (Some(firing), Some(resolved)) => {
                if resolved.hold(&reader.scope) {
                    Ok(false)
                } else if firing.hold(&reader.scope) {
                    Ok(true)
                } else {
                    Err(Fault::malformed(
                        "neither `firing` nor `resolved` holds; leave such items out with `when`",
                    ))
                }
            }
        }
    }
}

impl ChangeMapping {
    pub(crate) fn read(&self, reader: &Reader<'_>) -> Result<Change, Fault> {
        Ok(Change {
            id: reader.required("id", &self.id)?,
            kind: reader.required("kind", &self.kind)?,
            title: reader.title(&self.title)?,
            at: reader.moment_or_arrival("at", self.at.as_ref())?,
            entities: reader.entities(&self.entities)?,
            attributes: reader.pairs(&self.attributes, &self.attributes_from),
            link: reader.optional(self.link.as_ref()),
        })
    }
}

impl DependencyMapping {
    pub(crate) fn read(&self, reader: &Reader<'_>) -> Result<Dependency, Fault> {
        Ok(Dependency {
            dependent: reader.entity("dependent", &self.dependent)?,
            provider: reader.entity("provider", &self.provider)?,
            relation: reader
                .optional(self.relation.as_ref())
                .unwrap_or_else(|| RELATION_DEFAULT.to_owned()),
            seen: reader.moment_or_arrival("seen", self.seen.as_ref())?,
        })
    }
}

impl TicketMapping {
    pub(crate) fn read(&self, reader: &Reader<'_>) -> Result<Ticket, Fault> {
        Ok(Ticket {
            id: reader.required("id", &self.id)?,
            title: reader.title(&self.title)?,
            status: reader.required("status", &self.status)?,
            entities: reader.entities(&self.entities)?,
            link: reader.optional(self.link.as_ref()),
        })
    }
}
