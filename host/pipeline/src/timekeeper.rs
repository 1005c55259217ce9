//! Time that passes while nothing comes, put into the journal.
//!
//! The stages know no other clock than the arrival of envelopes. When none
//! arrive, somebody must say that it is later nevertheless: shortly after the
//! last arrival, so that its round is over and correlators see it, and every
//! few seconds from then on, so that what was not repeated can end.

use std::time::Duration;

use faultline_domain::envelope::{Arrival, Format};
use faultline_domain::id::SourceName;
use faultline_domain::time::Timestamp;
use faultline_store::{Journal, JournalHead, StoreError};

/// How often time is noted while nothing comes.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// Notes the passage of time in one journal.
#[derive(Debug)]
pub struct Timekeeper {
    journal: Journal,
    round: Duration,
    /// The end of the journal after the last note.
    noted: JournalHead,
}

impl Timekeeper {
    /// For a journal that is read in rounds of this length.
    pub fn new(journal: Journal, round: Duration) -> Self {
        Self {
            journal,
            round,
            noted: JournalHead::default(),
        }
    }

    /// When, in the journal's time, [`Timekeeper::note`] next has something to
    /// do, if nothing comes until then.
    pub fn due(&self) -> Timestamp {
        let head = *self.journal.head().borrow();
        if head == self.noted {
            head.received.plus(HEARTBEAT)
        } else {
            self.round_end(head)
        }
    }

    fn round_end(&self, head: JournalHead) -> Timestamp {
        head.received.floor(self.round).plus(self.round)
    }

    /// How long until then, when the clock of the machine shows `now`.
    pub fn wait(&self, now: Timestamp) -> Duration {
        self.due().since(self.journal.time(now))
    }

    /// Notes that it is `now` by the clock of the machine, if that is due.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub async fn note(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let time = self.journal.time(now);
        if time < self.due() {
            return Ok(());
        }
        self.note_at_once(now).await
    }

    /// Notes that it is `now` by the clock of the machine, due or not: whether
    /// the journal can be written shows only when it is.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn note_at_once(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let before = *self.journal.head().borrow();
        let position = self.journal.append(vec![clock(now)]).await?;
        let after = *self.journal.head().borrow();
        // By the time that the journal gave it: the clock that was looked at, and
        // what else came, can be of another round by then.
        let ends_round = after.received >= self.round_end(before);
        if position.0 == before.position.0 + 1 && after.position == position && ends_round {
            self.noted = after;
        }
        Ok(())
    }
}

fn clock(now: Timestamp) -> Arrival {
    Arrival {
        source: SourceName::new("clock").expect("five letters"),
        format: Format::Clock,
        content_type: String::new(),
        headers: Vec::new(),
        body: Vec::new(),
        received: now,
    }
}
