//! Plugins: which come with the binary, and what any of them may ask for.

use std::num::NonZeroUsize;
use std::time::Duration;

use bytesize::ByteSize;
use faultline_domain::plugin::Limits;
use faultline_sandbox::CompileLimits;
use serde::{Deserialize, Serialize};

use super::supervision::SupervisionConfig;
use super::{EgressConfig, SecretsConfig};

/// `[plugins]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct PluginsConfig {
    /// Whether the plugins that come with the binary are installed and, where
    /// they need no configuration, enabled at the first start.
    pub(crate) bundled: bool,
    /// `[plugins.ceiling]`
    pub(crate) ceiling: CeilingConfig,
    /// `[plugins.egress]`
    pub(crate) egress: EgressConfig,
    /// `[plugins.secrets]`
    pub(crate) secrets: SecretsConfig,
    /// `[plugins.supervision]`
    pub(crate) supervision: SupervisionConfig,
    /// `[plugins.compile]`
    pub(crate) compile: CompileConfig,
}

/// `[plugins.compile]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct CompileConfig {
    /// How many components are compiled at a time.
    pub(crate) at_once: NonZeroUsize,
    /// Address space of a process that compiles.
    pub(crate) memory: ByteSize,
    /// Time on processors for one component.
    #[serde(with = "humantime_serde")]
    pub(crate) cpu: Duration,
    /// Time on the clock for one component.
    #[serde(with = "humantime_serde")]
    pub(crate) wall: Duration,
    /// Machine code that one component may become.
    pub(crate) output: ByteSize,
    /// Machine code that is kept in the data folder; 0 keeps none.
    pub(crate) cache: ByteSize,
}

/// `[plugins.ceiling]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct CeilingConfig {
    /// Linear memory of a guest.
    pub(crate) memory: ByteSize,
    /// Time on a processor in one call.
    #[serde(with = "humantime_serde")]
    pub(crate) cpu_per_call: Duration,
    /// Time on the clock in one call.
    #[serde(with = "humantime_serde")]
    pub(crate) wall_per_call: Duration,
    /// Bytes that a guest may give the host at once: with its answer, or with one
    /// call of a host function.
    pub(crate) output: ByteSize,
    /// Log lines of an instance in a minute.
    pub(crate) log_per_minute: ByteSize,
    /// Durable state of an instance.
    pub(crate) kv: ByteSize,
    /// Saved state of a detector or correlator.
    pub(crate) state: ByteSize,
    /// Requests of a guest in one call.
    pub(crate) http_requests: u64,
    /// Bytes that go out with them in one call.
    pub(crate) http_sent: ByteSize,
    /// Bytes of answers in one call.
    pub(crate) http_received: ByteSize,
    /// Bytes of one answer.
    pub(crate) http_body: ByteSize,
    /// Bytes that go out and come in for an instance in a minute.
    pub(crate) http_per_minute: ByteSize,
    /// Connections of an instance at a time.
    pub(crate) http_connections: u64,
}

impl Default for PluginsConfig {
    fn default() -> Self {
        Self {
            bundled: true,
            ceiling: CeilingConfig::default(),
            egress: EgressConfig::default(),
            secrets: SecretsConfig::default(),
            supervision: SupervisionConfig::default(),
            compile: CompileConfig::default(),
        }
    }
}

impl Default for CompileConfig {
    fn default() -> Self {
        let limits = CompileLimits::default();
        Self {
            at_once: NonZeroUsize::MIN.saturating_add(1),
            memory: ByteSize(limits.memory_bytes),
            cpu: limits.cpu,
            wall: limits.wall,
            output: ByteSize(limits.output_bytes),
            cache: ByteSize::gib(1),
        }
    }
}

impl CompileConfig {
    fn check(&self) -> Option<String> {
        // The program itself is in there, and what a compiler needs for the
        // smallest of components.
        let least = ByteSize::mib(256);
        if self.memory < least {
            let memory = self.memory;
            return Some(format!(
                "[plugins.compile] memory is {memory}; it must be {least} at least"
            ));
        }
        let second = Duration::from_secs(1);
        (self.cpu < second || self.wall < second)
            .then(|| "[plugins.compile] cpu and wall must be 1s at least".to_owned())
    }

    /// What compiling one component may take.
    pub(crate) fn limits(&self) -> CompileLimits {
        CompileLimits {
            memory_bytes: self.memory.as_u64(),
            cpu: self.cpu,
            wall: self.wall,
            output_bytes: self.output.as_u64(),
        }
    }
}

impl Default for CeilingConfig {
    fn default() -> Self {
        let limits = Limits::default_ceiling();
        Self {
            memory: ByteSize(limits.memory_bytes),
            cpu_per_call: limits.cpu_per_call,
            wall_per_call: limits.wall_per_call,
            output: ByteSize(limits.output_bytes),
            log_per_minute: ByteSize(limits.log_bytes_per_minute),
            kv: ByteSize(limits.kv_bytes),
            state: ByteSize(limits.state_bytes),
            http_requests: limits.http_requests,
            http_sent: ByteSize(limits.http_sent_bytes),
            http_received: ByteSize(limits.http_received_bytes),
            http_body: ByteSize(limits.http_body_bytes),
            http_per_minute: ByteSize(limits.http_bytes_per_minute),
            http_connections: limits.http_connections,
        }
    }
}

impl PluginsConfig {
    pub(super) fn check(&self) -> Option<String> {
        // The engine's pools are made for that much.
        let most = ByteSize::gib(1);
        let ceiling = (self.ceiling.memory > most).then(|| {
            let memory = self.ceiling.memory;
            format!("[plugins.ceiling] memory is {memory}; it can be {most} at most")
        });
        ceiling
            .or_else(|| self.supervision.check())
            .or_else(|| self.compile.check())
    }

    /// The most that any manifest can ask for.
    pub(crate) fn ceiling(&self) -> Limits {
        let ceiling = &self.ceiling;
        Limits {
            memory_bytes: ceiling.memory.as_u64(),
            cpu_per_call: ceiling.cpu_per_call,
            wall_per_call: ceiling.wall_per_call,
            output_bytes: ceiling.output.as_u64(),
            log_bytes_per_minute: ceiling.log_per_minute.as_u64(),
            kv_bytes: ceiling.kv.as_u64(),
            state_bytes: ceiling.state.as_u64(),
            http_requests: ceiling.http_requests,
            http_sent_bytes: ceiling.http_sent.as_u64(),
            http_received_bytes: ceiling.http_received.as_u64(),
            http_body_bytes: ceiling.http_body.as_u64(),
            http_bytes_per_minute: ceiling.http_per_minute.as_u64(),
            http_connections: ceiling.http_connections,
            ..Limits::default_ceiling()
        }
    }
}
