"""An application with the OpenTelemetry SDK: a service that takes orders, and
asks another one whether the goods are in stock.

It serves for a few seconds and tells of it as the environment says
(OTEL_EXPORTER_OTLP_ENDPOINT and its like), over HTTP in protobuf. In the second
half of its time one order in four fails, loudly.
"""

import logging
import time

from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

SECONDS = 4
ORDERS_PER_SECOND = 20
ORDERS = SECONDS * ORDERS_PER_SECOND


def resource(service):
    return Resource.create({"service.name": service, "service.instance.id": "1"})


def tracer_provider(service):
    provider = TracerProvider(resource=resource(service))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


orders = tracer_provider("orders")
stock = tracer_provider("stock")
meters = MeterProvider(
    resource=resource("orders"),
    metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter(), 1_000)],
)
logs = LoggerProvider(resource=resource("orders"))
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
set_logger_provider(logs)
log = logging.getLogger("orders")
log.setLevel(logging.INFO)
log.addHandler(LoggingHandler(logger_provider=logs))

meter = meters.get_meter("orders")
placed = meter.create_counter("orders.placed")
price = meter.create_histogram("orders.price", unit="EUR")
waiting = meter.create_up_down_counter("orders.open")
serving = orders.get_tracer("orders")
answering = stock.get_tracer("stock")


def place(number):
    with serving.start_as_current_span("POST /orders", kind=trace.SpanKind.SERVER) as span:
        with serving.start_as_current_span("GET /stock", kind=trace.SpanKind.CLIENT):
            with answering.start_as_current_span("GET /stock", kind=trace.SpanKind.SERVER):
                pass
        placed.add(1, {"payment": "card"})
        price.record(10 + number % 21)
        waiting.add(1)
        if number > ORDERS / 2 and number % 4 == 0:
            span.set_status(trace.StatusCode.ERROR)
            log.error("payment of order %d was refused: card expired", number)
        else:
            log.info("order %d is placed", number)


for number in range(ORDERS):
    place(number)
    time.sleep(1 / ORDERS_PER_SECOND)
for provider in (orders, stock, meters, logs):
    provider.shutdown()
