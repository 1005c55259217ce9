"""The order service: takes orders and looks them up.

Two releases live in this file. 1.4.2 is the one that works; 1.5.0 adds the
audit trail of `shop.audit`, and nothing else.
"""

import argparse
import logging

import aiohttp
import prometheus_client
from aiohttp import web

from shop import telemetry
from shop import web as shop_web
from shop.audit import AuditTrail
from shop.database import Database, Pool, Unavailable, unavailable

RELEASES_WITH_AUDIT = {"1.4.2": False, "1.5.0": True}
INVENTORY_SECONDS_MAX = 3.0

log = logging.getLogger("shop.orders")

PLACED = prometheus_client.Counter("shop_orders_placed", "Orders taken")


class Orders:
    """Handlers of the order service."""

    def __init__(self, database: Database, inventory: str, audit: AuditTrail | None) -> None:
        """`inventory` is the address of that service."""
        self._database = database
        self._inventory = inventory
        self._audit = audit
        self._client: aiohttp.ClientSession | None = None

    async def open(self, _: web.Application) -> None:
        """Makes the client, which needs a running loop."""
        timeout = aiohttp.ClientTimeout(total=INVENTORY_SECONDS_MAX)
        self._client = aiohttp.ClientSession(f"http://{self._inventory}", timeout=timeout)

    async def close(self, _: web.Application) -> None:
        """Closes the client."""
        if self._client is not None:
            await self._client.close()

    async def place(self, request: web.Request) -> web.Response:
        """`POST /orders` with `{"customer": id, "items": {"sku": n, ...}}`."""
        order = await request.json()
        customer: int = order["customer"]
        items: dict[str, int] = order["items"]
        try:
            if self._audit is not None:
                await self._audit.write(customer, items)
            reserved = await self._reserve(items)
            if isinstance(reserved, web.Response):
                return reserved
            rows = await self._database.query(
                "INSERT",
                "orders",
                "insert into orders (customer, total_cents) values (%s, %s) returning id",
                (customer, reserved),
            )
        except Unavailable as error:
            log.error("cannot place an order of customer %d: %s", customer, error)
            return unavailable(error)
        number: int = rows[0][0]
        PLACED.inc()
        log.info("order %d of customer %d placed, %.2f EUR", number, customer, reserved / 100)
        return web.json_response({"id": number, "total_cents": reserved}, status=201)

    async def look_up(self, request: web.Request) -> web.Response:
        """`GET /orders/ID`."""
        number = int(request.match_info["id"])
        try:
            rows = await self._database.query(
                "SELECT",
                "orders",
                "select customer, total_cents from orders where id = %s",
                (number,),
            )
        except Unavailable as error:
            return unavailable(error)
        if not rows:
            return web.json_response({"error": f"no order {number}"}, status=404)
        customer, total = rows[0]
        return web.json_response({"id": number, "customer": customer, "total_cents": total})

    async def _reserve(self, items: dict[str, int]) -> int | web.Response:
        """The sum to pay, or the answer to give if nothing could be reserved."""
        assert self._client is not None, "the application has started"
        try:
            async with self._client.post("/reservations", json=items) as answer:
                body = await answer.json()
                if answer.status == 200:
                    return int(body["total_cents"])
                if answer.status == 409:
                    return web.json_response(body, status=409)
                reason = f"inventory answered {answer.status}"
        except TimeoutError:
            reason = f"inventory did not answer within {INVENTORY_SECONDS_MAX} s"
        except aiohttp.ClientError as error:
            reason = f"inventory cannot be reached: {error}"
        log.error("cannot reserve: %s", reason)
        return web.json_response({"error": reason}, status=503)


def main() -> None:
    """Serves until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--release", choices=RELEASES_WITH_AUDIT, required=True)
    parser.add_argument("--database", required=True, help="libpq connection string")
    parser.add_argument("--inventory", required=True, help="host:port")
    options = parser.parse_args()

    telemetry.start({options.inventory: "inventory"})
    pool = Pool(options.database)
    database = Database(options.database, pool)
    audit = AuditTrail(options.database) if RELEASES_WITH_AUDIT[options.release] else None
    orders = Orders(database, options.inventory, audit)
    app = shop_web.application(options.release)
    app.router.add_post("/orders", orders.place)
    app.router.add_get("/orders/{id:\\d+}", orders.look_up)
    app.on_startup.extend([pool.open, orders.open])
    app.on_cleanup.extend([orders.close, pool.close])
    log.info("orders %s starts", options.release)
    shop_web.serve(app, options.port)


if __name__ == "__main__":
    main()
