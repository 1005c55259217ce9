"""What every service tells about itself: traces, logs and metrics over OTLP.

Where it is sent, how often, and who the sender is comes from OpenTelemetry's
own environment variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`,
`OTEL_RESOURCE_ATTRIBUTES`, ...), which the SDK reads by itself.
"""

import logging

from aiohttp import TraceRequestStartParams
from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span


def start(peers: dict[str, str]) -> None:
    """Sets up the three signals, and instruments aiohttp on both sides.

    `peers` names the services behind the addresses that this one calls
    (`{"127.0.0.1:8080": "orders"}`), which client spans carry as
    `peer.service`. Call it before the first `web.Application` is made. What
    waits to be sent when the process ends is sent then, by the SDK.
    """
    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(tracers)

    metrics.set_meter_provider(
        MeterProvider(metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())])
    )

    loggers = LoggerProvider()
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    set_logger_provider(loggers)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Without a format: time, level and name are fields of their own.
    logging.getLogger().addHandler(LoggingHandler(logger_provider=loggers))
    # An exporter that cannot send would otherwise report that by sending.
    for name in ("opentelemetry", "urllib3"):
        logging.getLogger(name).addHandler(logging.StreamHandler())
        logging.getLogger(name).propagate = False

    def name_peer(span: Span, params: TraceRequestStartParams) -> None:
        peer = peers.get(params.url.authority)
        if peer is not None and span.is_recording():
            span.set_attribute("peer.service", peer)

    AioHttpServerInstrumentor().instrument()
    AioHttpClientInstrumentor().instrument(request_hook=name_peer)
