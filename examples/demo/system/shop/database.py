"""Statements on the shop's database, each of them a client span.

The span begins before a connection is asked for, so that waiting for one is
part of what the statement took, and failing to get one is its error. The
instrumentation of the driver sees neither.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import prometheus_client
from aiohttp import web
from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import SpanKind, StatusCode
from psycopg import AsyncConnection, Error, OperationalError
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolTimeout

CONNECTIONS_MAX = 10
POOL_CONNECTIONS_MIN = 3
# How long a request waits for a connection, and how often it tries.
WAIT_SECONDS_MAX = 2.0
CONNECT_PAUSE_SECONDS = 0.4
# Pooled connections are renewed this often, so that none outlives a failover
# for long: a common setting, if in minutes; the recording has only a few of
# them. It also is how a pool finds out that the database has no room for it
# any more.
LIFETIME_SECONDS_MAX = 30.0
IDLE_SECONDS_MAX = 20.0
# How long the pool tries to connect before it waits for the next request.
RECONNECT_SECONDS_MAX = 8.0

log = logging.getLogger("shop.database")
tracer = trace.get_tracer("shop.database")
meter = metrics.get_meter("shop.database")


class Unavailable(Exception):
    """The database did not answer; the message says why."""


class Connections(Protocol):
    """Where a statement gets its connection from."""

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """One connection for as long as the context lasts."""

    async def open(self, _: web.Application) -> None:
        """Fails if the database cannot be reached at all."""

    async def close(self, _: web.Application) -> None:
        """Gives all connections back."""


class EachTime:
    """A connection for each statement, as many a web framework has it."""

    def __init__(self, conninfo: str) -> None:
        """Does not connect yet."""
        self._conninfo = conninfo
        self._free = asyncio.Semaphore(CONNECTIONS_MAX)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """Connects, and disconnects."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        await asyncio.wait_for(self._free.acquire(), WAIT_SECONDS_MAX)
        try:
            async with await self._connect(deadline) as connection:
                yield connection
        finally:
            self._free.release()

    async def _connect(self, deadline: float) -> AsyncConnection:
        while True:
            try:
                return await AsyncConnection.connect(self._conninfo, autocommit=True)
            except OperationalError:
                if time.monotonic() + CONNECT_PAUSE_SECONDS > deadline:
                    raise
                await asyncio.sleep(CONNECT_PAUSE_SECONDS)

    async def open(self, _: web.Application) -> None:
        """Connects once, to see whether it works."""
        async with self.connection():
            pass

    async def close(self, _: web.Application) -> None:
        """Has nothing to give back."""


class Pool:
    """A few connections that are kept, and more when there is more to do."""

    def __init__(self, conninfo: str) -> None:
        """Does not connect yet."""
        self._pool = AsyncConnectionPool(
            conninfo,
            kwargs={"autocommit": True},
            min_size=POOL_CONNECTIONS_MIN,
            max_size=CONNECTIONS_MAX,
            timeout=WAIT_SECONDS_MAX,
            # How many wait is not limited: the pool would count those who gave
            # up for as long as it has no connection at all.
            max_waiting=0,
            max_lifetime=LIFETIME_SECONDS_MAX,
            max_idle=IDLE_SECONDS_MAX,
            reconnect_timeout=RECONNECT_SECONDS_MAX,
            open=False,
        )
        self._timeouts = prometheus_client.Counter(
            "db_pool_timeouts", "Requests that got no connection"
        )
        self._publish()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """Lends one."""
        try:
            async with self._pool.connection() as connection:
                yield connection
        except PoolTimeout:
            self._timeouts.inc()
            raise

    async def open(self, _: web.Application) -> None:
        """Fills the pool."""
        await self._pool.open(wait=True, timeout=10.0)

    async def close(self, _: web.Application) -> None:
        """Empties the pool."""
        await self._pool.close()

    def _publish(self) -> None:
        """Shows the pool's state to Prometheus and over OTLP."""

        def idle() -> int:
            return self._pool.get_stats().get("pool_available", 0)

        def used() -> int:
            return self._pool.get_stats().get("pool_size", 0) - idle()

        def observe(_: CallbackOptions) -> Iterable[Observation]:
            yield Observation(used(), {"db.client.connection.state": "used"})
            yield Observation(idle(), {"db.client.connection.state": "idle"})

        gauge = prometheus_client.Gauge("db_pool_connections", "Connections held", ["state"])
        gauge.labels("used").set_function(used)
        gauge.labels("idle").set_function(idle)
        meter.create_observable_up_down_counter(
            "db.client.connection.count", [observe], "{connection}"
        )


class Database:
    """The shop's database, as one service sees it."""

    def __init__(self, conninfo: str, connections: Connections) -> None:
        """`conninfo` is what `connections` connect to, for spans to name it."""
        self._connections = connections
        parts = conninfo_to_dict(conninfo)
        self._attributes: dict[str, str | int] = {
            "db.system": "postgresql",
            "db.system.name": "postgresql",
            "db.namespace": str(parts["dbname"]),
            "peer.service": "postgresql",
            "server.address": str(parts["host"]),
            "server.port": int(str(parts["port"])),
        }

    async def query(
        self, verb: str, table: str, text: str, parameters: Sequence[Any] = ()
    ) -> list[tuple[Any, ...]]:
        """The rows of one statement, in a transaction of its own.

        Raises `Unavailable` if no connection is to be had or it breaks.
        """
        with tracer.start_as_current_span(
            f"{verb} {table}",
            kind=SpanKind.CLIENT,
            attributes={**self._attributes, "db.operation.name": verb, "db.query.text": text},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                async with self._connections.connection() as connection:
                    cursor = await connection.execute(text, parameters)
                    return await cursor.fetchall()
            except (TimeoutError, PoolTimeout, Error) as error:
                reason = f"{type(error).__name__}: {error}".strip()
                span.set_status(StatusCode.ERROR, reason)
                span.set_attribute("error.type", type(error).__name__)
                log.error("%s on %s failed: %s", verb, table, reason)
                raise Unavailable(reason) from error


def unavailable(error: Unavailable) -> web.Response:
    """The answer to a request that needed the database."""
    return web.json_response({"error": f"database unavailable: {error}"}, status=503)
