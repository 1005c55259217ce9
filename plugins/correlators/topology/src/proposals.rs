//! Groups as proposals: what to merge, what to open, who joins.
//!
//! An incident is opened with the one alert that it is about, and the others
//! join it, so that each edge has a reason of its own. Many that join for the
//! same reason do so together.

use std::collections::{BTreeMap, BTreeSet};

use faultline_sdk::{Because, Proposal, Target};

use crate::config::Config;
use crate::evidence::{Bond, EVIDENCE_MAX, alert, for_it, joining, said, titled};
use crate::graph::EntityId;
use crate::grouping::{Group, Newcomer, Tie, convincing};
use crate::links::{How, Meaning};
use crate::measure::{CONFIDENCE_MAX, rounded};
use crate::scene::{AlertIndex, IncidentIndex, Scene};
use crate::timing::SKEW;
use crate::title::{lead, title};
use crate::words::{count, duration, name, quote, sentence};

/// Up to so many newcomers each join by themselves; more are put together
/// where their reasons are alike.
const JOINS_APART_MAX: usize = 20;

/// An incident as it will be if the host accepts.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    /// The incident that exists, or the alert that founds a new one.
    pub(crate) stands_for: StandsFor,
    /// The members that the situation shows, in the scene's order.
    pub(crate) members: Vec<AlertIndex>,
}

/// What an incident is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StandsFor {
    Incident(IncidentIndex),
    Founder(AlertIndex),
}

/// What comes of the groups.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) proposals: Vec<Proposal>,
    /// The incidents that exist or are opened now, with their members.
    pub(crate) plans: Vec<Plan>,
    /// The alerts for which a place was proposed.
    pub(crate) proposed: Vec<AlertIndex>,
    /// Incidents that are folded into others.
    pub(crate) folded: Vec<IncidentIndex>,
}

/// Says in words what was decided.
pub(crate) fn propose(scene: &Scene<'_>, config: &Config, groups: &[Group]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut touched: BTreeMap<IncidentIndex, Vec<AlertIndex>> = BTreeMap::new();
    for group in groups {
        match group.incident {
            Some(incident) => {
                outcome.merge(scene, incident, group);
                let target = Target::from(scene.incidents[incident].view);
                outcome.join(scene, config, &target, group, None);
                touched.insert(incident, members_after(scene, incident, group));
            }
            None => outcome.open(scene, config, group),
        }
    }
    let folded: BTreeSet<IncidentIndex> = outcome.folded.iter().copied().collect();
    for (incident, case) in scene.incidents.iter().enumerate() {
        if !folded.contains(&incident) {
            outcome.plans.push(Plan {
                target: Target::from(case.view),
                stands_for: StandsFor::Incident(incident),
                members: touched
                    .remove(&incident)
                    .unwrap_or_else(|| case.members.clone()),
            });
        }
    }
    outcome
}

impl Outcome {
    fn merge(&mut self, scene: &Scene<'_>, incident: IncidentIndex, group: &Group) {
        let Some(first) = group.ties.first() else {
            return;
        };
        let folded: Vec<IncidentIndex> = group.ties.iter().map(|tie| tie.folded).collect();
        let confidence = group
            .ties
            .iter()
            .map(|tie| tie.confidence)
            .fold(1.0, f64::min);
        let because = Because {
            reason: sentence(&format!(
                "{} is related to {}",
                titled(scene, first.by),
                match folded.len() {
                    1 => "both".to_owned(),
                    more => format!("all {}", more + 1),
                }
            )),
            confidence: rounded(confidence),
            evidence: evidence_of_ties(scene, &group.ties),
            against: against_merging(scene, incident, &folded),
        };
        let id = |incident: IncidentIndex| scene.incidents[incident].view.id.clone();
        self.proposals.push(Proposal::merge(
            id(incident),
            folded.iter().map(|&folded| id(folded)),
            because,
        ));
        self.folded.extend(folded);
    }

