"""Whatever happens in whatever order, what a budget says is spent is what the ledger says: in the rules, in a gateway's
memory, and in Redis, whose script is held against the rules at every step.

The ledger is a dictionary that grows by itself: events come in late, in any order, and those of a gateway that died
come as `lost` ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from gateway.admission.in_memory import InMemory
from gateway.admission.rules import Book, Charge, Code, Demand, Money, MoneyState, Slots, Spending, Taken
from tests.gateway.admission.books import RedisBook, set_clock

LEASE = 20_000
START = 1_800_000_000_000
ASKED_LATELY = 2_001  # milliseconds after which Redis lets another one ask the ledger
MONEY = "budget"
CAPACITY = 100 * 10**12
SPENDING = Spending("user", "u", datetime(2026, 1, 1, tzinfo=UTC))
Answer = tuple[Code | str, int]  # and what was granted


def demand(hold_id: str, amount: int) -> Demand:
    return Demand(hold_id, (Slots("calls", 6), Money(MONEY, CAPACITY, amount, SPENDING)))


class Side(Protocol):
    """One book under test."""

    def tick(self, now: int) -> None: ...
    def join(self, gateway: str, holds: dict[str, int], charges: dict[str, int]) -> None:
        """The gateway tells what it has open, with what was granted, and what the ledger may not have."""

    def beat(self, gateway: str) -> None: ...
    def admit(self, gateway: str, asked: Demand) -> Answer: ...
    def finish(self, gateway: str, hold_id: str, charges: Sequence[Charge]) -> None: ...
    def begin(self, gateway: str) -> int: ...
    def unconfirmed(self, gateway: str) -> list[str]: ...
    def rebase(self, gateway: str, version: int, base: int, stored: Sequence[str]) -> None: ...
    def lose_everything(self) -> None: ...
    def state(self) -> tuple[int, int, int]:
        """What is spent, held, and how many calls are open."""


class Rules:
    def __init__(self) -> None:
        self.book = Book(LEASE)
        self.now = START

    def tick(self, now: int) -> None:
        self.now = now

    def join(self, gateway: str, holds: dict[str, int], charges: dict[str, int]) -> None:
        for taken in self.book.open.pop(gateway, {}).values():
            self._void(taken)
        self.book.beat(self.now, gateway)
        for hold_id, granted in holds.items():
            self.book.impose(self.now, gateway, demand(hold_id, granted), [0, granted])
        money = self.book.moneys.setdefault(MONEY, MoneyState())
        for event_id, amount in charges.items():
            money.charge(event_id, amount)

    def beat(self, gateway: str) -> None:
        self.book.beat(self.now, gateway)

    def admit(self, gateway: str, asked: Demand) -> Answer:
        self.beat(gateway)
        verdict = self.book.admit(self.now, gateway, asked)
        return verdict.code, verdict.readings[1].granted

    def finish(self, gateway: str, hold_id: str, charges: Sequence[Charge]) -> None:
        self.beat(gateway)
        self.book.finish(self.now, gateway, hold_id, [], charges)

    def begin(self, gateway: str) -> int:
        self.beat(gateway)
        return self.book.begin(MONEY)

    def unconfirmed(self, gateway: str) -> list[str]:
        self.beat(gateway)
        return sorted(self.book.unconfirmed(MONEY))

    def rebase(self, gateway: str, version: int, base: int, stored: Sequence[str]) -> None:
        self.beat(gateway)
        self.book.rebase(MONEY, version, base, stored)

    def lose_everything(self) -> None:
        self.book = Book(LEASE)

    def state(self) -> tuple[int, int, int]:
        money = self.book.moneys.get(MONEY, MoneyState())
        return money.spent, money.held, self.book.slots.get("calls", 0)

    def _void(self, taken: Sequence[Taken]) -> None:
        for each in taken:
            if each.kind == "money":
                self.book.moneys[each.id].held -= each.amount
            elif self.book.slots[each.id] == 1:
                del self.book.slots[each.id]
            else:
                self.book.slots[each.id] -= 1


class Memory(Rules):
    """What a gateway without replicas counts with."""

    def __init__(self) -> None:
        super().__init__()
        self.lose_everything()

    def lose_everything(self) -> None:
        self.counter = InMemory(lambda: self.now)
        self.book = self.counter._book

    def join(self, gateway: str, holds: dict[str, int], charges: dict[str, int]) -> None:
        """It has nobody to tell."""

    def beat(self, gateway: str) -> None:
        """Nor to hear of it."""

    def admit(self, gateway: str, asked: Demand) -> Answer:
        verdict = asyncio.run(self.counter.admit(asked))
        return verdict.code, verdict.readings[1].granted

    def finish(self, gateway: str, hold_id: str, charges: Sequence[Charge]) -> None:
        self.counter.finish(hold_id, [], charges, 0)

    def rebase(self, gateway: str, version: int, base: int, stored: Sequence[str]) -> None:
        asyncio.run(self.counter.rebase(Money(MONEY, CAPACITY, 1, SPENDING), version, base, stored))


class Script:
    """`admit.lua` in a real Redis."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.book = RedisBook(redis, LEASE)
        self.lose_everything()
        self.tick(START)

    def tick(self, now: int) -> None:
        set_clock(self.redis, now)
        self.now = now

    def join(self, gateway: str, holds: dict[str, int], charges: dict[str, int]) -> None:
        told = [
            [hold_id, [["slot", "calls", 0, 0, 0], ["money", MONEY, str(granted), 0, 0]]]
            for hold_id, granted in holds.items()
        ]
        sums = [[MONEY, event_id, str(amount)] for event_id, amount in charges.items()]
        assert self.book.join(gateway, holds=told, charges=sums) == "ok"

    def beat(self, gateway: str) -> None:
        self.book.one(gateway, "l")

    def admit(self, gateway: str, asked: Demand) -> Answer:
        code, _, _, readings = self.book.admit(gateway, asked)
        return code, int(readings[1][2])

    def finish(self, gateway: str, hold_id: str, charges: Sequence[Charge]) -> None:
        self.book.finish(gateway, hold_id, [], list(charges))

    def begin(self, gateway: str) -> int:
        return int(self.book.one(gateway, "b", MONEY, 0))

    def unconfirmed(self, gateway: str) -> list[str]:
        return sorted(self.book.one(gateway, "u", MONEY))

    def rebase(self, gateway: str, version: int, base: int, stored: Sequence[str]) -> None:
        self.book.one(gateway, "r", MONEY, version, str(base), list(stored))

    def lose_everything(self) -> None:
        self.redis.flushdb()
        if hasattr(self, "now"):
            set_clock(self.redis, self.now)

    def state(self) -> tuple[int, int, int]:
        base, pending, held = (
            int(value or 0) for value in self.redis.hmget("{t}:m:" + MONEY, "base", "pending", "held")
        )
        return base + pending, held, int(self.redis.get("{t}:s:calls") or 0)


