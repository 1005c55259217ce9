//! From verdicts on rows to episodes: one that opens, grows worse, and closes.
//!
//! An episode opens with the first row that is rare enough; in a series that is
//! known for minutes only, with the second or third. It is updated only
//! when its grade grows. It closes once the series has been back in its band
//! for a while, or once what is wrong has lasted so long that it is the new
//! normal. What an episode amounted to is remembered for some time after it:
//! another one like it is no news, unless it is worse.

use serde::{Deserialize, Serialize};

use crate::model::Reading;
use crate::view::{Sight, Watch};

/// Rows in a row within the band that end an episode.
const QUIET_ROWS: u32 = 12;
/// An episode that lasts for so many rows, and for the configured time, is the
/// new normal.
const LEARN_ROWS_MIN: u32 = 72;
/// Rows over which the memory of an episode fades by a factor of e.
const HABIT_ROWS: f64 = 144.0;
/// The rarity from which an episode is low: once in 10 days of this series.
const LOW_RARITY: f64 = 1.0;
/// A warning: once in 100 days.
const WARNING_RARITY: f64 = 2.0;
/// High: once in 10,000 days.
const HIGH_RARITY: f64 = 4.0;
/// A single row, however strange, is not high: it takes so many.
const HIGH_ROWS_MIN: u32 = 3;
/// What lasts for so many rows is one grade worse than its rarity says, up to
/// a warning.
const LASTING_ROWS: u32 = 60;
/// How much rarer than once in all the time that a series is known a row may
/// be taken to be, in decades, and how much rarer for each further row outside
/// the band. Who has watched for five minutes cannot tell from one row that it
/// is what happens once in a hundred days, however far off it is: series that
/// are zero but for a spike now and then are many.
const CREDIT_DECADES: f64 = 2.5;
const CREDIT_DECADES_PER_ROW: f64 = 1.0;
/// Rows in a row within the band after which a suspicion is dropped.
const SUSPICION_ROWS: u32 = 3;

/// How bad an episode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Grade {
    /// Rare enough to mention.
    Info,
    /// See [`LOW_RARITY`].
    Low,
    /// See [`WARNING_RARITY`].
    Warning,
    /// See [`HIGH_RARITY`].
    High,
}

impl Grade {
    fn of(rarity: f64, rows: u32) -> Self {
        let lasting = rows >= LASTING_ROWS;
        if rarity >= HIGH_RARITY && rows >= HIGH_ROWS_MIN {
            Grade::High
        } else if rarity >= WARNING_RARITY || (lasting && rarity >= LOW_RARITY) {
            Grade::Warning
        } else if rarity >= LOW_RARITY || lasting {
            Grade::Low
        } else {
            Grade::Info
        }
    }
}

/// What an episode amounts to so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Episode {
    /// The time of its first row.
    pub(crate) started: u64,
    /// How rare its rarest row is, as far as can be known.
    pub(crate) rarity: f64,
    /// What was seen in that row.
    pub(crate) sight: Sight,
    /// How bad it is.
    pub(crate) grade: Grade,
}

/// Why an episode closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The series is back in its band.
    Recovered,
    /// It is not, and that is normal now.
    Settled,
}

/// What a row brought about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event {
    /// An episode opened.
    Opened(Episode),
    /// It grew worse.
    Worsened(Episode),
    /// It is over.
    Closed(Episode, Ending),
}

/// What a row changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    /// It is odd, but too little is known of the series to say so.
    Suspected,
    /// There was nothing to the suspicion.
    Dismissed,
    /// It is worth saying.
    Said(Event),
}

/// When to open episodes and when to give them up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rules {
    /// The rarity from which a row opens an episode; above 0.
    pub(crate) open_rarity: f64,
    /// How long it takes for something to be the new normal.
    pub(crate) settle_micros: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Open {
    episode: Episode,
    /// How rare its rarest row is in itself.
    rarest: f64,
    /// Whether it was reported: until then it is a suspicion.
    is_said: bool,
    watch: Watch,
    rows: u32,
    unusual_rows: u32,
    quiet_rows: u32,
}

/// The episodes of one series.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Episodes {
    open: Option<Open>,
    /// What the last ones amounted to, fading.
    habit: f64,
}

