"""What the three services share as web servers: running, health, metrics."""

import time
from collections.abc import Awaitable, Callable

import prometheus_client
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Finer where a healthy request lies, coarser up to the longest timeout.
LATENCY_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
# How long a stopping service lets requests finish.
DRAIN_SECONDS_MAX = 3.0

REQUESTS = prometheus_client.Counter(
    "http_requests", "Requests answered, by route and status", ["route", "method", "code"]
)
LATENCY = prometheus_client.Histogram(
    "http_request_duration_seconds",
    "Time to answer, by route",
    ["route"],
    buckets=LATENCY_BUCKETS_SECONDS,
)


@web.middleware
async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts and times each request for Prometheus, by the route's pattern."""
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unknown"
    began = time.perf_counter()
    code = 500
    try:
        response = await handler(request)
        code = response.status
        return response
    except web.HTTPException as answer:
        code = answer.status
        raise
    finally:
        if route not in ("/metrics", "/healthz"):
            LATENCY.labels(route).observe(time.perf_counter() - began)
            REQUESTS.labels(route, request.method, str(code)).inc()


def application(release: str) -> web.Application:
    """An application that already answers `/metrics` and `/healthz`."""

    async def metrics(_: web.Request) -> web.Response:
        body = prometheus_client.generate_latest()
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"release": release})

    app = web.Application(middlewares=[measure])
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    return app


def serve(app: web.Application, port: int) -> None:
    """Serves until SIGTERM, then finishes what is under way.

    The port is shared, so that a new release can come up beside the old one.
    """
    web.run_app(
        app,
        host="127.0.0.1",
        port=port,
        reuse_port=True,
        access_log=None,
        print=None,
        shutdown_timeout=DRAIN_SECONDS_MAX,
    )
