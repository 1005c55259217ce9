"""Sends what nginx and PostgreSQL write to their log files over OTLP.

PostgreSQL's JSON log and nginx's error log become log records. nginx's access
log becomes spans: nginx draws the trace id (its `$request_id`), decides what
is sampled and passes both on in `traceparent`, and it logs all that its own
two spans need, one for the request it served and one for the call it made.

No position is kept: the files begin when the recording does.
"""

import argparse
import asyncio
import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

POLL_SECONDS = 0.5
LINE_BYTES_MAX = 64 * 1024

# PostgreSQL, "Reporting and Logging", table of message severity levels.
POSTGRESQL_SEVERITIES = {
    "LOG": SeverityNumber.INFO,
    "INFO": SeverityNumber.INFO,
    "NOTICE": SeverityNumber.INFO2,
    "WARNING": SeverityNumber.WARN,
    "ERROR": SeverityNumber.ERROR,
    "FATAL": SeverityNumber.ERROR2,
    "PANIC": SeverityNumber.FATAL,
}
NGINX_SEVERITIES = {
    "warn": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "crit": SeverityNumber.ERROR2,
    "alert": SeverityNumber.ERROR3,
    "emerg": SeverityNumber.FATAL,
}
# `2026/11/03 10:15:00 [error] 12#12: *7 connect() failed (...)`
NGINX_ERROR = re.compile(r"^\S+ \S+ \[(?P<level>\w+)\] \S+ (?:\*\d+ )?(?P<message>.*)$")


