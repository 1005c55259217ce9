//! What the host would refuse of a correlator's proposals because it speaks of
//! something that is not in the situation. What it would refuse by the state
//! of its incidents is the host's own affair, and not looked at here.

use std::collections::BTreeSet;

use crate::{Because, Cause, Entity, Evidence, Proposal, Reference, Situation, Target};

/// What a situation holds, by name.
struct Contents<'a> {
    alerts: BTreeSet<&'a str>,
    firing: BTreeSet<&'a str>,
    incidents: BTreeSet<&'a str>,
    changes: BTreeSet<&'a str>,
    entities: BTreeSet<&'a Entity>,
    edges: BTreeSet<(&'a Entity, &'a Entity)>,
}

impl<'a> Contents<'a> {
    fn of(situation: &'a Situation) -> Self {
        let alerts = situation.alerts.iter();
        let of_edges = situation
            .dependencies
            .iter()
            .flat_map(|edge| [&edge.dependent, &edge.provider]);
        Self {
            alerts: alerts.clone().map(|alert| alert.id.as_str()).collect(),
            firing: alerts
                .clone()
                .filter(|alert| alert.firing)
                .map(|alert| alert.id.as_str())
                .collect(),
            incidents: situation
                .incidents
                .iter()
                .map(|incident| incident.id.as_str())
                .collect(),
            changes: situation
                .changes
                .iter()
                .map(|change| change.id.as_str())
                .collect(),
            entities: alerts
                .flat_map(|alert| &alert.entities)
                .chain(situation.incidents.iter().flat_map(|one| &one.entities))
                .chain(situation.changes.iter().flat_map(|change| &change.entities))
                .chain(of_edges)
                .collect(),
            edges: situation
                .dependencies
                .iter()
                .map(|edge| (&edge.dependent, &edge.provider))
                .collect(),
        }
    }

    fn has(&self, reference: &Reference) -> bool {
        match reference {
            Reference::Alert(id) => self.alerts.contains(id.as_str()),
            Reference::Change(id) => self.changes.contains(id.as_str()),
            Reference::Entity(entity) => self.entities.contains(entity),
            Reference::Dependency((dependent, provider)) => {
                self.edges.contains(&(dependent, provider))
            }
        }
    }
}

/// What the host would refuse, in words.
pub(super) fn mistakes(situation: &Situation, proposals: &[Proposal]) -> Vec<String> {
    let contents = Contents::of(situation);
    let mut tags = BTreeSet::new();
    let mut mistakes = Vec::new();
    for (index, proposal) in proposals.iter().enumerate() {
        let mut complain = |what: String| mistakes.push(format!("proposals[{index}]: {what}"));
        let because = match proposal {
            Proposal::Open(opening) => {
                check_members(&contents, &opening.members, &mut complain);
                if !opening
                    .members
                    .iter()
                    .any(|id| contents.firing.contains(id.as_str()))
                {
                    complain("no member of the new incident fires".to_owned());
                }
                if !tags.insert(opening.tag.as_str()) {
                    complain(format!("the tag `{}` stands twice", opening.tag));
                }
                &opening.because
            }
            Proposal::Join(joining) => {
                check_members(&contents, &joining.members, &mut complain);
                check_target(&contents, &tags, &joining.target, &mut complain);
                &joining.because
            }
            Proposal::Merge(merging) => {
                for id in std::iter::once(&merging.keep).chain(&merging.fold) {
                    check_incident(&contents, id, &mut complain);
                }
                if merging.fold.is_empty() || merging.fold.contains(&merging.keep) {
                    complain("a merge needs other incidents than the one that is kept".to_owned());
                }
                &merging.because
            }
            Proposal::Split(splitting) => {
                check_incident(&contents, &splitting.incident, &mut complain);
                if splitting.members.is_empty() {
                    complain("there are no members".to_owned());
                }
                if !tags.insert(splitting.tag.as_str()) {
                    complain(format!("the tag `{}` stands twice", splitting.tag));
                }
                &splitting.because
            }
            Proposal::Blame(blaming) => {
                check_target(&contents, &tags, &blaming.target, &mut complain);
                let cause = match &blaming.cause {
                    Cause::Entity(entity) => Reference::Entity(entity.clone()),
                    Cause::Change(id) => Reference::Change(id.clone()),
                    Cause::Alert(id) => Reference::Alert(id.clone()),
                };
                if !contents.has(&cause) {
                    complain(format!("the cause {cause:?} is not in the situation"));
                }
                &blaming.because
            }
        };
        check_because(&contents, because, &mut complain);
    }
    mistakes
}

fn check_members(contents: &Contents<'_>, members: &[String], complain: &mut impl FnMut(String)) {
    if members.is_empty() {
        complain("there are no members".to_owned());
    }
    for id in members {
        if !contents.alerts.contains(id.as_str()) {
            complain(format!("the alert `{id}` is not in the situation"));
        }
    }
}

fn check_incident(contents: &Contents<'_>, id: &str, complain: &mut impl FnMut(String)) {
    if !contents.incidents.contains(id) {
        complain(format!("the incident `{id}` is not in the situation"));
    }
}

fn check_target(
    contents: &Contents<'_>,
    tags: &BTreeSet<&str>,
    target: &Target,
    complain: &mut impl FnMut(String),
) {
    match target {
        Target::Incident(id) => check_incident(contents, id, complain),
        Target::Opening(tag) if tags.contains(tag.as_str()) => {}
        Target::Opening(tag) => complain(format!("nothing before it has the tag `{tag}`")),
    }
}

fn check_because(contents: &Contents<'_>, because: &Because, complain: &mut impl FnMut(String)) {
    if !(0.0..=1.0).contains(&because.confidence) {
        complain(format!(
            "the confidence {} is not within 0 and 1",
            because.confidence
        ));
    }
    for Evidence { text, references } in because.evidence.iter().chain(&because.against) {
        for reference in references {
            if !contents.has(reference) {
                complain(format!(
                    "the evidence `{text}` refers to {reference:?}, which is not in the situation"
                ));
            }
        }
    }
}
