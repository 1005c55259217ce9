//! The rules about incidents: which proposals, acts of people, changes of
//! alerts and passages of time become events, and which are refused and why.
//!
//! Plugins propose; this decides. An alert is a member of at most one incident
//! that is not closed: that is a property of the index, not of a check
//! somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::entity::Entity;
use crate::envelope::Position;
use crate::id::{AlertId, IncidentId, InstanceName, ScopeName};
use crate::incident::{Act, Author, Facts, Happening, Incident, IncidentEvent, Phase, Resolution};
use crate::members::Members;
use crate::proposal::{Because, Cause, Proposal, Reference, Target, Verdict};
use crate::situation::{AlertView, Contents, Situation};
use crate::time::Timestamp;

/// The most characters of a title or a sentence; what is longer is cut.
pub const TEXT_CHARS_MAX: usize = 500;

/// The most bytes of one because: texts, and what its references name. Each of
/// its members keeps a copy.
const BECAUSE_BYTES_MAX: usize = 32 << 10;

/// The most events that one verdict brings about: merging the same members over
/// and over would make any number of them.
const VERDICT_EVENTS_MAX: usize = 10_000;

/// The most refusals of one verdict that are kept. One more says that there were
/// others: each is a row, and a correlator is asked ten times a second.
const VERDICT_REFUSALS_MAX: usize = 100;

/// How incidents live, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentPolicy {
    /// How long all members must stay resolved before the incident is.
    pub resolve_delay: Duration,
    /// How long after that a member that fires again reopens it.
    pub reopen_window: Duration,
    /// The most members of one incident.
    pub members_max: usize,
    /// The most hypotheses of one incident.
    pub hypotheses_max: usize,
    /// The most incidents that are not closed.
    pub open_max: usize,
    /// The most of these whose members were all reported by one source: what
    /// one sender can take of what all share.
    pub open_per_source_max: usize,
}

impl Default for IncidentPolicy {
    fn default() -> Self {
        Self {
            resolve_delay: Duration::from_secs(60),
            reopen_window: Duration::from_secs(30 * 60),
            members_max: 1_000,
            hypotheses_max: 20,
            open_max: 1_000,
            open_per_source_max: 500,
        }
    }
}

/// Why a proposal or an act was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Nothing to do it with.
    #[error("names no members")]
    NoMembers,
    /// What is over opens nothing.
    #[error("none of its members fires")]
    NothingFires,
    /// The situation has no such alert.
    #[error("{0} is not in the situation")]
    UnknownAlert(AlertId),
    /// It has one already.
    #[error("{alert} is already a member of {incident}")]
    AlreadyMember {
        /// Which alert.
        alert: AlertId,
        /// Where it is a member.
        incident: IncidentId,
    },
    /// It is not a member of the incident that should lose it.
    #[error("{alert} is not a member of {incident}")]
    NotMember {
        /// Which alert.
        alert: AlertId,
        /// Which incident.
        incident: IncidentId,
    },
    /// Splitting off everything is no split.
    #[error("splits off all members of {0}")]
    SplitsAll(IncidentId),
    /// No such incident, or it is closed.
    #[error("{0} does not exist or is closed")]
    UnknownIncident(IncidentId),
    /// A target that no earlier proposal of the verdict opened.
    #[error("no opening of this verdict has the tag `{0}`")]
    UnknownTag(String),
    /// Two openings with one tag.
    #[error("the tag `{0}` stands twice in this verdict")]
    TagTwice(String),
    /// An incident cannot absorb itself.
    #[error("merges {0} with itself")]
    MergesItself(IncidentId),
    /// In the same round another correlator opened it, and folded it away.
    #[error("{0} was opened of the same alerts a moment ago")]
    OpenedBefore(IncidentId),
    /// It speaks of what was not shown.
    #[error("refers to {0}, which is not in the situation")]
    UnknownReference(String),
    /// A limit.
    #[error("limit.{limit}: {most} at most")]
    Limit {
        /// Its name.
        limit: String,
        /// Its value.
        most: usize,
    },
    /// The incident is not in a phase in which this can be done.
    #[error("the incident is {phase}: {remedy}")]
    WrongPhase {
        /// Where it stands.
        phase: String,
        /// What could be done instead.
        remedy: String,
    },
}

