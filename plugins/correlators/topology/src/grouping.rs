//! Which alerts belong together.
//!
//! Newcomers are taken in the order in which they began. Each joins the group
//! that it is most surely related to, or founds one of its own; a newcomer that
//! ties several groups together makes them one. Incidents are groups from the
//! start. A group of newcomers becomes an incident once its findings together
//! are convincing, and waits until then.
//!
//! This only decides; [`crate::proposals`] says it in words.

use std::collections::BTreeMap;

use faultline_sdk::Timestamp;

use crate::config::Config;
use crate::links::Links;
use crate::measure::noisy_or;
use crate::relations::Relations;
use crate::scene::{AlertIndex, IncidentIndex, Scene};
use crate::timing::share_of;

/// A finding with score 0 needs a relation this much surer than an alert that
/// somebody sent.
const DOUBT: f64 = 0.4;
/// What further findings about one entity add to the first: they are often
/// one thing, measured twice.
const REPEATED: f64 = 0.5;

/// An incident of nothing but faint findings is quiet when none began for this
/// share of the window.
const QUIET: f64 = 0.25;
/// The most members of one incident, and the most in one call, of which it is
/// asked whether faint incidents belong to theirs.
const ABSORBERS_EACH_MAX: usize = 8;
const ABSORBERS_MAX: usize = 256;

/// An alert that found its place.
#[derive(Debug, Clone)]
pub(crate) struct Newcomer {
    pub(crate) alert: AlertIndex,
    /// Why it belongs there. Nothing for the one that founded the group.
    pub(crate) links: Links,
    /// Why other groups that it was related to became one with this.
    pub(crate) ties: Vec<Links>,
    /// How sure.
    pub(crate) confidence: f64,
    /// Incidents that it is related to as surely, and that stay apart.
    pub(crate) apart: Vec<IncidentIndex>,
}

/// A newcomer that made two groups one.
#[derive(Debug, Clone)]
pub(crate) struct Tie {
    pub(crate) by: AlertIndex,
    /// The incident that was folded.
    pub(crate) folded: IncidentIndex,
    /// How the newcomer is related to either side: the one it joined, and the
    /// other.
    pub(crate) joined: Links,
    pub(crate) other: Links,
    pub(crate) confidence: f64,
}

/// Alerts that belong together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    /// The incident that stands for it, if there is one.
    pub(crate) incident: Option<IncidentIndex>,
    /// Incidents that turned out to be the same.
    pub(crate) ties: Vec<Tie>,
    /// Who came in this call, in order.
    pub(crate) newcomers: Vec<Newcomer>,
    /// All members, those included that the situation does not show.
    size: usize,
    /// Whether one of those shown could have opened an incident by itself.
    strong: bool,
    /// When the last of those shown began.
    latest: Timestamp,
    /// Where those went for whom there was no room.
    continued_by: Option<usize>,
}

impl Group {
    /// An incident none of whose members could have opened one by itself.
    fn is_faint_incident(&self) -> bool {
        self.incident.is_some() && !self.strong
    }

    /// Whether this is to be an incident of its own beside that faint one.
    fn outgrew(&self, other: &Self) -> bool {
        self.incident.is_none() && self.strong && other.is_faint_incident()
    }
}

/// How much a relation of a newcomer with this score is trusted.
fn trust(score: f64) -> f64 {
    1.0 - DOUBT * (1.0 - score)
}

/// The groups in the making.
struct Groups<'s, 'a> {
    scene: &'s Scene<'a>,
    config: &'s Config,
    all: Vec<Group>,
    /// Where a group went that was made one with another.
    merged_into: Vec<usize>,
    /// The group of each alert that has a place.
    of_alert: Vec<Option<usize>>,
    /// Whether time has moved on since the last call.
    moved_on: bool,
}