    fn open(&mut self, scene: &Scene<'_>, config: &Config, group: &Group) {
        let members: Vec<AlertIndex> = group
            .newcomers
            .iter()
            .map(|newcomer| newcomer.alert)
            .collect();
        let (confidence, enough) = convincing(scene, config, &members);
        let Some(lead) = lead(scene, &members).filter(|_| enough) else {
            return;
        };
        let tag = format!("opening-{}", self.proposals.len());
        self.proposals.push(Proposal::open(
            tag.clone(),
            title(scene, lead, &members),
            [scene.alerts[lead].view.id.clone()],
            opening(scene, group, lead, confidence),
        ));
        self.proposed.push(lead);
        let target = Target::Opening(tag);
        self.join(scene, config, &target, group, Some(lead));
        self.plans.push(Plan {
            target,
            stands_for: StandsFor::Founder(lead),
            members,
        });
    }

    /// Lets the newcomers join, but for the one that the incident is opened
    /// with.
    fn join(
        &mut self,
        scene: &Scene<'_>,
        config: &Config,
        target: &Target,
        group: &Group,
        founder: Option<AlertIndex>,
    ) {
        let together = group.newcomers.len() > JOINS_APART_MAX;
        let mut alike: BTreeMap<Likeness, usize> = BTreeMap::new();
        let mut joins: Vec<Join<'_>> = Vec::new();
        for newcomer in &group.newcomers {
            if Some(newcomer.alert) == founder {
                continue;
            }
            let bonds = bonds_of(group, newcomer);
            let place = match bonds.first().filter(|_| together) {
                Some(bond) => *alike
                    .entry(Likeness::of(&bond.link.how))
                    .or_insert(joins.len()),
                None => joins.len(),
            };
            if let Some(join) = joins.get_mut(place) {
                join.members.push(newcomer.alert);
                join.confidence = join.confidence.min(newcomer.confidence);
            } else {
                joins.push(Join {
                    members: vec![newcomer.alert],
                    confidence: newcomer.confidence,
                    first: newcomer,
                    bonds,
                });
            }
        }
        for join in joins {
            let alike = join.members.len() - 1;
            let mut because = joining(scene, config, join.first, &join.bonds, alike);
            because.confidence = rounded(join.confidence);
            self.proposals.push(Proposal::join(
                target.clone(),
                join.members
                    .iter()
                    .map(|&member| scene.alerts[member].view.id.clone()),
                because,
            ));
            self.proposed.extend(join.members);
        }
    }
}

/// Newcomers that join for one reason.
struct Join<'g> {
    members: Vec<AlertIndex>,
    /// Of the least sure.
    confidence: f64,
    /// The one that the reason is told of.
    first: &'g Newcomer,
    bonds: Vec<Bond<'g>>,
}

/// Reasons that are alike but for who has them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    Same(EntityId),
    Path(EntityId, Meaning),
    Siblings(EntityId),
    Label(String, String),
    Change(usize),
}

impl Likeness {
    fn of(how: &How) -> Self {
        match how {
            How::Same { entity } => Likeness::Same(*entity),
            How::Path { to, meaning, .. } => Likeness::Path(*to, *meaning),
            How::Siblings { provider, .. } => Likeness::Siblings(*provider),
            How::Label { key, value, .. } => Likeness::Label(key.clone(), value.clone()),
            How::Change { change } => Likeness::Change(*change),
        }
    }
}

/// The links of a newcomer, strongest first. The one that founded the group
/// has none: what ties it are the links of those that came because of it.
fn bonds_of<'g>(group: &'g Group, newcomer: &'g Newcomer) -> Vec<Bond<'g>> {
    let of = newcomer.alert;
    let own = newcomer.links.strongest_first();
    if !own.is_empty() {
        return own.into_iter().map(|link| Bond { of, link }).collect();
    }
    let bonds = |other: &'g Newcomer| {
        std::iter::once(&other.links)
            .chain(&other.ties)
            .flat_map(|links| links.strongest_first())
            .map(|link| Bond {
                of: other.alert,
                link,
            })
    };
    group
        .newcomers
        .iter()
        .flat_map(bonds)
        .filter(|bond| bond.link.near.witness == of)
        .take(1)
        .collect()
}

