//! Suspicions in words: what speaks for a suspect, and what against.

use std::collections::BTreeSet;

use faultline_sdk::{Because, Evidence, Reference};

use crate::burden::{Burden, Shared};
use crate::evidence::{EVIDENCE_MAX, alert, entity, quoted, said, titled};
use crate::graph::{EntityId, Relation};
use crate::measure::{fold, rounded};
use crate::pleas::kind;
use crate::scene::{AlertIndex, Scene};
use crate::suspects::{Culprit, Inquest, SPREAD_HOPS, Suspect};
use crate::timing::SKEW;
use crate::usual::Usual;
use crate::words::{clock, duration, list, name, quote, sentence};

/// The most things that one sentence refers to.
pub(crate) const REFERENCES_MAX: usize = 5;
/// From so many occasions on it is said what is usual.
const OCCASIONS_MIN: u32 = 8;

/// Everything that arguments are drawn from.
pub(crate) struct Court<'c, 's> {
    pub(crate) scene: &'c Scene<'s>,
    pub(crate) usual: &'c Usual,
    pub(crate) inquest: &'c Inquest,
}

impl Court<'_, '_> {
    /// Both sides.
    pub(crate) fn because(&self, suspect: &Suspect) -> Because {
        let (reason, mut evidence, mut against) = match suspect.culprit {
            Culprit::Entity(entity) => self.entity(entity, suspect),
            Culprit::Change(change) => self.change(change, suspect),
            Culprit::Alert(alert) => self.alert(alert),
        };
        evidence.truncate(EVIDENCE_MAX);
        against.truncate(EVIDENCE_MAX);
        Because {
            reason: sentence(&reason),
            confidence: rounded(suspect.confidence),
            evidence,
            against,
        }
    }

    /// What the arguments rest on, hashed: exact while few are concerned, and
    /// by orders of magnitude when many are, or each newcomer would renew all
    /// that was said.
    pub(crate) fn facts(&self, suspect: &Suspect) -> u32 {
        let mut facts = 1;
        let mut note = |value: usize| facts = fold(facts, magnitude(value));
        note(suspect.explains.len());
        note(suspect.too_early.len());
        note(self.affected_besides(&[]).len());
        let concerned: &[EntityId] = match &suspect.culprit {
            Culprit::Entity(entity) => std::slice::from_ref(entity),
            Culprit::Change(change) => &self.scene.changes[*change].entities,
            Culprit::Alert(_) => &[],
        };
        for &entity in concerned {
            note(self.healthy_dependents(entity).0.len());
            let upstream = self.inquest.upstream(self.scene, entity);
            note(upstream.map_or(0, |(provider, _)| provider + 1));
            if let Some(burden) = self.inquest.burdens.get(&entity) {
                note(burden.alerts.len());
                note(burden.shared.as_ref().map_or(0, |shared| shared.by.len()));
            }
        }
        u32::try_from(facts >> 32).unwrap_or(0)
    }

    pub(crate) fn name(&self, id: EntityId) -> String {
        name(self.scene.entity(id))
    }

    fn quoted(&self, index: AlertIndex) -> String {
        quoted(self.scene, index)
    }

    pub(crate) fn names(&self, ids: &[EntityId]) -> String {
        let names: Vec<String> = ids.iter().map(|&id| self.name(id)).collect();
        list(&names)
    }

    pub(crate) fn entities(&self, ids: &[EntityId]) -> Vec<Reference> {
        ids.iter()
            .take(REFERENCES_MAX)
            .map(|&id| entity(self.scene, id))
            .collect()
    }

    /// The affected entities besides these.
    pub(crate) fn affected_besides(&self, besides: &[EntityId]) -> Vec<EntityId> {
        self.inquest
            .burdens
            .iter()
            .filter(|(_, burden)| burden.onset.is_some())
            .map(|(&id, _)| id)
            .filter(|id| !besides.contains(id))
            .collect()
    }

    pub(crate) fn is_affected(&self, id: EntityId) -> bool {
        self.inquest
            .burdens
            .get(&id)
            .is_some_and(|burden| burden.onset.is_some())
    }

