//! Drives a correlator natively, through the same code as in a component.

use std::marker::PhantomData;

use serde_json::Value;

use crate::testkit::FakeHost;
use crate::testkit::apart::apart;
use crate::testkit::proposals::mistakes;
use crate::{Blob, Correlator, Fault, Proposal, Situation, Verdict};

/// One correlator on a bench. Each call is a fresh instance that is given the
/// state of the call before, as the host does it.
pub struct CorrelatorBench<C: Correlator> {
    config: Value,
    host: FakeHost,
    state: Option<Blob>,
    /// The call before.
    asked: Option<Asked>,
    correlator: PhantomData<C>,
}

/// A call, and what was answered.
struct Asked {
    situation: Situation,
    state: Option<Blob>,
    answer: Result<Verdict, Fault>,
}

impl<C: Correlator> CorrelatorBench<C> {
    /// A correlator with this configuration and no state yet.
    pub fn new(config: &Value) -> Self {
        Self {
            config: config.clone(),
            host: FakeHost::new().with_config(config),
            state: None,
            asked: None,
            correlator: PhantomData,
        }
    }

    /// What the correlator proposes.
    ///
    /// # Errors
    /// What the correlator answers.
    ///
    /// # Panics
    /// If the same situation and state give another answer the second time, to a
    /// guest that was just started or to one that was asked something else in
    /// between: it remembers what is not in its state. Or if the host would refuse a proposal because it speaks of something that
    /// is not in the situation; naming all such mistakes.
    pub fn correlate(&mut self, situation: &Situation) -> Result<Vec<Proposal>, Fault> {
        let call = || crate::correlator::correlate::<C>(situation, self.state.as_ref());
        let (verdict, again) = self.host.run(|| (call(), call()));
        assert_eq!(
            verdict, again,
            "the same situation and state gave two different answers"
        );
        self.check_memory(situation, &verdict);
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

    /// Asks once more as a fresh guest is asked, and asks what was asked before.
    fn check_memory(&mut self, situation: &Situation, verdict: &Result<Verdict, Fault>) {
        let asked = Asked {
            situation: situation.clone(),
            state: self.state.clone(),
            answer: verdict.clone(),
        };
        let config = &self.config;
        let ask = |asked: &Asked| {
            let host = FakeHost::new().with_config(config);
            host.run(|| crate::correlator::correlate::<C>(&asked.situation, asked.state.as_ref()))
        };
        let fresh = apart(|| ask(&asked));
        assert_eq!(
            asked.answer, fresh,
            "a fresh guest answers otherwise: this one remembers what is not in its state"
        );
        if let Some(before) = &self.asked {
            assert_eq!(
                before.answer,
                ask(before),
                "asked something else in between, it answers otherwise: it remembers what is \
                 not in its state"
            );
        }
        self.asked = Some(asked);
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