impl Episodes {
    /// The band that the open episode watches.
    pub(crate) fn watch(&self) -> Option<&Watch> {
        self.open.as_ref().map(|open| &open.watch)
    }

    /// Whether there is an open episode that was reported.
    pub(crate) fn is_said(&self) -> bool {
        self.open.is_some_and(|open| open.is_said)
    }

    /// Takes the verdict on the next row.
    pub(crate) fn step(&mut self, time: u64, reading: &Reading, rules: &Rules) -> Option<Step> {
        self.habit -= self.habit / HABIT_ROWS;
        let step = match &mut self.open {
            None => {
                let (sight, watch) = reading.sight.as_ref()?;
                if reading.rarity < rules.open_rarity || reading.rarity <= self.habit {
                    return None;
                }
                let open = self.open.insert(Open::new(time, reading, sight, watch));
                Some(open.report(rules).unwrap_or(Step::Suspected))
            }
            Some(open) => {
                if reading.outside && open.is_said {
                    self.habit = self.habit.max(reading.rarity);
                }
                open.step(time, reading, rules)
            }
        };
        match step {
            Some(Step::Said(Event::Opened(_))) => {
                let rarest = self.open.as_ref().map_or(0.0, |open| open.rarest);
                self.habit = self.habit.max(rarest);
            }
            Some(Step::Said(Event::Closed(..)) | Step::Dismissed) => self.open = None,
            _ => {}
        }
        step
    }

    /// Closes the open episode, as there are no more rows that could. Gives it
    /// if it was reported.
    pub(crate) fn abandon(&mut self) -> Option<Episode> {
        let open = self.open.take()?;
        open.is_said.then_some(open.episode)
    }
}

impl Open {
    fn new(time: u64, reading: &Reading, sight: &Sight, watch: &Watch) -> Self {
        let mut open = Self {
            episode: Episode {
                started: time,
                rarity: 0.0,
                sight: *sight,
                grade: Grade::Info,
            },
            rarest: reading.rarity,
            is_said: false,
            watch: *watch,
            rows: 1,
            unusual_rows: 1,
            quiet_rows: 0,
        };
        open.weigh(reading);
        open
    }

    /// How rare the episode is, as far as can be known from so long a past and
    /// so many rows.
    fn weigh(&mut self, reading: &Reading) {
        let rows = f64::from(self.unusual_rows.saturating_sub(1));
        let credit = reading.known + CREDIT_DECADES + CREDIT_DECADES_PER_ROW * rows;
        // Never less than it was: what was said stays said.
        self.episode.rarity = self.rarest.min(credit).max(self.episode.rarity);
    }

    /// Reports it, if it is rare enough.
    fn report(&mut self, rules: &Rules) -> Option<Step> {
        if self.episode.rarity < rules.open_rarity {
            return None;
        }
        self.is_said = true;
        self.episode.grade = Grade::of(self.episode.rarity, self.unusual_rows);
        Some(Step::Said(Event::Opened(self.episode)))
    }

    fn step(&mut self, time: u64, reading: &Reading, rules: &Rules) -> Option<Step> {
        self.rows = self.rows.saturating_add(1);
        if reading.outside {
            self.quiet_rows = 0;
            self.unusual_rows = self.unusual_rows.saturating_add(1);
            if let Some((sight, _)) = reading.sight
                && reading.rarity > self.rarest
            {
                self.rarest = reading.rarity;
                self.episode.sight = sight;
            }
            self.weigh(reading);
        } else {
            self.quiet_rows += 1;
        }
        if !self.is_said {
            let is_dismissed = self.quiet_rows >= SUSPICION_ROWS;
            return self
                .report(rules)
                .or(is_dismissed.then_some(Step::Dismissed));
        }
        if self.quiet_rows >= QUIET_ROWS {
            return Some(Step::Said(Event::Closed(self.episode, Ending::Recovered)));
        }
        let lasted = time.saturating_sub(self.episode.started);
        if self.rows >= LEARN_ROWS_MIN && lasted >= rules.settle_micros {
            return Some(Step::Said(Event::Closed(self.episode, Ending::Settled)));
        }
        let grade = Grade::of(self.episode.rarity, self.unusual_rows);
        if grade > self.episode.grade {
            self.episode.grade = grade;
            return Some(Step::Said(Event::Worsened(self.episode)));
        }
        None
    }
}

#[cfg(test)]
mod tests;