    fn entity(&self, id: EntityId, suspect: &Suspect) -> (String, Vec<Evidence>, Vec<Evidence>) {
        let nothing = Burden::default();
        let burden = self.inquest.burdens.get(&id).unwrap_or(&nothing);
        let others = self.affected_besides(&[id]);
        let mut reason = match (burden.alerts.first(), &burden.shared) {
            (Some(&heaviest), _) => titled(self.scene, heaviest),
            (None, Some(shared)) => self.of_shared(shared),
            (None, None) => "shows no alert itself".to_owned(),
        };
        if !suspect.explains.is_empty() {
            reason = format!(
                "{reason}; {} of the {} others affected depend on it",
                suspect.explains.len(),
                others.len()
            );
        }
        let evidence = self.for_entity(id, burden, suspect);
        let against = self.against_entity(id, burden, suspect, &others);
        (reason, evidence, against)
    }

    fn for_entity(&self, id: EntityId, burden: &Burden, suspect: &Suspect) -> Vec<Evidence> {
        let mut evidence = Vec::new();
        if let Some(&heaviest) = burden.alerts.first() {
            let shown = burden.alerts.iter().take(REFERENCES_MAX);
            evidence.push(said(
                &match burden.alerts.len() {
                    1 => format!("{} is about it", self.quoted(heaviest)),
                    more => format!(
                        "{more} alerts are about it, {} above all",
                        self.quoted(heaviest)
                    ),
                },
                shown.map(|&index| alert(self.scene, index)),
            ));
            let (times, occasions) = self.times(heaviest);
            if occasions >= OCCASIONS_MIN && times * 4 <= occasions {
                evidence.push(said(
                    &format!(
                        "{} is unusual: of the last {occasions} occasions it began on {}",
                        self.quoted(heaviest),
                        if times == 0 {
                            "none".to_owned()
                        } else {
                            times.to_string()
                        }
                    ),
                    [alert(self.scene, heaviest)],
                ));
            }
        }
        if let Some(shared) = &burden.shared {
            evidence.push(said(&self.of_shared(shared), self.entities(&shared.by)));
        }
        if !suspect.explains.is_empty() {
            evidence.push(said(
                &format!(
                    "{} can be affected through it",
                    self.names(&suspect.explains)
                ),
                self.edges_into(id, &suspect.explains),
            ));
        }
        evidence.extend(self.change_before(id, burden));
        let later = self.affected_besides(&[id]);
        if !later.is_empty() && burden.onset == Some(self.inquest.onset) {
            evidence.push(said(
                &format!(
                    "it was the first to be affected, at {}",
                    clock(self.inquest.onset)
                ),
                [entity(self.scene, id)],
            ));
        }
        let depends = self
            .scene
            .graph
            .providers(id)
            .iter()
            .any(|(_, relation, _)| *relation != Relation::PartOf);
        if depends && self.inquest.upstream(self.scene, id).is_none() {
            evidence.push(said(
                "nothing that it is known to depend on is affected",
                [entity(self.scene, id)],
            ));
        }
        evidence
    }

    /// The change that was made to an entity shortly before it was affected: it
    /// may be why.
    fn change_before(&self, id: EntityId, burden: &Burden) -> Option<Evidence> {
        let onset = burden.onset?;
        let deed = self
            .scene
            .changes
            .iter()
            .filter(|deed| deed.entities.contains(&id) && deed.view.at <= onset)
            .max_by_key(|deed| deed.view.at)?;
        let before = onset - deed.view.at;
        (before <= 30 * SKEW).then(|| {
            said(
                &format!(
                    "the {} {} changed it {} before it was affected",
                    kind(&deed.view.kind),
                    quote(&deed.view.title),
                    duration(before)
                ),
                [Reference::from(deed.view), entity(self.scene, id)],
            )
        })
    }

    /// The edges through which others are affected, or those others where the
    /// way is longer.
    fn edges_into(&self, id: EntityId, explained: &[EntityId]) -> Vec<Reference> {
        explained
            .iter()
            .take(REFERENCES_MAX)
            .map(|&other| {
                let edge = self
                    .scene
                    .graph
                    .dependents(id)
                    .iter()
                    .find(|(dependent, _, _)| *dependent == other);
                match edge {
                    Some(&(_, _, place)) => Reference::from(&self.scene.edges[place]),
                    None => entity(self.scene, other),
                }
            })
            .collect()
    }

    fn of_shared(&self, shared: &Shared) -> String {
        let whom = match shared.relation {
            Relation::PartOf => "parts",
            Relation::RunsOn => "things that run on it",
            Relation::Calls => "dependents",
        };
        let example = &self.scene.alerts[shared.example];
        let like = match &example.reading.rule {
            Some(rule) => quote(rule),
            None => self.quoted(shared.example),
        };
        format!(
            "{} of its {} {whom} show alerts such as {like}",
            shared.by.len(),
            shared.all,
        )
    }

