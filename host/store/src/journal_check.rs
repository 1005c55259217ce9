//! Whether a journal is what was written, and where it is not.

use std::fmt;

use faultline_domain::envelope::Position;
use faultline_domain::id::ScopeName;
use futures_util::TryStreamExt as _;

use crate::Store;
use crate::error::StoreError;
use crate::journal::{EnvelopeRow, last_within};
use crate::rows::signed;
use crate::stage::StageName;
use crate::trouble::Trouble;

/// What is read at once, and so many are read one by one where that fails.
const ENVELOPES_PER_READ: usize = 256;

/// The bytes that the bodies of one read come to, as they are stored, unless
/// one of them is longer.
const BYTES_PER_READ_MAX: i64 = 8 << 20;

/// How many envelopes before the end are the end.
const END_ENVELOPES: u64 = 512;

/// The most that the database says about its own structure.
const STRUCTURE_LINES_MAX: u8 = 20;

/// How much of a journal to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The last envelopes, and whether any stage knows of later ones: what a
    /// crash or a torn write can have touched. A matter of milliseconds.
    End,
    /// Every envelope, and the structure of the databases.
    All,
}

/// Positions from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The first.
    pub first: Position,
    /// The last.
    pub last: Position,
}

impl Range {
    /// How many positions.
    pub const fn count(&self) -> u64 {
        self.last.0 + 1 - self.first.0
    }

    /// Adds a position to the last of these ranges if it follows, and begins
    /// another one if not.
    pub(crate) fn note(ranges: &mut Vec<Self>, position: Position) {
        match ranges.last_mut() {
            Some(range) if range.last.0 + 1 == position.0 => range.last = position,
            _ => ranges.push(Self {
                first: position,
                last: position,
            }),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{} to {}", self.first, self.last)
        }
    }
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// The database cannot read these, or what it reads is not what was
    /// written.
    Unreadable {
        /// Which envelopes.
        range: Range,
        /// Why the first of them cannot be read.
        reason: String,
    },
    /// There is nothing where there should be envelopes.
    Missing(Range),
    /// An envelope says that it arrived before the one before it.
    BackInTime(Position),
    /// The journal ends before the last of its envelopes.
    HeadBehind {
        /// Where it says that it ends.
        head: Position,
        /// Where the last envelope lies.
        last: Position,
    },
    /// A stage has dealt with envelopes that the journal does not have any
    /// more: its end was lost, or an older copy was put in its place. What
    /// comes in from now on would be taken for what was dealt with already.
    StageAhead {
        /// Which stage.
        stage: &'static str,
        /// Up to which position it has dealt with everything.
        position: Position,
        /// Where the journal ends.
        head: Position,
    },
    /// What the database says about its own structure.
    Structure {
        /// Which one.
        database: &'static str,
        /// A line of it.
        line: String,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { range, reason } => {
                write!(f, "envelope {range} cannot be read: {reason}")
            }
            Self::Missing(range) => write!(f, "envelope {range} is not there"),
            Self::BackInTime(position) => {
                write!(f, "envelope {position} arrived before the one before it")
            }
            Self::HeadBehind { head, last } => {
                write!(f, "the journal ends at {head}, but has an envelope {last}")
            }
            Self::StageAhead {
                stage,
                position,
                head,
            } => write!(
                f,
                "the journal ends at {head}, but {stage} has dealt with everything up to \
                 {position}: its end is lost, or it is an older copy"
            ),
            Self::Structure { database, line } => write!(f, "the {database} database: {line}"),
        }
    }
}

/// What was found out about a journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalCheck {
    /// Where it ends.
    pub head: Position,
    /// How many envelopes were read and are what was written.
    pub good: u64,
    /// What is not as it was written, in order.
    pub damage: Vec<Damage>,
    /// What an earlier repair could not save.
    pub known_losses: Vec<Range>,
}

impl JournalCheck {
    /// Whether everything is as it was written, but for what is known to be
    /// lost.
    pub fn is_good(&self) -> bool {
        self.damage.is_empty()
    }
}

