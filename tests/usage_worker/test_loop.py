"""The loop with a source and a store in memory: what is acknowledged, when, and what stops it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random

import pytest

from tests.usage_worker.events import NOON, entry_of, usage_event
from usage_contract.event import Caller
from usage_worker.decode import Row
from usage_worker.entries import Entry, Letter
from usage_worker.errors import Refused, SourceUnavailable, StoreUnavailable, TooManyDeadLetters, WorkerError
from usage_worker.loop import Backoff, DeadLetterCap, Loop
from usage_worker.metrics import Meters
from usage_worker.store import Saved

Step = Sequence[Entry] | WorkerError


@dataclass
class Script:
    """A source that gives what it was told to, then nothing, then sets `stop`.

    The loop reads ahead: only the second empty answer is sure to come after the last batch was dealt with.
    """

    steps: list[Step]
    stop: asyncio.Event
    acks: list[object] = field(default_factory=list)
    released: bool = False
    measured: int = 0
    ack_errors: list[WorkerError] = field(default_factory=list)
    before_read: Callable[[], None] = lambda: None
    exhausted: bool = False

    async def read(self) -> Sequence[Entry]:
        self.before_read()
        if not self.steps:
            if self.exhausted:
                self.stop.set()
            self.exhausted = True
            return []
        step = self.steps.pop(0)
        if isinstance(step, WorkerError):
            raise step
        return step

    async def ack(self, entries: Sequence[Entry]) -> None:
        if self.ack_errors:
            raise self.ack_errors.pop(0)
        self.acks += [entry.token for entry in entries]

    async def measure(self) -> None:
        self.measured += 1
        raise SourceUnavailable("away")

    async def release(self) -> None:
        self.released = True
        raise SourceUnavailable("away")


@dataclass
class Memory:
    """A store that fails as it was told to, then keeps everything. `refuses` names users it will never take."""

    errors: list[WorkerError] = field(default_factory=list)
    refuses: frozenset[str] = frozenset()
    refuses_letters: bool = False
    before_save: Callable[[], None] = lambda: None
    ids: list[str] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)

    def save(self, rows: Sequence[Row], letters: Sequence[Letter]) -> Saved:
        self.before_save()
        if self.errors:
            raise self.errors.pop(0)
        if any(value in self.refuses for row in rows for value in row.values) or (letters and self.refuses_letters):
            raise Refused("no such user")
        self.ids += [row.event_id for row in rows]
        self.letters += letters
        return Saved(len(rows), 0, len(letters))


@dataclass
class Rig:
    """A loop over a script, with what it touched."""

    loop: Loop
    source: Script
    store: Memory
    meters: Meters
    stop: asyncio.Event

    async def run(self) -> None:
        async with asyncio.timeout(20):
            await self.loop.run(self.stop)

    def metric(self, name: str, **labels: str) -> float:
        return self.meters.registry.get_sample_value(f"tollgate_usage_worker_{name}", labels) or 0.0


def _rig(*steps: Step, store: Memory | None = None, cap: DeadLetterCap | None = None) -> Rig:
    stop, meters, store = asyncio.Event(), Meters(), store or Memory()
    source = Script(list(steps), stop)
    backoff = Backoff(first=0.001, most=0.002)
    loop = Loop(source, store, meters, lambda: NOON, cap or DeadLetterCap(0.5), backoff)
    return Rig(loop, source, store, meters, stop)


def _entries(*numbers: int, user: str = "u") -> list[Entry]:
    return [entry_of(usage_event(number, caller=Caller(user_id=user)), token=number) for number in numbers]


def _ids(*numbers: int) -> list[str]:
    return [usage_event(number).event_id for number in numbers]


BAD = Entry("bad", b"?", "p", 1)


async def test_batches_are_saved_then_acknowledged_in_order() -> None:
    rig = _rig(_entries(1, 2), [], _entries(3))
    await rig.run()
    assert rig.store.ids == _ids(1, 2, 3)
    assert rig.source.acks == [1, 2, 3]
    assert rig.metric("events_stored_total") == 3


async def test_a_bad_entry_is_buried_with_its_batch_and_acknowledged_too() -> None:
    rig = _rig([*_entries(1), BAD, *_entries(2)])
    await rig.run()
    assert rig.store.ids == _ids(1, 2)
    assert [letter.payload for letter in rig.store.letters] == [b"?"]
    assert rig.source.acks == [1, "bad", 2]
    assert rig.metric("dead_letters_total") == 1


async def test_while_the_database_is_away_nothing_is_acknowledged_and_nothing_lost() -> None:
    store = Memory(errors=[StoreUnavailable("away")] * 3)
    rig = _rig(_entries(1), store=store)
    seen_acks: list[int] = []
    store.before_save = lambda: seen_acks.append(len(rig.source.acks))
    await rig.run()
    assert seen_acks == [0, 0, 0, 0]
    assert rig.store.ids == _ids(1)
    assert rig.source.acks == [1]
    assert rig.metric("waits_total", reason="StoreUnavailable") == 3
    assert rig.source.measured == 3


async def test_the_lag_grows_while_the_database_is_away() -> None:
    rig = _rig(_entries(1), store=Memory(errors=[StoreUnavailable("away")] * 4))
    minutes, lags = count(), []
    rig.loop.clock = lambda: NOON + timedelta(minutes=next(minutes))
    rig.store.before_save = lambda: lags.append(rig.metric("lag_seconds"))
    await rig.run()
    assert lags[1:] == sorted(set(lags[1:]))
    assert lags[-1] > 120


async def test_stop_while_the_database_is_away_gives_up_without_acknowledging() -> None:
    rig = _rig(_entries(1), store=Memory(errors=[StoreUnavailable("away")] * 10_000))
    rig.store.before_save = rig.stop.set
    await rig.run()
    assert rig.store.ids == rig.source.acks == []


async def test_a_batch_that_was_begun_is_finished_at_stop() -> None:
    rig = _rig(_entries(1), _entries(2))
    rig.store.before_save = rig.stop.set
    await rig.run()
    assert rig.store.ids == _ids(1)
    assert rig.source.acks == [1]


async def test_what_the_database_refuses_is_found_by_halving() -> None:
    entries = [*_entries(1, 2, 3), *_entries(4, user="poison"), *_entries(5, 6), BAD]
    rig = _rig(entries, store=Memory(refuses=frozenset({"poison"})))
    await rig.run()
    assert sorted(rig.store.ids) == sorted(_ids(1, 2, 3, 5, 6))
    assert sorted(letter.reason for letter in rig.store.letters)[0] == "no such user"
    assert {letter.event_id for letter in rig.store.letters} == {_ids(4)[0], None}
    assert rig.source.acks == [1, 2, 3, 4, 5, 6, "bad"]


async def test_a_database_away_while_halving_keeps_the_rest() -> None:
    store = Memory(errors=[Refused("batch"), StoreUnavailable("away")])
    rig = _rig(_entries(1, 2), store=store)
    await rig.run()
    assert rig.store.ids == _ids(1, 2)
    assert rig.source.acks == [1, 2]


async def test_stop_while_halving_acknowledges_nothing() -> None:
    store = Memory(errors=[Refused("batch"), *[StoreUnavailable("away")] * 10_000])
    rig = _rig(_entries(1, 2), store=store)
    store.before_save = rig.stop.set
    await rig.run()
    assert rig.source.acks == []


async def test_dead_letters_that_are_refused_themselves_stop_the_worker() -> None:
    rig = _rig([BAD], store=Memory(refuses_letters=True), cap=DeadLetterCap(1.0))
    with pytest.raises(Refused, match="not even the dead letters"):
        await rig.run()
    assert rig.source.acks == []


async def test_a_source_that_is_away_is_waited_for() -> None:
    rig = _rig(SourceUnavailable("away"), _entries(1), SourceUnavailable("away"), _entries(2))
    await rig.run()
    assert rig.store.ids == _ids(1, 2)
    assert rig.metric("waits_total", reason="SourceUnavailable") == 2


async def test_stop_while_the_source_is_away() -> None:
    rig = _rig(*[SourceUnavailable("away")] * 10_000)
    reads = count(1)
    rig.source.before_read = lambda: rig.stop.set() if next(reads) == 3 else None
    await rig.run()
    assert len(rig.source.steps) == 10_000 - 3


async def test_an_acknowledgement_is_tried_until_it_works() -> None:
    rig = _rig(_entries(1))
    rig.source.ack_errors = [SourceUnavailable("away")] * 2
    await rig.run()
    assert rig.source.acks == [1]
    assert rig.store.ids == _ids(1)


async def test_stop_while_acknowledging_leaves_the_entry_for_the_next_start() -> None:
    rig = _rig(_entries(1))
    rig.source.ack_errors = [SourceUnavailable("away")] * 10_000
    rig.store.before_save = rig.stop.set
    await rig.run()
    assert rig.store.ids == _ids(1)
    assert rig.source.acks == []


async def test_too_many_bad_entries_stop_it_before_any_is_acknowledged() -> None:
    rig = _rig([*_entries(1), *[BAD] * 9], cap=DeadLetterCap(0.5, at_least=5))
    with pytest.raises(TooManyDeadLetters, match="9 of the last 10 entries are bad"):
        await rig.run()
    assert (rig.store.ids, rig.store.letters, rig.source.acks) == ([], [], [])
    assert rig.source.released


async def test_an_orderly_end_gives_back_what_is_in_hand_and_a_failure_does_not() -> None:
    orderly = _rig(_entries(1))
    await orderly.run()
    assert orderly.source.released
    store = Memory(errors=[WorkerError("unforeseen")])
    failing = _rig(_entries(1), store=store)
    with pytest.raises(WorkerError, match="unforeseen"):
        await failing.run()
    assert not failing.source.released


async def test_too_many_refused_rows_stop_it_too() -> None:
    rig = _rig(
        _entries(*range(8), user="poison"), store=Memory(refuses=frozenset({"poison"})), cap=DeadLetterCap(0.5, 5)
    )
    with pytest.raises(TooManyDeadLetters):
        await rig.run()
    assert rig.source.acks == []


def test_the_cap_forgets_what_left_its_window() -> None:
    cap = DeadLetterCap(0.5, at_least=10, window=100)
    cap.check(10, 9)
    for _ in range(10):
        cap.check(10, 0)
    for _ in range(5):
        cap.check(10, 9)
    with pytest.raises(TooManyDeadLetters):
        cap.check(10, 9)


def test_a_share_of_one_never_stops() -> None:
    cap = DeadLetterCap(1.0, at_least=1)
    for _ in range(100):
        cap.check(10, 10)


async def test_backoff_doubles_up_to_its_limit_and_starts_again() -> None:
    class Most(Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    stop, clock = asyncio.Event(), asyncio.get_running_loop().time
    backoff = Backoff(first=0.01, most=0.03, random=Most())
    waits = []
    for _ in range(4):
        began = clock()
        await backoff.wait(stop)
        waits.append(clock() - began)
    assert waits[0] < waits[2]
    assert all(wait >= 0.009 for wait in waits)
    backoff.reset()
    stop.set()
    began = clock()
    await Backoff(first=60, most=60).wait(stop)
    assert clock() - began < 5


async def test_a_database_that_stands_still_is_waited_for_and_left_at_the_end() -> None:
    """Its thread may hang for hours: the loop turns meanwhile, and ends without it."""
    begun, resumed = threading.Event(), threading.Event()

    def stand_still() -> None:
        begun.set()
        resumed.wait(60)

    rig = _rig(_entries(1), [], [], store=Memory(before_save=stand_still))
    turns: list[datetime] = []

    def clock() -> datetime:
        turns.append(NOON)
        return NOON

    rig.loop.clock = clock
    running = asyncio.create_task(rig.run())
    async with asyncio.timeout(20):
        await asyncio.to_thread(begun.wait)
        before = len(turns)
        while len(turns) < before + 2:  # noqa: ASYNC110 - the loop's own beat is what is waited for
            await asyncio.sleep(0.05)
        rig.stop.set()
        await running
    assert rig.source.acks == rig.store.ids == []
    assert rig.source.released
    resumed.set()
