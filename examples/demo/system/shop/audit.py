"""The audit trail: new in release 1.5.0 of orders, and what breaks the shop.

Large orders are written down before anything else is done about them, over a
connection of their own, so that the entry stays whatever becomes of the order.

The fault is an ordinary one. A connection is opened for each customer and kept
for the customer's next large order; nothing ever gives one back. A test with
three customers passes. In production every large order by a new customer takes
one more of PostgreSQL's connections, which all services share, until there are
none. As it also tries again and again when it gets none, it is quicker than
others whenever these let go of one.
"""

import asyncio
import json

from psycopg import AsyncConnection, OperationalError

from shop.database import Unavailable

AUDITED_FROM_ITEMS = 6
CONNECT_ATTEMPTS_MAX = 8
CONNECT_PAUSE_SECONDS = 0.25


class AuditTrail:
    """Writes audit entries."""

    def __init__(self, conninfo: str) -> None:
        """Connects when there is something to write."""
        self._conninfo = conninfo
        self._sessions: dict[int, AsyncConnection] = {}

    async def write(self, customer: int, items: dict[str, int]) -> None:
        """Writes the entry if the order is large enough to need one.

        Raises `Unavailable` if it cannot be written.
        """
        if len(items) < AUDITED_FROM_ITEMS:
            return
        try:
            session = await self._session(customer)
            await session.execute(
                "insert into order_audit (customer, items) values (%s, %s)",
                (customer, json.dumps(items)),
            )
        except OperationalError as error:
            raise Unavailable(str(error)) from error

    async def _session(self, customer: int) -> AsyncConnection:
        session = self._sessions.get(customer)
        if session is None:
            session = await self._connect()
            self._sessions[customer] = session
        return session

    async def _connect(self) -> AsyncConnection:
        for _ in range(CONNECT_ATTEMPTS_MAX - 1):
            try:
                return await AsyncConnection.connect(self._conninfo, autocommit=True)
            except OperationalError:
                await asyncio.sleep(CONNECT_PAUSE_SECONDS)
        return await AsyncConnection.connect(self._conninfo, autocommit=True)