impl Store {
    /// Looks whether the journal is what was written. Others may append to it,
    /// work on it and remove its beginning meanwhile.
    ///
    /// # Errors
    /// If the database refuses for another reason than that it is damaged.
    pub async fn journal_check(
        &self,
        scope: &ScopeName,
        extent: Extent,
    ) -> Result<JournalCheck, StoreError> {
        // Before the head: what a stage has dealt with lay in the journal then.
        let mut reached = Vec::new();
        for stage in StageName::ALL {
            let position = self.stage_position(scope, stage).await?.position;
            reached.push((stage, position));
        }
        let mut check = JournalCheck {
            head: self.journal_head(scope).await?.position,
            known_losses: self.journal_losses(scope).await?,
            ..JournalCheck::default()
        };
        let after = match extent {
            Extent::End => Position(check.head.0.saturating_sub(END_ENVELOPES)),
            Extent::All => Position::START,
        };
        let mut walk = Walk::new(&check, after);
        while let Some(found) = self.check_next(scope, walk.at, check.head).await? {
            walk.take(found);
        }
        if walk.at < check.head {
            walk.come_to(Position(check.head.0 + 1));
        }
        (check.good, check.damage) = walk.finish();
        self.forgive_removed(scope, &mut check.damage).await?;
        check.damage.extend(self.check_past_head(scope).await?);
        for (stage, position) in reached {
            if position > check.head {
                check.damage.push(Damage::StageAhead {
                    stage: stage.as_str(),
                    position,
                    head: check.head,
                });
            }
        }
        if extent == Extent::All {
            for (name, database) in [("journal", &self.journal), ("state", &self.state)] {
                let lines = database.structure(STRUCTURE_LINES_MAX).await?;
                check
                    .damage
                    .extend(lines.into_iter().map(|line| Damage::Structure {
                        database: name,
                        line,
                    }));
            }
        }
        Ok(check)
    }

    /// Takes back what is missing before the first envelope that is there now:
    /// retention has removed it since it was come by.
    async fn forgive_removed(
        &self,
        scope: &ScopeName,
        damage: &mut Vec<Damage>,
    ) -> Result<(), StoreError> {
        let is_missing = |damage: &Damage| matches!(damage, Damage::Missing(_));
        if !damage.iter().any(is_missing) {
            return Ok(());
        }
        let (first,): (Option<i64>,) =
            sqlx::query_as("select min(position) from envelope where scope = $1")
                .bind(scope.as_str())
                .fetch_one(self.journal.read())
                .await?;
        let first = first.map(Position::from_i64);
        damage.retain(|damage| match damage {
            Damage::Missing(range) => first.is_some_and(|first| first < range.first),
            _ => true,
        });
        Ok(())
    }

    /// Whether the journal has an envelope that its head knows nothing of. Both
    /// are seen at one moment: the head has moved on since it was first read.
    async fn check_past_head(&self, scope: &ScopeName) -> Result<Option<Damage>, StoreError> {
        let past = sqlx::query_as::<_, (i64, i64)>(
            "select coalesce((select position from journal_head where scope = $1), 0), \
             coalesce((select max(position) from envelope where scope = $1), 0)",
        )
        .bind(scope.as_str())
        .fetch_one(self.journal.read())
        .await
        .map_err(StoreError::from);
        match past {
            Ok((head, last)) if last > head => Ok(Some(Damage::HeadBehind {
                head: Position::from_i64(head),
                last: Position::from_i64(last),
            })),
            Ok(_) => Ok(None),
            Err(error) if error.trouble() == Some(Trouble::Damaged) => {
                Ok(Some(Damage::Structure {
                    database: "journal",
                    line: chain(&error),
                }))
            }
            Err(error) => Err(error),
        }
    }

    /// What an earlier repair could not save, in order.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn journal_losses(&self, scope: &ScopeName) -> Result<Vec<Range>, StoreError> {
        let rows: Vec<(i64, i64)> =
            sqlx::query_as("select first, last from journal_loss where scope = $1 order by first")
                .bind(scope.as_str())
                .fetch_all(self.journal.read())
                .await?;
        Ok(rows
            .into_iter()
            .map(|(first, last)| Range {
                first: Position::from_i64(first),
                last: Position::from_i64(last),
            })
            .collect())
    }

    /// What lies after a position, up to the head; none if nothing does.
    async fn check_next(
        &self,
        scope: &ScopeName,
        at: Position,
        head: Position,
    ) -> Result<Option<Vec<Found>>, StoreError> {
        if at >= head {
            return Ok(None);
        }
        match self.check_read(scope, at, head).await {
            Ok(found) if found.is_empty() => return Ok(None),
            Ok(found) => return Ok(Some(found)),
            Err(error) if error.trouble() != Some(Trouble::Damaged) => return Err(error),
            Err(_) => {}
        }
        // Somewhere among them is one that cannot be read: one by one.
        let mut found = Vec::new();
        let mut position = at;
        while position < head && found.len() < ENVELOPES_PER_READ {
            let next = Position(position.0 + 1);
            match self.check_read(scope, position, next).await {
                Ok(one) => found.extend(one),
                Err(error) if error.trouble() == Some(Trouble::Damaged) => {
                    found.push(Found::Bad(next, chain(&error)));
                }
                Err(error) => return Err(error),
            }
            position = next;
        }
        if found.is_empty() {
            return Ok(None);
        }
        Ok(Some(found))
    }

    /// Some of what lies between two positions, the latter included. No more
    /// than one body is kept at a time.
    async fn check_read(
        &self,
        scope: &ScopeName,
        after: Position,
        last: Position,
    ) -> Result<Vec<Found>, StoreError> {
        // A database reads ahead: how far, is seen from the sizes first, which
        // neither keeps with long bodies.
        let sizes: Vec<(i64, i64)> = sqlx::query_as(
            "select position, cast(length(body) as bigint) from envelope where scope = $1 \
             and position > $2 and position <= $3 order by position limit $4",
        )
        .bind(scope.as_str())
        .bind(after.as_i64())
        .bind(last.as_i64())
        .bind(signed(ENVELOPES_PER_READ as u64))
        .fetch_all(self.journal.read())
        .await?;
        let Some(last) = last_within(sizes, BYTES_PER_READ_MAX) else {
            return Ok(Vec::new());
        };
        let mut rows = sqlx::query_as::<_, EnvelopeRow>(
            "select scope, position, source, format, content_type, headers, encoding, body, \
             received, checksum from envelope where scope = $1 and position > $2 \
             and position <= $3 order by position",
        )
        .bind(scope.as_str())
        .bind(after.as_i64())
        .bind(last)
        .fetch(self.journal.read());
        let mut found = Vec::new();
        while let Some(row) = rows.try_next().await? {
            found.push(Found::of(row));
        }
        Ok(found)
    }
}

