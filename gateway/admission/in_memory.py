"""Limits and budgets of a gateway without replicas: the book in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

from gateway.admission.rules import Book, Charge, Demand, Money, Verdict

_SELF: Final = "self"
_FOREVER: Final = 2**62  # one process: its holds end with it


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class InMemory:
    """A `Counter` (see `gateway.admission.desk`)."""

    joined = 0

    def __init__(self, clock: Callable[[], int] = wall_ms) -> None:
        self._book = Book(_FOREVER)
        self._clock = clock

    @property
    def trouble(self) -> str | None:
        return None

    async def admit(self, demand: Demand) -> Verdict:
        return self._book.admit(self._clock(), _SELF, demand)

    def finish(
        self,
        hold_id: str,
        used: Sequence[int],
        charges: Sequence[Charge],
        segment: int,  # noqa: ARG002 - nobody asks what is told already
        part: Collection[str] | None = None,
    ) -> None:
        self._book.finish(self._clock(), _SELF, hold_id, used, charges, part)

    async def begin(self, money: Money, min_age_ms: int) -> int:  # noqa: ARG002 - nobody else asks the ledger
        return self._book.begin(money.id)

    async def unconfirmed(self, money: Money) -> list[str]:
        return self._book.unconfirmed(money.id)

    async def rebase(self, money: Money, version: int, base: int, stored: Sequence[str]) -> None:
        self._book.rebase(money.id, version, base, stored)

    async def turn(self) -> None:
        self._book.tidy(self._clock())

    async def close(self) -> None:
        """Nothing is held open."""
