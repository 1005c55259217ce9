//! What has changed about the suspects of each incident since they were last
//! named.
//!
//! An incident is judged again when its members, the changes around it or the
//! topology near it are not what they were, but not when members have only left
//! the view. Of the outcome only what matters is said: a suspect that is new, one
//! whose confidence moved by a step or about whom something else is to be said, all
//! of them when another came first, and those that are suspects no more.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use faultline_sdk::{Because, Cause, Evidence, Proposal};

use crate::arguments::Court;
use crate::config::Config;
use crate::measure::{fold, hash};
use crate::memory::{Grounds, Held, Judged, Memory};
use crate::proposals::{Plan, StandsFor};
use crate::reach::Reaches;
use crate::scene::{AlertIndex, Scene};
use crate::suspects::{Culprit, Suspect, inquire};

/// The most incidents that are judged in one call; the others come next time.
const JUDGED_MAX: usize = 64;
/// No further incident is judged in a call once this many suspects were.
const SUSPECTS_MAX: usize = 2_000;
/// A suspect that was named stays named until it falls this far behind.
const LINGER: usize = 2;

/// Judges the incidents whose grounds have changed.
pub(crate) fn judge(
    scene: &Scene<'_>,
    config: &Config,
    memory: &mut Memory,
    plans: &[Plan],
) -> Vec<Proposal> {
    let mut proposals = Vec::new();
    let reaches = Reaches::new(scene);
    let causes = Causes::new(scene);
    let mut incidents_left = JUDGED_MAX;
    let mut suspects_left = SUSPECTS_MAX;
    for (plan, before) in unheard_first(scene, memory, plans) {
        let members = flare(scene, config, &plan.members);
        let grounds = grounds(scene, config, &members);
        if members.is_empty() || before.grounds.hash == grounds.hash {
            continue;
        }
        if has_faded(scene, plan, &before.grounds, &members) {
            continue;
        }
        if incidents_left == 0 || suspects_left == 0 {
            break;
        }
        let inquest = inquire(scene, config, &memory.usual, &reaches, &members);
        incidents_left -= 1;
        suspects_left = suspects_left.saturating_sub(inquest.suspects.len());
        let court = Court {
            scene,
            usual: &memory.usual,
            inquest: &inquest,
        };
        let (said, after) = renew(&court, config, &causes, plan, &before, grounds);
        proposals.extend(said);
        match plan.stands_for {
            StandsFor::Incident(incident) => memory.judge(scene.incidents[incident].key, after),
            StandsFor::Founder(founder) => {
                memory.judge_opening(scene.alerts[founder].key, after);
            }
        }
    }
    proposals
}

/// The incidents, with what was said about them: first those about which
/// nothing was, so that a storm keeps none from being heard.
fn unheard_first<'p>(
    scene: &Scene<'_>,
    memory: &Memory,
    plans: &'p [Plan],
) -> Vec<(&'p Plan, Judged)> {
    let mut heard: Vec<(&Plan, Judged)> = plans
        .iter()
        .map(|plan| {
            let before = match plan.stands_for {
                StandsFor::Incident(incident) => memory.judged(scene.incidents[incident].key),
                StandsFor::Founder(_) => None,
            };
            (plan, before.cloned().unwrap_or_default())
        })
        .collect();
    heard.sort_by_key(|(_, before)| before.grounds.hash != 0);
    heard
}

/// The members that tell of the present trouble. An incident that was reopened
/// has members that resolved before, and whose cause may have been another.
fn flare(scene: &Scene<'_>, config: &Config, members: &[AlertIndex]) -> Vec<AlertIndex> {
    // Members are in the order in which they began.
    let mut begin = None;
    for &member in members.iter().rev() {
        let started = scene.alerts[member].view.started;
        match begin {
            Some(later) if later - started > config.window() => break,
            _ => begin = Some(started),
        }
    }
    let begin = begin.unwrap_or(0);
    members
        .iter()
        .copied()
        .filter(|&member| {
            let view = scene.alerts[member].view;
            view.firing || view.started >= begin || view.at >= begin
        })
        .collect()
}

/// Whether less is seen of what was judged before. What has been over for some
/// time is shown no more, and who judged by the rest would take back what was well
/// founded. What began after all of it is trouble of its own.
fn has_faded(scene: &Scene<'_>, plan: &Plan, before: &Grounds, members: &[AlertIndex]) -> bool {
    let StandsFor::Incident(incident) = plan.stands_for else {
        return false;
    };
    let case = &scene.incidents[incident];
    let is_whole = u32::try_from(case.members.len()).is_ok_and(|shown| shown >= case.view.size);
    let started = |&member: &AlertIndex| scene.alerts[member].view.started;
    let is_new = members.iter().map(started).min() > Some(before.latest);
    !is_whole && !is_new && members.len() < before.members
}

/// All that a judgement rests on.
fn grounds(scene: &Scene<'_>, config: &Config, members: &[AlertIndex]) -> Grounds {
    let mut all = 1;
    let mut onset = scene.now;
    let mut latest = 0;
    for &member in members {
        let alert = &scene.alerts[member];
        all = fold(fold(all, alert.key), alert.view.started);
        latest = latest.max(alert.view.started);
        onset = onset.min(alert.view.started);
        for &entity in &alert.entities {
            let providers = scene.graph.providers(entity).len();
            let dependents = scene.graph.dependents(entity).len();
            all = fold(all, u64::try_from(providers).unwrap_or(0));
            all = fold(all, u64::try_from(dependents).unwrap_or(0));
        }
    }
    let oldest = onset.saturating_sub(config.change_window());
    for deed in scene.changes.iter().filter(|deed| deed.view.at >= oldest) {
        all = fold(fold(all, hash(&[&deed.view.id])), deed.view.at);
    }
    Grounds {
        hash: all.max(1),
        members: members.len(),
        latest,
    }
}

