"""Waiting for the database: for as long as it takes, but not once the worker is to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ledger.threads import in_thread
from usage_worker.errors import StoreUnavailable

BEAT_SECONDS = 2.0
LAST_SECONDS = 5.0  # what `stop` leaves it; less than the 10 that Docker does

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


async def patiently(
    stop: asyncio.Event,
    beat: Callable[[], None],
    work: Callable[_Arguments, _Result],
    *args: _Arguments.args,
    **more: _Arguments.kwargs,
) -> _Result:
    """What the work returns or raises. `beat` is called again and again meanwhile.

    Raises StoreUnavailable when it has not ended soon after `stop` was set. It may still succeed then: whoever does it
    again finds it done.
    """
    working = asyncio.create_task(in_thread(work, *args, **more))
    stopping = asyncio.create_task(stop.wait())
    try:
        while not working.done() and not stopping.done():
            beat()
            await asyncio.wait([working, stopping], timeout=BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([working], timeout=LAST_SECONDS)
        if working.done():
            return working.result()
        raise StoreUnavailable("the database does not answer")
    finally:
        working.cancel()
        stopping.cancel()
