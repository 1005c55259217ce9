//! When an envelope arrived, by a clock that can be set.
//!
//! Time in a journal never goes back and must not stand still: rounds end and
//! conditions expire by it. The clock of a machine can be set back, by hand or
//! because it was wrong, and it can be set far ahead by mistake. So the time of
//! a journal follows the clock of the machine, with two exceptions:
//!
//! - Where the clock was set back, journal time goes on at half its speed until
//!   the clock has caught up, which takes twice as long as it was set back by.
//! - Where the clock jumps ahead by more than [`STEP_MAX`] while the process
//!   runs, journal time does not follow but goes on as time passes, until the
//!   clock is set right or the process is started again. Nothing that was
//!   written with a time far ahead could ever be taken back.
//!
//! How much time passes is told by a second clock, which nobody can set.

use std::time::Duration;

use crate::time::Timestamp;

/// How far the clock may jump ahead for journal time to follow. A machine that
/// slept counts its sleep; one that was paused from outside does not know.
pub const STEP_MAX: Duration = Duration::from_secs(3_600);

/// Being ahead by this much is not worth a word: clocks are adjusted all the
/// time.
pub const TOLERANCE: Duration = Duration::from_secs(2);

/// How a journal's time stands to the clock of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockState {
    /// It is the same.
    InStep,
    /// The clock was set back by this much, or what is left of it.
    SetBack(Duration),
    /// The clock was set ahead by this much, and is not followed.
    SetAhead(Duration),
}

/// The time of a journal.
#[derive(Debug, Clone)]
pub struct ArrivalClock {
    journal: Timestamp,
    /// The second clock when this was last read; none before the first time.
    steady: Option<Duration>,
    state: ClockState,
}

impl ArrivalClock {
    /// For a journal that ends at this time.
    pub const fn new(head: Timestamp) -> Self {
        Self {
            journal: head,
            steady: None,
            state: ClockState::InStep,
        }
    }

    /// The journal's time when the clock of the machine shows `wall` and the
    /// one that nobody can set shows `steady`.
    pub fn read(&mut self, wall: Timestamp, steady: Duration) -> Timestamp {
        let passed = self.steady.map(|before| steady.saturating_sub(before));
        self.steady = Some(steady);
        let is_far_ahead =
            passed.is_some_and(|passed| wall > self.journal.plus(passed).plus(STEP_MAX));
        let passed = passed.unwrap_or_default();
        self.journal = if is_far_ahead {
            self.journal.plus(passed)
        } else {
            wall.max(self.journal.plus(passed / 2))
        };
        self.state = if is_far_ahead {
            ClockState::SetAhead(wall.since(self.journal))
        } else if self.journal.since(wall) > TOLERANCE {
            ClockState::SetBack(self.journal.since(wall))
        } else {
            ClockState::InStep
        };
        self.journal
    }

    /// The journal has come to a later time than this clock knew: another
    /// process writes to it, too.
    pub fn follow(&mut self, head: Timestamp) {
        self.journal = self.journal.max(head);
    }

    /// How it stood when it was last read.
    pub const fn state(&self) -> ClockState {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both clocks, moved by hand.
    struct Clocks {
        clock: ArrivalClock,
        wall: Timestamp,
        steady: Duration,
    }

    impl Clocks {
        fn at(secs: u64) -> Self {
            let wall = Timestamp::from_secs(secs);
            let mut clocks = Self {
                clock: ArrivalClock::new(Timestamp::ZERO),
                wall,
                steady: Duration::from_secs(7),
            };
            clocks.read();
            clocks
        }

        fn read(&mut self) -> u64 {
            self.clock.read(self.wall, self.steady).as_micros() / 1_000_000
        }

        fn pass(&mut self, secs: u64) -> u64 {
            self.wall = self.wall.plus(Duration::from_secs(secs));
            self.steady += Duration::from_secs(secs);
            self.read()
        }

        fn set(&mut self, secs: u64) {
            self.wall = Timestamp::from_secs(secs);
        }
    }

    #[test]
    fn it_is_the_clock_of_the_machine() {
        let mut clocks = Clocks::at(1_000);
        assert_eq!(clocks.pass(5), 1_005);
        // A leap that may be one: the machine was paused.
        clocks.set(1_005 + 3_600);
        assert_eq!(clocks.read(), 4_605);
        assert_eq!(clocks.clock.state(), ClockState::InStep);
    }

    #[test]
    fn set_back_it_goes_on_slower_until_it_is_caught_up_with() {
        let mut clocks = Clocks::at(10_000);
        clocks.set(9_000);
        assert_eq!(clocks.read(), 10_000, "never back");
        assert_eq!(clocks.pass(100), 10_050);
        let behind = Duration::from_secs(950);
        assert_eq!(clocks.clock.state(), ClockState::SetBack(behind));
        let mut before = 10_050;
        for passed in (200..=2_000).step_by(100) {
            let now = clocks.pass(100);
            assert!(now > before, "it stands still after {passed} s");
            before = now;
        }
        assert_eq!(clocks.clock.state(), ClockState::InStep);
        assert_eq!(clocks.pass(100), 11_100, "and it is the clock again");
    }

    #[test]
    fn a_little_back_is_not_worth_a_word() {
        let mut clocks = Clocks::at(10_000);
        clocks.set(9_999);
        assert_eq!(clocks.read(), 10_000);
        assert_eq!(clocks.clock.state(), ClockState::InStep);
    }

    #[test]
    fn set_far_ahead_it_is_not_followed() {
        let mut clocks = Clocks::at(10_000);
        clocks.set(3_000_000_000);
        assert_eq!(clocks.pass(5), 10_005);
        assert!(matches!(clocks.clock.state(), ClockState::SetAhead(_)));
        assert_eq!(clocks.pass(60), 10_065, "time passes all the same");
        clocks.set(10_066);
        assert_eq!(clocks.read(), 10_066);
        assert_eq!(clocks.clock.state(), ClockState::InStep);
    }

    #[test]
    fn a_journal_from_ahead_of_the_clock_is_gone_on_with() {
        let mut clock = ArrivalClock::new(Timestamp::from_secs(500));
        let read = |clock: &mut ArrivalClock, wall, steady| {
            clock.read(Timestamp::from_secs(wall), Duration::from_secs(steady))
        };
        assert_eq!(read(&mut clock, 100, 1), Timestamp::from_secs(500));
        assert_eq!(read(&mut clock, 110, 11), Timestamp::from_secs(505));
        // One from long ago is not: nobody knows how long nothing ran.
        let mut clock = ArrivalClock::new(Timestamp::from_secs(500));
        assert_eq!(
            read(&mut clock, 9_000_000, 1),
            Timestamp::from_secs(9_000_000)
        );
    }

    #[test]
    fn what_another_process_wrote_is_not_gone_behind() {
        let mut clocks = Clocks::at(10_000);
        clocks.clock.follow(Timestamp::from_secs(10_100));
        assert_eq!(clocks.pass(10), 10_105);
        assert_eq!(
            clocks.clock.state(),
            ClockState::SetBack(Duration::from_secs(95))
        );
    }
}
