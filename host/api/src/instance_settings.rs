//! What an operator can set about an instance, beside what its component's own
//! schema has.

use std::time::Duration;

use faultline_domain::plugin::{Kind, Limits};
use faultline_domain::poll;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::views::{FieldProblem, Place, object, whole, whole_16};

/// The longest that a sender's word may hold.
const RESOLVE_TIMEOUT_SECONDS_MAX: u64 = 7 * 86_400;

/// The most characters of a family.
const FAMILY_CHARS_MAX: usize = 80;

/// What the operator set about an instance. What is left out is as the manifest
/// and the host have it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InstanceSettings {
    /// Of a connector: for how many seconds the word of its senders holds
    /// unless they repeat it. Left out: until they say otherwise.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 604_800, example = 300)]
    pub resolve_timeout: Option<u64>,
    /// Of a connector: alerts of one family share their fingerprints. Left out:
    /// the family of the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 80, example = "prometheus")]
    pub family: Option<String>,
    /// Of a connector that polls: how many seconds lie between two polls. Left
    /// out: 60.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 86_400, example = 60)]
    pub poll_interval: Option<u64>,
    /// Of a detector or correlator: those with lower numbers have their say
    /// first; those with the same, in the order of their names.
    #[serde(deserialize_with = "whole_16")]
    #[schema(minimum = 0, maximum = 65_535)]
    pub order: u16,
    /// Limits to have instead of those that the manifest asks for; at most the
    /// ceiling that is configured for this host.
    #[serde(deserialize_with = "object")]
    pub limits: LimitOverrides,
}

/// Limits that the operator has set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitOverrides {
    /// Bytes of linear memory.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub memory_bytes: Option<u64>,
    /// Elements of each table.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub table_elements: Option<u64>,
    /// Milliseconds on a processor in one call.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub cpu_per_call_ms: Option<u64>,
    /// Milliseconds on the clock in one call.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub wall_per_call_ms: Option<u64>,
    /// Bytes that cross from the guest to the host at once: with its answer, or
    /// with one call of a host function.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub output_bytes: Option<u64>,
    /// Items in one answer.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub items: Option<u64>,
    /// Calls of host functions in one call.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub host_calls: Option<u64>,
    /// Bytes of log lines a minute.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub log_bytes_per_minute: Option<u64>,
    /// Bytes of durable state.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub kv_bytes: Option<u64>,
    /// Bytes of saved state.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub state_bytes: Option<u64>,
    /// Requests that go out in one call.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub http_requests: Option<u64>,
    /// Bytes that go out with requests in one call.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub http_sent_bytes: Option<u64>,
    /// Bytes of answers, unpacked, in one call.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub http_received_bytes: Option<u64>,
    /// Bytes of one answer's body, unpacked; what is beyond is cut.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub http_body_bytes: Option<u64>,
    /// Bytes that go out and come in in a minute.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub http_bytes_per_minute: Option<u64>,
    /// Connections at a time.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub http_connections: Option<u64>,
}

impl InstanceSettings {
    /// As they are stored.
    ///
    /// # Errors
    /// If the text was written by something else.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// As text to be stored.
    ///
    /// # Panics
    /// Never: there are no keys that JSON cannot write.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("plain structures")
    }

    /// How long the word of a connector's senders holds.
    pub fn resolve_timeout(&self) -> Option<Duration> {
        self.resolve_timeout.map(Duration::from_secs)
    }

    /// How often a connector that polls is asked.
    pub fn poll_interval(&self) -> Duration {
        self.poll_interval
            .map_or(poll::INTERVAL_DEFAULT, Duration::from_secs)
    }

    /// Everything about them that cannot be, for a component of this kind.
    pub(crate) fn check(&self, kind: Kind) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        let mut note = |field: &str, detail: String| {
            problems.push(FieldProblem {
                place: Place::Body,
                field: format!("settings.{field}"),
                detail,
            });
        };
        for (field, is_set) in [
            ("resolve_timeout", self.resolve_timeout.is_some()),
            ("family", self.family.is_some()),
            ("poll_interval", self.poll_interval.is_some()),
        ] {
            if is_set && kind != Kind::Connector {
                note(field, format!("is for connectors; this is a {kind}"));
            }
        }
        if self
            .resolve_timeout
            .is_some_and(|seconds| !(1..=RESOLVE_TIMEOUT_SECONDS_MAX).contains(&seconds))
        {
            let detail = format!("must be 1 to {RESOLVE_TIMEOUT_SECONDS_MAX} seconds");
            note("resolve_timeout", detail);
        }
        let bounds = poll::INTERVAL_MIN..=poll::INTERVAL_MAX;
        if self.poll_interval.is_some() && !bounds.contains(&self.poll_interval()) {
            let (least, most) = (bounds.start().as_secs(), bounds.end().as_secs());
            note(
                "poll_interval",
                format!("must be {least} to {most} seconds"),
            );
        }
        if let Some(family) = &self.family
            && (family.trim().is_empty() || family.chars().count() > FAMILY_CHARS_MAX)
        {
            let detail = format!("must have 1 to {FAMILY_CHARS_MAX} characters");
            note("family", detail);
        }
        for (name, value) in self.limits.named() {
            if value == Some(0) {
                note(
                    &format!("limits.{name}"),
                    "must be at least 1: to keep the instance from running, disable it".to_owned(),
                );
            }
        }
        problems
    }
}

