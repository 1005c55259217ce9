//! Incidents: folds of their events.
//!
//! An incident is what its events say, and nothing else: [`Incident::apply`]
//! is the only thing that changes one. Which events come about is decided in
//! [`crate::incidents`], by the host's rules alone.

use serde::{Deserialize, Serialize};

use crate::entity::Entity;
use crate::envelope::Position;
use crate::id::{AlertId, Digest, IncidentId, InstanceName, SourceName};
use crate::members::Members;
use crate::proposal::{Because, Cause};
use crate::severity::Severity;
use crate::situation::{AlertView, IncidentView};
use crate::time::Timestamp;

/// The most entities of one incident that correlators are shown, ten times a
/// second: those of a thousand members would be most of what they read.
const ENTITIES_SHOWN_MAX: usize = 50;

/// Who brought an event about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Author {
    /// A correlator proposed it.
    Plugin {
        /// The instance that did.
        instance: InstanceName,
        /// The component that it was at that time.
        digest: Digest,
    },
    /// A person asked for it.
    Person {
        /// Their name.
        name: String,
    },
    /// A rule of the host: a member changed, time passed.
    Host,
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nobody has said that they look after it.
    Open,
    /// Somebody has.
    Acknowledged,
    /// All members resolved, or somebody said so. May be reopened.
    Resolved,
    /// For good.
    Closed,
    /// Its members went to another incident.
    Merged,
}

impl Phase {
    /// One word, as stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Open => "open",
            Phase::Acknowledged => "acknowledged",
            Phase::Resolved => "resolved",
            Phase::Closed => "closed",
            Phase::Merged => "merged",
        }
    }

    /// Whether nothing more can happen to it.
    pub const fn is_final(self) -> bool {
        matches!(self, Phase::Closed | Phase::Merged)
    }

    /// Whether somebody should be looking at it.
    pub const fn is_active(self) -> bool {
        matches!(self, Phase::Open | Phase::Acknowledged)
    }
}

/// What an incident knows of one of its alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Which episode of the alert.
    pub episode: u64,
    /// Whether it fires.
    pub firing: bool,
    /// How bad.
    pub severity: Severity,
    /// When the episode began.
    pub started: Timestamp,
    /// When it last changed.
    pub at: Timestamp,
    /// What it concerns.
    pub entities: Vec<Entity>,
    /// The source that reported it first.
    #[serde(default)]
    pub source: Option<SourceName>,
}

impl From<&AlertView> for Facts {
    fn from(view: &AlertView) -> Self {
        Self {
            episode: view.episode,
            firing: view.firing,
            severity: view.severity,
            started: view.started,
            at: view.at,
            entities: view.entities.clone(),
            source: view.source.clone(),
        }
    }
}

/// Why an alert is a member: the edge between the two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// The reason, and what speaks against it.
    pub because: Because,
    /// Who said so.
    pub author: Author,
    /// When.
    pub at: Timestamp,
}

/// Why an incident counts as resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// All of its members resolved, and stayed so for the resolve delay.
    MembersResolved,
    /// A person said so.
    Declared,
}

/// What happened to an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happening {
    /// It began to exist. Its first members follow as `Joined`.
    Opened {
        /// A line for people.
        title: String,
        /// The incident that it was split from.
        split_from: Option<IncidentId>,
    },
    /// An alert became a member.
    Joined {
        /// Which.
        alert: AlertId,
        /// As it stood then.
        facts: Facts,
        /// Why.
        because: Because,
        /// Who said so, and when, if that was before: of a member of an incident
        /// that was merged into this one. None if the event itself says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<Act>,
    },
    /// An alert is no member any more.
    Left {
        /// Which.
        alert: AlertId,
        /// Where it went.
        to: Option<IncidentId>,
    },
    /// A member fired, resolved, or changed its severity or entities.
    MemberChanged {
        /// Which.
        alert: AlertId,
        /// As it stands now.
        facts: Facts,
    },
    /// A hypothesis was made, renewed, or withdrawn (confidence 0).
    Blamed {
        /// The suspect.
        cause: Cause,
        /// Both sides of the evidence.
        because: Because,
    },
    /// Somebody looks after it.
    Acknowledged,
    /// It is over.
    Resolved {
        /// How we know.
        resolution: Resolution,
    },
    /// It is not over after all.
    Reopened,
    /// It is over for good.
    Closed,
    /// It is the same as another one, which has its members now.
    MergedInto {
        /// Which.
        incident: IncidentId,
        /// Why.
        because: Because,
    },
    /// Another one turned out to be the same; its members follow as `Joined`.
    Absorbed {
        /// Which.
        incident: IncidentId,
        /// Why.
        because: Because,
    },
}

