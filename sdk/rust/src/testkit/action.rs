//! Drives an action natively, phase by phase, through the same code as in a
//! component, and holds it to what it declared.

use std::marker::PhantomData;

use crate::testkit::FakeHost;
use crate::{Action, Blob, Effect, Fault, Health, OperationRequest};

/// Methods that change nothing (RFC 9110, section 9.2.1).
const SAFE_METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// One action on a bench. Each phase is a fresh instance; tokens and undo
/// records travel from one to the next as bytes, as the host does it.
pub struct ActionBench<A: Action> {
    host: FakeHost,
    action: PhantomData<A>,
}

/// An approved plan, and what it declared.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchPlan {
    /// What the person who approves would read.
    pub summary: String,
    /// What `execute` may do.
    pub effects: Vec<Effect>,
    /// How it would be undone.
    pub undo: Option<String>,
    token: Blob,
}

/// What was done, and how to undo it.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchOutcome {
    /// A line for people.
    pub summary: String,
    undo: Option<Blob>,
}

impl<A: Action> ActionBench<A> {
    /// An action on this host, which has its configuration, its secrets and
    /// the answers to its requests.
    pub fn new(host: FakeHost) -> Self {
        Self {
            host,
            action: PhantomData,
        }
    }

    /// Plans.
    ///
    /// # Errors
    /// What the action answers, here and below.
    ///
    /// # Panics
    /// If the phase did more than read, here and in `verify`: the host would
    /// have refused.
    pub fn plan(&self, request: &OperationRequest) -> Result<BenchPlan, Fault> {
        let planned = self.reading("plan", || crate::action::plan::<A>(request))?;
        Ok(BenchPlan {
            summary: planned.summary,
            effects: planned.effects,
            undo: planned.undo,
            token: planned.token,
        })
    }

    /// Executes.
    ///
    /// # Errors
    /// As [`ActionBench::plan`].
    ///
    /// # Panics
    /// If it did what the plan had not declared: the host would have refused.
    pub fn execute(&self, plan: &BenchPlan, key: &str) -> Result<BenchOutcome, Fault> {
        let (requests, commands) = (self.host.requests().len(), self.host.commands().len());
        let outcome = self
            .host
            .run(|| crate::action::execute::<A>(&plan.token, key));
        for request in &self.host.requests()[requests..] {
            assert!(
                is_declared(plan, &request.method, &request.url)
                    || SAFE_METHODS.contains(&request.method.as_str()),
                "`execute` sent {} {}, which the plan had not declared",
                request.method,
                request.url
            );
        }
        for (command, _) in &self.host.commands()[commands..] {
            assert!(
                is_declared(plan, "exec", command),
                "`execute` ran {command}, which the plan had not declared"
            );
        }
        let outcome = outcome?;
        Ok(BenchOutcome {
            summary: outcome.summary,
            undo: outcome.undo,
        })
    }

    /// Asks whether it helped.
    ///
    /// # Errors
    /// As [`ActionBench::plan`].
    ///
    /// # Panics
    /// As [`ActionBench::plan`].
    pub fn verify(&self, plan: &BenchPlan) -> Result<Health, Fault> {
        self.reading("verify", || crate::action::verify::<A>(&plan.token))
    }

    /// Undoes what was done.
    ///
    /// # Errors
    /// As [`ActionBench::plan`].
    ///
    /// # Panics
    /// If the outcome says that it cannot be undone.
    pub fn rollback(&self, outcome: &BenchOutcome, key: &str) -> Result<BenchOutcome, Fault> {
        let undo = outcome
            .undo
            .as_ref()
            .expect("only what has an undo record is rolled back");
        let outcome = self.host.run(|| crate::action::rollback::<A>(undo, key))?;
        Ok(BenchOutcome {
            summary: outcome.summary,
            undo: outcome.undo,
        })
    }

    /// The host, for what was logged, sent and run.
    pub fn host(&self) -> &FakeHost {
        &self.host
    }

    fn reading<R>(&self, phase: &str, call: impl FnOnce() -> R) -> R {
        let (requests, commands) = (self.host.requests().len(), self.host.commands().len());
        let answer = self.host.run(call);
        for request in &self.host.requests()[requests..] {
            assert!(
                SAFE_METHODS.contains(&request.method.as_str()),
                "`{phase}` only reads, and sent {} {}",
                request.method,
                request.url
            );
        }
        assert!(
            self.host.commands().len() == commands,
            "`{phase}` only reads, and ran a command"
        );
        answer
    }
}

fn is_declared(plan: &BenchPlan, method: &str, address: &str) -> bool {
    plan.effects
        .iter()
        .any(|effect| effect.method == method && effect.address == address)
}
