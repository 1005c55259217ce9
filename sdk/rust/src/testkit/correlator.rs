//! Drives a correlator natively, through the same code as in a component.

use std::marker::PhantomData;

use crate::testkit::FakeHost;
use crate::testkit::proposals::mistakes;
use crate::{Blob, Correlator, Fault, Proposal, Situation};

/// One correlator on a bench. Each call is a fresh instance that is given the
/// state of the call before, as the host does it.
pub struct CorrelatorBench<C: Correlator> {
    host: FakeHost,
    state: Option<Blob>,
    correlator: PhantomData<C>,
}

impl<C: Correlator> CorrelatorBench<C> {
    /// A correlator with this configuration and no state yet.
    pub fn new(config: &serde_json::Value) -> Self {
        Self {
            host: FakeHost::new().with_config(config),
            state: None,
            correlator: PhantomData,
        }
    }

    /// What the correlator proposes.
    ///
    /// # Errors
    /// What the correlator answers.
    ///
    /// # Panics
    /// If the same situation and state give another answer the second time, or
    /// if the host would refuse a proposal because it speaks of something that
    /// is not in the situation; naming all such mistakes.
    pub fn correlate(&mut self, situation: &Situation) -> Result<Vec<Proposal>, Fault> {
        let call = || crate::correlator::correlate::<C>(situation, self.state.as_ref());
        let (verdict, again) = self.host.run(|| (call(), call()));
        assert_eq!(
            verdict, again,
            "the same situation and state gave two different answers"
        );
        let verdict = verdict?;
        let mistakes = mistakes(situation, &verdict.proposals);
        assert!(
            mistakes.is_empty(),
            "the host would refuse:\n{}",
            mistakes.join("\n")
        );
        if verdict.state.is_some() {
            self.state = verdict.state;
        }
        Ok(verdict.proposals)
    }

    /// The state as the host would keep it; none until the first call.
    pub fn state(&self) -> Option<&Blob> {
        self.state.as_ref()
    }

    /// Goes on from this state at the next call.
    pub fn set_state(&mut self, state: Option<Blob>) {
        self.state = state;
    }

    /// The host, for what was logged.
    pub fn host(&self) -> &FakeHost {
        &self.host
    }
}
