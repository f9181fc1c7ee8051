"""The one loop: read, decode, save in one transaction, only then acknowledge.

A crash anywhere leaves entries unacknowledged; they come again, and the store takes each event once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import NamedTuple, Protocol

from usage_worker.decode import Row, decode
from usage_worker.entries import Entry, Letter
from usage_worker.errors import Refused, SourceUnavailable, StoreUnavailable, TooManyDeadLetters
from usage_worker.metrics import Meters
from usage_worker.patience import patiently
from usage_worker.store import Saved

_log = logging.getLogger(__name__)


class Source(Protocol):
    async def read(self) -> Sequence[Entry]:
        """The next entries, those left from an earlier life first. Empty when nothing came within the source's own
        wait. The loop either saves what it was given or ends. Raises SourceUnavailable."""

    async def ack(self, entries: Sequence[Entry]) -> None:
        """These are safe in the database, never deliver them again. Raises SourceUnavailable."""

    async def measure(self) -> None:
        """Tell the meters how much waits, where that can be known. Raises SourceUnavailable."""

    async def release(self) -> None:
        """What was given and not acknowledged is given back, as if it had not been delivered. Raises
        SourceUnavailable."""


class Saver(Protocol):
    """What the loop needs of `usage_worker.store.Store`."""

    def save(self, rows: Sequence[Row], letters: Sequence[Letter]) -> Saved: ...


@dataclass(slots=True)
class Backoff:
    """Waits with full jitter that double from `first` to `most` seconds; reset by success."""

    first: float = 0.1
    most: float = 10.0
    random: Random = field(default_factory=Random)
    _failures: int = 0

    async def wait(self, stop: asyncio.Event) -> None:
        """Returns early when `stop` is set."""
        ceiling = min(self.most, self.first * 2 ** min(self._failures, 16))
        self._failures += 1
        seconds = max(self.first / 2, self.random.uniform(0, ceiling))
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            return

    def reset(self) -> None:
        self._failures = 0


class DeadLetterCap:
    """Guards against a deploy that makes every event look bad.

    Trips when more than `share` of the last `window` entries became dead letters, and at least `at_least` of them.
    """

    def __init__(self, share: float, at_least: int = 100, window: int = 10_000) -> None:
        self._share = share
        self._at_least = at_least
        self._batches: deque[tuple[int, int]] = deque()
        self._window = window
        self._entries = self._letters = 0

    def check(self, entries: int, letters: int) -> None:
        """To be called before a batch is saved. Raises TooManyDeadLetters."""
        self._batches.append((entries, letters))
        self._entries += entries
        self._letters += letters
        while len(self._batches) > 1 and self._entries - self._batches[0][0] >= self._window:
            old_entries, old_letters = self._batches.popleft()
            self._entries -= old_entries
            self._letters -= old_letters
        if self._letters >= self._at_least and self._letters > self._share * self._entries:
            raise TooManyDeadLetters(
                f"{self._letters} of the last {self._entries} entries are bad; nothing was acknowledged. "
                "Update the worker, or raise dead_letter_share to let them through to the dead letters"
            )


class _Batch(NamedTuple):
    entries: Sequence[Entry]
    rows: list[Row]
    letters: list[Letter]


@dataclass(slots=True)
class Loop:
    source: Source
    store: Saver
    meters: Meters
    clock: Callable[[], datetime]
    cap: DeadLetterCap
    backoff: Backoff = field(default_factory=Backoff)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; a batch that was begun is finished, unless its database is away.

        The next batch is read and decoded while the database works on this one. Raises TooManyDeadLetters, and whatever
        neither waiting nor dead-lettering can mend.
        """
        try:
            await self._turn(stop)
        except TooManyDeadLetters:
            await self._release()
            raise
        await self._release()

    async def _turn(self, stop: asyncio.Event) -> None:
        following: asyncio.Task[_Batch] | None = None
        try:
            while not stop.is_set():
                batch = await (following or self._read(stop))
                following = asyncio.create_task(self._read(stop)) if batch.entries else None
                if not batch.entries:
                    self.meters.idle()
                    continue
                self.cap.check(len(batch.entries), len(batch.letters))
                self.meters.took(batch.rows)
                if await self._save(batch.rows, batch.letters, stop):
                    await self._ack(batch.entries, stop)
        finally:
            if following is not None:
                # Nothing of it is acknowledged: it comes again at the next start.
                following.cancel()
                await asyncio.wait([following])

    async def _read(self, stop: asyncio.Event) -> _Batch:
        """Empty when nothing came, or when `stop` was set while the source was away."""
        while True:
            self._beat()
            try:
                entries = await self.source.read()
            except SourceUnavailable as error:
                await self._wait(stop, error)
                if stop.is_set():
                    return _Batch([], [], [])
            else:
                return _Batch(entries, *decode(entries, self.clock()))

    async def _save(self, rows: list[Row], letters: list[Letter], stop: asyncio.Event) -> bool:
        """Whether all of it is in the database. False only when `stop` was set while the database was away."""
        while True:
            started = asyncio.get_running_loop().time()
            try:
                saved = await patiently(stop, self._beat, self.store.save, rows, letters)
            except StoreUnavailable as error:
                if stop.is_set():
                    return False
                await self._wait(stop, error)
                self._beat()
                with suppress(SourceUnavailable):
                    await self.source.measure()
            except Refused as error:
                return await self._isolate(rows, letters, str(error), stop)
            else:
                self.backoff.reset()
                self.meters.saved(saved, asyncio.get_running_loop().time() - started, rows)
                return True

    async def _isolate(self, rows: list[Row], letters: list[Letter], reason: str, stop: asyncio.Event) -> bool:
        """Save both halves on their own; a single refused row becomes a dead letter."""
        if len(rows) <= 1:
            refused = [row.letter(reason) for row in rows]
            if not refused:
                raise Refused(f"not even the dead letters: {reason}")
            self.cap.check(0, 1)
            _log.warning("dead letter: event %s: %s", refused[0].event_id, reason)
            return await self._save([], [*letters, *refused], stop)
        half = len(rows) // 2
        return await self._save(rows[:half], letters, stop) and await self._save(rows[half:], [], stop)

    async def _ack(self, entries: Sequence[Entry], stop: asyncio.Event) -> None:
        """Try until it works or `stop` is set; what stays unacknowledged is delivered again, and found stored."""
        while True:
            try:
                await self.source.ack(entries)
            except SourceUnavailable as error:
                if stop.is_set():
                    return
                await self._wait(stop, error)
            else:
                self.backoff.reset()
                return

    async def _release(self) -> None:
        """At an orderly end: a delivery that counts is one at which the worker died."""
        try:
            await self.source.release()
        except SourceUnavailable as error:
            _log.warning("deliveries stay counted: %s", error)

    def _beat(self) -> None:
        self.meters.turn(self.clock())

    async def _wait(self, stop: asyncio.Event, error: Exception) -> None:
        _log.warning("waiting: %s", error)
        self.meters.waiting(type(error).__name__)
        await self.backoff.wait(stop)
