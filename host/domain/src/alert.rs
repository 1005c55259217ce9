//! Alerts: conditions with an identity, a state and a history.
//!
//! The life of an alert is a fold: reports and the passing of time go in,
//! [`Outcome`]s come out. An alert lives through *episodes*: it fires, is
//! reported again, and resolves; when it fires anew, a new episode begins.
//!
//! The tricky thing is that several sources may speak of one alert, each with
//! its own delay. One source's reports are in order; those of different
//! sources are not. So a firing report from *another* source about an episode
//! that has ended is an echo, while one from the source that ended it means
//! that the condition came back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::entity::Entity;
use crate::envelope::Position;
use crate::finding::Band;
use crate::id::{AlertId, InstanceName, SourceName};
use crate::labels::Labels;
use crate::proposal::Blob;
use crate::severity::Severity;
use crate::signal::{AlertReport, StatedSeverity};
use crate::time::Timestamp;

/// Who said that there is a condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A sender whose alerts have an identity in common with those of its
    /// family: the same alert through two paths is one alert.
    Sender {
        /// For example `prometheus`.
        family: String,
    },
    /// One of our detectors.
    Detector {
        /// The detector's instance.
        instance: InstanceName,
    },
}

impl Origin {
    /// What is hashed into the fingerprint beside the identity.
    fn namespace(&self) -> [&[u8]; 2] {
        match self {
            Origin::Sender { family } => [b"sender", family.as_bytes()],
            Origin::Detector { instance } => [b"detector", instance.as_str().as_bytes()],
        }
    }

    /// For people: the family, or the detector's instance.
    pub fn as_str(&self) -> &str {
        match self {
            Origin::Sender { family } => family,
            Origin::Detector { instance } => instance.as_str(),
        }
    }
}

/// The fingerprint: origin and identity, hashed. None for an empty identity,
/// since everything without one would be the same alert.
pub fn fingerprint(origin: &Origin, identity: &Labels) -> Option<AlertId> {
    if identity.is_empty() {
        return None;
    }
    let pairs = identity
        .iter()
        .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    Some(AlertId::derive(origin.namespace().into_iter().chain(pairs)))
}

/// Why an episode ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// A source said so.
    Reported {
        /// Which one.
        source: SourceName,
    },
    /// No source repeated it in time.
    TimedOut,
}

/// Where an episode stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The condition holds.
    Firing,
    /// It does not hold any more.
    Resolved {
        /// Since when.
        ended: Timestamp,
        /// How we know.
        by: End,
    },
}

/// How the severity moved within this episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trend {
    /// As it began, or as it was before.
    Steady,
    /// The last change was for the worse.
    Worse,
    /// The last change was for the better.
    Better,
}

/// What one source last said about the current episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceView {
    /// Whether this source holds that it fires.
    pub firing: bool,
    /// When its word expires unless it repeats it.
    pub until: Option<Timestamp>,
    /// All of its reports, ever.
    pub reports: u64,
    /// Reports that said nothing new.
    pub duplicates_full: u64,
    /// Reports that changed texts or labels, but neither state nor severity.
    pub duplicates_partial: u64,
    /// Reports about an episode that was over.
    pub echoes: u64,
    /// The envelope of its first report.
    pub first: Position,
    /// The envelope of its last report.
    pub last: Position,
    /// When that arrived.
    pub last_received: Timestamp,
}

/// A number beside what was expected, from a detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The series it was seen on, as the catalogue numbers it.
    pub series: Option<u32>,
    /// What was seen.
    pub value: Option<f64>,
    /// What was expected.
    pub expected: Option<Band>,
    /// What the detector said in a shape of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Blob>,
}

/// A condition with an identity, a state and a history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The fingerprint.
    pub id: AlertId,
    /// Who said so.
    pub origin: Origin,
    /// What makes it the same condition.
    pub identity: Labels,
    /// Counts transitions, from 1.
    pub version: u64,
    /// Counts episodes, from 1.
    pub episode: u64,
    /// When the current episode began.
    pub started: Timestamp,
    /// When the one before it ended: reports about what was until then are late,
    /// and say nothing about this one.
    #[serde(default)]
    pub previous_end: Option<Timestamp>,
    /// Where it stands.
    pub state: State,
    /// How bad.
    pub severity: StatedSeverity,
    /// How the severity moved.
    pub trend: Trend,
    /// 0 to 1; 1 for what senders report.
    pub score: f64,
    /// A line for people.
    pub title: String,
    /// What it concerns.
    pub entities: Vec<Entity>,
    /// Labels of the sender, or attributes of the finding.
    pub labels: Labels,
    /// Free text of the sender.
    pub annotations: Labels,
    /// Where to read more.
    pub link: Option<String>,
    /// From a detector: the number, and the band it was expected in.
    pub measurement: Option<Measurement>,
    /// Event time of the last transition.
    pub changed: Timestamp,
    /// What each source last said.
    pub sources: BTreeMap<SourceName, SourceView>,
}

