//! Leases: who of several processes does what only one may do at a time.
//!
//! Two things are asked of a lease, and they are kept apart.
//!
//! *Safety* is a matter of [`Fence`]: a number that grows whenever the lease is
//! taken, and that is compared in the transaction of every commit. Whatever a
//! process believes, however long it was asleep and whatever its clock says:
//! once another one has taken the lease, nothing of the first is committed any
//! more.
//!
//! *Liveness* is a matter of time: when may a lease be taken from a process that
//! may be dead? No clock is compared with another for that. The holder counts a
//! number up, the *beat*; who would like to have the lease measures by its own
//! clock for how long the number has stayed the same. A clock that is wrong, or
//! is set, makes no difference; one that runs too fast has work taken over too
//! early, which is a waste and not a mistake. (Kubernetes elects leaders in the
//! same way: client-go, `tools/leaderelection`.)

use std::fmt;
use std::time::Duration;

/// What only one process does at a time, for each scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeaseName {
    /// The observe stage.
    Observe,
    /// The correlate stage.
    Correlate,
    /// Calling what fetches by itself.
    Poll,
    /// Noting the passage of time in the journal.
    Timekeeper,
    /// Removing what is older than it need be kept.
    Retention,
}

impl LeaseName {
    /// All of them, in the order of their names.
    pub const ALL: [LeaseName; 5] = [
        LeaseName::Observe,
        LeaseName::Correlate,
        LeaseName::Poll,
        LeaseName::Timekeeper,
        LeaseName::Retention,
    ];

    /// The word that stands for it everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            LeaseName::Observe => "observe",
            LeaseName::Correlate => "correlate",
            LeaseName::Poll => "poll",
            LeaseName::Timekeeper => "timekeeper",
            LeaseName::Retention => "retention",
        }
    }
}

impl fmt::Display for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A fencing token: which taking of a lease it is, from 1. The default is that
/// of a lease that nobody has ever taken, and good for as long as that is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Fence(pub u64);

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who can have a lease: a node, in one life of its process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The node. No two processes that live at the same time have the same.
    pub node: String,
    /// Drawn anew whenever the node starts.
    pub life: String,
}

/// A lease as it was last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseView {
    /// Who has it; none if it was let go of.
    pub holder: Option<Holder>,
    /// Which taking it is.
    pub fence: Fence,
    /// How often its holders have shown that they live.
    pub beat: u64,
}

/// How long leases last, and who else may want them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// A lease whose holder gives no sign of life for so long may be taken.
    pub lifetime: Duration,
    /// Nobody else can be there: what others seem to have is left over from
    /// processes that are gone, and nothing need be renewed.
    pub alone: bool,
}

impl Terms {
    /// How often to show that one lives.
    pub fn renew_every(&self) -> Duration {
        self.lifetime / 4
    }
}

/// What is to be done about a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// Try to take it, if it is still as it was read: none if it is not there
    /// at all.
    Take(Option<(Fence, u64)>),
    /// Show that one lives.
    Renew(Fence),
}

/// Why a lease is not ours any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Somebody else has taken it.
    Taken,
    /// It could not be renewed in time.
    Expired,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Loss::Taken => "another process has taken it",
            Loss::Expired => "it could not be renewed in time",
        })
    }
}

/// One lease, as one process that would like to have it sees it. Times are
/// those of a clock of its own that never goes back, from whenever.
#[derive(Debug)]
pub struct Claim {
    me: Holder,
    terms: Terms,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Others may have it.
    Watching {
        /// Fence and beat as last read, and since when they have been so; none
        /// before the first look.
        seen: Option<(Fence, u64, Duration)>,
    },
    /// It is ours.
    Held {
        fence: Fence,
        /// When the last sign of life that arrived was sent.
        renewed: Duration,
    },
}

impl Claim {
    /// Nobody has looked yet.
    pub const fn new(me: Holder, terms: Terms) -> Self {
        Self {
            me,
            terms,
            state: State::Watching { seen: None },
        }
    }

    /// The fence, while the lease is ours.
    pub const fn held(&self) -> Option<Fence> {
        match self.state {
            State::Held { fence, .. } => Some(fence),
            State::Watching { .. } => None,
        }
    }

    /// Time has passed, and the lease could not be read. Gives why it is not
    /// ours any more, if it was until now.
    pub fn pass_time(&mut self, now: Duration) -> Option<Loss> {
        let State::Held { renewed, .. } = self.state else {
            return None;
        };
        // Others measure from when they saw the sign of life, which was later
        // than when it was sent: nobody has taken it by now.
        if self.terms.alone || now.saturating_sub(renewed) < self.terms.lifetime {
            return None;
        }
        self.state = State::Watching { seen: None };
        Some(Loss::Expired)
    }

    /// The lease was read: gives why it is not ours any more, if it was until
    /// now, and what is to be done.
    pub fn look(&mut self, now: Duration, lease: Option<&LeaseView>) -> (Option<Loss>, Step) {
        let loss = match self.state {
            State::Held { fence, .. } if lease.is_none_or(|lease| lease.fence != fence) => {
                self.state = State::Watching { seen: None };
                Some(Loss::Taken)
            }
            _ => self.pass_time(now),
        };
        (loss, self.step(now, lease))
    }

    fn step(&mut self, now: Duration, lease: Option<&LeaseView>) -> Step {
        match &mut self.state {
            State::Held { fence, renewed } => {
                let age = now.saturating_sub(*renewed);
                if self.terms.alone || age < self.terms.renew_every() {
                    Step::Wait
                } else {
                    Step::Renew(*fence)
                }
            }
            State::Watching { seen } => {
                let Some(lease) = lease else {
                    return Step::Take(None);
                };
                let (is_first, since) = match *seen {
                    Some((fence, beat, since)) if (fence, beat) == (lease.fence, lease.beat) => {
                        (false, since)
                    }
                    Some(_) => (false, now),
                    None => (true, now),
                };
                *seen = Some((lease.fence, lease.beat, since));
                let is_free = match &lease.holder {
                    None => true,
                    // Ours until we let go of it ourselves.
                    Some(holder) if *holder == self.me => true,
                    // An earlier life of this node, which is over. Asked at the
                    // first look only: should two processes be told the same
                    // name by mistake, they do not go on taking it from each
                    // other.
                    Some(holder) if is_first && holder.node == self.me.node => true,
                    Some(_) => self.terms.alone || now.saturating_sub(since) >= self.terms.lifetime,
                };
                if is_free {
                    Step::Take(Some((lease.fence, lease.beat)))
                } else {
                    Step::Wait
                }
            }
        }
    }

    /// It was taken, by what was sent at this time.
    pub const fn taken(&mut self, sent: Duration, fence: Fence) {
        self.state = State::Held {
            fence,
            renewed: sent,
        };
    }

    /// It was renewed, by what was sent at this time.
    pub const fn renewed(&mut self, sent: Duration) {
        if let State::Held { renewed, .. } = &mut self.state {
            *renewed = sent;
        }
    }
}

#[cfg(test)]
mod tests;
