"""Where a call asks to be let in: tries its limits and budgets, waits its turn when only open holds are in the way, and
keeps what is known to be spent in step with the ledger."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from gateway.admission.rules import Charge, Demand, Money, Spending, Verdict
from ledger.threads import in_thread

log = logging.getLogger(__name__)

WAIT_SECONDS: Final = 2.0
LEDGER_SECONDS: Final = 5.0  # a slow answer is worth more to who can pay than a quick refusal
_LOOK_AGAIN_SECONDS: Final = 0.03  # for what other gateways release
_RECONCILE_SECONDS: Final = 10.0
_FRESH_MS: Final = 5000
_AT_ONCE: Final = 100
_TOGETHER: Final = 2  # threads and connections that looks into the ledger may take
_TRACKED: Final = 100_000

# In one view of the ledger: pico-dollars that these rows cost, and which of the events (asked for after that sum was
# taken) are among them. Blocks; whatever it raises means: not now.
SpentReader = Callable[[Spending, Callable[[], Collection[str]]], tuple[int, Collection[str]]]


class LedgerAway(Exception):
    """What a budget has left is not known, and the ledger does not say."""


class Counter(Protocol):
    """Where it is counted."""

    @property
    def trouble(self) -> str | None:
        """Why it does not count with the other gateways; None when it does."""

    @property
    def joined(self) -> int:
        """How often it has told the others anew what it knows."""

    async def admit(self, demand: Demand) -> Verdict: ...
    def finish(
        self,
        hold_id: str,
        used: Sequence[int],
        charges: Sequence[Charge],
        segment: int,
        part: Collection[str] | None = None,
    ) -> None:
        """At once; never raises. `segment` is the spool's that holds the newest of the events. `part`: only what it has
        taken of the lines with these ids ends."""

    async def begin(self, money: Money, min_age_ms: int) -> int:
        """The right to `rebase`; 0: the base is younger than this, or somebody else is at it."""

    async def unconfirmed(self, money: Money) -> list[str]: ...
    async def rebase(self, money: Money, version: int, base: int, stored: Sequence[str]) -> None: ...
    async def turn(self) -> None:
        """Once a second."""

    async def close(self) -> None: ...


@dataclass(slots=True)
class _Queue:
    """Calls that wait for one budget, in order. `freed`: a hold may have become smaller."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0


@dataclass(slots=True)
class _Tracked:
    """A budget that is in use here. `used`: since the ledger was last asked. `anew`: the base must be younger than
    whatever is known now."""

    money: Money
    due: float
    used: bool = True
    anew: bool = False


