from __future__ import annotations

import asyncio

import pytest

from local_llm.line import Line, LineFull


class Guest:
    """Takes a turn and stays until told to leave."""

    def __init__(self, line: Line, weight: int = 1, seconds: float = 30.0) -> None:
        self.inside = asyncio.Event()
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._come(line, weight, seconds))

    async def _come(self, line: Line, weight: int, seconds: float) -> None:
        with line.place(weight) as turn:
            async with asyncio.timeout(seconds):
                await turn
            self.inside.set()
            await self._leave.wait()

    async def leave(self) -> None:
        self._leave.set()
        await self.task


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_first_come_first_served_and_no_more_than_may_wait() -> None:
    line = Line(slots=2, bound=2)
    guests = [Guest(line) for _ in range(4)]
    await settle()
    assert [guest.inside.is_set() for guest in guests] == [True, True, False, False]
    assert (line.busy, line.waiting) == (2, 2)
    with pytest.raises(LineFull):
        await Guest(line).task
    await guests[1].leave()
    await settle()
    assert [guest.inside.is_set() for guest in guests] == [True, True, True, False]
    for guest in (guests[0], guests[2], guests[3]):
        await guest.leave()
    assert (line.busy, line.waiting) == (0, 0)


async def test_one_who_wants_several_slots_is_not_passed_by() -> None:
    line = Line(slots=2, bound=5)
    first, wide, late = Guest(line), Guest(line, weight=2), Guest(line)
    await settle()
    assert not wide.inside.is_set()
    assert not late.inside.is_set()
    await first.leave()
    await settle()
    assert wide.inside.is_set()
    assert not late.inside.is_set()
    await wide.leave()
    await late.inside.wait()
    await late.leave()


async def test_who_waits_too_long_or_gives_up_leaves_no_gap() -> None:
    line = Line(slots=1, bound=5)
    first = Guest(line)
    await settle()
    impatient, leaving, last = Guest(line, seconds=0.01), Guest(line), Guest(line)
    await settle()
    leaving.task.cancel()
    with pytest.raises(TimeoutError):
        await impatient.task
    assert line.waiting == 1
    await first.leave()
    await last.inside.wait()
    await last.leave()
    assert (line.busy, line.waiting) == (0, 0)