fn members_after(scene: &Scene<'_>, incident: IncidentIndex, group: &Group) -> Vec<AlertIndex> {
    let folded = group.ties.iter().map(|tie| tie.folded);
    let mut members: Vec<AlertIndex> = std::iter::once(incident)
        .chain(folded)
        .flat_map(|incident| scene.incidents[incident].members.iter().copied())
        .chain(group.newcomers.iter().map(|newcomer| newcomer.alert))
        .collect();
    members.sort_unstable();
    members.dedup();
    members
}

/// Why a new incident is opened.
fn opening(scene: &Scene<'_>, group: &Group, lead: AlertIndex, confidence: f64) -> Because {
    let seen = &scene.alerts[lead];
    let alerts = group.newcomers.len();
    let reason = if alerts == 1 {
        format!("{}, reported by {}", titled(scene, lead), seen.view.origin)
    } else {
        let starts = group
            .newcomers
            .iter()
            .map(|newcomer| scene.alerts[newcomer.alert].view.started);
        let span = starts.clone().max().unwrap_or(0) - starts.min().unwrap_or(0);
        format!(
            "{} and {} related within {}",
            titled(scene, lead),
            count(alerts - 1, "other", "others"),
            duration(span)
        )
    };
    let mut evidence = vec![said(
        &format!(
            "{} fires with severity {} and score {:.2}",
            titled(scene, lead),
            seen.severity,
            seen.score
        ),
        [alert(scene, lead)],
    )];
    for newcomer in group.newcomers.iter().filter(|other| other.alert != lead) {
        if let Some(&bond) = bonds_of(group, newcomer).first()
            && evidence.len() < EVIDENCE_MAX
        {
            evidence.push(for_it(scene, bond));
        }
    }
    Because {
        reason: sentence(&reason),
        confidence: rounded(confidence.min(CONFIDENCE_MAX)),
        evidence,
        against: against_opening(scene, group, lead),
    }
}

fn against_opening(
    scene: &Scene<'_>,
    group: &Group,
    lead: AlertIndex,
) -> Vec<faultline_sdk::Evidence> {
    let mut against = Vec::new();
    if group.newcomers.len() == 1 {
        against.push(said("no other alert corroborates it", [alert(scene, lead)]));
    }
    match scene.alerts[lead].primary() {
        None => against.push(said(
            "it names no entity: what it is related to can hardly be known",
            [alert(scene, lead)],
        )),
        Some(entity) if !scene.graph.knows(entity) => against.push(said(
            &format!(
                "no dependency of {} is known: related alerts may be missed",
                name(scene.entity(entity))
            ),
            [crate::evidence::entity(scene, entity)],
        )),
        Some(_) => {}
    }
    let full: BTreeSet<IncidentIndex> = group
        .newcomers
        .iter()
        .flat_map(|newcomer| newcomer.apart.iter().copied())
        .collect();
    for incident in full.into_iter().take(2) {
        let title = quote(&scene.incidents[incident].view.title);
        against.push(said(
            &format!("it is related to the incident {title}, which stays apart or is full"),
            [alert(scene, lead)],
        ));
    }
    against
}

fn evidence_of_ties(scene: &Scene<'_>, ties: &[Tie]) -> Vec<faultline_sdk::Evidence> {
    let mut evidence = Vec::new();
    for tie in ties {
        for links in [&tie.joined, &tie.other] {
            if let Some(link) = links.strongest_first().first()
                && evidence.len() < EVIDENCE_MAX
            {
                let sentence = for_it(scene, Bond { of: tie.by, link });
                if !evidence.contains(&sentence) {
                    evidence.push(sentence);
                }
            }
        }
    }
    evidence
}

fn against_merging(
    scene: &Scene<'_>,
    incident: IncidentIndex,
    folded: &[IncidentIndex],
) -> Vec<faultline_sdk::Evidence> {
    let kept = scene.incidents[incident].view;
    let mut against = Vec::new();
    for &other in folded.iter().take(EVIDENCE_MAX) {
        let other = scene.incidents[other].view;
        let apart = kept.opened.abs_diff(other.opened);
        if apart > SKEW {
            against.push(said(
                &format!(
                    "{} was opened {} {}, as something of its own",
                    quote(&other.title),
                    duration(apart),
                    if other.opened < kept.opened {
                        "earlier"
                    } else {
                        "later"
                    }
                ),
                [],
            ));
        }
    }
    against
}