/// Groups the candidates; what has neither newcomers nor ties is left out.
/// Incidents that were outgrown are folded if time has moved on since the last
/// call.
pub(crate) fn group(
    scene: &Scene<'_>,
    config: &Config,
    candidates: &[AlertIndex],
    moved_on: bool,
) -> Vec<Group> {
    let mut relations = Relations::new(scene, config);
    let mut groups = Groups::of_incidents(scene, config);
    groups.moved_on = moved_on;
    for (incident, case) in scene.incidents.iter().enumerate() {
        for &member in &case.members {
            groups.take_in(incident, member);
            relations.place(member);
        }
    }
    if moved_on {
        groups.absorb(&mut relations);
    }
    for &candidate in candidates {
        let links = relations.links(candidate, |witness| groups.find_of(witness));
        groups.settle(candidate, links);
        relations.place(candidate);
    }
    groups
        .all
        .into_iter()
        .filter(|group| !group.newcomers.is_empty() || !group.ties.is_empty())
        .collect()
}

impl<'s, 'a> Groups<'s, 'a> {
    fn of_incidents(scene: &'s Scene<'a>, config: &'s Config) -> Self {
        let groups: Vec<Group> = scene
            .incidents
            .iter()
            .enumerate()
            .map(|(incident, case)| Group {
                incident: Some(incident),
                size: usize::try_from(case.view.size).unwrap_or(usize::MAX),
                ..Group::default()
            })
            .collect();
        Self {
            scene,
            config,
            merged_into: (0..groups.len()).collect(),
            all: groups,
            of_alert: vec![None; scene.alerts.len()],
            moved_on: false,
        }
    }

    fn find(&self, mut group: usize) -> usize {
        while self.merged_into[group] != group {
            group = self.merged_into[group];
        }
        group
    }

    /// The group of an alert that has a place.
    fn find_of(&self, alert: AlertIndex) -> usize {
        self.of_alert[alert].map_or(usize::MAX, |group| self.find(group))
    }

    fn members_max(&self) -> usize {
        usize::try_from(self.config.members_max).unwrap_or(usize::MAX)
    }

    /// Finds the place of one newcomer.
    fn settle(&mut self, alert: AlertIndex, links: BTreeMap<usize, Links>) {
        let seen = &self.scene.alerts[alert];
        let trust = trust(seen.score);
        let mut related: Vec<(f64, usize, Links)> = links
            .into_iter()
            .filter(|(group, _)| *group < self.all.len())
            .map(|(group, links)| (links.total() * trust, group, links))
            .filter(|(confidence, _, _)| *confidence >= self.config.join_confidence)
            .collect();
        related.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let (mut related, outgrown): (Vec<_>, Vec<_>) = related
            .into_iter()
            .partition(|(_, group, _)| !self.outgrows(alert, *group));
        let mut apart: Vec<IncidentIndex> = outgrown
            .iter()
            .filter_map(|(_, group, _)| self.all[*group].incident)
            .collect();
        let home = related
            .iter()
            .position(|(_, group, _)| !self.is_full(*group));
        let Some(home) = home else {
            self.found_or_follow(alert, related, apart);
            return;
        };
        let (confidence, group, links) = related.remove(home);
        let mut ties = Vec::new();
        for (other_confidence, other, other_links) in related {
            let sure = confidence.min(other_confidence);
            if self.find(other) == self.find(group) {
                continue;
            }
            if self.is_one(trust, (group, &links), (other, &other_links), sure) {
                self.unite((group, &links), (other, &other_links), (alert, sure));
                ties.push(other_links);
            } else {
                apart.extend(self.all[other].incident);
            }
        }
        let group = self.find(group);
        self.take_in(group, alert);
        self.all[group].size += 1;
        self.all[group].newcomers.push(Newcomer {
            alert,
            links,
            ties,
            confidence,
            apart,
        });
    }

    /// This group is the place of this alert.
    fn take_in(&mut self, group: usize, alert: AlertIndex) {
        let strong = self.is_strong(alert);
        let started = self.scene.alerts[alert].view.started;
        self.of_alert[alert] = Some(group);
        let group = &mut self.all[group];
        group.strong |= strong;
        group.latest = group.latest.max(started);
    }

