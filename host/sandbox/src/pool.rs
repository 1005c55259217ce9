//! Guests that are kept for their next call, where starting one costs much: a
//! language runtime takes a hundred times as long to start as to decode a
//! payload.
//!
//! Answers must not depend on which guest gives them: the host may drop any of
//! them at any time. What a guest could do about that, it is kept from:
//!
//! - One that fails is gone, and its call is made again by a fresh one: a
//!   failure counts only if a fresh guest fails.
//! - A guest serves so many calls and takes so much memory, and is then
//!   replaced.
//! - Now and then, the more seldom the longer it goes well, a call is made by a
//!   fresh guest as well. At which is drawn: a guest that knew could behave just
//!   then. If that one answers otherwise, its answer counts, the
//!   instance has failed its contract, and nothing of it is kept warm again. If
//!   it had no room or no time, that says something about the machine only.

use std::fmt::Debug;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use faultline_domain::plugin::{CallError, Failure, Limit, Reuse};

use crate::guest::{Call, Guest};
use crate::instance::Instance;

/// The most guests of one instance that wait for a call.
const GUESTS_MAX: usize = 4;

/// The most calls that a guest serves.
const CALLS_MAX: u32 = 1_000;

/// After so many calls of the instance that others have served, a guest that
/// waits is one too many.
const IDLE_CALLS_MAX: u64 = 1_000;

/// The guests of one instance.
pub(crate) struct Pool<E> {
    keeps: AtomicBool,
    checks: Checks,
    /// Calls that warm guests have served.
    served: AtomicU64,
    /// The one that was used last is at the end, and is used next: so those
    /// that are too many stay at the beginning.
    waiting: Mutex<Vec<Waiting<E>>>,
}

/// Which calls a fresh guest makes as well: the first, one of the next two, one of
/// the four after these, and so on.
#[derive(Default)]
struct Checks {
    draws: RandomState,
}

impl Checks {
    /// Whether it is this call, of those that warm guests have served.
    fn is_due(&self, served: u64) -> bool {
        let Some(span) = served.checked_ilog2() else {
            return false;
        };
        let calls = 1_u64 << span;
        served - calls == self.draws.hash_one(span) % calls
    }
}

struct Waiting<E> {
    guest: Guest<E>,
    calls: u32,
    /// The bytes of memory that it had after its first call.
    memory_first: usize,
    /// What `served` was when it was used last.
    used: u64,
}

impl<E> Pool<E> {
    pub(crate) fn new(reuse: Reuse) -> Self {
        Self {
            keeps: AtomicBool::new(reuse == Reuse::Warm),
            checks: Checks::default(),
            served: AtomicU64::new(0),
            waiting: Mutex::new(Vec::new()),
        }
    }

    /// Serves a call with a guest that waits, or with a fresh one.
    ///
    /// # Errors
    /// What a fresh guest fails with.
    pub(crate) fn serve<T: Debug, F: Refusal>(
        &self,
        instance: &Arc<Instance>,
        call: Call,
        start: impl Fn() -> Result<Guest<E>, Failure>,
        serve: impl Fn(&mut Guest<E>) -> Result<T, F>,
    ) -> Result<T, F> {
        if !self.keeps.load(Ordering::Relaxed) {
            return serve(&mut start()?);
        }
        if let Some(mut waiting) = self.take() {
            // An answer that is a refusal is taken for a failure here: what a
            // fresh guest says counts.
            if let Ok(answer) = serve(&mut waiting.guest) {
                let served = self.served.fetch_add(1, Ordering::Relaxed) + 1;
                if self.checks.is_due(served) {
                    let fresh = start()
                        .map_err(F::from)
                        .and_then(|mut fresh| serve(&mut fresh));
                    match Check::of(&fresh, &answer) {
                        Check::Agrees | Check::TellsNothing => {}
                        Check::Stopped => return fresh,
                        Check::Differs => {
                            self.stop(instance, call);
                            return fresh;
                        }
                    }
                }
                self.keep(waiting, instance);
                return Ok(answer);
            }
        }
        let mut guest = start()?;
        let answer = serve(&mut guest)?;
        let waiting = Waiting {
            memory_first: guest.memory(),
            guest,
            calls: 0,
            used: 0,
        };
        self.keep(waiting, instance);
        Ok(answer)
    }

    fn take(&self) -> Option<Waiting<E>> {
        self.lock().pop()
    }

