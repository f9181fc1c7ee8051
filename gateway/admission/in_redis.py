"""Limits and budgets shared by all gateways through Redis: `admit.lua` keeps the book, this keeps the conversation.

Calls that ask in one turn of the event loop, or while an answer is awaited, go in one round trip. One question is under
way at a time, so what Redis knows of this gateway is known here, too: a mirror of its own calls, events and windows.
From it everything is told anew when Redis has lost its memory (no epoch) or this gateway was taken for dead; and while
Redis is away, or waits for other gateways to tell theirs, this gateway admits by itself, at most what was last known to
be left divided by the replicas.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.admission.in_memory import wall_ms
from gateway.admission.rules import (
    STEPS,
    Book,
    Charge,
    Demand,
    Line,
    Money,
    MoneyState,
    Reading,
    Slots,
    Taken,
    Verdict,
    Window,
)

log = logging.getLogger(__name__)

SCRIPT: Final = (Path(__file__).parent / "admit.lua").read_text(encoding="utf-8")
PREFIX: Final = "{tollgate:admission}"  # the braces put all keys in one slot of a cluster
_BATCH: Final = 256
_RETRY_SECONDS: Final = 0.2  # how often Redis is tried again
_SEEN: Final = 100_000

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


class RedisAway(Exception):
    """No answer from Redis, or none in time: whether it has acted is then unknown."""


@dataclass(slots=True, eq=False)
class _Question:
    """An operation of the script, and who waits for its answer; nobody for the end of a call."""

    packed: list[Any]
    answer: asyncio.Future[Any] | None
    demand: Demand | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was last known of a line: left for all, used by this gateway, and when; of a budget, what is spent."""

    left: int
    own: int
    at_ms: int
    spent: int = 0