    /// Whether an alert is enough for an incident by itself.
    fn is_strong(&self, alert: AlertIndex) -> bool {
        let alert = &self.scene.alerts[alert];
        alert.severity >= self.config.open_severity
            || (alert.severity >= self.config.open_severity_min
                && alert.score >= self.config.open_score)
    }

    /// Whether an alert is too much for an incident that exists: one of faint
    /// findings only. Its title speaks of noise, and an outage would drown in
    /// it; so the alert opens one of its own, which may absorb the other.
    fn outgrows(&self, alert: AlertIndex, group: usize) -> bool {
        self.all[self.find(group)].is_faint_incident()
            && self.scene.alerts[alert].view.firing
            && self.is_strong(alert)
    }

    /// Lets incidents that were opened lately absorb the faint ones that they
    /// outgrew, if those had not been quiet by then: they were the first signs.
    fn absorb(&mut self, relations: &mut Relations<'_, '_>) {
        if !self.all.iter().any(Group::is_faint_incident) {
            return;
        }
        let mut left = ABSORBERS_MAX;
        for (young, case) in self.scene.incidents.iter().enumerate() {
            let age = self.scene.now.saturating_sub(case.view.opened);
            if age == 0 || age > self.config.window() || !self.all[young].strong {
                continue;
            }
            let strong = case
                .members
                .iter()
                .filter(|&&member| self.is_strong(member));
            let strong: Vec<AlertIndex> =
                strong.copied().take(ABSORBERS_EACH_MAX.min(left)).collect();
            left -= strong.len();
            for member in strong {
                let links = relations.links(member, |witness| self.find_of(witness));
                self.absorb_into(young, member, &links);
            }
        }
    }

    fn absorb_into(&mut self, young: usize, member: AlertIndex, links: &BTreeMap<usize, Links>) {
        let alert = &self.scene.alerts[member];
        let quiet = share_of(self.config.window(), QUIET);
        let opened = self.scene.incidents[young].view.opened;
        for (&old, other) in links {
            let old = self.find(old);
            let (kept, gone) = (self.find(young), &self.all[old]);
            let older = gone
                .incident
                .is_some_and(|old| self.scene.incidents[old].view.opened <= opened);
            let confidence = other.total() * trust(alert.score);
            if old != kept
                && older
                && gone.is_faint_incident()
                && alert.view.started <= gone.latest.saturating_add(quiet)
                && confidence >= self.config.join_confidence
                && gone.size + self.all[kept].size < self.members_max()
            {
                let joined = links.get(&young).cloned().unwrap_or_default();
                self.unite((kept, &joined), (old, other), (member, confidence));
            }
        }
    }

    /// A newcomer for whom there is no room where it belongs goes where others
    /// went before it, or founds a group of its own. Without that, each alert
    /// of a storm would open an incident once the first is full.
    fn found_or_follow(
        &mut self,
        alert: AlertIndex,
        full: Vec<(f64, usize, Links)>,
        mut apart: Vec<IncidentIndex>,
    ) {
        let incidents = full
            .iter()
            .filter_map(|(_, group, _)| self.all[*group].incident);
        apart.extend(incidents);
        let last = full.first().map(|(_, group, _)| self.last_of(*group));
        let room = last.filter(|&last| !self.is_full(last));
        let (confidence, links) = match full.into_iter().next().filter(|_| room.is_some()) {
            Some((confidence, _, links)) => (confidence, links),
            None => (self.scene.alerts[alert].score, Links::default()),
        };
        let group = room.unwrap_or_else(|| self.found(last));
        self.take_in(group, alert);
        self.all[group].size += 1;
        self.all[group].newcomers.push(Newcomer {
            alert,
            links,
            ties: Vec::new(),
            confidence,
            apart,
        });
    }

    /// A new group, which continues one that is full, if any.
    fn found(&mut self, full: Option<usize>) -> usize {
        let new = self.all.len();
        if let Some(full) = full {
            self.all[full].continued_by = Some(new);
        }
        self.merged_into.push(new);
        self.all.push(Group::default());
        new
    }