/// What is to be said, and what stands afterwards.
fn renew(
    court: &Court<'_, '_>,
    config: &Config,
    causes: &Causes<'_, '_>,
    plan: &Plan,
    before: &Judged,
    grounds: Grounds,
) -> (Vec<Proposal>, Judged) {
    let scene = court.scene;
    let named = named(court, config, before);
    let step = percent(config.hypothesis_step).max(1);
    let now: Vec<Held> = named
        .iter()
        .map(|(suspect, _)| Held {
            percent: percent(suspect.confidence),
            facts: court.facts(suspect),
        })
        .collect();
    let stands: Vec<Option<Held>> = named
        .iter()
        .zip(&now)
        .map(|((_, key), now)| {
            let held = before.held.get(key).copied();
            held.filter(|held| held.facts == now.facts && held.percent.abs_diff(now.percent) < step)
        })
        .collect();
    let shown = |place: usize| stands[place].unwrap_or(now[place]).percent;
    let best_is_first = (0..now.len()).all(|place| shown(place) <= shown(0));
    let mut after = Judged {
        grounds,
        held: BTreeMap::new(),
    };
    let mut proposals = Vec::new();
    for (&key, &held) in &before.held {
        if named.iter().any(|&(_, named)| named == key) {
            continue;
        }
        match causes.with_key(key) {
            Some(cause) => proposals.push(Proposal::blame(
                plan.target.clone(),
                cause,
                withdrawal(named.first().map(|(suspect, _)| *suspect), court),
            )),
            // What is not shown cannot be judged, nor may it be named: it
            // stands as it was.
            None => {
                after.held.insert(key, held);
            }
        }
    }
    for (place, (suspect, key)) in named.iter().enumerate() {
        let held = match stands[place] {
            Some(held) if best_is_first => held,
            _ => {
                proposals.push(Proposal::blame(
                    plan.target.clone(),
                    cause(scene, suspect.culprit),
                    court.because(suspect),
                ));
                now[place]
            }
        };
        after.held.insert(*key, held);
    }
    (proposals, after)
}

/// The suspects worth naming, best first: the likeliest, and those named
/// before that have not fallen far behind.
fn named<'i>(court: &Court<'i, '_>, config: &Config, before: &Judged) -> Vec<(&'i Suspect, u64)> {
    let most = usize::try_from(config.hypotheses_max).unwrap_or(usize::MAX);
    court
        .inquest
        .suspects
        .iter()
        .map(|suspect| (suspect, key_of(court.scene, suspect.culprit)))
        .take(most.saturating_add(LINGER))
        .enumerate()
        .filter(|(rank, (_, key))| *rank < most || before.held.contains_key(key))
        .map(|(_, named)| named)
        .filter(|(suspect, _)| suspect.confidence >= config.hypothesis_confidence_min)
        .filter(|(suspect, _)| percent(suspect.confidence) > 0)
        .collect()
}

/// Whole percents of a number from 0 to 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0 to 100 before"
)]
fn percent(confidence: f64) -> u8 {
    (confidence.clamp(0.0, 1.0) * 100.0).round() as u8
}

fn cause(scene: &Scene<'_>, culprit: Culprit) -> Cause {
    match culprit {
        Culprit::Entity(entity) => Cause::Entity(scene.entity(entity).clone()),
        Culprit::Change(change) => Cause::from(scene.changes[change].view),
        Culprit::Alert(alert) => Cause::from(scene.alerts[alert].view),
    }
}

fn key_of(scene: &Scene<'_>, culprit: Culprit) -> u64 {
    match culprit {
        Culprit::Entity(entity) => {
            let entity = scene.entity(entity);
            hash(&["entity", &entity.kind, &entity.name])
        }
        Culprit::Change(change) => hash(&["change", &scene.changes[change].view.id]),
        Culprit::Alert(alert) => hash(&["alert", &scene.alerts[alert].view.id]),
    }
}

/// All that can be a cause, by its key; put together when it is first needed,
/// which is seldom.
struct Causes<'s, 'a> {
    scene: &'s Scene<'a>,
    by_key: OnceCell<BTreeMap<u64, Culprit>>,
}

impl<'s, 'a> Causes<'s, 'a> {
    fn new(scene: &'s Scene<'a>) -> Self {
        Self {
            scene,
            by_key: OnceCell::new(),
        }
    }

    /// The cause that was remembered by this key, if the situation shows it.
    fn with_key(&self, key: u64) -> Option<Cause> {
        let by_key = self.by_key.get_or_init(|| {
            let entities = (0..self.scene.entities_len()).map(Culprit::Entity);
            let changes = (0..self.scene.changes.len()).map(Culprit::Change);
            let alerts = (0..self.scene.alerts.len()).map(Culprit::Alert);
            entities
                .chain(changes)
                .chain(alerts)
                .map(|culprit| (key_of(self.scene, culprit), culprit))
                .collect()
        });
        by_key.get(&key).map(|&culprit| cause(self.scene, culprit))
    }
}

/// Confidence 0: a suspect no more.
fn withdrawal(best: Option<&Suspect>, court: &Court<'_, '_>) -> Because {
    let reason = "no longer among the likeliest causes".to_owned();
    let against: Vec<Evidence> = best
        .map(|best| {
            let better = court.because(best);
            Evidence::new(format!("more likely: {}", better.reason))
        })
        .into_iter()
        .collect();
    Because {
        reason,
        confidence: 0.0,
        evidence: Vec::new(),
        against,
    }
}