/// What is at a position.
enum Found {
    Good { position: Position, received: i64 },
    Bad(Position, String),
}

impl Found {
    fn of(row: EnvelopeRow) -> Self {
        let position = row.position();
        match row.into_envelope() {
            Ok(envelope) => Self::Good {
                position,
                received: envelope.arrival.received.as_i64(),
            },
            Err(error) => Self::Bad(position, chain(&error)),
        }
    }
}

/// Goes from envelope to envelope and notes what is wrong.
struct Walk {
    at: Position,
    /// Whether something has to follow at once: not before the first envelope
    /// that is there, for retention removes the beginning.
    continues: bool,
    received: i64,
    good: u64,
    damage: Vec<Damage>,
    known: Vec<Range>,
}

impl Walk {
    fn new(check: &JournalCheck, after: Position) -> Self {
        Self {
            at: after,
            continues: false,
            received: i64::MIN,
            good: 0,
            damage: Vec::new(),
            known: check.known_losses.clone(),
        }
    }

    fn take(&mut self, found: Vec<Found>) {
        for found in found {
            match found {
                Found::Good { position, received } => {
                    self.come_to(position);
                    if received < self.received {
                        self.damage.push(Damage::BackInTime(position));
                    }
                    self.received = received;
                    self.good += 1;
                }
                Found::Bad(position, reason) => {
                    self.come_to(position);
                    self.unreadable(position, reason);
                }
            }
        }
    }

    fn come_to(&mut self, position: Position) {
        let expected = Position(self.at.0 + 1);
        if self.continues && position > expected {
            let gap = Range {
                first: expected,
                last: Position(position.0 - 1),
            };
            self.damage
                .extend(unknown(gap, &self.known).map(Damage::Missing));
        }
        self.continues = true;
        self.at = position;
    }

    fn unreadable(&mut self, position: Position, reason: String) {
        if let Some(Damage::Unreadable { range, .. }) = self.damage.last_mut()
            && range.last.0 + 1 == position.0
        {
            range.last = position;
            return;
        }
        let range = Range {
            first: position,
            last: position,
        };
        self.damage.push(Damage::Unreadable { range, reason });
    }

    fn finish(self) -> (u64, Vec<Damage>) {
        (self.good, self.damage)
    }
}

/// The parts of a gap that are in none of the known ranges, which are in order.
fn unknown(gap: Range, known: &[Range]) -> impl Iterator<Item = Range> {
    let mut parts = Vec::new();
    let mut first = gap.first.0;
    for range in known {
        if range.last.0 < first || range.first > gap.last {
            continue;
        }
        if range.first.0 > first {
            parts.push(Range {
                first: Position(first),
                last: Position(range.first.0 - 1),
            });
        }
        first = range.last.0 + 1;
    }
    if first <= gap.last.0 {
        parts.push(Range {
            first: Position(first),
            last: gap.last,
        });
    }
    parts.into_iter()
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, last: u64) -> Range {
        Range {
            first: Position(first),
            last: Position(last),
        }
    }

    #[test]
    fn what_is_known_to_be_lost_is_not_missing() {
        let parts = |known: &[Range]| unknown(range(5, 10), known).collect::<Vec<_>>();
        assert_eq!(parts(&[]), [range(5, 10)]);
        assert_eq!(parts(&[range(5, 10)]), []);
        assert_eq!(
            parts(&[range(1, 6), range(8, 8)]),
            [range(7, 7), range(9, 10)]
        );
        assert_eq!(parts(&[range(1, 4), range(11, 12)]), [range(5, 10)]);
    }
}
