//! The topology correlator: groups alerts by time, entity, dependency and
//! recent change, and ranks what may have caused each incident.
//!
//! A call goes through five steps, each a module: look the situation through
//! ([`scene`]), relate and group the newcomers ([`relations`], [`grouping`]),
//! say so in proposals ([`proposals`]), rank suspects ([`suspects`]), and say
//! what has changed about them ([`hypotheses`]). What is remembered in between
//! is small, bounded, and never needed ([`memory`]).
//!
//! It knows no vendor and no product. It does not decide: the host applies or
//! refuses each proposal by its own rules.

mod arguments;
mod burden;
mod config;
mod deeds;
mod evidence;
mod graph;
mod grouping;
mod hypotheses;
mod labels;
mod links;
mod measure;
mod memory;
mod pleas;
mod proposals;
mod reach;
mod reading;
mod relations;
mod scene;
mod surroundings;
mod suspects;
mod timing;
mod title;
mod usual;
mod words;

pub use config::Config;
pub use memory::Memory;

use faultline_sdk::{Correlator, Fault, Proposal, Situation};

use crate::scene::Scene;

/// The plugin.
#[derive(Debug)]
pub struct Topology;

impl Correlator for Topology {
    type Config = Config;
    type State = Memory;

    const STATE_NAME: &'static str = "faultline/topology";
    const STATE_VERSION: u32 = 2;

    fn correlate(
        config: &Config,
        memory: &mut Memory,
        situation: &Situation,
    ) -> Result<Vec<Proposal>, Fault> {
        let scene = Scene::new(situation);
        memory.wake(&scene);
        let candidates = memory.candidates(&scene);
        let moved_on = memory.moves_on(&scene);
        let groups = grouping::group(&scene, config, &candidates, moved_on);
        let mut outcome = proposals::propose(&scene, config, &groups);
        memory.wait_for(&scene, &candidates, &outcome.proposed);
        for &folded in &outcome.folded {
            memory.forget(scene.incidents[folded].key);
        }
        let judgements = hypotheses::judge(&scene, config, memory, &outcome.plans);
        outcome.proposals.extend(judgements);
        Ok(outcome.proposals)
    }

    /// What is remembered is a convenience: after a change of its shape the
    /// plugin begins anew.
    fn migrate(_version: u32, _bytes: &[u8]) -> Result<Memory, Fault> {
        Ok(Memory::default())
    }
}

faultline_sdk::export_correlator!(Topology);
faultline_sdk::export_config_check!(Config);