/// A proposal that was refused.
#[derive(Debug, Clone, PartialEq)]
pub struct RefusedProposal {
    /// Who proposed it.
    pub author: Author,
    /// What.
    pub proposal: Proposal,
    /// Why not.
    pub refusal: Refusal,
}

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// They look after the incident.
    Acknowledge {
        /// Which.
        incident: IncidentId,
    },
    /// It is over.
    Resolve {
        /// Which.
        incident: IncidentId,
    },
    /// An instance that is backing off or quarantined is called again.
    Resume {
        /// Which.
        instance: InstanceName,
    },
}

/// When and where in the journal something comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Event time.
    pub at: Timestamp,
    /// The last envelope that is known.
    pub position: Position,
}

/// All incidents that are not closed.
#[derive(Debug, Clone)]
pub struct Incidents {
    scope: ScopeName,
    policy: IncidentPolicy,
    /// Shared with whoever writes them down: one has up to a thousand members, and
    /// most of them stay as they are.
    by_id: BTreeMap<IncidentId, Arc<Incident>>,
    /// The one incident that each alert is a member of.
    membership: BTreeMap<AlertId, IncidentId>,
    /// Closed or merged since [`Incidents::take_finished`] was last called.
    finished: Vec<Arc<Incident>>,
}

impl Incidents {
    /// From the projections of those that are not closed.
    pub fn new(
        scope: ScopeName,
        policy: IncidentPolicy,
        open: impl IntoIterator<Item = Incident>,
    ) -> Self {
        let by_id: BTreeMap<_, _> = open
            .into_iter()
            .filter(|incident| !incident.phase.is_final())
            .map(|incident| (incident.id, Arc::new(incident)))
            .collect();
        let membership = by_id
            .values()
            .flat_map(|incident| incident.members.keys().map(|alert| (*alert, incident.id)))
            .collect();
        Self {
            scope,
            policy,
            by_id,
            membership,
            finished: Vec::new(),
        }
    }

    /// Those that were closed or merged since this was last called, as they
    /// ended.
    pub fn take_finished(&mut self) -> Vec<Arc<Incident>> {
        std::mem::take(&mut self.finished)
    }

