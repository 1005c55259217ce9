//! The leases of a node: taken, renewed, and let go of. What is to be done about
//! each is decided by [`Claim`]; here are the clock, the database, and those who
//! want to know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use faultline_domain::id::ScopeName;
use faultline_domain::lease::{Claim, Fence, Holder, LeaseName, Loss, Step, Terms};
use faultline_store::{Store, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::clock::now;
use crate::faults::{Faults, Part};

/// All leases, as one node sees them.
pub(crate) struct Leases {
    store: Store,
    scope: ScopeName,
    holder: Holder,
    terms: Terms,
    faults: Faults,
    by_name: BTreeMap<LeaseName, Lease>,
}

/// One lease, as the rest of the node sees it.
#[derive(Default)]
struct Lease {
    fence: watch::Sender<Option<Fence>>,
    is_held: watch::Sender<bool>,
    taken: AtomicU64,
    lost: AtomicU64,
}

/// What there is to count about a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseCounts {
    pub(crate) name: LeaseName,
    /// Whether this node has it.
    pub(crate) is_held: bool,
    /// How often this node has taken it.
    pub(crate) taken: u64,
    /// How often this node has lost it without having let go of it.
    pub(crate) lost: u64,
}

impl Leases {
    /// Nothing is taken yet.
    pub(crate) fn new(
        store: Store,
        scope: ScopeName,
        holder: Holder,
        lifetime: Duration,
        faults: Faults,
    ) -> Self {
        let terms = Terms {
            lifetime,
            alone: !store.kind().is_shared(),
        };
        Self {
            store,
            scope,
            holder,
            terms,
            faults,
            by_name: LeaseName::ALL
                .into_iter()
                .map(|name| (name, Lease::default()))
                .collect(),
        }
    }

    /// The fence of a lease for as long as it is this node's; none while it is
    /// not.
    pub(crate) fn follow(&self, name: LeaseName) -> watch::Receiver<Option<Fence>> {
        self.by_name.get(&name).map_or_else(
            || watch::Sender::default().subscribe(),
            |lease| lease.fence.subscribe(),
        )
    }

    /// Whether a lease is this node's, for what is not committed under its fence
    /// but has another guard.
    pub(crate) fn follow_held(&self, name: LeaseName) -> watch::Receiver<bool> {
        self.by_name.get(&name).map_or_else(
            || watch::Sender::default().subscribe(),
            |lease| lease.is_held.subscribe(),
        )
    }

    /// What there is to count.
    pub(crate) fn counts(&self) -> Vec<LeaseCounts> {
        self.by_name
            .iter()
            .map(|(name, lease)| LeaseCounts {
                name: *name,
                is_held: lease.fence.borrow().is_some(),
                taken: lease.taken.load(Ordering::Relaxed),
                lost: lease.lost.load(Ordering::Relaxed),
            })
            .collect()
    }

    /// Takes what is free and keeps what it has until it is to stop; then lets
    /// go of all of it. Whoever works under a lease must have ended by then.
    pub(crate) async fn keep(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let began = Instant::now();
        let mut claims: Vec<(LeaseName, Claim)> = LeaseName::ALL
            .into_iter()
            .map(|name| (name, Claim::new(self.holder.clone(), self.terms)))
            .collect();
        loop {
            self.look(&mut claims, began).await;
            let is_settled =
                self.terms.alone && claims.iter().all(|(_, claim)| claim.held().is_some());
            let pause = async {
                if is_settled {
                    std::future::pending::<()>().await;
                } else {
                    sleep(self.terms.renew_every() / 2).await;
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = pause => {}
            }
        }
        for (name, claim) in claims {
            let Some(fence) = claim.held() else { continue };
            self.publish(name, None);
            let released = self.store.lease_release(&self.scope, name, fence);
            if let Ok(Err(error)) = timeout(self.terms.lifetime, released).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the lease of {name} could not be let go of: others take it when it has \
                     run out"
                );
            }
        }
    }

    /// One look at all of them, and what is to be done.
    async fn look(&self, claims: &mut [(LeaseName, Claim)], began: Instant) {
        match self.try_look(claims, began).await {
            Ok(()) => self.faults.clear(Part::Leases),
            Err(error) => {
                self.faults.set(Part::Leases, &error, now());
                for (name, claim) in claims {
                    let loss = claim.pass_time(began.elapsed());
                    self.note_loss(*name, loss);
                }
            }
        }
    }

    async fn try_look(
        &self,
        claims: &mut [(LeaseName, Claim)],
        began: Instant,
    ) -> Result<(), StoreError> {
        let leases = self.ask(self.store.lease_list(&self.scope)).await?;
        for (name, claim) in claims {
            let lease = leases.iter().find(|lease| lease.name == name.as_str());
            let view = lease.map(|lease| &lease.view);
            let (loss, step) = claim.look(began.elapsed(), view);
            self.note_loss(*name, loss);
            let sent = began.elapsed();
            match step {
                Step::Wait => {}
                Step::Renew(fence) => {
                    let renewing = self.store.lease_renew(&self.scope, *name, fence, now());
                    // If not, the next look finds out who has it.
                    if self.ask(renewing).await? {
                        claim.renewed(sent);
                    }
                }
                Step::Take(over) => {
                    let store = &self.store;
                    let taking = store.lease_take(&self.scope, *name, &self.holder, over, now());
                    if let Some(fence) = self.ask(taking).await? {
                        claim.taken(sent, fence);
                        self.note_taken(*name, fence);
                    }
                }
            }
        }
        Ok(())
    }

    /// Asks the database, and does not wait for longer than the leases can
    /// bear.
    async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let answer = timeout(self.terms.renew_every(), question).await;
        answer.unwrap_or(Err(StoreError::NoAnswer))
    }

    fn note_taken(&self, name: LeaseName, fence: Fence) {
        tracing::info!(
            lease = name.as_str(),
            lease.token = fence.0,
            "this node does the work of {name} from now on"
        );
        if let Some(lease) = self.by_name.get(&name) {
            lease.taken.fetch_add(1, Ordering::Relaxed);
        }
        self.publish(name, Some(fence));
    }

    fn note_loss(&self, name: LeaseName, loss: Option<Loss>) {
        let Some(loss) = loss else { return };
        tracing::warn!(
            lease = name.as_str(),
            "this node does not do the work of {name} any more: {loss}"
        );
        if let Some(lease) = self.by_name.get(&name) {
            lease.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.publish(name, None);
    }

    fn publish(&self, name: LeaseName, fence: Option<Fence>) {
        if let Some(lease) = self.by_name.get(&name) {
            lease.fence.send_replace(fence);
            lease.is_held.send_replace(fence.is_some());
        }
    }
}