class Desk:
    """One per process. `run` it while calls are served. `wait_seconds`: for what other calls hold of a budget."""

    def __init__(self, counter: Counter, spent: SpentReader, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._counter = counter
        self._spent = spent
        self._wait_seconds = wait_seconds
        self._queues: dict[str, _Queue] = {}
        self._tracked: OrderedDict[str, _Tracked] = OrderedDict()
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._joined = 0

    @property
    def trouble(self) -> str | None:
        return self._counter.trouble

    async def admit(self, demand: Demand) -> Verdict:
        """Whether the call may be made. Any verdict but `ok` has used nothing up. Raises LedgerAway."""
        moneys = [line for line in demand.lines if isinstance(line, Money)]
        for money in moneys:
            self._track(money)
        for money in moneys:
            if money.id in self._queues:
                return await self._wait(demand, money)
        verdict = await self._try(demand)
        if verdict.code != "holds":
            return verdict
        blocking = demand.lines[verdict.line]
        assert isinstance(blocking, Money)  # noqa: S101 - only budgets have holds
        return await self._wait(demand, blocking)

    def finish(
        self, demand: Demand, used: Sequence[int], charges: Sequence[Charge], segment: int, *, part: bool = False
    ) -> None:
        """The call has ended, and its events are written; `part`: it goes on, but for these lines. At once; never
        raises."""
        lines = {line.id for line in demand.lines} if part else None
        self._counter.finish(demand.hold_id, used, charges, segment, lines)
        for line in demand.lines:
            if isinstance(line, Money):
                self._track(line)
                if queue := self._queues.get(line.id):
                    queue.freed.set()

    async def run(self) -> None:
        """Until cancelled: what happens once a second. A ledger that hangs keeps nobody from hearing of us."""
        await asyncio.gather(_again_and_again(self._counter.turn), _again_and_again(self._reconcile))

    async def close(self) -> None:
        await self._counter.close()

    async def _try(self, demand: Demand) -> Verdict:
        """Asks the ledger first where a budget is not known yet. Raises LedgerAway."""
        end = asyncio.get_running_loop().time() + LEDGER_SECONDS
        while True:
            verdict = await self._counter.admit(demand)
            if verdict.code != "unknown":
                return verdict
            money = demand.lines[verdict.line]
            assert isinstance(money, Money)  # noqa: S101
            if asyncio.get_running_loop().time() > end:
                raise LedgerAway
            await self._load_once(money)

    async def _load_once(self, money: Money) -> None:
        """One question for all who wait for the same answer. Raises LedgerAway."""
        task = self._loading.get(money.id)
        if task is None:
            task = asyncio.create_task(self._load(money, 0))
            self._loading[money.id] = task
            task.add_done_callback(lambda done: self._loaded(money, done))
        try:
            async with asyncio.timeout(LEDGER_SECONDS):
                await asyncio.shield(task)
        except TimeoutError as error:
            raise LedgerAway from error

    def _loaded(self, money: Money, done: asyncio.Task[None]) -> None:
        del self._loading[money.id]
        if not done.cancelled():
            done.exception()  # seen, even if all who waited for it have gone

    async def _load(self, money: Money, min_age_ms: int) -> None:
        version = await self._counter.begin(money, min_age_ms)
        if not version:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            return
        loop = asyncio.get_running_loop()

        def unconfirmed() -> list[str]:
            asking = self._counter.unconfirmed(money)
            try:
                return asyncio.run_coroutine_threadsafe(asking, loop).result(WAIT_SECONDS)
            except RuntimeError:  # the loop has ended before the ledger answered
                asking.close()
                raise

        try:
            base, stored = await in_thread(self._spent, money.spending, unconfirmed)
        except Exception as error:
            # Whatever a database raises.
            log.warning("the ledger does not say what is spent: %s", type(error).__name__)
            raise LedgerAway from error
        await self._counter.rebase(money, version, base, list(stored))

    async def _wait(self, demand: Demand, money: Money) -> Verdict:
        """In order, for so long at most. The last verdict stands."""
        clock = asyncio.get_running_loop().time
        end = clock() + self._wait_seconds
        queue = self._queues.setdefault(money.id, _Queue())
        queue.waiting += 1
        try:
            try:
                async with asyncio.timeout_at(end):
                    await queue.turn.acquire()
            except TimeoutError:
                return await self._try(demand)
            try:
                while True:
                    queue.freed.clear()
                    verdict = await self._try(demand)
                    if verdict.code != "holds" or clock() >= end:
                        return verdict
                    try:
                        async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                            await queue.freed.wait()
                    except TimeoutError:
                        continue
            finally:
                queue.turn.release()
        finally:
            queue.waiting -= 1
            if not queue.waiting:
                self._queues.pop(money.id, None)

    def _track(self, money: Money) -> None:
        known = self._tracked.get(money.id)
        if known is None:
            self._tracked[money.id] = _Tracked(money, asyncio.get_running_loop().time() + 1.0)
            if len(self._tracked) > _TRACKED:
                self._tracked.popitem(last=False)
        else:
            known.money, known.used = money, True

    async def _reconcile(self) -> None:
        """Ask the ledger about budgets in use, now and then and once after their last use; who has waited longest comes
        first."""
        if self._counter.trouble is not None:
            return
        now = asyncio.get_running_loop().time()
        if self._counter.joined != self._joined:
            # What was told may hold events that the ledger had meanwhile.
            self._joined = self._counter.joined
            for tracked in self._tracked.values():
                tracked.due, tracked.used, tracked.anew = now, True, True
        due = sorted((each for each in self._tracked.values() if each.due <= now), key=lambda each: each.due)
        waiting = iter(due[:_AT_ONCE])
        await asyncio.gather(*(self._look_at(waiting) for _ in range(_TOGETHER)))

    async def _look_at(self, waiting: Iterator[_Tracked]) -> None:
        """Until none waits, or the ledger is away."""
        for tracked in waiting:
            if not tracked.used:
                self._tracked.pop(tracked.money.id, None)
                continue
            anew = tracked.anew
            tracked.used, tracked.anew = False, False
            tracked.due = asyncio.get_running_loop().time() + _RECONCILE_SECONDS
            try:
                await self._load(tracked.money, 0 if anew else _FRESH_MS)
            except LedgerAway:
                tracked.used, tracked.anew = True, anew
                return


async def _again_and_again(work: Callable[[], Awaitable[None]]) -> None:
    """Once a second, until cancelled."""
    while True:
        try:
            await work()
        except Exception:
            # Without these tasks budgets would drift from the ledger: log the cause and go on.
            log.exception("keeping limits and budgets failed in an unforeseen way")
        await asyncio.sleep(1.0)
