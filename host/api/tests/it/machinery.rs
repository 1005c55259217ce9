//! The running machinery, in memory: says what it was told to say, and notes
//! what it was asked.

use std::sync::Mutex;

use faultline_api::{
    Answer, Candidate, ComponentCache, Condition, Control, InstanceStatus, Reason, StageStatus,
};
use faultline_bundle::Bundle;
use faultline_domain::id::InstanceName;

#[derive(Default)]
pub(crate) struct Machinery {
    pub(crate) told: Mutex<Told>,
}

/// What it says, and what it was asked.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) plugins_changed: u32,
    pub(crate) tokens_changed: u32,
    /// Why what was changed cannot be read.
    pub(crate) unread: Option<String>,
    /// What is held against the next candidates.
    pub(crate) objections: Vec<Reason>,
    /// What is held against compiling the next components.
    pub(crate) uncompilable: Option<Reason>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) instances: Vec<InstanceStatus>,
    pub(crate) cache: Option<ComponentCache>,
    pub(crate) stages: Vec<StageStatus>,
    /// What was to be polled, and whether from the start.
    pub(crate) polls: Vec<(InstanceName, bool)>,
    /// Why nothing is polled.
    pub(crate) unpolled: Option<String>,
    /// What does not run.
    pub(crate) unready: Option<String>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) metrics: String,
}

impl Machinery {
    pub(crate) fn tell<T>(&self, tell: impl FnOnce(&mut Told) -> T) -> T {
        tell(&mut self.told.lock().expect("no panic"))
    }

    fn answer<T: Send + 'static>(&self, tell: impl FnOnce(&mut Told) -> T) -> Answer<'static, T> {
        let answer = self.tell(tell);
        Box::pin(async move { answer })
    }
}

impl Control for Machinery {
    fn plugins_changed(&self) -> Answer<'_, Result<(), String>> {
        self.answer(|told| {
            told.plugins_changed += 1;
            told.unread.clone().map_or(Ok(()), Err)
        })
    }

    fn tokens_changed(&self) -> Answer<'_, Result<(), String>> {
        self.answer(|told| {
            told.tokens_changed += 1;
            told.unread.clone().map_or(Ok(()), Err)
        })
    }

    fn instances(&self) -> Answer<'_, Vec<InstanceStatus>> {
        self.answer(|told| told.instances.clone())
    }

    fn check(&self, candidate: Candidate) -> Answer<'_, Result<(), Vec<Reason>>> {
        self.answer(|told| {
            told.candidates.push(candidate);
            if told.objections.is_empty() {
                Ok(())
            } else {
                Err(told.objections.clone())
            }
        })
    }

    fn poll(&self, instance: InstanceName, from_start: bool) -> Answer<'_, Result<(), String>> {
        self.answer(|told| {
            told.polls.push((instance, from_start));
            told.unpolled.clone().map_or(Ok(()), Err)
        })
    }

    fn prepare(&self, _: Bundle, _: String) -> Answer<'_, Result<(), Reason>> {
        self.answer(|told| told.uncompilable.clone().map_or(Ok(()), Err))
    }

    fn component_cache(&self) -> Answer<'_, std::io::Result<Option<ComponentCache>>> {
        self.answer(|told| Ok(told.cache.clone()))
    }

    fn component_cache_clear(&self) -> Answer<'_, std::io::Result<u64>> {
        self.answer(|told| {
            let cleared = told
                .cache
                .as_mut()
                .map(|cache| cache.components.drain(..).count());
            Ok(cleared.map_or(0, |count| count as u64))
        })
    }

    fn stages(&self) -> Answer<'_, Vec<StageStatus>> {
        self.answer(|told| told.stages.clone())
    }

    fn ready(&self) -> Answer<'_, Result<(), String>> {
        self.answer(|told| told.unready.clone().map_or(Ok(()), Err))
    }

    fn conditions(&self) -> Answer<'_, Vec<Condition>> {
        self.answer(|told| told.conditions.clone())
    }

    fn metrics(&self) -> Answer<'_, String> {
        self.answer(|told| told.metrics.clone())
    }
}