impl Happening {
    /// One word, as stored and shown.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Happening::Opened { .. } => "opened",
            Happening::Joined { .. } => "joined",
            Happening::Left { .. } => "left",
            Happening::MemberChanged { .. } => "member-changed",
            Happening::Blamed { .. } => "blamed",
            Happening::Acknowledged => "acknowledged",
            Happening::Resolved { .. } => "resolved",
            Happening::Reopened => "reopened",
            Happening::Closed => "closed",
            Happening::MergedInto { .. } => "merged-into",
            Happening::Absorbed { .. } => "absorbed",
        }
    }
}

/// One step in the life of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentEvent {
    /// Whose.
    pub incident: IncidentId,
    /// 1 for the first, then without gaps.
    pub version: u64,
    /// Event time.
    pub at: Timestamp,
    /// The last envelope that was known when it came about.
    pub position: Position,
    /// Who brought it about.
    pub author: Author,
    /// What happened.
    pub happening: Happening,
}

impl IncidentEvent {
    /// Why an alert is a member, if this is how it became one.
    pub fn edge(&self) -> Option<Edge> {
        let Happening::Joined { because, said, .. } = &self.happening else {
            return None;
        };
        let (author, at) = match said {
            Some(said) => (&said.author, said.at),
            None => (&self.author, self.at),
        };
        Some(Edge {
            because: because.clone(),
            author: author.clone(),
            at,
        })
    }
}

/// An alert in an incident, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The alert as the incident last saw it.
    pub facts: Facts,
    /// Why it is a member.
    pub edge: Edge,
    /// When the incident learnt of what the alert is now, which can be long after
    /// it came about.
    #[serde(default)]
    pub learnt: Timestamp,
}

/// A ranked cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hypothesis {
    /// The suspect.
    pub cause: Cause,
    /// Both sides of the evidence.
    pub because: Because,
    /// Who suspects it.
    pub author: Author,
    /// When they last said so.
    pub at: Timestamp,
}

/// When something was done, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Event time.
    pub at: Timestamp,
    /// Who.
    pub author: Author,
}

/// The fold of its events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Derived from what founded it.
    pub id: IncidentId,
    /// Counts events.
    pub version: u64,
    /// A line for people.
    pub title: String,
    /// Where it stands.
    pub phase: Phase,
    /// When it was opened.
    pub opened: Timestamp,
    /// When a member last joined or changed.
    pub last: Timestamp,
    /// Its alerts, and why.
    pub members: Members,
    /// Best first.
    pub hypotheses: Vec<Hypothesis>,
    /// Who looks after it, since when.
    pub acknowledged: Option<Act>,
    /// Since when it is over, and how we know.
    pub resolved: Option<(Act, Resolution)>,
    /// The incident that has its members now.
    pub merged_into: Option<IncidentId>,
    /// The incident that it was split from.
    pub split_from: Option<IncidentId>,
}

impl Incident {
    /// An incident from its first event. None if that is not `Opened`, or not
    /// the first.
    pub fn open(event: &IncidentEvent) -> Option<Self> {
        let Happening::Opened { title, split_from } = &event.happening else {
            return None;
        };
        (event.version == 1).then(|| Self {
            id: event.incident,
            version: 1,
            title: title.clone(),
            phase: Phase::Open,
            opened: event.at,
            last: event.at,
            members: Members::default(),
            hypotheses: Vec::new(),
            acknowledged: None,
            resolved: None,
            merged_into: None,
            split_from: *split_from,
        })
    }