impl LimitOverrides {
    /// What the manifest asks for with these in their place, at most the
    /// ceiling.
    #[must_use]
    pub fn over(&self, asked: Limits, ceiling: Limits) -> Limits {
        let millis = |set: Option<u64>, asked| set.map_or(asked, Duration::from_millis);
        Limits {
            memory_bytes: self.memory_bytes.unwrap_or(asked.memory_bytes),
            table_elements: self.table_elements.unwrap_or(asked.table_elements),
            cpu_per_call: millis(self.cpu_per_call_ms, asked.cpu_per_call),
            wall_per_call: millis(self.wall_per_call_ms, asked.wall_per_call),
            output_bytes: self.output_bytes.unwrap_or(asked.output_bytes),
            items: self.items.unwrap_or(asked.items),
            host_calls: self.host_calls.unwrap_or(asked.host_calls),
            log_bytes_per_minute: self
                .log_bytes_per_minute
                .unwrap_or(asked.log_bytes_per_minute),
            kv_bytes: self.kv_bytes.unwrap_or(asked.kv_bytes),
            state_bytes: self.state_bytes.unwrap_or(asked.state_bytes),
            http_requests: self.http_requests.unwrap_or(asked.http_requests),
            http_sent_bytes: self.http_sent_bytes.unwrap_or(asked.http_sent_bytes),
            http_received_bytes: self
                .http_received_bytes
                .unwrap_or(asked.http_received_bytes),
            http_body_bytes: self.http_body_bytes.unwrap_or(asked.http_body_bytes),
            http_bytes_per_minute: self
                .http_bytes_per_minute
                .unwrap_or(asked.http_bytes_per_minute),
            http_connections: self.http_connections.unwrap_or(asked.http_connections),
        }
        .clamp_to(ceiling)
    }

    fn named(&self) -> [(&'static str, Option<u64>); 16] {
        [
            ("memory_bytes", self.memory_bytes),
            ("table_elements", self.table_elements),
            ("cpu_per_call_ms", self.cpu_per_call_ms),
            ("wall_per_call_ms", self.wall_per_call_ms),
            ("output_bytes", self.output_bytes),
            ("items", self.items),
            ("host_calls", self.host_calls),
            ("log_bytes_per_minute", self.log_bytes_per_minute),
            ("kv_bytes", self.kv_bytes),
            ("state_bytes", self.state_bytes),
            ("http_requests", self.http_requests),
            ("http_sent_bytes", self.http_sent_bytes),
            ("http_received_bytes", self.http_received_bytes),
            ("http_body_bytes", self.http_body_bytes),
            ("http_bytes_per_minute", self.http_bytes_per_minute),
            ("http_connections", self.http_connections),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_stay_under_the_ceiling() {
        let overrides = LimitOverrides {
            memory_bytes: Some(1 << 40),
            cpu_per_call_ms: Some(100),
            ..LimitOverrides::default()
        };
        let ceiling = Limits::default_ceiling();
        let limits = overrides.over(Limits::default(), ceiling);
        assert_eq!(limits.memory_bytes, ceiling.memory_bytes);
        assert_eq!(limits.cpu_per_call, Duration::from_millis(100));
        assert_eq!(limits.items, Limits::default().items);
    }

    #[test]
    fn what_is_for_another_kind_is_refused() {
        let settings = InstanceSettings {
            resolve_timeout: Some(300),
            ..InstanceSettings::default()
        };
        assert!(settings.check(Kind::Connector).is_empty());
        let problems = settings.check(Kind::Detector);
        assert_eq!(problems[0].field, "settings.resolve_timeout");
        for (seconds, is_good) in [(0, false), (1, true), (86_400, true), (86_401, false)] {
            let polling = InstanceSettings {
                poll_interval: Some(seconds),
                ..InstanceSettings::default()
            };
            let problems = polling.check(Kind::Connector);
            assert_eq!(problems.is_empty(), is_good, "{seconds}: {problems:?}");
            assert!(!polling.check(Kind::Correlator).is_empty());
        }
        assert_eq!(
            InstanceSettings::parse(&settings.to_text()).expect("reads back"),
            settings
        );
    }
}