/// A report with everything the rules need to know about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Who said so.
    pub origin: Origin,
    /// Through which source it came.
    pub source: SourceName,
    /// In which envelope.
    pub position: Position,
    /// When that arrived.
    pub received: Timestamp,
    /// How long the source's word holds if it names no end itself; none if it
    /// is not in the habit of repeating itself.
    pub resolve_timeout: Option<Duration>,
    /// What it said.
    pub said: AlertReport,
    /// 0 to 1.
    pub score: f64,
    /// From a detector.
    pub measurement: Option<Measurement>,
}

/// What a report, or time, did to an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A new episode began.
    Fired,
    /// The severity changed.
    SeverityChanged {
        /// What it was.
        from: Severity,
    },
    /// It concerns other entities than before.
    EntitiesChanged,
    /// The episode ended.
    Resolved {
        /// How we know.
        by: End,
    },
    /// Nothing new.
    DuplicateFull,
    /// Other texts or labels; same state, severity and entities.
    DuplicatePartial,
    /// About an episode that was over already.
    Echo,
    /// An end without a beginning: nobody had reported that it fires. Kept as
    /// history, opens nothing.
    ResolvedUnseen,
}

impl Outcome {
    /// Whether it belongs into the history of transitions, and is news to
    /// correlators.
    pub const fn is_transition(&self) -> bool {
        matches!(
            self,
            Outcome::Fired
                | Outcome::SeverityChanged { .. }
                | Outcome::EntitiesChanged
                | Outcome::Resolved { .. }
        )
    }

    /// One word, as stored and shown.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Outcome::Fired => "fired",
            Outcome::SeverityChanged { .. } => "severity-changed",
            Outcome::EntitiesChanged => "entities-changed",
            Outcome::Resolved { .. } => "resolved",
            Outcome::DuplicateFull => "duplicate-full",
            Outcome::DuplicatePartial => "duplicate-partial",
            Outcome::Echo => "echo",
            Outcome::ResolvedUnseen => "resolved-unseen",
        }
    }
}

impl Alert {
    /// The first report about an identity. `id` is its [`fingerprint`].
    pub fn first(id: AlertId, report: Report) -> (Self, Outcome) {
        let source = report.source.clone();
        let said = report.said;
        let fires = is_firing(&said, report.received);
        let (state, outcome) = if fires {
            (State::Firing, Outcome::Fired)
        } else {
            let state = State::Resolved {
                ended: said.ended.unwrap_or(report.received),
                by: End::Reported {
                    source: source.clone(),
                },
            };
            (state, Outcome::ResolvedUnseen)
        };
        let view = SourceView {
            firing: fires,
            until: until(&said, report.received, report.resolve_timeout),
            reports: 1,
            duplicates_full: 0,
            duplicates_partial: 0,
            echoes: 0,
            first: report.position,
            last: report.position,
            last_received: report.received,
        };
        let changed = match &state {
            State::Firing => said.started,
            State::Resolved { ended, .. } => *ended,
        };
        let alert = Self {
            id,
            origin: report.origin,
            identity: said.identity,
            version: 1,
            episode: 1,
            started: said.started,
            previous_end: None,
            state,
            severity: said.severity,
            trend: Trend::Steady,
            score: report.score,
            title: said.title,
            entities: said.entities,
            labels: said.labels,
            annotations: said.annotations,
            link: said.link,
            measurement: report.measurement,
            changed,
            sources: BTreeMap::from([(source, view)]),
        };
        (alert, outcome)
    }

    /// A further report about the same identity.
    pub fn report(&mut self, report: &Report) -> Outcome {
        let fires = is_firing(&report.said, report.received);
        let outcome = match (&self.state, fires) {
            (State::Firing, true) => self.reported_again(report),
            (State::Firing, false) => self.reported_ended(report),
            (State::Resolved { ended, by }, true) => {
                let came_back = report.said.started > *ended
                    || matches!(by, End::Reported { source } if *source == report.source)
                    || *by == End::TimedOut;
                if came_back {
                    self.fired_again(report)
                } else {
                    Outcome::Echo
                }
            }
            (State::Resolved { .. }, false) => Outcome::Echo,
        };
        self.note_source(report, fires, &outcome);
        if outcome.is_transition() {
            self.version += 1;
        }
        outcome
    }

    /// Time has reached `now`: sources whose word has expired no longer count,
    /// and when none is left the episode ends.
    pub fn pass_time(&mut self, now: Timestamp) -> Option<Outcome> {
        if self.state != State::Firing {
            return None;
        }
        let mut last_expiry = None;
        for view in self.sources.values_mut() {
            if let (true, Some(until)) = (view.firing, view.until)
                && until <= now
            {
                view.firing = false;
                last_expiry = last_expiry.max(Some(until));
            }
        }
        let ended = last_expiry?;
        if self.sources.values().any(|view| view.firing) {
            return None;
        }
        self.state = State::Resolved {
            ended,
            by: End::TimedOut,
        };
        self.changed = ended;
        self.version += 1;
        Some(Outcome::Resolved { by: End::TimedOut })
    }

