"""An ordered, bounded line of callers in front of a model's slots."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class LineFull(Exception):
    """More callers wait than may."""


class Line:
    """First come, first served. One who asks for several slots at once holds up those behind until they are free."""

    def __init__(self, slots: int, bound: int) -> None:
        self.slots = slots
        self.busy = 0
        self._bound = bound
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def turn(self, weight: int, seconds: float) -> AsyncIterator[None]:
        """Hold `weight` slots. Raises LineFull at once, TimeoutError after `seconds` of waiting."""
        await self._enter(weight, seconds)
        try:
            yield
        finally:
            self.busy -= weight
            self._advance()

    async def _enter(self, weight: int, seconds: float) -> None:
        if not self._waiting and self.busy + weight <= self.slots:
            self.busy += weight
            return
        if len(self._waiting) >= self._bound:
            raise LineFull
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (weight, place)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(seconds):
                await place
        except (TimeoutError, asyncio.CancelledError):
            if place.done() and not place.cancelled():
                self.busy -= weight  # it was let in at that very moment
            elif entry in self._waiting:
                self._waiting.remove(entry)
            self._advance()
            raise

    def _advance(self) -> None:
        while self._waiting and self.busy + self._waiting[0][0] <= self.slots:
            weight, place = self._waiting.popleft()
            if not place.done():
                self.busy += weight
                place.set_result(None)