    fn against_entity(
        &self,
        id: EntityId,
        burden: &Burden,
        suspect: &Suspect,
        others: &[EntityId],
    ) -> Vec<Evidence> {
        let mut against = Vec::new();
        if burden.alerts.is_empty() {
            against.push(said(
                "the suspect itself shows no alert",
                [entity(self.scene, id)],
            ));
        }
        if let Some(&early) = suspect.too_early.first() {
            let ahead = self.onset(id).saturating_sub(self.onset(early));
            against.push(said(
                &format!(
                    "{}, which depends on it, was affected {} earlier",
                    self.name(early),
                    duration(ahead)
                ),
                self.entities(&[early]),
            ));
        }
        if let Some((provider, _)) = self.inquest.upstream(self.scene, id) {
            against.push(said(
                &format!(
                    "{}, on which it depends, is affected too",
                    self.name(provider)
                ),
                self.entities(&[provider]),
            ));
        }
        let (healthy, all) = self.healthy_dependents(id);
        if !healthy.is_empty() {
            against.push(said(
                &format!(
                    "{} of {all} that depend on it show no alert: {}",
                    healthy.len(),
                    self.names(&healthy)
                ),
                self.entities(&healthy),
            ));
        }
        let named = self.inquest.upstream(self.scene, id);
        let unnamed: Vec<EntityId> = others
            .iter()
            .copied()
            .filter(|&other| named.is_none_or(|(provider, _)| provider != other))
            .collect();
        against.extend(self.unexplained(suspect, &unnamed));
        if let Some(&heaviest) = burden.alerts.first() {
            let (times, occasions) = self.times(heaviest);
            if occasions >= OCCASIONS_MIN && times * 2 >= occasions {
                against.push(said(
                    &format!(
                        "{} is nothing unusual: it began in {times} of the last {occasions} \
                         occasions",
                        self.quoted(heaviest)
                    ),
                    [alert(self.scene, heaviest)],
                ));
            }
            if burden.symptoms >= 0.9 * burden.cause {
                against.push(said(
                    "its alerts are symptoms, which a cause elsewhere would bring about as well",
                    [alert(self.scene, heaviest)],
                ));
            }
        }
        against
    }

    /// What depends on an entity directly without showing an alert, and how
    /// many depend on it.
    fn healthy_dependents(&self, id: EntityId) -> (Vec<EntityId>, usize) {
        let mut dependents: Vec<EntityId> = self
            .scene
            .graph
            .dependents(id)
            .iter()
            .filter(|(_, relation, _)| *relation != Relation::PartOf)
            .map(|&(dependent, _, _)| dependent)
            .collect();
        dependents.dedup();
        let all = dependents.len();
        dependents.retain(|&dependent| !self.is_affected(dependent));
        (dependents, all)
    }

    pub(crate) fn unexplained(&self, suspect: &Suspect, others: &[EntityId]) -> Option<Evidence> {
        let explained: BTreeSet<EntityId> = suspect.explains.iter().copied().collect();
        let left: Vec<EntityId> = others
            .iter()
            .copied()
            .filter(|other| !explained.contains(other))
            .collect();
        (!left.is_empty()).then(|| {
            said(
                &format!(
                    "it does not explain {}, not known to depend on it within \
                     {SPREAD_HOPS} edges",
                    self.names(&left)
                ),
                self.entities(&left),
            )
        })
    }

    fn alert(&self, index: AlertIndex) -> (String, Vec<Evidence>, Vec<Evidence>) {
        let begun = clock(self.scene.alerts[index].view.started);
        (
            titled(self.scene, index),
            vec![said(
                &format!("it began at {begun}"),
                [alert(self.scene, index)],
            )],
            vec![said(
                "it names no entity: what depends on it cannot be known",
                [alert(self.scene, index)],
            )],
        )
    }

    pub(crate) fn onset(&self, id: EntityId) -> u64 {
        self.inquest
            .burdens
            .get(&id)
            .and_then(|burden| burden.onset)
            .unwrap_or(self.inquest.onset)
    }

    fn times(&self, index: AlertIndex) -> (u32, u32) {
        let alert = &self.scene.alerts[index];
        self.usual.times(alert.key, alert.view.started)
    }
}

/// The number itself if it is small, else its order of magnitude.
fn magnitude(value: usize) -> u64 {
    match value {
        0..=8 => u64::try_from(value).unwrap_or(8),
        _ => 8 + u64::from(value.ilog2()),
    }
}