class Tail:
    """The lines that a file gained."""

    def __init__(self, path: Path) -> None:
        """The file need not be there yet."""
        self._path = path
        self._position = 0

    def lines(self) -> Iterator[str]:
        """Whole lines since the last call; a half written one waits."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._position)
            while line := file.readline(LINE_BYTES_MAX):
                if not line.endswith(b"\n") and len(line) < LINE_BYTES_MAX:
                    return
                self._position = file.tell()
                yield line.decode("utf-8", errors="replace").rstrip("\n")


def resource(service: str) -> Resource:
    """The sender of these logs; the rest is in `OTEL_RESOURCE_ATTRIBUTES`."""
    return Resource.create({"service.name": service, "service.instance.id": f"{service}-1"})


class Logs:
    """Log records of one service."""

    def __init__(self, service: str) -> None:
        """Sends in batches, to where the environment says."""
        self._provider = LoggerProvider(resource(service))
        self._provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
        self._logger = self._provider.get_logger("shop.shipper")

    def emit(
        self, at: datetime, severity: SeverityNumber, word: str, body: str, **attributes: str
    ) -> None:
        """One record."""
        self._logger.emit(
            LogRecord(
                timestamp=round(at.timestamp() * 1e9),
                observed_timestamp=time.time_ns(),
                severity_number=severity,
                severity_text=word,
                body=body,
                attributes=attributes,
            )
        )

    def stop(self) -> None:
        """Sends what is waiting."""
        self._provider.shutdown()


class PostgresqlLog:
    """PostgreSQL's log in the format `jsonlog`."""

    def __init__(self, logs: Logs) -> None:
        """Where the records go."""
        self._logs = logs

    def line(self, line: str) -> None:
        """Sends one line."""
        entry: dict[str, Any] = json.loads(line)
        word = entry["error_severity"]
        # The time is in UTC by configuration: `2026-11-03 10:15:00.123 UTC`.
        at = datetime.strptime(entry["timestamp"], "%Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=UTC)
        kept = {
            "db.user": entry.get("user"),
            "db.namespace": entry.get("dbname"),
            "db.response.status_code": entry.get("state_code"),
        }
        attributes = {key: value for key, value in kept.items() if value is not None}
        severity = POSTGRESQL_SEVERITIES.get(word, SeverityNumber.INFO)
        self._logs.emit(at, severity, word, entry["message"], **attributes)


class NginxErrorLog:
    """nginx's error log."""

    def __init__(self, logs: Logs) -> None:
        """Where the records go."""
        self._logs = logs

    def line(self, line: str) -> None:
        """Sends one line; its time is the arrival's, as nginx logs seconds only."""
        match = NGINX_ERROR.match(line)
        if match is None:
            return
        level = match["level"]
        severity = NGINX_SEVERITIES.get(level, SeverityNumber.INFO)
        self._logs.emit(datetime.now(UTC), severity, level, match["message"])


class NginxAccessLog:
    """nginx's access log in the format of `config/nginx.conf`, as spans."""

    def __init__(self, gateway: str) -> None:
        """`gateway` is the address that nginx passes requests to."""
        self._processor = BatchSpanProcessor(OTLPSpanExporter())
        self._resource = resource("nginx")
        self._scope = InstrumentationScope("shop.shipper")
        host, _, port = gateway.partition(":")
        self._gateway: dict[str, str | int] = {
            "peer.service": "gateway",
            "server.address": host,
            "server.port": int(port),
        }

    def line(self, line: str) -> None:
        """Two spans for a sampled request, none for another."""
        entry: dict[str, Any] = json.loads(line)
        if entry["sampled"] != "01":
            return
        request: str = entry["request_id"]
        ended = round(float(entry["ended"]) * 1e9)
        began = ended - round(float(entry["seconds"]) * 1e9)
        served = self._context(request, span=request[16:])
        called = self._context(request, span=request[:16])
        common = {
            "http.request.method": entry["method"],
            "http.response.status_code": int(entry["status"]),
            "url.path": entry["path"],
        }
        status = Status(StatusCode.ERROR if int(entry["status"]) >= 500 else StatusCode.UNSET)
        self._processor.on_end(
            ReadableSpan(
                name=f"{entry['method']} {entry['route']}",
                context=served,
                resource=self._resource,
                attributes={**common, "http.route": entry["route"]},
                kind=SpanKind.SERVER,
                status=status,
                start_time=began,
                end_time=ended,
                instrumentation_scope=self._scope,
            )
        )
        self._processor.on_end(
            ReadableSpan(
                name=entry["method"],
                context=called,
                parent=served,
                resource=self._resource,
                attributes={**common, **self._gateway},
                kind=SpanKind.CLIENT,
                status=status,
                # nginx passes a request on as soon as it has read it.
                start_time=began,
                end_time=min(ended, began + round(upstream_seconds(entry) * 1e9)),
                instrumentation_scope=self._scope,
            )
        )

    def stop(self) -> None:
        """Sends what is waiting."""
        self._processor.force_flush()

    @staticmethod
    def _context(request: str, span: str) -> SpanContext:
        return SpanContext(
            int(request, 16), int(span, 16), is_remote=False, trace_flags=TraceFlags(1)
        )


def upstream_seconds(entry: dict[str, Any]) -> float:
    """How long the call took; `-` or nothing if there was none."""
    try:
        return float(entry["upstream_seconds"])
    except ValueError:
        return 0.0


async def ship(tails: list[tuple[Tail, Callable[[str], None]]]) -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while True:
        last = stop.is_set()
        for tail, send in tails:
            for line in tail.lines():
                send(line)
        if last:
            return
        try:
            await asyncio.wait_for(stop.wait(), POLL_SECONDS)
        except TimeoutError:
            continue


def main() -> None:
    """Ships until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgresql-log", type=Path, required=True)
    parser.add_argument("--nginx-error-log", type=Path, required=True)
    parser.add_argument("--nginx-access-log", type=Path, required=True)
    parser.add_argument("--gateway", required=True, help="host:port")
    options = parser.parse_args()

    postgresql, nginx = Logs("postgresql"), Logs("nginx")
    access = NginxAccessLog(options.gateway)
    asyncio.run(
        ship(
            [
                (Tail(options.postgresql_log), PostgresqlLog(postgresql).line),
                (Tail(options.nginx_error_log), NginxErrorLog(nginx).line),
                (Tail(options.nginx_access_log), access.line),
            ]
        )
    )
    for sender in (postgresql, nginx, access):
        sender.stop()


if __name__ == "__main__":
    main()