class InRedis:
    """A `Counter` (see `gateway.admission.desk`).

    `replicas` None: as many as were last seen. `alone`: whether to admit without Redis. `unconfirmed_from` gives the
    first segment of the spool whose events are not known to be in the ledger.
    """

    def __init__(
        self,
        url: str,
        *,
        gateway: str,
        replicas: int | None = None,
        alone: bool = True,
        lease_seconds: float = 30.0,
        timeout: float = 0.5,
        unconfirmed_from: Callable[[], int] = lambda: 0,
        clock: Callable[[], int] = wall_ms,
        prefix: str = PREFIX,
        script: str = SCRIPT,
    ) -> None:
        # No socket_timeout: redis-py writes under it with asyncio.wait_for, which swallows cancellation on Python 3.11.
        # `_ask` bounds every question instead.
        self._client: Redis = Redis.from_url(
            url, socket_timeout=None, socket_connect_timeout=timeout, max_connections=2, retry=None
        )
        self._script = self._client.register_script(script)
        self._prefix = prefix
        self._timeout = timeout
        self._gateway = gateway
        self._replicas = replicas
        self._by_itself = alone
        self._lease_ms = round(lease_seconds * 1000)
        self._unconfirmed_from = unconfirmed_from
        self._wall = clock
        self._ahead_ms = 0  # of Redis's clock to ours
        self._own = Book(2**62)
        self.joined = 0
        self._epoch = ""
        self._shared = False
        self._trouble: str | None = None
        self._try_at = 0.0
        self._peers: list[str] = [gateway]
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._based: set[str] = set()  # budgets whose share of this gateway has been worked out
        self._alone: set[str] = set()  # open calls that were let in without Redis
        self._telling: set[str] = set()  # those of them that it is being told of just now
        self._alone_windows: dict[tuple[str, int, int], int] = {}  # window, length of a step, step: amount
        # Ends that Redis has not confirmed to have, in order, each with what the call has used of windows.
        self._unended: dict[_Question, list[list[Any]]] = {}
        # Charges that Redis has not confirmed to have, by budget and event.
        self._untold: set[tuple[str, str]] = set()
        self._segments: deque[tuple[int, Charge]] = deque()
        self._queue: deque[_Question] = deque()
        self._pump: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------------------------------- a Counter
    @property
    def trouble(self) -> str | None:
        return self._trouble

    async def admit(self, demand: Demand) -> Verdict:
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        question = _Question(["a", demand.hold_id, [_packed(line) for line in demand.lines]], future, demand)
        self._put(question)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            with suppress(ValueError):
                self._queue.remove(question)
            future.add_done_callback(lambda done: self._leave(demand, done))
            raise

    def finish(
        self,
        hold_id: str,
        used: Sequence[int],
        charges: Sequence[Charge],
        segment: int,
        part: Collection[str] | None = None,
    ) -> None:
        if not charges and hold_id not in self._own.open.get(self._gateway, {}):
            return  # it has nothing to give back
        windows = self._used_of_windows(hold_id, used, part)
        self._own.finish(self._now(), self._gateway, hold_id, used, charges, part)
        self._segments.extend((segment, charge) for charge in charges)
        self._untold.update((each.money_id, each.event_id) for each in charges)
        sums = [[each.money_id, each.event_id, str(each.amount)] for each in charges]
        given_back = [] if part is None else [list(part)]
        question = _Question(["f", hold_id, list(used), sums, *given_back], None)
        if hold_id in self._alone and hold_id not in self._telling:
            self._add_alone(windows)
        else:
            self._unended[question] = windows
        if hold_id not in self._own.open.get(self._gateway, {}):
            self._alone.discard(hold_id)
        self._put(question)

    async def begin(self, money: Money, min_age_ms: int) -> int:
        version = await self._answered(["b", money.id, min_age_ms])
        return self._own.begin(money.id) if version is None else int(version)

    async def unconfirmed(self, money: Money) -> list[str]:
        found = await self._answered(["u", money.id])
        return self._own.unconfirmed(money.id) if found is None else [_text(each) for each in found]

    async def rebase(self, money: Money, version: int, base: int, stored: Sequence[str]) -> None:
        if await self._answered(["r", money.id, version, str(base), list(stored)]) is None:
            state = self._own.moneys.setdefault(money.id, MoneyState())
            for event_id in stored:
                state.confirm(event_id)
            left = money.capacity - base - state.pending - state.held
            self._seen[money.id] = _Seen(left, 0, self._now(), base + state.pending)
            self._share(money, state, left)

    async def turn(self) -> None:
        """Say that this gateway lives, learn who else does, forget what the ledger has."""
        now = self._now()
        self._own.tidy(now)
        for key in [key for key in self._alone_windows if key[2] < now // key[1] - STEPS]:
            del self._alone_windows[key]
        bound = self._unconfirmed_from()
        while self._segments and self._segments[0][0] < bound:
            _, charge = self._segments.popleft()
            if state := self._own.moneys.get(charge.money_id):
                state.confirm(charge.event_id)
        found = await self._answered(["l"])
        if found is not None:
            self._peers = [_text(each) for each in found]

    async def close(self) -> None:
        """What has ended is told, if Redis is there."""
        if self._pump is not None:
            await self._pump
        await self._client.aclose()

    # ------------------------------------------------------------------------------------------- the conversation
    def _now(self) -> int:
        return self._wall() + self._ahead_ms

    def _put(self, question: _Question) -> None:
        self._queue.append(question)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._talk())

    async def _answered(self, packed: list[Any]) -> Any:
        """None: Redis is away."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._put(_Question(packed, future))
        return await future

    def _leave(self, demand: Demand, done: asyncio.Future[Verdict]) -> None:
        """Whoever asked to be let in has gone meanwhile."""
        if not done.cancelled() and done.exception() is None and done.result().code == "ok":
            reserved = [line.amount for line in demand.lines if isinstance(line, Window) and line.unit != "requests"]
            self.finish(demand.hold_id, [0] * len(reserved), (), 0)

    async def _talk(self) -> None:
        """Until nobody asks any more."""
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            try:
                await self._say(batch)
            except Exception as error:
                # Callers wait for these answers: whatever went wrong, they get one.
                log.exception("asking Redis for limits and budgets failed in an unforeseen way")
                self._lost(type(error).__name__)
                self._decide_alone(batch)

    async def _say(self, batch: list[_Question]) -> None:
        if not self._shared and not await self._join():
            return self._decide_alone(batch)
        for _ in range(2):
            try:
                word, now, answers = await self._ask("batch", [each.packed for each in batch])
            except RedisAway as error:
                self._lost(str(error))
                break
            if _text(word) == "ok":
                self._ahead_ms = now - self._wall()
                return self._hand_out(batch, answers)
            self._shared = False
            if not await self._join():
                break
        return self._decide_alone(batch)

    async def _ask(self, what: str, told: list[Any]) -> list[Any]:
        """Raises RedisAway."""
        args: list[bytes | str | int] = [what, self._gateway, self._epoch, self._lease_ms, _pack(told)]
        try:
            async with asyncio.timeout(self._timeout):
                answer: list[Any] = _unpack(await self._script(keys=[self._prefix], args=args))
        except (RedisError, OSError, TimeoutError) as error:
            # The connection may hold half an answer, or lead to a server that is no longer the right one.
            await self._client.connection_pool.disconnect()
            raise RedisAway(f"{type(error).__name__}: {error}") from error
        return answer

    async def _join(self) -> bool:
        """Tell everything that is known here. True: this gateway counts with the others again."""
        clock = asyncio.get_running_loop().time
        if clock() < self._try_at:
            return False
        self._try_at = clock() + _RETRY_SECONDS
        own = self._own
        holds = [
            [hold_id, [_packed_taken(each) for each in taken]]
            for hold_id, taken in own.open.get(self._gateway, {}).items()
        ]
        charges = [
            [money_id, event_id, str(amount)]
            for money_id, state in own.moneys.items()
            for event_id, amount in state.unconfirmed.items()
        ]
        windows = [
            [name, step, amount, state.step_ms]
            for name, state in own.windows.items()
            for step, amount in state.steps.items()
        ]
        untold = [each for each in charges if (each[0], each[1]) in self._untold]
        let_in = dict(self._alone_windows)
        alone = [[name, step, amount, step_ms] for (name, step_ms, step), amount in let_in.items()]
        unended = list(self._unended)
        ends = [
            [each.packed[1], each.packed[2], each.packed[4] if len(each.packed) > 4 else False, self._unended[each]]
            for each in unended
        ]
        told = [secrets.token_hex(8), self._peers, holds, charges, windows, untold, alone, ends]
        self._telling = {hold_id for hold_id, _ in holds if hold_id in self._alone}
        try:
            word, now, (epoch,) = await self._ask("join", told)
        except RedisAway as error:
            self._lost(str(error))
            for each in [each for each in self._unended if each.packed[1] in self._telling]:
                self._add_alone(self._unended.pop(each))
            return False
        finally:
            self._telling = set()
        self._epoch = _text(epoch)
        self._ahead_ms = now - self._wall()
        self._alone.difference_update(hold_id for hold_id, _ in holds)
        for key in let_in.keys() & self._alone_windows.keys():
            self._alone_windows[key] -= let_in[key]
        for each in unended:
            del self._unended[each]
        self._untold.difference_update((money_id, event_id) for money_id, event_id, _ in untold)
        if _text(word) != "ok":
            self._trouble = "redis: limits and budgets are being rebuilt"
            return False
        for money_id in self._based:
            if state := own.moneys.get(money_id):
                state.base = None
        self._based.clear()
        if self._trouble is not None:
            log.info("limits and budgets are shared again")
        self._shared, self._trouble = True, None
        self.joined += 1
        return True

    def _lost(self, reason: str) -> None:
        if self._trouble is None:
            log.warning("limits and budgets are not shared: %s", reason)
        self._shared, self._trouble = False, f"redis: {reason}"

    def _hand_out(self, batch: list[_Question], answers: list[Any]) -> None:
        for question, answer in zip(batch, answers, strict=True):
            if question.packed[0] == "f":
                self._unended.pop(question, None)
                self._untold.difference_update((money_id, event_id) for money_id, event_id, _ in question.packed[3])
            if question.demand is not None:
                verdict = _verdict(question.demand, answer)
                self._mirror(question.demand, verdict)
                answer = verdict
            if question.answer is not None and not question.answer.done():
                question.answer.set_result(answer)

    def _mirror(self, demand: Demand, verdict: Verdict) -> None:
        now = self._now()
        if verdict.code == "ok" and demand.hold_id not in self._own.open.get(self._gateway, {}):
            self._own.impose(now, self._gateway, demand, [each.granted for each in verdict.readings])
        for line, reading in zip(demand.lines, verdict.readings, strict=True):
            match line:
                case Window():
                    seen = _Seen(reading.left, self._own.used(now, line), now)
                case Slots():
                    seen = _Seen(reading.left, self._own.slots.get(line.id, 0), now)
                case Money():
                    if verdict.code == "unknown":
                        continue
                    seen = _Seen(line.capacity - reading.spent - reading.held, 0, now, reading.spent)
            self._seen[line.id] = seen
        while len(self._seen) > _SEEN:
            self._seen.popitem(last=False)

    # ------------------------------------------------------------------------------------------- alone
    def _decide_alone(self, batch: list[_Question]) -> None:
        for question in batch:
            if question.answer is None or question.answer.done():
                continue
            question.answer.set_result(None if question.demand is None else self._verdict_alone(question.demand))

    def _verdict_alone(self, demand: Demand) -> Verdict:
        now = self._now()
        if not self._by_itself:
            return Verdict("share", 0, 1000, tuple(Reading() for _ in demand.lines))
        lines = tuple(self._own_share(line, now) for line in demand.lines)
        new = demand.hold_id not in self._own.open.get(self._gateway, {})
        verdict = self._own.admit(now, self._gateway, Demand(demand.hold_id, lines))
        if verdict.code == "spent":
            money = lines[verdict.line]
            seen = self._seen.get(money.id)
            if seen is None or (isinstance(money, Money) and seen.spent + money.least <= money.capacity):
                verdict = replace(verdict, code="share", retry_ms=1000)
        if verdict.code == "ok" and new:
            self._alone.add(demand.hold_id)
            requests = [line for line in lines if isinstance(line, Window) and line.unit == "requests"]
            self._add_alone([each.id, now // each.step_ms, each.amount, each.step_ms] for each in requests)
            if demand.hold_id not in self._own.open.get(self._gateway, {}):
                self._alone.discard(demand.hold_id)  # it has nothing to end
        return verdict

    def _add_alone(self, windows: Iterable[list[Any]]) -> None:
        for name, step, amount, step_ms in windows:
            key = (name, step_ms, step)
            self._alone_windows[key] = self._alone_windows.get(key, 0) + amount

    def _used_of_windows(self, hold_id: str, used: Sequence[int], part: Collection[str] | None) -> list[list[Any]]:
        """Of an open call that ends: window, step, amount, length of a step."""
        taken = [
            each
            for each in self._own.open.get(self._gateway, {}).get(hold_id, ())
            if each.kind == "window" and (part is None or each.id in part)
        ]
        return [[each.id, each.step, amount, each.step_ms] for each, amount in zip(taken, used, strict=False)]

    def _own_share(self, line: Line, now: int) -> Line:
        """The line with what this gateway may hand out of it by itself. Limits, unlike money, allow at least one. Who
        wants more tokens than that waits for an empty window, not for Redis."""
        replicas = self._replicas or max(1, len(self._peers))
        seen = self._seen.get(line.id)
        match line:
            case Window():
                own, part = 0, line.capacity // replicas
                if seen is not None and now - seen.at_ms < line.period_ms:
                    own, part = seen.own, seen.left // replicas
                return replace(line, capacity=max(1, own + part), amount=min(line.amount, max(1, part)))
            case Slots():
                share = line.capacity // replicas if seen is None else seen.own + seen.left // replicas
                return replace(line, capacity=max(1, share))
            case Money():
                state = self._own.moneys.setdefault(line.id, MoneyState())
                if state.base is None and seen is not None:
                    self._share(line, state, seen.left)
                return line

    def _share(self, money: Money, state: MoneyState, left: int) -> None:
        """Set the base so that this gateway's share is what is left over."""
        replicas = self._replicas or max(1, len(self._peers))
        state.base = money.capacity - max(0, left) // replicas - state.held - state.pending
        self._based.add(money.id)


def _packed(line: Line) -> list[Any]:
    match line:
        case Window():
            return ["w", line.id, line.capacity, line.step_ms, line.amount, line.unit != "requests"]
        case Slots():
            return ["s", line.id, line.capacity]
        case Money():
            return ["m", line.id, str(line.capacity), str(line.hold), str(line.least)]


def _packed_taken(taken: Taken) -> list[Any]:
    amount = str(taken.amount) if taken.kind == "money" else taken.amount
    return [taken.kind, taken.id, amount, taken.step_ms, taken.step]


def _verdict(demand: Demand, answer: list[Any]) -> Verdict:
    code, line, retry_ms, found = answer
    readings = []
    for each, reading in zip(demand.lines, found, strict=True):
        if isinstance(each, Money):
            spent, held, granted = (int(_text(value)) for value in reading)
            readings.append(Reading(spent=spent, held=held, granted=granted))
        else:
            readings.append(Reading(left=reading))
    return Verdict(_text(code), line, retry_ms, tuple(readings))  # type: ignore[arg-type]


def _text(value: Any) -> str:
    """Redis packs text as bytes or as text, by its version."""
    return value.decode() if isinstance(value, bytes) else str(value)
