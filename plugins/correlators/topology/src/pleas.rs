//! Suspicions about changes in words.

use faultline_sdk::{Evidence, Reference, Timestamp};

use crate::arguments::{Court, REFERENCES_MAX};
use crate::evidence::{entity, said};
use crate::graph::EntityId;
use crate::scene::Deed;
use crate::suspects::Suspect;
use crate::timing::SKEW;
use crate::words::{clock, count, duration, quote};

/// What was changed is said to be affected right after within this time, in
/// microseconds.
const STRUCK_WITHIN: u64 = 10 * 60 * 1_000_000;

impl Court<'_, '_> {
    /// Why a change, and both sides.
    pub(crate) fn change(
        &self,
        place: usize,
        suspect: &Suspect,
    ) -> (String, Vec<Evidence>, Vec<Evidence>) {
        let deed = &self.scene.changes[place];
        let at = deed.view.at;
        let reference = || [Reference::from(deed.view)];
        let title = quote(&deed.view.title);
        let after: Vec<EntityId> = suspect
            .explains
            .iter()
            .copied()
            .filter(|id| !suspect.too_early.contains(id))
            .collect();
        let first = after.iter().map(|&id| self.onset(id)).min();
        let when = match first {
            Some(first) if first >= at => {
                format!(
                    "{} before the first alert that it reaches",
                    duration(first - at)
                )
            }
            Some(_) => "as the first alert that it reaches began".to_owned(),
            None => "after everything that it reaches had begun".to_owned(),
        };
        let reason = format!("the {} {title}, {when}", kind(&deed.view.kind));
        let mut evidence = vec![said(
            &format!(
                "{title} changed {} at {}",
                self.names(&deed.entities),
                clock(at)
            ),
            reference(),
        )];
        if !after.is_empty() {
            let touched: Vec<EntityId> = after
                .iter()
                .copied()
                .filter(|id| suspect.shares.iter().all(|(user, _)| user != id))
                .collect();
            evidence.push(said(
                &format!("it reaches {}", self.names(&touched)),
                self.entities(&touched),
            ));
        }
        evidence.extend(self.struck(deed, at));
        evidence.extend(self.shared_with(deed, suspect));
        (reason, evidence, self.against_change(place, suspect))
    }

    /// What was changed was itself affected right after.
    fn struck(&self, deed: &Deed<'_>, at: Timestamp) -> Option<Evidence> {
        let &changed = deed
            .entities
            .iter()
            .filter(|&&id| self.is_affected(id) && self.onset(id) >= at)
            .min_by_key(|&&id| self.onset(id))?;
        let since = self.onset(changed) - at;
        (since <= STRUCK_WITHIN).then(|| {
            said(
                &format!(
                    "{} itself was affected {} later",
                    self.name(changed),
                    duration(since)
                ),
                [Reference::from(deed.view), entity(self.scene, changed)],
            )
        })
    }

    /// Who suffers with what was changed because both use one provider.
    fn shared_with(&self, deed: &Deed<'_>, suspect: &Suspect) -> Option<Evidence> {
        let &(_, provider) = suspect.shares.first()?;
        let users: Vec<EntityId> = suspect
            .shares
            .iter()
            .filter(|&&(user, other)| other == provider && !suspect.too_early.contains(&user))
            .map(|&(user, _)| user)
            .collect();
        let depend = if users.len() == 1 {
            "depends"
        } else {
            "depend"
        };
        (!users.is_empty()).then(|| {
            said(
                &format!(
                    "{} {depend} on {} as {} does: too much asked of it there would fail them too",
                    self.names(&users),
                    self.name(provider),
                    self.names(&deed.entities)
                ),
                self.entities(&users)
                    .into_iter()
                    .chain(self.entities(&[provider])),
            )
        })
    }

    fn against_change(&self, place: usize, suspect: &Suspect) -> Vec<Evidence> {
        let deed = &self.scene.changes[place];
        let mut against = Vec::new();
        let earliest = suspect.too_early.iter().min_by_key(|&&id| self.onset(id));
        if let Some(&early) = earliest {
            let since = deed.view.at.saturating_sub(self.onset(early));
            against.push(said(
                &format!(
                    "{} was affected {} before the change",
                    self.name(early),
                    duration(since)
                ),
                [Reference::from(deed.view), entity(self.scene, early)],
            ));
        }
        for &changed in &deed.entities {
            if let Some((provider, _)) = self.inquest.upstream(self.scene, changed)
                && !deed.entities.contains(&provider)
            {
                against.push(said(
                    &format!(
                        "{}, on which {} depends, is affected too",
                        self.name(provider),
                        self.name(changed)
                    ),
                    self.entities(&[provider, changed]),
                ));
                break;
            }
        }
        let quiet: Vec<EntityId> = deed
            .entities
            .iter()
            .copied()
            .filter(|&id| !self.is_affected(id))
            .collect();
        if !quiet.is_empty() {
            against.push(said(
                &format!("{} was changed and shows no alert", self.names(&quiet)),
                self.entities(&quiet),
            ));
        }
        against.extend(self.unexplained(suspect, &self.affected_besides(&[])));
        let rivals: Vec<Reference> = self
            .scene
            .changes
            .iter()
            .enumerate()
            .filter(|&(other, _)| other != place)
            .filter(|(_, other)| other.view.at.abs_diff(deed.view.at) <= 30 * SKEW)
            .map(|(_, other)| Reference::from(other.view))
            .collect();
        if !rivals.is_empty() {
            against.push(said(
                &format!(
                    "{} made within half an hour of it",
                    count(rivals.len(), "other change was", "other changes were")
                ),
                rivals.into_iter().take(REFERENCES_MAX),
            ));
        }
        against
    }
}

/// What sort of change, in a word.
pub(crate) fn kind(kind: &str) -> &str {
    if kind.is_empty() { "change" } else { kind }
}