    /// The incident that all these events, in order, make. None if there are
    /// none, or they do not begin at the beginning.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a IncidentEvent>) -> Option<Self> {
        let mut events = events.into_iter();
        let mut incident = Self::open(events.next()?)?;
        for event in events {
            incident.apply(event);
        }
        Some(incident)
    }

    /// Takes one more event in.
    pub fn apply(&mut self, event: &IncidentEvent) {
        self.version = event.version;
        let act = || Act {
            at: event.at,
            author: event.author.clone(),
        };
        match &event.happening {
            Happening::Opened { .. } | Happening::Absorbed { .. } => {}
            Happening::Joined { alert, facts, .. } => {
                self.last = self.last.max(facts.at).max(event.at);
                if let Some(edge) = event.edge() {
                    let member = Member {
                        facts: facts.clone(),
                        edge,
                        learnt: event.at,
                    };
                    self.members.insert(*alert, member);
                }
            }
            Happening::Left { alert, .. } => {
                self.members.remove(alert);
            }
            Happening::MemberChanged { alert, facts } => {
                self.last = self.last.max(facts.at);
                self.members.learn(alert, facts, event.at);
            }
            Happening::Blamed { cause, because } => self.blame(cause, because, act()),
            Happening::Acknowledged => {
                self.acknowledged = Some(act());
                self.phase = Phase::Acknowledged;
            }
            Happening::Resolved { resolution } => {
                self.resolved = Some((act(), *resolution));
                self.phase = Phase::Resolved;
            }
            Happening::Reopened => {
                self.resolved = None;
                self.phase = match self.acknowledged {
                    Some(_) => Phase::Acknowledged,
                    None => Phase::Open,
                };
            }
            Happening::Closed => self.phase = Phase::Closed,
            Happening::MergedInto { incident, .. } => {
                self.merged_into = Some(*incident);
                self.members = Members::default();
                self.phase = Phase::Merged;
            }
        }
    }

    fn blame(&mut self, cause: &Cause, because: &Because, act: Act) {
        self.hypotheses
            .retain(|held| held.cause != *cause || !same_suspecter(&held.author, &act.author));
        if because.confidence.value() > 0.0 {
            self.hypotheses.push(Hypothesis {
                cause: cause.clone(),
                because: because.clone(),
                author: act.author,
                at: act.at,
            });
        }
        self.hypotheses.sort_by(|a, b| {
            let (more, less) = (b.because.confidence.value(), a.because.confidence.value());
            more.total_cmp(&less)
                .then_with(|| a.cause.cmp(&b.cause))
                .then_with(|| a.author.cmp(&b.author))
        });
    }

    /// The worst of its firing members; of all members when none fires.
    pub fn severity(&self) -> Severity {
        let worst = |firing_only: bool| {
            self.members
                .values()
                .filter(|member| member.facts.firing || !firing_only)
                .map(|member| member.facts.severity)
                .max()
        };
        worst(true)
            .or_else(|| worst(false))
            .unwrap_or(Severity::Info)
    }

    /// When the first of its members began.
    pub fn began(&self) -> Timestamp {
        self.members
            .values()
            .map(|member| member.facts.started)
            .min()
            .unwrap_or(self.opened)
    }

    /// Since when the incident has known that no member fires: not the moment at
    /// which senders say that it was over, which can be before it was opened.
    pub fn quiet_since(&self) -> Timestamp {
        self.members
            .values()
            .map(|member| member.facts.at.max(member.learnt))
            .max()
            .unwrap_or(self.last)
            .max(self.opened)
    }

    /// Whether any member fires.
    pub fn is_firing(&self) -> bool {
        self.members.values().any(|member| member.facts.firing)
    }

    /// As correlators see it.
    pub fn view(&self) -> IncidentView {
        let entities = self.members.entities().into_iter();
        IncidentView {
            id: self.id,
            version: self.version,
            opened: self.opened,
            last: self.last,
            severity: self.severity(),
            title: self.title.clone(),
            size: self.members.len(),
            entities: entities.take(ENTITIES_SHOWN_MAX).cloned().collect(),
        }
    }
}

/// A plugin that was upgraded still speaks for itself.
fn same_suspecter(a: &Author, b: &Author) -> bool {
    match (a, b) {
        (Author::Plugin { instance: a, .. }, Author::Plugin { instance: b, .. }) => a == b,
        _ => a == b,
    }
}