    /// Those that are not closed, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Incident> {
        self.by_id.values().map(|incident| &**incident)
    }

    /// One that is not closed.
    pub fn get(&self, id: IncidentId) -> Option<&Arc<Incident>> {
        self.by_id.get(&id)
    }

    /// The incident that an alert is a member of.
    pub fn incident_of(&self, alert: AlertId) -> Option<IncidentId> {
        self.membership.get(&alert).copied()
    }

    /// An alert went through a transition: its incident learns of it, and a
    /// member that fires reopens an incident that counted as resolved.
    pub fn alert_changed(&mut self, alert: &AlertView, moment: Moment) -> Vec<IncidentEvent> {
        let Some(id) = self.incident_of(alert.id) else {
            return Vec::new();
        };
        let Some(incident) = self.by_id.get(&id) else {
            return Vec::new();
        };
        let facts = Facts::from(alert);
        let before = incident.members.get(&alert.id).map(|member| &member.facts);
        if before == Some(&facts) {
            return Vec::new();
        }
        let began_anew = facts.firing
            && before.is_none_or(|before| !before.firing || before.episode != facts.episode);
        let reopens = incident.phase == Phase::Resolved && began_anew;
        let mut happenings = vec![Happening::MemberChanged {
            alert: alert.id,
            facts,
        }];
        if reopens {
            happenings.push(Happening::Reopened);
        }
        self.happen(id, &Author::Host, moment, happenings)
    }

    /// Time has reached `moment`: what stayed resolved long enough is resolved,
    /// then closed. The events bear the time at which they were due.
    pub fn pass_time(&mut self, moment: Moment) -> Vec<IncidentEvent> {
        let mut due: Vec<(Timestamp, IncidentId, Happening)> = Vec::new();
        for incident in self.by_id.values() {
            match (incident.phase, &incident.resolved) {
                (Phase::Open | Phase::Acknowledged, _) if !incident.is_firing() => {
                    let at = incident.quiet_since().plus(self.policy.resolve_delay);
                    let resolution = Resolution::MembersResolved;
                    due.push((at, incident.id, Happening::Resolved { resolution }));
                }
                (Phase::Resolved, Some((act, _))) => {
                    let at = act.at.plus(self.policy.reopen_window);
                    due.push((at, incident.id, Happening::Closed));
                }
                _ => {}
            }
        }
        due.retain(|(at, _, _)| *at <= moment.at);
        due.sort_by_key(|(at, id, _)| (*at, *id));
        due.into_iter()
            .flat_map(|(at, id, happening)| {
                let due = Moment { at, ..moment };
                self.happen(id, &Author::Host, due, vec![happening])
            })
            .collect()
    }

    /// Carries out what a person asks for.
    ///
    /// # Errors
    /// If there is no such incident, or it is past that.
    pub fn command(
        &mut self,
        command: &Command,
        person: &str,
        moment: Moment,
    ) -> Result<Vec<IncidentEvent>, Refusal> {
        let (id, happening) = match command {
            Command::Acknowledge { incident } => (*incident, Happening::Acknowledged),
            Command::Resolve { incident } => (
                *incident,
                Happening::Resolved {
                    resolution: Resolution::Declared,
                },
            ),
            // Nothing that happens to an incident.
            Command::Resume { .. } => return Ok(Vec::new()),
        };
        let incident = self.by_id.get(&id).ok_or(Refusal::UnknownIncident(id))?;
        let remedy = match (command, incident.phase) {
            (_, Phase::Open) | (Command::Resolve { .. }, Phase::Acknowledged) => None,
            (Command::Acknowledge { .. }, Phase::Acknowledged) => {
                Some("somebody looks after it already")
            }
            _ => Some("it reopens by itself if a member fires again"),
        };
        if let Some(remedy) = remedy {
            return Err(Refusal::WrongPhase {
                phase: incident.phase.as_str().to_owned(),
                remedy: remedy.to_owned(),
            });
        }
        let author = Author::Person {
            name: person.to_owned(),
        };
        Ok(self.happen(id, &author, moment, vec![happening]))
    }

    /// Applies the proposals of a verdict in order, each by itself. Of those that
    /// are refused the first are named; the last then says that there were more.
    pub fn propose(
        &mut self,
        verdict: Verdict,
        situation: &Situation,
        author: &Author,
        moment: Moment,
    ) -> (Vec<IncidentEvent>, Vec<RefusedProposal>) {
        let contents = situation.contents();
        let mut tags: BTreeMap<String, IncidentId> = BTreeMap::new();
        let mut events = Vec::new();
        let mut refused = Vec::new();
        for proposal in verdict.proposals {
            let bench = Bench {
                contents: &contents,
                author,
                moment,
            };
            let decided = if events.len() < VERDICT_EVENTS_MAX {
                self.decide(&proposal, &bench, &mut tags)
            } else {
                Err(limit("verdict-events", VERDICT_EVENTS_MAX))
            };
            match decided {
                Ok(more) => events.extend(more),
                Err(_) if refused.len() > VERDICT_REFUSALS_MAX => {}
                Err(refusal) => refused.push(RefusedProposal {
                    author: author.clone(),
                    proposal,
                    refusal: if refused.len() < VERDICT_REFUSALS_MAX {
                        refusal
                    } else {
                        limit("verdict-refusals", VERDICT_REFUSALS_MAX)
                    },
                }),
            }
        }
        (events, refused)
    }

    fn decide(
        &mut self,
        proposal: &Proposal,
        bench: &Bench<'_>,
        tags: &mut BTreeMap<String, IncidentId>,
    ) -> Result<Vec<IncidentEvent>, Refusal> {
        let because = bench.check(proposal.because())?;
        match proposal {
            Proposal::Open {
                tag,
                title,
                members,
                ..
            } => self.decide_open(bench, tags, (tag, title), members, &because, None),
            Proposal::Join {
                target, members, ..
            } => {
                let id = self.target(bench, target, tags)?;
                self.decide_join(bench, id, members, &because)
            }
            Proposal::Merge { keep, fold, .. } => self.decide_merge(bench, *keep, fold, &because),
            Proposal::Split {
                incident,
                tag,
                title,
                members,
                ..
            } => {
                self.check_split(bench, *incident, members)?;
                let from = Some(*incident);
                self.decide_open(bench, tags, (tag, title), members, &because, from)
            }
            Proposal::Blame { target, cause, .. } => {
                let id = self.target(bench, target, tags)?;
                self.decide_blame(bench, id, cause, because)
            }
        }
    }

    /// Whether the source that alone reported all of these alerts may have
    /// another incident.
    fn check_share(&self, members: &[&AlertView]) -> Result<(), Refusal> {
        let most = self.policy.open_per_source_max;
        let mut sources = members.iter().map(|member| member.source.as_ref());
        let Some(Some(source)) = sources.next() else {
            return Ok(());
        };
        if self.by_id.len() < most || sources.any(|other| other != Some(source)) {
            return Ok(());
        }
        let is_its_own = |incident: &&Incident| {
            let mut members = incident.members.values();
            members.all(|member| member.facts.source.as_ref() == Some(source))
        };
        if self.iter().filter(is_its_own).count() < most {
            return Ok(());
        }
        Err(limit("incidents-open-per-source", most))
    }

    /// Opens an incident of these alerts, which either have none yet or leave
    /// the one that is split.
    fn decide_open(
        &mut self,
        bench: &Bench<'_>,
        tags: &mut BTreeMap<String, IncidentId>,
        (tag, title): (&str, &str),
        members: &[AlertId],
        because: &Because,
        split_from: Option<IncidentId>,
    ) -> Result<Vec<IncidentEvent>, Refusal> {
        if tags.contains_key(tag) {
            return Err(Refusal::TagTwice(tag.to_owned()));
        }
        if self.by_id.len() >= self.policy.open_max {
            return Err(limit("incidents-open", self.policy.open_max));
        }
        let members = self.members(bench, members, split_from)?;
        if members.len() > self.policy.members_max {
            return Err(limit("incident-members", self.policy.members_max));
        }
        if !members.iter().any(|member| member.firing) {
            return Err(Refusal::NothingFires);
        }
        self.check_share(&members)?;
        let id = self.id_of(&members, bench.moment.position);
        // Ids are derived: the same alerts at the same place are the same
        // incident, which has a history already, even if it is over.
        if self.by_id.contains_key(&id) || self.finished.iter().any(|gone| gone.id == id) {
            return Err(Refusal::OpenedBefore(id));
        }
        let mut events = Vec::new();
        if let Some(from) = split_from {
            let left = members
                .iter()
                .map(|member| Happening::Left {
                    alert: member.id,
                    to: Some(id),
                })
                .collect();
            events.extend(self.happen(from, bench.author, bench.moment, left));
        }
        tags.insert(tag.to_owned(), id);
        let mut happenings = vec![Happening::Opened {
            title: clip(title),
            split_from,
        }];
        happenings.extend(members.iter().map(|member| joined(member, because)));
        events.extend(self.happen(id, bench.author, bench.moment, happenings));
        Ok(events)
    }

    fn decide_join(
        &mut self,
        bench: &Bench<'_>,
        id: IncidentId,
        members: &[AlertId],
        because: &Because,
    ) -> Result<Vec<IncidentEvent>, Refusal> {
        let members = self.members(bench, members, None)?;
        let incident = self.by_id.get(&id).ok_or(Refusal::UnknownIncident(id))?;
        if incident.members.len() + members.len() > self.policy.members_max {
            return Err(limit("incident-members", self.policy.members_max));
        }
        let reopens =
            incident.phase == Phase::Resolved && members.iter().any(|member| member.firing);
        let mut happenings: Vec<Happening> = members
            .iter()
            .map(|member| joined(member, because))
            .collect();
        if reopens {
            happenings.push(Happening::Reopened);
        }
        Ok(self.happen(id, bench.author, bench.moment, happenings))
    }

    fn decide_merge(
        &mut self,
        bench: &Bench<'_>,
        keep: IncidentId,
        fold: &[IncidentId],
        because: &Because,
    ) -> Result<Vec<IncidentEvent>, Refusal> {
        if fold.is_empty() {
            return Err(Refusal::NoMembers);
        }
        let fold: BTreeSet<IncidentId> = fold.iter().copied().collect();
        if fold.contains(&keep) {
            return Err(Refusal::MergesItself(keep));
        }
        let mut members_after = 0;
        for id in fold.iter().chain([&keep]) {
            let incident = self.shown(bench, *id)?;
            members_after += incident.members.len();
        }
        if members_after > self.policy.members_max {
            return Err(limit("incident-members", self.policy.members_max));
        }
        let mut events = Vec::new();
        for id in fold {
            let moved: Vec<Happening> = self
                .by_id
                .get(&id)
                .into_iter()
                .flat_map(|incident| &incident.members)
                .map(|(alert, member)| Happening::Joined {
                    alert: *alert,
                    facts: member.facts.clone(),
                    because: member.edge.because.clone(),
                    said: Some(Act {
                        at: member.edge.at,
                        author: member.edge.author.clone(),
                    }),
                })
                .collect();
            let merged = Happening::MergedInto {
                incident: keep,
                because: because.clone(),
            };
            events.extend(self.happen(id, bench.author, bench.moment, vec![merged]));
            let mut happenings = vec![Happening::Absorbed {
                incident: id,
                because: because.clone(),
            }];
            happenings.extend(moved);
            events.extend(self.happen(keep, bench.author, bench.moment, happenings));
        }
        let reopens = self
            .by_id
            .get(&keep)
            .is_some_and(|incident| incident.phase == Phase::Resolved && incident.is_firing());
        if reopens {
            let reopened = vec![Happening::Reopened];
            events.extend(self.happen(keep, bench.author, bench.moment, reopened));
        }
        Ok(events)
    }

    fn check_split(
        &self,
        bench: &Bench<'_>,
        id: IncidentId,
        members: &[AlertId],
    ) -> Result<(), Refusal> {
        let incident = self.shown(bench, id)?;
        for alert in members {
            if !incident.members.contains_key(alert) {
                return Err(Refusal::NotMember {
                    alert: *alert,
                    incident: id,
                });
            }
        }
        let leaving: BTreeSet<&AlertId> = members.iter().collect();
        if leaving.len() == incident.members.len() {
            return Err(Refusal::SplitsAll(id));
        }
        Ok(())
    }

    fn decide_blame(
        &mut self,
        bench: &Bench<'_>,
        id: IncidentId,
        cause: &Cause,
        because: Because,
    ) -> Result<Vec<IncidentEvent>, Refusal> {
        let incident = self.by_id.get(&id).ok_or(Refusal::UnknownIncident(id))?;
        let suspect = match cause {
            Cause::Entity(entity) => Reference::Entity(entity.clone()),
            Cause::Change(id) => Reference::Change(*id),
            Cause::Alert(id) => Reference::Alert(*id),
        };
        if !bench.contents.has(&suspect) {
            return Err(Refusal::UnknownReference(suspect.to_string()));
        }
        let held = incident
            .hypotheses
            .iter()
            .find(|held| held.cause == *cause && held.author == *bench.author);
        match held {
            // Said already, word for word: no event, or each call would add
            // one.
            Some(held) if held.because == because => return Ok(Vec::new()),
            None if because.confidence.value() == 0.0 => return Ok(Vec::new()),
            None if incident.hypotheses.len() >= self.policy.hypotheses_max => {
                return Err(limit("incident-hypotheses", self.policy.hypotheses_max));
            }
            _ => {}
        }
        let blamed = Happening::Blamed {
            cause: cause.clone(),
            because,
        };
        Ok(self.happen(id, bench.author, bench.moment, vec![blamed]))
    }

    /// One that is not closed, and that the correlator was told of.
    fn shown(&self, bench: &Bench<'_>, id: IncidentId) -> Result<&Arc<Incident>, Refusal> {
        let incident = self.by_id.get(&id).ok_or(Refusal::UnknownIncident(id))?;
        if bench.contents.has_incident(id) {
            Ok(incident)
        } else {
            Err(Refusal::UnknownReference(id.to_string()))
        }
    }

    fn target(
        &self,
        bench: &Bench<'_>,
        target: &Target,
        tags: &BTreeMap<String, IncidentId>,
    ) -> Result<IncidentId, Refusal> {
        match target {
            Target::Incident(id) => self.shown(bench, *id).map(|incident| incident.id),
            Target::Opening(tag) => tags
                .get(tag)
                .copied()
                .ok_or_else(|| Refusal::UnknownTag(tag.clone())),
        }
    }

    /// Looks the alerts up, each once, in the order of their ids. `leaving` is
    /// the incident that they may still be members of.
    fn members<'a>(
        &self,
        bench: &Bench<'a>,
        members: &[AlertId],
        leaving: Option<IncidentId>,
    ) -> Result<Vec<&'a AlertView>, Refusal> {
        let ids: BTreeSet<AlertId> = members.iter().copied().collect();
        if ids.is_empty() {
            return Err(Refusal::NoMembers);
        }
        ids.into_iter()
            .map(|id| {
                let incident = self.incident_of(id);
                if let Some(incident) = incident
                    && Some(incident) != leaving
                {
                    return Err(Refusal::AlreadyMember {
                        alert: id,
                        incident,
                    });
                }
                bench.contents.alert(id).ok_or(Refusal::UnknownAlert(id))
            })
            .collect()
    }

    /// The scope, the founding episodes and the place in the journal, hashed:
    /// two workers that read the same journal open the same incident, while
    /// one that is opened again after it was closed is another one.
    fn id_of(&self, members: &[&AlertView], position: Position) -> IncidentId {
        let mut parts: Vec<Vec<u8>> = vec![
            self.scope.as_str().as_bytes().to_vec(),
            position.0.to_be_bytes().to_vec(),
        ];
        for member in members {
            parts.push(member.id.to_string().into_bytes());
            parts.push(member.episode.to_be_bytes().to_vec());
        }
        IncidentId::derive(parts.iter().map(Vec::as_slice))
    }

    /// Makes events of happenings and takes them in: the only place where an
    /// incident of this collection changes.
    fn happen(
        &mut self,
        id: IncidentId,
        author: &Author,
        moment: Moment,
        happenings: Vec<Happening>,
    ) -> Vec<IncidentEvent> {
        let mut events = Vec::with_capacity(happenings.len());
        for happening in happenings {
            let version = self
                .by_id
                .get(&id)
                .map_or(1, |incident| incident.version + 1);
            let event = IncidentEvent {
                incident: id,
                version,
                at: moment.at,
                position: moment.position,
                author: author.clone(),
                happening,
            };
            self.take_in(&event);
            events.push(event);
        }
        events
    }

    fn take_in(&mut self, event: &IncidentEvent) {
        let id = event.incident;
        match &event.happening {
            Happening::Joined { alert, .. } => {
                self.membership.insert(*alert, id);
            }
            Happening::Left { alert, .. } => {
                self.membership.remove(alert);
            }
            Happening::Closed | Happening::MergedInto { .. } => {
                let members = self.by_id.get(&id).map(|incident| &incident.members);
                for alert in members.into_iter().flat_map(Members::keys) {
                    self.membership.remove(alert);
                }
            }
            _ => {}
        }
        match self.by_id.remove(&id) {
            Some(mut incident) => {
                Arc::make_mut(&mut incident).apply(event);
                if incident.phase.is_final() {
                    self.finished.push(incident);
                } else {
                    self.by_id.insert(id, incident);
                }
            }
            None => {
                if let Some(incident) = Incident::open(event) {
                    self.by_id.insert(id, Arc::new(incident));
                }
            }
        }
    }
}