    fn is_full(&self, group: usize) -> bool {
        self.all[group].size >= self.members_max()
    }

    /// The last of the groups that continue one another.
    fn last_of(&self, group: usize) -> usize {
        let mut last = self.find(group);
        while let Some(next) = self.all[last].continued_by {
            last = self.find(next);
        }
        last
    }

    /// Whether a newcomer that is related to both groups makes them one: not
    /// if it merely suffers from both.
    fn is_one(
        &self,
        trust: f64,
        (group, links): (usize, &Links),
        (other, other_links): (usize, &Links),
        sure: f64,
    ) -> bool {
        let (group, other) = (self.find(group), self.find(other));
        let (here, there) = (&self.all[group], &self.all[other]);
        let both_exist = here.incident.is_some() && there.incident.is_some();
        // What a call has just set apart is not made one by asking again.
        let too_soon = both_exist && !self.moved_on;
        if too_soon || here.outgrew(there) || there.outgrew(here) {
            return false;
        }
        let threshold = if both_exist {
            self.config.merge_confidence
        } else {
            self.config.join_confidence
        };
        let binding = links.binding().max(other_links.binding()) * trust;
        let size = self.all[group].size + self.all[other].size;
        sure >= threshold && binding >= threshold && size < self.members_max()
    }

    /// Makes two groups one. The older incident stands for both, unless it
    /// alone is made of faint findings.
    fn unite(
        &mut self,
        (group, links): (usize, &Links),
        (other, other_links): (usize, &Links),
        (by, confidence): (AlertIndex, f64),
    ) {
        let (group, other) = (self.find(group), self.find(other));
        let age = |group: usize| {
            let Group {
                incident, strong, ..
            } = self.all[group];
            let newer = incident.unwrap_or(usize::MAX);
            (incident.is_none(), !strong, newer, group)
        };
        let (kept, gone) = if age(group) <= age(other) {
            (group, other)
        } else {
            (other, group)
        };
        let gone_group = std::mem::take(&mut self.all[gone]);
        self.merged_into[gone] = kept;
        let kept_group = &mut self.all[kept];
        kept_group.size += gone_group.size;
        kept_group.strong |= gone_group.strong;
        kept_group.latest = kept_group.latest.max(gone_group.latest);
        kept_group.newcomers.extend(gone_group.newcomers);
        kept_group.newcomers.sort_by_key(|newcomer| newcomer.alert);
        kept_group.ties.extend(gone_group.ties);
        if let Some(folded) = gone_group.incident {
            kept_group.ties.push(Tie {
                by,
                folded,
                joined: links.clone(),
                other: other_links.clone(),
                confidence,
            });
        }
    }
}

/// How convincing these alerts are together, 0 to 1, and whether that is
/// enough for an incident: one that somebody sent, one that is severe enough,
/// or several findings that agree. Of findings about one entity the best
/// counts in full.
pub(crate) fn convincing(
    scene: &Scene<'_>,
    config: &Config,
    members: &[AlertIndex],
) -> (f64, bool) {
    let mut weighty: Vec<(Option<usize>, f64)> = members
        .iter()
        .map(|&member| &scene.alerts[member])
        .filter(|alert| alert.severity >= config.open_severity_min)
        .map(|alert| (alert.primary(), alert.score))
        .collect();
    weighty.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut last = None;
    let scores: Vec<f64> = weighty
        .iter()
        .map(|&(entity, score)| {
            let repeated = last == Some(entity);
            last = Some(entity);
            if repeated { score * REPEATED } else { score }
        })
        .collect();
    let together = noisy_or(scores);
    let mut firing = members
        .iter()
        .map(|&member| &scene.alerts[member])
        .filter(|alert| alert.view.firing && alert.severity >= config.open_severity_min)
        .peekable();
    let anything_fires = firing.peek().is_some();
    let severe = firing.any(|alert| alert.severity >= config.open_severity);
    (
        together,
        anything_fires && (severe || together >= config.open_score),
    )
}
