"""The gateway: what customers may ask for, and which service knows the answer."""

import argparse
import logging
import time

import aiohttp
from aiohttp import web

from shop import telemetry
from shop import web as shop_web

UPSTREAM_SECONDS_MAX = 4.0

log = logging.getLogger("shop.gateway")


class Upstream:
    """A service behind the gateway."""

    def __init__(self, name: str, address: str) -> None:
        """`address` is `host:port`."""
        self._name = name
        self._address = address
        self._client: aiohttp.ClientSession | None = None

    async def open(self, _: web.Application) -> None:
        """Makes the client, which needs a running loop."""
        timeout = aiohttp.ClientTimeout(total=UPSTREAM_SECONDS_MAX)
        self._client = aiohttp.ClientSession(f"http://{self._address}", timeout=timeout)

    async def close(self, _: web.Application) -> None:
        """Closes the client."""
        if self._client is not None:
            await self._client.close()

    async def forward(self, request: web.Request) -> web.Response:
        """Asks the same of the service; its failures become 502 and 504."""
        assert self._client is not None, "the application has started"
        path = request.rel_url.path_qs.removeprefix("/api")
        body = await request.read()
        began = time.perf_counter()
        try:
            async with self._client.request(
                request.method, path, data=body, headers={"Content-Type": "application/json"}
            ) as answer:
                content = await answer.read()
                if answer.status < 500:
                    return web.Response(
                        body=content, status=answer.status, content_type="application/json"
                    )
                status, reason = 502, f"answered {answer.status}"
        except TimeoutError:
            status, reason = 504, "did not answer in time"
        except aiohttp.ClientError as error:
            status, reason = 502, f"cannot be reached: {error}"
        log.error(
            "%s %s after %.2f s (%s %s)",
            self._name,
            reason,
            time.perf_counter() - began,
            request.method,
            path.partition("?")[0],
        )
        return web.json_response({"error": f"{self._name} {reason}"}, status=status)


def main() -> None:
    """Serves until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--release", required=True)
    parser.add_argument("--orders", required=True, help="host:port")
    parser.add_argument("--inventory", required=True, help="host:port")
    options = parser.parse_args()

    telemetry.start({options.orders: "orders", options.inventory: "inventory"})
    orders = Upstream("orders", options.orders)
    inventory = Upstream("inventory", options.inventory)
    app = shop_web.application(options.release)
    app.router.add_post("/api/orders", orders.forward)
    app.router.add_get("/api/orders/{id:\\d+}", orders.forward)
    app.router.add_get("/api/products", inventory.forward)
    app.router.add_get("/api/products/{sku}", inventory.forward)
    app.on_startup.extend([orders.open, inventory.open])
    app.on_cleanup.extend([orders.close, inventory.close])
    log.info("gateway %s starts", options.release)
    shop_web.serve(app, options.port)


if __name__ == "__main__":
    main()
