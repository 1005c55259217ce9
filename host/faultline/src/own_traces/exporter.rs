//! Batches of spans, as OTLP has them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::anyhow;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message as _;
use tokio::runtime::Handle;

use super::bounded::SpanCounts;
use super::way::{Taken, Way};

/// Sends batches. The SDK calls it from a thread of its own; what it waits for
/// is done by ours.
#[derive(Debug)]
pub(super) struct Exporter {
    way: Arc<Way>,
    resource: ResourceAttributesWithSchema,
    counts: Arc<SpanCounts>,
    runtime: Handle,
    /// Whether the last batch was lost, which has been said.
    is_failing: AtomicBool,
    /// Whether it has been said that the collector refuses some of them.
    is_rejected_said: AtomicBool,
}

impl Exporter {
    pub(super) fn new(
        way: Way,
        resource: &Resource,
        counts: Arc<SpanCounts>,
        runtime: Handle,
    ) -> Self {
        Self {
            way: Arc::new(way),
            resource: resource.into(),
            counts,
            runtime,
            is_failing: AtomicBool::new(false),
            is_rejected_said: AtomicBool::new(false),
        }
    }

    async fn send(&self, batch: Vec<SpanData>) -> anyhow::Result<Taken> {
        // Read each time: secrets are replaced while we run.
        let headers = self.way.headers()?;
        let request = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(batch, &self.resource),
        };
        let body = request.encode_to_vec();
        let way = Arc::clone(&self.way);
        let sending = self
            .runtime
            .spawn(async move { way.send(headers, body).await });
        sending
            .await
            .unwrap_or_else(|_| Err(anyhow!("the process ends")))
    }

    /// Once, until it goes well again.
    fn say_failed(&self, error: &anyhow::Error) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "own traces cannot be sent to {}, and are dropped and counted until they can: \
                 {error:#}",
                self.way.collector()
            );
        }
    }

    fn say_taken(&self, taken: &Taken) {
        if self.is_failing.swap(false, Ordering::Relaxed) {
            tracing::info!("own traces are sent to {} again", self.way.collector());
        }
        if taken.rejected > 0 && !self.is_rejected_said.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "{} refuses some of the own traces, which are counted: {:?}",
                self.way.collector(),
                taken.reason
            );
        }
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        self.counts.leave(spans);
        match self.send(batch).await {
            Ok(taken) => {
                self.counts.sent(spans, taken.rejected);
                self.say_taken(&taken);
                Ok(())
            }
            Err(error) => {
                self.counts.failed(spans);
                self.say_failed(&error);
                Err(OTelSdkError::InternalFailure(format!("{error:#}")))
            }
        }
    }
}
