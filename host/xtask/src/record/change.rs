//! The changes that are made to the shop, and how they are announced: as
//! CloudEvents 1.0 in structured mode, the way a delivery pipeline would.
//!
//! Deployments use the vocabulary of <https://cdevents.dev>, version 0.4, which
//! has no word for a changed configuration; that is told as a plain
//! `dev.faultline.change`. Both are understood by the connector `cloudevents`
//! without any configuration.

use anyhow::{Context, Result};
use faultline_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::http::Client;
use crate::record::faultline::Intake;

const CDEVENTS_VERSION: &str = "0.4.1";
const CONTENT_TYPE: &str = "application/cloudevents+json";
/// Below the intake's base: the source `cloudevents`.
const PATH: &str = "/hooks/cloudevents";
/// Who announces changes.
const SOURCE: &str = "https://pipeline.shop.example/production";

/// What a change has to do with the outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Nothing.
    Decoy,
    /// It began with this.
    Cause,
    /// It ended with this.
    Remedy,
}

/// One change, known before it is made.
pub(crate) struct Planned {
    /// The id of the event that announces it.
    pub(crate) id: &'static str,
    /// What it has to do with the outage.
    pub(crate) role: Role,
    /// The event's type.
    pub(crate) event: &'static str,
    /// `deployment` or `configuration`.
    pub(crate) kind: &'static str,
    /// A line for people, as a pipeline would write it: without hindsight.
    pub(crate) title: &'static str,
    /// The service that is changed.
    pub(crate) service: &'static str,
    /// What it is afterwards: a release, or a setting.
    pub(crate) becomes: &'static str,
}

/// Nothing to do with the outage, and announced just like what has.
pub(crate) const DECOY: Planned = Planned {
    id: "shop-inventory-config-17",
    role: Role::Decoy,
    event: "dev.faultline.change",
    kind: "configuration",
    title: "inventory: order more when fewer than 40 are left (was 20)",
    service: "inventory",
    becomes: "restock_below=40,restock_to=500",
};

/// The release that keeps connections.
pub(crate) const CAUSE: Planned = Planned {
    id: "shop-orders-release-1.5.0",
    role: Role::Cause,
    event: "dev.cdevents.service.upgraded.0.2.0",
    kind: "deployment",
    title: "orders 1.5.0: audit trail for large orders",
    service: "orders",
    becomes: super::shop::RELEASE_BAD,
};

/// Back to the release before.
pub(crate) const REMEDY: Planned = Planned {
    id: "shop-orders-rollback-1.4.2",
    role: Role::Remedy,
    event: "dev.cdevents.service.rolledback.0.2.0",
    kind: "deployment",
    title: "orders 1.4.2: rollback of 1.5.0",
    service: "orders",
    becomes: super::shop::RELEASE_GOOD,
};

impl Planned {
    /// The entity that is changed.
    pub(crate) fn entity(&self) -> String {
        format!("service/{}", self.service)
    }

    /// Tells Faultline that it is made now.
    pub(crate) fn announce(&self, at: Timestamp, client: &Client, intake: &Intake) -> Result<()> {
        let url = format!("{}{PATH}", intake.url);
        client
            .post(
                &url,
                &intake.token,
                CONTENT_TYPE,
                &self.event(at).to_string(),
            )
            .with_context(|| format!("announcing the change {}", self.id))
    }

    /// What Faultline knows it by: an event's id is unique at its source only.
    pub(crate) fn reference(&self) -> String {
        format!("{SOURCE} {}", self.id)
    }

    fn event(&self, at: Timestamp) -> Value {
        let data = if self.event.starts_with("dev.cdevents.") {
            json!({
                "context": {
                    "version": CDEVENTS_VERSION,
                    "id": self.id,
                    "source": SOURCE,
                    "type": self.event,
                    "timestamp": at.to_string(),
                },
                "subject": {
                    "id": self.service,
                    "source": SOURCE,
                    "type": "service",
                    "content": {
                        "environment": { "id": "demo" },
                        "artifactId": format!("pkg:generic/shop/{}@{}", self.service, self.becomes),
                    },
                },
                "customData": { "title": self.title },
                "customDataContentType": "application/json",
            })
        } else {
            json!({
                "title": self.title,
                "kind": self.kind,
                "entities": [self.entity()],
                "attributes": { "becomes": self.becomes },
            })
        };
        json!({
            "specversion": "1.0",
            "id": self.id,
            "source": SOURCE,
            "type": self.event,
            "subject": self.service,
            "time": at.to_string(),
            "datacontenttype": "application/json",
            "data": data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_announcement_says_what_was_changed_and_when() {
        let at = Timestamp::from_secs(1_800_000_000);
        for change in [DECOY, CAUSE, REMEDY] {
            let event = change.event(at);
            for attribute in ["specversion", "id", "source", "type", "subject", "time"] {
                assert!(event[attribute].is_string(), "{attribute} of {event}");
            }
            assert_eq!(event["subject"], change.service);
            assert_eq!(event["time"], "2027-01-15T08:00:00Z");
        }
        assert_eq!(DECOY.event(at)["data"]["entities"][0], "service/inventory");
        assert_eq!(CAUSE.event(at)["data"]["subject"]["id"], "orders");
    }
}