amounts = st.integers(1, 40 * 10**12)
which = st.integers(0, 1_000)


class Balance(RuleBasedStateMachine):
    """Calls, their ends, deaths and looks into the ledger, in any order.

    `granted`: open calls of each gateway, with what is held for them. `events`: all that ever cost something, by whom.
    `ledger`: those of them that are stored.
    """

    names: tuple[str, ...] = ("one", "two")
    shared = True  # whether gateways may die or fall silent while the book lives on

    def __init__(self, sides: Sequence[Side]) -> None:
        super().__init__()
        self.sides = sides
        self.now = START
        self.gateways = list(self.names)
        self.granted: dict[str, dict[str, int]] = {name: {} for name in self.names}
        self.events: dict[str, int] = {}
        self.author: dict[str, str] = {}
        self.ledger: dict[str, int] = {}
        self.counted: dict[str, int] = {}  # what the last look into the ledger saw
        self.looks: list[tuple[int, list[int], dict[str, int]]] = []  # begun and not ended, with their numbers
        self.based = 0  # how often a look was taken for what is spent
        self.ended: list[tuple[str, str, Charge | None]] = []
        self.late = 0  # cost of ends that were told again after the ledger had them: until the next look
        self.made = 0

    @initialize()
    def start(self) -> None:
        for gateway in self.gateways:
            self._each(lambda side, name=gateway: side.join(name, {}, {}))  # type: ignore[misc]
        self._look()

    # ------------------------------------------------------------------------------------------- calls
    @rule(gateway=which, amount=amounts)
    def hold(self, gateway: int, amount: int) -> None:
        name = self._gateway(gateway)
        self.made += 1
        hold_id = f"h{self.made}"
        before = self.sides[0].state()
        code, granted = self._each(lambda side: side.admit(name, demand(hold_id, amount)))
        spent, held, calls = before
        if code == "ok":
            assert spent < CAPACITY
            assert granted == min(amount, CAPACITY - spent - held)
            self.granted[name][hold_id] = granted
        elif code == "spent":
            assert spent >= CAPACITY
        elif code == "holds":
            assert held > 0
        else:
            assert (code, calls) == ("slots", 6)

    @rule(gateway=which, call=which, amount=amounts)
    def settle(self, gateway: int, call: int, amount: int) -> None:
        """Whatever it really cost: also more than was held."""
        name = self._gateway(gateway)
        if hold_id := self._call(name, call):
            charge = Charge(MONEY, f"e-{hold_id}", amount)
            self.events[charge.event_id], self.author[charge.event_id] = amount, name
            self._end(name, hold_id, charge)

    @rule(gateway=which, call=which)
    def release(self, gateway: int, call: int) -> None:
        """It cost nothing."""
        name = self._gateway(gateway)
        if hold_id := self._call(name, call):
            self._end(name, hold_id, None)

    @precondition(lambda self: self.ended)
    @rule(end=which)
    def replay(self, end: int) -> None:
        """An end is told again: an answer of Redis was lost, or the gateway was taken for dead."""
        name, hold_id, charge = self.ended[end % len(self.ended)]
        if name not in self.gateways:
            return
        if charge is not None and charge.event_id not in self._unconfirmed(name):
            self.late += charge.amount
        self._each(lambda side: side.finish(name, hold_id, [charge] if charge else []))

    # ------------------------------------------------------------------------------------------- the ledger
    @precondition(lambda self: len(self.ledger) < len(self.events))
    @rule(number=which)
    def store(self, number: int) -> None:
        """The worker stores one of the events, whichever arrives."""
        waiting = [event_id for event_id in self.events if event_id not in self.ledger]
        event_id = waiting[number % len(waiting)]
        self.ledger[event_id] = self.events[event_id]

    @rule(gateway=which)
    def begin_look(self, gateway: int) -> None:
        """Somebody reads the ledger; what it saw may be old when it tells so."""
        self._tick(ASKED_LATELY)
        self._begin(self._gateway(gateway))

    @precondition(lambda self: self.looks)
    @rule(gateway=which, newest=st.booleans())
    def end_look(self, gateway: int, newest: bool) -> None:
        self._rebase(self._gateway(gateway), -1 if newest else 0)

    @precondition(lambda self: len(self.ledger) < len(self.events))
    @rule()
    def two_look_at_once(self) -> None:
        """And who began first ends last, with what the ledger was before."""
        self._tick(ASKED_LATELY)
        self._begin(self.gateways[0])
        self.ledger |= self.events
        self._look()
        self._rebase(self.gateways[-1], -1)

    @rule()
    def look(self) -> None:
        self._look()

    # ------------------------------------------------------------------------------------------- what goes wrong
    @precondition(lambda self: self.shared)
    @rule(gateway=which)
    def die(self, gateway: int) -> None:
        """Its calls become `lost` events in the ledger, sooner or later; another one starts in its place."""
        name = self._gateway(gateway)
        self._silence(name)
        for hold_id, granted in self.granted.pop(name).items():
            self.events[f"lost-{hold_id}"], self.author[f"lost-{hold_id}"] = granted, name
        self.gateways.remove(name)
        self.made += 1
        successor = f"g{self.made}"
        self.gateways.append(successor)
        self.granted[successor] = {}
        self._each(lambda side: side.join(successor, {}, {}))

    @precondition(lambda self: self.shared)
    @rule(gateway=which)
    def pause(self, gateway: int) -> None:
        """It is not heard of for longer than the lease, then comes back with its calls."""
        name = self._gateway(gateway)
        self._silence(name)
        self._each(lambda side: side.join(name, self.granted[name], {}))

    @precondition(lambda self: self.shared)
    @rule(gateway=which)
    def tell_again(self, gateway: int) -> None:
        """It has had no answer for a moment, and does not know what was heard."""
        name = self._gateway(gateway)
        self._each(lambda side: side.join(name, self.granted[name], {}))

    @precondition(lambda self: self.shared)
    @rule()
    def lose_everything(self) -> None:
        """Redis is emptied: each living gateway tells what it has open and what the ledger may not have yet."""
        self._each(lambda side: side.lose_everything())
        self.looks.clear()
        self.late = 0
        for name in self.gateways:
            own = {
                event_id: amount
                for event_id, amount in self.events.items()
                if self.author[event_id] == name and event_id not in self.counted
            }
            self._each(lambda side, who=name, told=own: side.join(who, self.granted[who], told))  # type: ignore[misc]
        self.counted = {}
        self._look()

    # ------------------------------------------------------------------------------------------- what always holds
    @invariant()
    def all_say_the_same(self) -> None:
        assert len({side.state() for side in self.sides}) == 1

    @invariant()
    def what_is_held_is_what_open_calls_hold(self) -> None:
        _, held, calls = self.sides[0].state()
        open_calls = [granted for calls in self.granted.values() for granted in calls.values()]
        assert (held, calls) == (sum(open_calls), len(open_calls))

    @invariant()
    def nothing_known_is_forgotten_or_counted_twice(self) -> None:
        """Known is what living gateways have told and what the ledger has shown."""
        spent, _, _ = self.sides[0].state()
        known = {
            event_id: amount
            for event_id, amount in self.events.items()
            if event_id in self.counted or self.author[event_id] in self.gateways
        }
        assert sum(known.values()) <= spent <= sum(self.events.values()) + self.late

    def teardown(self) -> None:
        """At rest the balance is the ledger's sum, and nothing is held."""
        for name in self.gateways:
            for hold_id in list(self.granted[name]):
                self._end(name, hold_id, None)
        self.ledger = dict(self.events)
        self._look()
        for side in self.sides:
            assert side.state() == (sum(self.ledger.values()), 0, 0)
            assert side.unconfirmed(self.gateways[0]) == []

    # ------------------------------------------------------------------------------------------- how
    def _each(self, act: Callable[[Side], Any]) -> Any:
        """On every side, with the same result."""
        results = [act(side) for side in self.sides]
        assert all(result == results[0] for result in results)
        return results[0]

    def _gateway(self, number: int) -> str:
        return self.gateways[number % len(self.gateways)]

    def _call(self, name: str, number: int) -> str | None:
        calls = list(self.granted[name])
        return calls[number % len(calls)] if calls else None

    def _end(self, name: str, hold_id: str, charge: Charge | None) -> None:
        del self.granted[name][hold_id]
        self.ended.append((name, hold_id, charge))
        self._each(lambda side: side.finish(name, hold_id, [charge] if charge else []))

    def _unconfirmed(self, name: str) -> list[str]:
        found: list[str] = self._each(lambda side: side.unconfirmed(name))
        return found

    def _look(self) -> None:
        self._tick(ASKED_LATELY)
        self._begin(self.gateways[0])
        self._rebase(self.gateways[0], -1)

    def _begin(self, name: str) -> None:
        versions = [side.begin(name) for side in self.sides]
        assert all(versions)
        self.looks.append((self.based, versions, dict(self.ledger)))

    def _rebase(self, name: str, place: int) -> None:
        """The first one to end counts, of those that began since the last that counted."""
        number, versions, seen = self.looks.pop(place)
        stored = [event_id for event_id in self._unconfirmed(name) if event_id in seen]
        for side, version in zip(self.sides, versions, strict=True):
            side.rebase(name, version, sum(seen.values()), stored)
        if number == self.based:
            self.based += 1
            self.counted = seen
            self.late = 0

    def _tick(self, milliseconds: int) -> None:
        """Time passes; whoever lives is heard of within the lease."""
        self.now += milliseconds
        for side in self.sides:
            side.tick(self.now)
        for name in self.gateways:
            self._each(lambda side, who=name: side.beat(who))  # type: ignore[misc]

    def _silence(self, name: str) -> None:
        """All but one are heard of until its lease is over."""
        others = [each for each in self.gateways if each != name]
        for _ in range(2):
            self.now += LEASE // 2 + 1
            for side in self.sides:
                side.tick(self.now)
            for other in others:
                self._each(lambda side, who=other: side.beat(who))  # type: ignore[misc]


class Alone(Balance):
    names = ("self",)
    shared = False


def check(machine: Callable[[], Balance], examples: int) -> None:
    budget = settings(max_examples=examples, stateful_step_count=40, derandomize=True, database=None)
    run_state_machine_as_test(machine, settings=budget)  # type: ignore[arg-type]  # it is only called


def test_the_rules_balance() -> None:
    check(lambda: Balance([Rules()]), 80)


def test_a_gateway_by_itself_balances() -> None:
    check(lambda: Alone([Memory()]), 30)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


def test_redis_balances_and_says_what_the_rules_say(redis: Redis) -> None:
    check(lambda: Balance([Rules(), Script(redis)]), 50)
