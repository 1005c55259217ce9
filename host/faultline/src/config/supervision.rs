//! What becomes of plugins that fail.

use std::time::Duration;

use faultline_domain::supervision::SupervisionPolicy;
use serde::{Deserialize, Serialize};

/// `[plugins.supervision]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct SupervisionConfig {
    /// So many failures within the window, and an instance is quarantined.
    pub(crate) failures: u32,
    /// So many times over its limit of memory within the window.
    pub(crate) memory_failures: u32,
    /// So many failures in a row on the same input.
    pub(crate) same_input: u32,
    /// The window.
    #[serde(with = "humantime_serde")]
    pub(crate) window: Duration,
    /// The bound of the first wait after a failure.
    #[serde(with = "humantime_serde")]
    pub(crate) backoff_first: Duration,
    /// The bound of waits that no longer grow.
    #[serde(with = "humantime_serde")]
    pub(crate) backoff_max: Duration,
    /// After so long without a failure all is forgotten.
    #[serde(with = "humantime_serde")]
    pub(crate) healthy_after: Duration,
    /// One that has been failing and waiting for so long is worth an alert.
    #[serde(with = "humantime_serde")]
    pub(crate) alert_after: Duration,
}

impl Default for SupervisionConfig {
    fn default() -> Self {
        let policy = SupervisionPolicy::default();
        Self {
            failures: policy.failures_max,
            memory_failures: policy.memory_failures_max,
            same_input: policy.same_input_max,
            window: policy.window,
            backoff_first: policy.backoff_first,
            backoff_max: policy.backoff_max,
            healthy_after: policy.healthy_after,
            alert_after: policy.alert_after,
        }
    }
}

impl SupervisionConfig {
    pub(super) fn check(&self) -> Option<String> {
        let problem = self.policy().check()?;
        Some(format!("[plugins.supervision] {problem}"))
    }

    /// As supervisors take it.
    pub(crate) fn policy(&self) -> SupervisionPolicy {
        SupervisionPolicy {
            failures_max: self.failures,
            memory_failures_max: self.memory_failures,
            same_input_max: self.same_input,
            window: self.window,
            backoff_first: self.backoff_first,
            backoff_max: self.backoff_max,
            healthy_after: self.healthy_after,
            alert_after: self.alert_after,
        }
    }
}
