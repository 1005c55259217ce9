"""The customers: requests at a rate that rises, falls and scatters.

Arrivals are a Poisson process whose rate is a slow wave times a slower random
walk, all drawn from one seed. It is an open loop: customers come whether or
not the shop keeps up. Every few seconds a line of JSON on standard output says
how many were served and how well, which is the outside view of the outage.
"""

import argparse
import asyncio
import json
import math
import random
import signal
import sys
import time
from dataclasses import dataclass, field

import aiohttp

TIMEOUT_SECONDS = 8.0
# Customers beyond this many at once do not get through to the shop at all.
IN_FLIGHT_MAX = 400
REPORT_SECONDS = 5.0
# The wave: its period, and how far it swings.
WAVE_SECONDS = 420.0
WAVE_SHARE = 0.25
# The random walk of the logarithm of the rate: how fast it forgets, per
# second, and how far it strays.
WALK_FORGETS = 0.02
WALK_DEVIATION = 0.08
CUSTOMERS = 50_000
PRODUCTS = 200
# What customers do, and how often.
MIX = {"product": 45, "page": 17, "place": 26, "look_up": 12}


@dataclass
class Report:
    """What happened since the last line."""

    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    statuses: dict[str, int] = field(default_factory=dict)

    def add(self, status: str, seconds: float) -> None:
        """Notes one answer; `status` is a code, or what happened instead."""
        self.latencies.append(seconds)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if not status.isdigit() or int(status) >= 500:
            self.failed += 1

    def line(self, at: float) -> str:
        """As JSON; times in milliseconds."""
        ordered = sorted(self.latencies)

        def quantile(share: float) -> float:
            return round(ordered[int(share * (len(ordered) - 1))] * 1e3, 1) if ordered else 0.0

        return json.dumps(
            {
                "at": round(at, 3),
                "requests": len(ordered),
                "failed": self.failed,
                "p50_ms": quantile(0.5),
                "p95_ms": quantile(0.95),
                "statuses": self.statuses,
            }
        )


class Customers:
    """Comes, asks, leaves."""

    def __init__(self, client: aiohttp.ClientSession, chance: random.Random) -> None:
        """All choices are drawn from `chance`."""
        self._client = client
        self._chance = chance
        self._orders_known = 0
        self.report = Report()
        self.in_flight = 0

    def request(self) -> tuple[str, str, object]:
        """Method, path and body of what the next customer wants."""
        wish = self._chance.choices(list(MIX), list(MIX.values()))[0]
        if wish == "place":
            items = {self._sku(): self._chance.choice((1, 1, 1, 2)) for _ in range(self._basket())}
            return (
                "POST",
                "/api/orders",
                {"customer": self._chance.randrange(CUSTOMERS), "items": items},
            )
        if wish == "look_up" and self._orders_known > 0:
            return "GET", f"/api/orders/{self._chance.randint(1, self._orders_known)}", None
        if wish == "page":
            return "GET", f"/api/products?after={self._sku()}", None
        return "GET", f"/api/products/{self._sku()}", None

    async def visit(self, method: str, path: str, body: object) -> None:
        """Asks once and waits for the answer."""
        if self.in_flight >= IN_FLIGHT_MAX:
            self.report.add("turned-away", 0.0)
            return
        self.in_flight += 1
        began = time.perf_counter()
        try:
            async with self._client.request(method, path, json=body) as answer:
                content = await answer.json()
                status = str(answer.status)
                if answer.status == 201:
                    self._orders_known = max(self._orders_known, content["id"])
        except TimeoutError:
            status = "timeout"
        except aiohttp.ClientError as error:
            status = type(error).__name__
        finally:
            self.in_flight -= 1
        self.report.add(status, time.perf_counter() - began)

    def _sku(self) -> str:
        # Some products sell better than others.
        number = min(PRODUCTS, 1 + int(self._chance.expovariate(1 / 60)))
        return f"sku-{number:04d}"

    def _basket(self) -> int:
        return min(12, 1 + int(self._chance.expovariate(1 / 1.4)))


async def run(address: str, rate: float, seed: int) -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    chance = random.Random(seed)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    headers = {"User-Agent": "shop-customers/1.0"}
    async with aiohttp.ClientSession(
        f"http://{address}",
        timeout=timeout,
        headers=headers,
        connector=aiohttp.TCPConnector(limit=IN_FLIGHT_MAX),
    ) as client:
        customers = Customers(client, chance)
        async with asyncio.TaskGroup() as visits:
            began = now = next_report = time.monotonic()
            walk = 0.0
            while not stop.is_set():
                wave = 1 + WAVE_SHARE * math.sin(2 * math.pi * (now - began) / WAVE_SECONDS)
                pause = chance.expovariate(rate * wave * math.exp(walk))
                walk += -WALK_FORGETS * walk * pause + chance.gauss(
                    0, WALK_DEVIATION * math.sqrt(2 * WALK_FORGETS * pause)
                )
                now += pause
                await asyncio.sleep(max(0.0, now - time.monotonic()))
                visits.create_task(customers.visit(*customers.request()))
                if now >= next_report + REPORT_SECONDS:
                    sys.stdout.write(customers.report.line(time.time()) + "\n")
                    sys.stdout.flush()
                    customers.report = Report()
                    next_report = now


def main() -> None:
    """Sends requests until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True, help="host:port of the shop")
    parser.add_argument("--rate", type=float, required=True, help="requests a second, on average")
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    asyncio.run(run(options.address, options.rate, options.seed))


if __name__ == "__main__":
    main()