/// What decisions about one verdict have in common.
struct Bench<'a> {
    contents: &'a Contents<'a>,
    author: &'a Author,
    moment: Moment,
}

impl Bench<'_> {
    /// Every reference must be to something that was shown; texts are cut.
    fn check(&self, because: &Because) -> Result<Because, Refusal> {
        let mut because = because.clone();
        because.reason = clip(&because.reason);
        for evidence in because.evidence.iter_mut().chain(&mut because.against) {
            if let Some(unknown) = evidence
                .references
                .iter()
                .find(|reference| !self.contents.has(reference))
            {
                return Err(Refusal::UnknownReference(unknown.to_string()));
            }
            evidence.text = clip(&evidence.text);
        }
        if bytes_of(&because) > BECAUSE_BYTES_MAX {
            return Err(limit("because-bytes", BECAUSE_BYTES_MAX));
        }
        Ok(because)
    }
}

fn bytes_of(because: &Because) -> usize {
    let entity = |entity: &Entity| entity.kind().len() + entity.name().len();
    let names = |reference: &Reference| match reference {
        Reference::Alert(_) | Reference::Change(_) => 0,
        Reference::Entity(named) => entity(named),
        Reference::Dependency {
            dependent,
            provider,
        } => entity(dependent) + entity(provider),
    };
    let said = because.evidence.iter().chain(&because.against);
    let bytes = said.map(|said| {
        let references = said.references.iter();
        said.text.len()
            + references
                .map(|it| size_of::<Reference>() + names(it))
                .sum::<usize>()
    });
    because.reason.len() + bytes.sum::<usize>()
}

fn joined(member: &AlertView, because: &Because) -> Happening {
    Happening::Joined {
        alert: member.id,
        facts: Facts::from(member),
        because: because.clone(),
        said: None,
    }
}

fn limit(limit: &str, most: usize) -> Refusal {
    Refusal::Limit {
        limit: limit.to_owned(),
        most,
    }
}

fn clip(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