    /// When [`Alert::pass_time`] next has something to do; none if never.
    pub fn deadline(&self) -> Option<Timestamp> {
        if self.state != State::Firing {
            return None;
        }
        self.sources
            .values()
            .filter(|view| view.firing)
            .filter_map(|view| view.until)
            .min()
    }

    /// The source that reported it first.
    pub fn first_source(&self) -> Option<&SourceName> {
        let sources = self.sources.iter();
        sources
            .min_by_key(|(name, view)| (view.first, *name))
            .map(|(name, _)| name)
    }

    /// Whether the condition holds.
    pub fn is_firing(&self) -> bool {
        self.state == State::Firing
    }

    fn reported_again(&mut self, report: &Report) -> Outcome {
        let said = &report.said;
        // Overlapping reports are one episode, which began with the earliest; but
        // not before the episode before it was over.
        let began = self.started.min(said.started);
        self.started = began.max(self.previous_end.unwrap_or(began));
        let before = self.severity.grade;
        let entities_differ = self.entities != said.entities;
        let texts_differ = self.title != said.title
            || self.labels != said.labels
            || self.annotations != said.annotations
            || self.link != said.link
            || self.severity.word != said.severity.word;
        self.take_contents(report);
        let at = report.event_time();
        if before != said.severity.grade {
            self.trend = if said.severity.grade > before {
                Trend::Worse
            } else {
                Trend::Better
            };
            self.changed = self.changed.max(at);
            return Outcome::SeverityChanged { from: before };
        }
        if entities_differ {
            self.changed = self.changed.max(at);
            return Outcome::EntitiesChanged;
        }
        if texts_differ {
            Outcome::DuplicatePartial
        } else {
            Outcome::DuplicateFull
        }
    }

    fn reported_ended(&mut self, report: &Report) -> Outcome {
        let ended = report.said.ended.unwrap_or(report.received);
        // An end before this episode began speaks of an earlier one.
        let is_of_the_previous = self.previous_end.is_some_and(|previous| ended <= previous);
        if ended < self.started || is_of_the_previous {
            return Outcome::Echo;
        }
        let by = End::Reported {
            source: report.source.clone(),
        };
        self.state = State::Resolved {
            ended,
            by: by.clone(),
        };
        self.changed = ended;
        // One word ends it for all: it is one condition, and the other paths
        // are merely slower.
        for view in self.sources.values_mut() {
            view.firing = false;
        }
        Outcome::Resolved { by }
    }

    fn fired_again(&mut self, report: &Report) -> Outcome {
        let ended = match &self.state {
            State::Resolved { ended, .. } => *ended,
            State::Firing => Timestamp::ZERO,
        };
        self.previous_end = Some(ended);
        self.take_contents(report);
        self.state = State::Firing;
        self.trend = Trend::Steady;
        self.episode += 1;
        // A sender that repeats the old start still began anew after the end.
        self.started = report.said.started.max(ended);
        self.changed = self.started;
        Outcome::Fired
    }

    fn take_contents(&mut self, report: &Report) {
        let said = &report.said;
        self.severity = said.severity.clone();
        self.title.clone_from(&said.title);
        self.entities.clone_from(&said.entities);
        self.labels.clone_from(&said.labels);
        self.annotations.clone_from(&said.annotations);
        self.link.clone_from(&said.link);
        self.score = report.score;
        self.measurement.clone_from(&report.measurement);
    }

    fn note_source(&mut self, report: &Report, fires: bool, outcome: &Outcome) {
        let view = self
            .sources
            .entry(report.source.clone())
            .or_insert_with(|| SourceView {
                firing: false,
                until: None,
                reports: 0,
                duplicates_full: 0,
                duplicates_partial: 0,
                echoes: 0,
                first: report.position,
                last: report.position,
                last_received: report.received,
            });
        view.reports += 1;
        view.last = report.position;
        view.last_received = report.received;
        match outcome {
            Outcome::Echo => {
                view.echoes += 1;
                return;
            }
            Outcome::DuplicateFull => view.duplicates_full += 1,
            Outcome::DuplicatePartial => view.duplicates_partial += 1,
            _ => {}
        }
        view.firing = fires;
        view.until = until(&report.said, report.received, report.resolve_timeout);
    }
}

impl Report {
    /// Whether it says that the condition holds.
    pub fn is_firing(&self) -> bool {
        is_firing(&self.said, self.received)
    }

    /// When what it says was true: the end if it names a past one, else the
    /// time of arrival, but never before the start.
    fn event_time(&self) -> Timestamp {
        match (self.said.firing, self.said.ended) {
            (false, Some(ended)) => ended,
            _ => self.received.max(self.said.started),
        }
    }
}

/// An end in the future is a promise to repeat, as Prometheus gives it; an end
/// in the past is an end.
fn is_firing(said: &AlertReport, received: Timestamp) -> bool {
    said.firing && said.ended.is_none_or(|ended| ended > received)
}

fn until(
    said: &AlertReport,
    received: Timestamp,
    resolve_timeout: Option<Duration>,
) -> Option<Timestamp> {
    match said.ended {
        Some(ended) => Some(ended),
        None => resolve_timeout.map(|timeout| received.plus(timeout)),
    }
}

#[cfg(test)]
mod tests;
