"""A worker that kills itself with SIGKILL at a chosen point; run as `python -m tests.usage_worker.dying_worker`.

All of it is the real worker; the deaths are hung on SQLAlchemy's own events and on the store's seam.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from redis.asyncio import Redis
from sqlalchemy import event

from ledger.engine import make_engine
from usage_worker.decode import Row
from usage_worker.entries import Letter
from usage_worker.loop import DeadLetterCap, Loop
from usage_worker.metrics import Meters
from usage_worker.store import Saved, Store
from usage_worker.stream import StreamSource


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DiesAfterCommit:
    """The batch is in the database and nobody was told."""

    def __init__(self, store: Store, batches: int) -> None:
        self._store = store
        self._batches = batches

    def save(self, rows: Sequence[Row], letters: Sequence[Letter]) -> Saved:
        saved = self._store.save(rows, letters)
        self._batches -= 1
        if not self._batches:
            die()
        return saved


async def main(where: str, batches: int, database_url: str, redis_url: str) -> None:
    engine = make_engine(database_url)
    store = Store(engine, lambda: datetime.now(UTC))
    store.prepare()
    left = batches

    if where == "before-commit":

        @event.listens_for(engine, "commit")
        def _count(_connection: object) -> None:
            nonlocal left
            left -= 1
            if not left:
                die()

    source = StreamSource(
        Redis.from_url(redis_url),
        stream="tollgate:usage",
        group="usage_worker",
        consumer="dying",
        clock=time.monotonic,
        batch=50,
        wait_ms=50,
    )
    saver = DiesAfterCommit(store, batches) if where == "before-ack" else store
    loop = Loop(source, saver, Meters(), lambda: datetime.now(UTC), DeadLetterCap(0.5))
    await loop.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]))
