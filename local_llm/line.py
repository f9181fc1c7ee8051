"""An ordered, bounded line of callers in front of a model's slots."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


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

    @contextmanager
    def place(self, weight: int) -> Iterator[asyncio.Future[None]]:
        """A place in the order of arrival. What it gives is done when `weight` slots are held, until it is left.
        Raises LineFull at once."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (weight, turn)
        if not self._waiting and self.busy + weight <= self.slots:
            self.busy += weight
            turn.set_result(None)
        elif len(self._waiting) >= self._bound:
            raise LineFull
        else:
            self._waiting.append(entry)
        try:
            yield turn
        finally:
            if turn.done() and not turn.cancelled():
                self.busy -= weight
            elif entry in self._waiting:
                self._waiting.remove(entry)
            self._advance()

    def _advance(self) -> None:
        while self._waiting and self.busy + self._waiting[0][0] <= self.slots:
            weight, turn = self._waiting.popleft()
            if not turn.done():
                self.busy += weight
                turn.set_result(None)
