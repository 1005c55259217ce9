"""The inventory service: what there is, and putting aside what was ordered.

Its configuration file is read at the start and again on SIGHUP.
"""

import argparse
import asyncio
import json
import logging
import signal
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from shop import telemetry
from shop import web as shop_web
from shop.database import Database, EachTime, Unavailable, unavailable

PAGE_PRODUCTS = 20

log = logging.getLogger("shop.inventory")


@dataclass(frozen=True)
class Configuration:
    """When to order more of a product, and how much."""

    restock_below: int
    restock_to: int

    @staticmethod
    def read(path: Path) -> "Configuration":
        """From a JSON file with exactly these two numbers."""
        return Configuration(**json.loads(path.read_text(encoding="utf-8")))


class Inventory:
    """Handlers, and the configuration that they go by."""

    def __init__(self, database: Database, path: Path) -> None:
        """Reads the configuration from `path`."""
        self._database = database
        self._path = path
        self._configuration = Configuration.read(path)

    async def watch(self, _: web.Application) -> None:
        """Reads the configuration again on each SIGHUP."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)

    def _reload(self) -> None:
        self._configuration = Configuration.read(self._path)
        log.info("configuration read again: %s", self._configuration)

    async def page(self, request: web.Request) -> web.Response:
        """`GET /products?after=SKU`: the next few products."""
        after = request.query.get("after", "")
        try:
            rows = await self._database.query(
                "SELECT",
                "products",
                "select sku, title, price_cents from products where sku > %s order by sku limit %s",
                (after, PAGE_PRODUCTS),
            )
        except Unavailable as error:
            return unavailable(error)
        return web.json_response(
            [{"sku": sku, "title": title, "price_cents": price} for sku, title, price in rows]
        )

    async def product(self, request: web.Request) -> web.Response:
        """`GET /products/SKU`."""
        sku = request.match_info["sku"]
        try:
            rows = await self._database.query(
                "SELECT",
                "products",
                "select title, price_cents, available from products where sku = %s",
                (sku,),
            )
        except Unavailable as error:
            return unavailable(error)
        if not rows:
            return web.json_response({"error": f"no product {sku}"}, status=404)
        title, price, available = rows[0]
        return web.json_response(
            {"sku": sku, "title": title, "price_cents": price, "available": available}
        )

    async def reserve(self, request: web.Request) -> web.Response:
        """`POST /reservations` with `{"sku": n, ...}`: takes them off the shelf.

        Answers with the sum to pay. What runs low is restocked on the way.
        """
        wanted: dict[str, int] = await request.json()
        rule = self._configuration
        total = 0
        try:
            # In the order of their keys, so that two orders never wait for
            # one another.
            for sku, count in sorted(wanted.items()):
                rows = await self._database.query(
                    "UPDATE",
                    "products",
                    "update products set available = case when available - %s < %s"
                    " then %s else available - %s end"
                    " where sku = %s returning price_cents, available = %s",
                    (count, rule.restock_below, rule.restock_to, count, sku, rule.restock_to),
                )
                if not rows:
                    return web.json_response({"error": f"no product {sku}"}, status=409)
                price, restocked = rows[0]
                total += price * count
                if restocked:
                    log.info("restocked %s to %d", sku, rule.restock_to)
        except Unavailable as error:
            return unavailable(error)
        return web.json_response({"total_cents": total})


def main() -> None:
    """Serves until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--release", required=True)
    parser.add_argument("--database", required=True, help="libpq connection string")
    parser.add_argument("--config", type=Path, required=True)
    options = parser.parse_args()

    telemetry.start({})
    connections = EachTime(options.database)
    inventory = Inventory(Database(options.database, connections), options.config)
    app = shop_web.application(options.release)
    app.router.add_get("/products", inventory.page)
    app.router.add_get("/products/{sku}", inventory.product)
    app.router.add_post("/reservations", inventory.reserve)
    app.on_startup.extend([connections.open, inventory.watch])
    app.on_cleanup.append(connections.close)
    log.info("inventory %s starts with %s", options.release, Configuration.read(options.config))
    shop_web.serve(app, options.port)


if __name__ == "__main__":
    main()
