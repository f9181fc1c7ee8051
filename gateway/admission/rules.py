"""What holds for limits and budgets, as one pure book. `in_memory` keeps its calls in such a book; `admit.lua` does the
same in Redis, and a test holds the two against each other. Times are milliseconds and come in as arguments.

Windows slide in steps of a 120th of their period: a step leaves as a whole, so that no stretch of one period ever
holds more than the capacity. Money is whole pico-dollars.

What is known to be spent of a budget is its `base`, which the ledger says, and the amounts of events that are not in
that base yet (`unconfirmed`, by event id). A hold stands for what an open call may cost. Holds, slots and reserved
tokens belong to a gateway: when it has not been heard of for the lease, they are void.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

STEPS: Final = 120
MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
SLOT_RETRY_MS: Final = 1000  # nobody knows when a call in flight will end

Scope = Literal["key", "user", "model", "provider", "tag", "global"]
Unit = Literal["requests", "input", "output", "tokens"]
# ok: admitted. rate, slots: a window or the concurrent calls are full. holds: only open holds are in the way.
# spent: the budget is used up, or what is left does not do. unknown: the budget's base is not known here. share: what
# this gateway may hand out by itself is used up.
Code = Literal["ok", "rate", "slots", "holds", "spent", "unknown", "share"]
_RANK: Final[Mapping[Code, int]] = {"ok": 0, "holds": 1, "share": 1, "slots": 2, "rate": 2, "spent": 3, "unknown": 4}


@dataclass(frozen=True, slots=True)
class Window:
    """At most `capacity` of `unit` in `period_ms`; this call takes `amount`. Requests are never corrected later."""

    id: str
    capacity: int
    period_ms: int
    amount: int
    unit: Unit

    @property
    def step_ms(self) -> int:
        return self.period_ms // STEPS


@dataclass(frozen=True, slots=True)
class Slots:
    """At most `capacity` calls at a time."""

    id: str
    capacity: int


@dataclass(frozen=True, slots=True)
class Spending:
    """Which rows of the ledger a budget counts: those of one scope since a moment."""

    scope: Scope
    scope_id: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Money:
    """At most `capacity` pico-dollars; this call may cost `hold`, and is not let in with less than `least` unspent.
    Both are at least 1."""

    id: str
    capacity: int
    hold: int
    spending: Spending
    least: int = 1


Line = Window | Slots | Money


@dataclass(frozen=True, slots=True)
class Demand:
    """One call and everything that it has to fit into. `hold_id` is unique to the call."""

    hold_id: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """A line after the verdict: what is left of a window or of slots; what is spent, held, and held for this call."""

    left: int = 0
    spent: int = 0
    held: int = 0
    granted: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`line` is the index of the line that refuses. `retry_ms` is when to try again, where that can be known."""

    code: Code
    line: int
    retry_ms: int
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Charge:
    """What one event costs one budget."""

    money_id: str
    event_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What an open call has taken of a line and gives back or corrects at its end. `step` is a window's."""

    kind: Literal["window", "slot", "money"]
    id: str
    amount: int = 0
    step_ms: int = 0
    step: int = 0


@dataclass(slots=True)
class WindowState:
    step_ms: int
    used: int = 0
    steps: dict[int, int] = field(default_factory=dict)
    slid_to: int = 0

    def slide(self, now_step: int) -> None:
        """Forget the steps that have left the period."""
        if now_step == self.slid_to:
            return
        self.slid_to = now_step
        for step in [each for each in self.steps if each < now_step - STEPS]:
            self.used -= self.steps.pop(step)

    def add(self, step: int, amount: int) -> None:
        self.used += amount
        self.steps[step] = self.steps.get(step, 0) + amount

    def retry_ms(self, now_ms: int, missing: int) -> int:
        """When at least `missing` will have left."""
        for step in sorted(self.steps):
            missing -= self.steps[step]
            if missing <= 0:
                return (step + STEPS + 1) * self.step_ms - now_ms
        return STEPS * self.step_ms