    /// Lets a guest wait for its next call, unless it has served its time.
    fn keep(&self, mut waiting: Waiting<E>, instance: &Instance) {
        waiting.calls += 1;
        waiting.used = self.served.load(Ordering::Relaxed);
        let memory_max = usize::try_from(instance.spec.limits.memory_bytes).unwrap_or(usize::MAX);
        let room = memory_max.saturating_sub(waiting.memory_first);
        let grown = waiting.guest.memory().saturating_sub(waiting.memory_first);
        if waiting.calls >= CALLS_MAX || grown > room / 2 || !self.keeps.load(Ordering::Relaxed) {
            return;
        }
        let now = waiting.used;
        let mut all = self.lock();
        all.retain(|other| now.saturating_sub(other.used) <= IDLE_CALLS_MAX);
        if all.len() < GUESTS_MAX {
            all.push(waiting);
        }
    }

    /// Keeps nothing any more: an answer depended on the calls before it.
    fn stop(&self, instance: &Instance, call: Call) {
        self.keeps.store(false, Ordering::Relaxed);
        self.lock().clear();
        let why = "a guest that was kept warm answers otherwise than a fresh one: \
                   it remembers what it must not";
        instance.note_failure(call.as_str(), &Failure::Contract(why.to_owned()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waiting<E>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a call gave no answer.
pub(crate) trait Refusal: Debug + From<Failure> {
    /// None if the guest said so in words.
    fn failure(&self) -> Option<&Failure>;
}

impl Refusal for Failure {
    fn failure(&self) -> Option<&Failure> {
        Some(self)
    }
}

impl Refusal for CallError {
    fn failure(&self) -> Option<&Failure> {
        match self {
            CallError::Failure(failure) => Some(failure),
            CallError::Fault(_) => None,
        }
    }
}

/// What a fresh guest's answer says about a warm one that has answered, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Agrees,
    Differs,
    /// The fresh one failed for reasons that are the machine's.
    TellsNothing,
    /// Neither may run any more.
    Stopped,
}

impl Check {
    /// Compared as they are written: NaN is NaN, and -0 is not 0.
    fn of<T: Debug, F: Refusal>(fresh: &Result<T, F>, warm: &T) -> Self {
        match fresh.as_ref().map_err(F::failure) {
            Ok(fresh) if format!("{fresh:?}") == format!("{warm:?}") => Check::Agrees,
            Err(Some(Failure::Stopped)) => Check::Stopped,
            Err(Some(
                Failure::Start(_)
                | Failure::Limit {
                    limit: Limit::Cpu | Limit::Wall,
                    ..
                },
            )) => Check::TellsNothing,
            Ok(_) | Err(_) => Check::Differs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_answer_is_held_against_a_warm_guest() {
        use faultline_domain::fault::Fault;

        let failed = |failure: Failure| Check::of(&Err::<u32, Failure>(failure), &1);
        let limit = |limit: Limit| Failure::Limit {
            limit,
            message: "too much".to_owned(),
        };
        assert_eq!(Check::of(&Ok::<u32, Failure>(1), &1), Check::Agrees);
        assert_eq!(Check::of(&Ok::<u32, Failure>(2), &1), Check::Differs);
        let fault = CallError::Fault(Fault::malformed("no"));
        assert_eq!(Check::of(&Err::<u32, _>(fault), &1), Check::Differs);
        assert_eq!(failed(Failure::Trap("t".to_owned())), Check::Differs);
        assert_eq!(failed(limit(Limit::Memory)), Check::Differs);
        assert_eq!(failed(limit(Limit::Cpu)), Check::TellsNothing);
        assert_eq!(failed(limit(Limit::Wall)), Check::TellsNothing);
        let start = Failure::Start("no slot".to_owned());
        assert_eq!(failed(start), Check::TellsNothing);
        assert_eq!(failed(Failure::Stopped), Check::Stopped);
    }

    #[test]
    fn calls_are_checked_ever_more_seldom_and_nobody_knows_which() {
        let due = |checks: &Checks| -> Vec<u64> {
            (0..1 << 16)
                .filter(|served| checks.is_due(*served))
                .collect()
        };
        let calls = due(&Checks::default());
        assert_eq!(calls[0], 1);
        let spans: Vec<u32> = calls.iter().map(|served| served.ilog2()).collect();
        assert_eq!(spans, (0..16).collect::<Vec<u32>>());
        // Of some dozens, two are hardly ever the same.
        let others = (0..50).map(|_| due(&Checks::default()));
        assert!(others.into_iter().any(|other| other != calls));
    }
}
