//! Traces of our own work, on their way out: OpenTelemetry's SDK makes and
//! batches the spans, and they are sent by OTLP.
//!
//! Whatever becomes of them, the work goes on: spans wait in a queue of limited
//! length, for a thread of their own; what does not fit, or cannot be sent, is
//! counted and gone.
//!
//! Nothing of this is read from the environment. The variables that the SDK
//! knows (`OTEL_…`) are what people set for the programs beside us, often with
//! us as the receiver; so everything that it would look up there is said here.

mod bounded;
mod exporter;
mod way;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use faultline_own_traces::MARK;
use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanLimits,
};
use tokio::runtime::Handle;

use crate::node::Node;
use crate::vault::Vault;

use bounded::Bounded;
use exporter::Exporter;
use way::Way;

pub(crate) use bounded::{SpanCount, SpanCounts};

/// What we are called, to whoever looks at traces.
const SERVICE: &str = "faultline";

/// The most spans of one request.
const BATCH_SPANS_MAX: usize = 512;

/// How often what has gathered is sent, if it is not a whole batch before that.
const SEND_EVERY: Duration = Duration::from_secs(2);

/// How long the end of the process waits for what is still to be sent.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(5);

/// The traces of a process, which has one node.
pub(crate) struct OwnTraces {
    provider: SdkTracerProvider,
}

impl OwnTraces {
    /// From now on there are traces, if they are to go anywhere.
    ///
    /// # Errors
    /// If a header's value or the certificates cannot be had.
    pub(crate) fn start(node: &Node) -> Result<Option<Self>> {
        let config = &node.config.own_traces;
        let Some(collector) = &config.endpoint.0 else {
            return Ok(None);
        };
        let vault = Vault::new(node.folder.path(), &node.config.plugins.secrets);
        let way = Way::new(collector.clone(), config, vault)?;
        let resource = resource(node);
        let counts = Arc::clone(&node.own_spans);
        let exporter = Exporter::new(way, &resource, Arc::clone(&counts), Handle::current());
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(config.queue_max)
            .with_max_export_batch_size(BATCH_SPANS_MAX)
            .with_scheduled_delay(SEND_EVERY)
            .build();
        let batching = BatchSpanProcessor::new(exporter, batches);
        let of_ours = Sampler::TraceIdRatioBased(config.sample_ratio);
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(of_ours)))
            .with_span_limits(SpanLimits::default())
            .with_resource(resource)
            .with_span_processor(Bounded::new(batching, counts, config.queue_max))
            .build();
        global::set_text_map_propagator(TraceContextPropagator::new());
        let scope = InstrumentationScope::builder(SERVICE)
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let tracer = provider.tracer_with_scope(scope);
        faultline_own_traces::start(BoxedTracer::new(Box::new(tracer)));
        tracing::info!("traces of Faultline's own work go to {collector}");
        Ok(Some(Self { provider }))
    }

    /// Sends what is left, as long as there is time.
    pub(crate) async fn end(self) {
        // It waits for a thread, which waits for us.
        let ending = tokio::task::spawn_blocking(move || {
            self.provider.shutdown_with_timeout(FLUSH_TIME_MAX)
        });
        match ending.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the last of the own traces were not sent: {error}"),
            Err(error) => tracing::error!("sending the last own traces came to no end: {error}"),
        }
    }
}

/// Who it is that traces come from.
fn resource(node: &Node) -> Resource {
    let instance = format!("{}.{}", node.install, node.name());
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_service_name(SERVICE)
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance),
            KeyValue::new("faultline.node", node.name().to_owned()),
            KeyValue::new("faultline.scope", node.config.data.scope.to_string()),
            KeyValue::new(MARK, true),
        ])
        .build()
}
