//! The members of one incident, and what they concern.

use std::cmp::Reverse;
use std::collections::{BTreeMap, btree_map};

use serde::{Deserialize, Serialize, Serializer};

use crate::entity::Entity;
use crate::id::AlertId;
use crate::incident::{Facts, Member};
use crate::time::Timestamp;

/// Alerts, each once, in the order of their ids, and why they are members. Read
/// and written as a map of these.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(from = "BTreeMap<AlertId, Member>")]
pub struct Members {
    by_alert: BTreeMap<AlertId, Member>,
    /// How often each entity stands in their facts: looking through a thousand
    /// members for it, in each round, would be most of what the correlate stage
    /// does.
    concerned: BTreeMap<Entity, usize>,
}

impl Members {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_alert.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_alert.is_empty()
    }

    /// One of them.
    pub fn get(&self, alert: &AlertId) -> Option<&Member> {
        self.by_alert.get(alert)
    }

    /// Whether this alert is one of them.
    pub fn contains_key(&self, alert: &AlertId) -> bool {
        self.by_alert.contains_key(alert)
    }

    /// All of them, by id.
    pub fn iter(&self) -> btree_map::Iter<'_, AlertId, Member> {
        self.by_alert.iter()
    }

    /// Their ids, in order.
    pub fn keys(&self) -> btree_map::Keys<'_, AlertId, Member> {
        self.by_alert.keys()
    }

    /// What is known of each, by id.
    pub fn values(&self) -> btree_map::Values<'_, AlertId, Member> {
        self.by_alert.values()
    }

    /// What they concern, none twice, those first that most of them do, then in
    /// order.
    pub fn entities(&self) -> Vec<&Entity> {
        let mut entities: Vec<(&Entity, usize)> = self
            .concerned
            .iter()
            .map(|(entity, times)| (entity, *times))
            .collect();
        entities.sort_by_key(|(_, times)| Reverse(*times));
        entities.into_iter().map(|(entity, _)| entity).collect()
    }

    /// The alert is a member, whatever it was before.
    pub fn insert(&mut self, alert: AlertId, member: Member) {
        self.concern(&member.facts);
        if let Some(before) = self.by_alert.insert(alert, member) {
            self.concern_no_more(&before.facts);
        }
    }

    /// The alert is no member, whatever it was before.
    pub fn remove(&mut self, alert: &AlertId) {
        if let Some(before) = self.by_alert.remove(alert) {
            self.concern_no_more(&before.facts);
        }
    }

    /// If the alert is a member, this is what is known of it, as of then.
    pub fn learn(&mut self, alert: &AlertId, facts: &Facts, at: Timestamp) {
        let Some(member) = self.by_alert.get_mut(alert) else {
            return;
        };
        member.learnt = at;
        let before = std::mem::replace(&mut member.facts, facts.clone());
        if before.entities != facts.entities {
            self.concern(facts);
            self.concern_no_more(&before);
        }
    }

    fn concern(&mut self, facts: &Facts) {
        for entity in &facts.entities {
            match self.concerned.get_mut(entity) {
                Some(times) => *times += 1,
                None => {
                    self.concerned.insert(entity.clone(), 1);
                }
            }
        }
    }

    fn concern_no_more(&mut self, facts: &Facts) {
        for entity in &facts.entities {
            if let Some(times) = self.concerned.get_mut(entity) {
                *times -= 1;
                if *times == 0 {
                    self.concerned.remove(entity);
                }
            }
        }
    }
}

impl From<BTreeMap<AlertId, Member>> for Members {
    fn from(by_alert: BTreeMap<AlertId, Member>) -> Self {
        let mut members = Self::default();
        for member in by_alert.values() {
            members.concern(&member.facts);
        }
        Self {
            by_alert,
            ..members
        }
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.by_alert.serialize(serializer)
    }
}

impl<'a> IntoIterator for &'a Members {
    type Item = (&'a AlertId, &'a Member);
    type IntoIter = btree_map::Iter<'a, AlertId, Member>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::{Author, Edge};
    use crate::proposal::{Because, Confidence};
    use crate::severity::Severity;

    fn entity(name: &str) -> Entity {
        Entity::new("service", name).expect("an entity")
    }

    fn member(entities: &[&str]) -> Member {
        Member {
            facts: Facts {
                episode: 1,
                firing: true,
                severity: Severity::High,
                started: Timestamp::ZERO,
                at: Timestamp::ZERO,
                entities: entities.iter().map(|name| entity(name)).collect(),
                source: None,
            },
            edge: Edge {
                because: Because {
                    reason: "alone".to_owned(),
                    confidence: Confidence::new(0.5).expect("0 to 1"),
                    evidence: Vec::new(),
                    against: Vec::new(),
                },
                author: Author::Host,
                at: Timestamp::ZERO,
            },
            learnt: Timestamp::ZERO,
        }
    }

    #[test]
    fn what_they_concern_is_as_if_it_were_counted_anew() {
        let id = |name: &str| AlertId::derive([name.as_bytes()]);
        let mut members = Members::default();
        let names = |members: &Members| -> Vec<String> {
            let written = serde_json::to_string(members).expect("writes");
            let read: Members = serde_json::from_str(&written).expect("reads");
            assert_eq!(read, *members);
            let entities = members.entities().into_iter();
            entities.map(|one| one.name().to_owned()).collect()
        };
        members.insert(id("1"), member(&["b", "c"]));
        members.insert(id("2"), member(&["c", "a"]));
        assert_eq!(names(&members), ["c", "a", "b"]);
        members.insert(id("1"), member(&["b"]));
        assert_eq!(names(&members), ["a", "b", "c"]);
        members.learn(&id("2"), &member(&["b"]).facts, Timestamp::ZERO);
        assert_eq!(names(&members), ["b"]);
        members.learn(&id("3"), &member(&["d"]).facts, Timestamp::ZERO);
        members.remove(&id("3"));
        members.remove(&id("1"));
        assert_eq!(names(&members), ["b"]);
        members.remove(&id("2"));
        assert!(names(&members).is_empty() && members.is_empty());
    }
}