@dataclass(slots=True)
class MoneyState:
    base: int | None = None
    unconfirmed: dict[str, int] = field(default_factory=dict)
    pending: int = 0  # the sum of `unconfirmed`
    held: int = 0
    version: int = 1  # of the base

    @property
    def spent(self) -> int:
        return (self.base or 0) + self.pending

    def charge(self, event_id: str, amount: int) -> None:
        if event_id not in self.unconfirmed:
            self.unconfirmed[event_id] = amount
            self.pending += amount

    def confirm(self, event_id: str) -> None:
        self.pending -= self.unconfirmed.pop(event_id, 0)


class Book:
    """All counters. `lease_ms`: how long a gateway's holds outlive the last that was heard of it."""

    def __init__(self, lease_ms: int) -> None:
        self.lease_ms = lease_ms
        self.windows: dict[str, WindowState] = {}
        self.slots: dict[str, int] = {}
        self.moneys: dict[str, MoneyState] = {}
        self.open: dict[str, dict[str, tuple[Taken, ...]]] = {}
        self.live: dict[str, int] = {}

    def beat(self, now_ms: int, gateway: str) -> None:
        """The gateway lives. Those that have not been heard of for the lease lose what their open calls hold."""
        self.live[gateway] = now_ms
        for name in [name for name, seen in self.live.items() if seen < now_ms - self.lease_ms]:
            del self.live[name]
            for taken in self.open.pop(name, {}).values():
                self._give_back(taken)
                for each in taken:
                    if each.kind == "window":
                        self._correct(now_ms, each, 0)

    def admit(self, now_ms: int, gateway: str, demand: Demand) -> Verdict:
        """All lines or none. A call that is already in is simply told so again."""
        if demand.hold_id in self.open.get(gateway, {}):
            return Verdict("ok", 0, 0, tuple(self._reading(now_ms, line, 0) for line in demand.lines))
        worst = Verdict("ok", 0, 0, ())
        for index, line in enumerate(demand.lines):
            code, retry_ms = self._check(now_ms, line)
            found, known = _RANK[code], _RANK[worst.code]
            if found > known or (found == known and retry_ms > worst.retry_ms):
                worst = Verdict(code, index, retry_ms, ())
        if worst.code != "ok":
            return replace(worst, readings=tuple(self._reading(now_ms, line, 0) for line in demand.lines))
        granted = [self._affordable(line) for line in demand.lines]
        self.impose(now_ms, gateway, demand, granted)
        readings = zip(demand.lines, granted, strict=True)
        return replace(worst, readings=tuple(self._reading(now_ms, line, amount) for line, amount in readings))

    def impose(self, now_ms: int, gateway: str, demand: Demand, granted: Sequence[int]) -> None:
        """Book a call that was admitted, here or elsewhere. `granted` is what is held for it, by line."""
        kept = []
        for line, amount in zip(demand.lines, granted, strict=True):
            match line:
                case Window():
                    step = now_ms // line.step_ms
                    self.windows.setdefault(line.id, WindowState(line.step_ms)).add(step, line.amount)
                    if line.unit != "requests":
                        kept.append(Taken("window", line.id, line.amount, line.step_ms, step))
                case Slots():
                    self.slots[line.id] = self.slots.get(line.id, 0) + 1
                    kept.append(Taken("slot", line.id))
                case Money():
                    self.moneys.setdefault(line.id, MoneyState()).held += amount
                    kept.append(Taken("money", line.id, amount))
        if kept:
            self.open.setdefault(gateway, {})[demand.hold_id] = tuple(kept)

    def finish(
        self,
        now_ms: int,
        gateway: str,
        hold_id: str,
        used: Sequence[int],
        charges: Iterable[Charge],
        part: Collection[str] | None = None,
    ) -> None:
        """The call has ended, or needs the lines of these ids no longer (`part`). `used` are the real amounts of their
        corrected windows, in their order. Idempotent."""
        calls = self.open.get(gateway, {})
        kept = calls.pop(hold_id, ())
        taken = [each for each in kept if part is None or each.id in part]
        if stays := tuple(each for each in kept if each not in taken):
            calls[hold_id] = stays
        self._give_back(taken)
        for each, actual in zip([each for each in taken if each.kind == "window"], used, strict=False):
            self._correct(now_ms, each, actual)
        for charge in charges:
            self.moneys.setdefault(charge.money_id, MoneyState()).charge(charge.event_id, charge.amount)

    def begin(self, money_id: str) -> int:
        """Somebody goes to ask the ledger. Whoever is back first may `rebase`: what the others saw may be older."""
        return self.moneys.setdefault(money_id, MoneyState()).version

    def unconfirmed(self, money_id: str) -> list[str]:
        money = self.moneys.get(money_id)
        return [] if money is None else list(money.unconfirmed)

    def rebase(self, money_id: str, version: int, base: int, stored: Iterable[str]) -> None:
        """What the ledger says, and which of the unconfirmed events are in it."""
        money = self.moneys.setdefault(money_id, MoneyState())
        if money.version == version:
            money.version += 1
            money.base = base
            for event_id in stored:
                money.confirm(event_id)

    def tidy(self, now_ms: int) -> None:
        """Forget windows that nothing is in, and budgets of which nothing is known."""
        for name, state in list(self.windows.items()):
            state.slide(now_ms // state.step_ms)
            if not state.steps:
                del self.windows[name]
        for name, money in list(self.moneys.items()):
            if money.base is None and not money.held and not money.unconfirmed:
                del self.moneys[name]

    def used(self, now_ms: int, line: Window) -> int:
        """How much of a window is taken now."""
        state = self.windows.get(line.id)
        if state is None:
            return 0
        state.slide(now_ms // line.step_ms)
        return state.used

    def _check(self, now_ms: int, line: Line) -> tuple[Code, int]:
        match line:
            case Window():
                missing = self.used(now_ms, line) + line.amount - line.capacity
                if missing <= 0:
                    return "ok", 0
                state = self.windows.get(line.id) or WindowState(line.step_ms)
                return "rate", state.retry_ms(now_ms, missing)
            case Slots():
                full = self.slots.get(line.id, 0) >= line.capacity
                return ("slots", SLOT_RETRY_MS) if full else ("ok", 0)
            case Money():
                money = self.moneys.get(line.id)
                if money is None or money.base is None:
                    return "unknown", 0
                if money.spent + line.least > line.capacity:
                    return "spent", 0
                fits = not money.held or money.spent + money.held + line.hold <= line.capacity
                return ("ok" if fits else "holds"), 0

    def _affordable(self, line: Line) -> int:
        """What is held: all that is left where that is less, which only a call without company may get."""
        if not isinstance(line, Money):
            return 0
        money = self.moneys[line.id]
        return min(line.hold, line.capacity - money.spent - money.held)

    def _reading(self, now_ms: int, line: Line, granted: int) -> Reading:
        match line:
            case Window():
                return Reading(left=max(0, line.capacity - self.used(now_ms, line)))
            case Slots():
                return Reading(left=max(0, line.capacity - self.slots.get(line.id, 0)))
            case Money():
                money = self.moneys.get(line.id, MoneyState())
                return Reading(spent=money.spent, held=money.held, granted=granted)

    def _give_back(self, taken: Iterable[Taken]) -> None:
        for each in taken:
            if each.kind == "slot":
                self.slots[each.id] -= 1
                if not self.slots[each.id]:
                    del self.slots[each.id]
            elif each.kind == "money":
                self.moneys[each.id].held -= each.amount

    def _correct(self, now_ms: int, taken: Taken, actual: int) -> None:
        """What was taken too much goes back where it was taken; what was used beyond counts from now on."""
        state = self.windows.setdefault(taken.id, WindowState(taken.step_ms))
        now_step = now_ms // taken.step_ms
        state.slide(now_step)
        if actual > taken.amount:
            state.add(now_step, actual - taken.amount)
        elif taken.step in state.steps:
            state.add(taken.step, actual - taken.amount)
