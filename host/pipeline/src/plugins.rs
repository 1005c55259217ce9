//! The plugins that the stages call, as the binary wires them up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use faultline_domain::decode::Decoder;
use faultline_domain::envelope::Format;
use faultline_domain::id::{Digest, InstanceName};
use faultline_domain::plugin::{Correlator, DetectorFactory};

use crate::poll::ScheduledPoller;

/// One decoder, and what the host needs to know about what it decodes.
#[derive(Clone)]
pub struct Reader {
    /// Reads the payloads.
    pub decoder: Arc<dyn Decoder>,
    /// Alerts of one family share their fingerprints.
    pub family: String,
    /// The component, of a connector; none for the host's own.
    pub digest: Option<Digest>,
    /// How long the word of its senders holds unless repeated; none if they
    /// are not in the habit of repeating themselves.
    pub resolve_timeout: Option<Duration>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("family", &self.family)
            .field("resolve_timeout", &self.resolve_timeout)
            .finish_non_exhaustive()
    }
}

/// All plugins that run at one time. Which they are is configuration: a stage
/// that is given others goes on with them from where it is.
#[derive(Clone, Default)]
pub struct Plugins {
    /// By what they read.
    pub readers: BTreeMap<Format, Reader>,
    /// Those that also fetch, by name.
    pub pollers: BTreeMap<InstanceName, ScheduledPoller>,
    /// In the order in which their findings apply.
    pub detectors: Vec<Arc<dyn DetectorFactory>>,
    /// Shards of each detector; at least one.
    pub detector_shards: u32,
    /// In the order in which they are asked.
    pub correlators: Vec<Arc<dyn Correlator>>,
}

impl Plugins {
    /// The instances that the observe stage calls, and their components.
    pub(crate) fn observed(&self) -> BTreeMap<InstanceName, Digest> {
        let connectors = self.readers.iter().filter_map(|(format, reader)| {
            let Format::Connector(instance) = format else {
                return None;
            };
            Some((instance.clone(), reader.digest?))
        });
        let detectors = self.detectors.iter();
        let detectors = detectors.map(|it| (it.instance().clone(), it.digest()));
        connectors.chain(detectors).collect()
    }

    /// The instances that the correlate stage calls, and their components.
    pub(crate) fn correlating(&self) -> BTreeMap<InstanceName, Digest> {
        let correlators = self.correlators.iter();
        correlators
            .map(|it| (it.instance().clone(), it.digest()))
            .collect()
    }
}

impl std::fmt::Debug for Plugins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let detectors: Vec<_> = self.detectors.iter().map(|d| d.instance()).collect();
        let correlators: Vec<_> = self.correlators.iter().map(|c| c.instance()).collect();
        f.debug_struct("Plugins")
            .field("readers", &self.readers)
            .field("pollers", &self.pollers)
            .field("detectors", &detectors)
            .field("detector_shards", &self.detector_shards)
            .field("correlators", &correlators)
            .finish()
    }
}
