"""One call's way in: what it holds of limits and budgets, from before its first attempt until after the last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.accounts.policy import Policy
from gateway.admission.desk import Desk, LedgerAway
from gateway.admission.rules import Demand, Money, Reading
from gateway.calls.ask import Ask
from gateway.calls.limit_answers import Headers, LimitAnswers, limit_headers
from gateway.calls.shares import Share, shares
from gateway.calls.sizes import Affordable, Size, Sizes, choices, has_output, largest
from gateway.metering.settlement import Call
from gateway.routing.resolve import Target
from usage_contract.event import UsageEvent
from wire.errors import GatewayError, NotReady

_OF_TARGET: Final = ("model", "provider")
_LEAST_OUTPUT: Final = 16  # tokens: what the Responses API takes for a cap at least, and a shorter answer is none
_ANY_MODEL: Final = 4096  # tokens: a cap that every model takes, where its own is not known


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target and the rules of its model and its provider."""

    target: Target
    policy: Policy


@dataclass(frozen=True, slots=True)
class _Held:
    hold_id: str
    share: Share
    reading: Reading


class Grant:
    """`enter` before the first attempt and before the first at another target, `note` each event, `finish` once, after
    the last. What the caller's own rules hold is held for the whole call; what a target's rules hold, until another
    target was entered and the attempt before it has ended.

    `output_cap`: what the cap of the answer must be lowered to at the target that was entered; None: it need not.
    """

    def __init__(
        self,
        desk: Desk,
        sizes: Sizes,
        answers: LimitAnswers,
        *,
        call: Call,
        ask: Ask,
        tokens: int,
        caller: Policy,
        targets: Sequence[Candidate],
        lowers: bool,
    ) -> None:
        """`tokens` of input. `lowers`: the cap of the answer may be lowered to what a budget has left."""
        self._desk = desk
        self._sizes = sizes
        self._answers = answers
        self._call = call
        self._ask = ask
        self._tokens = tokens
        self._caller = caller
        self._targets = targets
        self.lowers = lowers and has_output(ask)
        self._held: dict[str, _Held] = {}
        self._here: set[str] = set()  # lines of the target that was entered last
        self._inside = False
        self._events: dict[str, UsageEvent] = {}
        self._warnings: dict[str, str] = {}
        self.headers: Headers = []
        self.output_cap: int | None = None

    async def enter(self, start: int) -> int:
        """The first target from `start` on whose rules let the call in. Raises GatewayError when none do, or the
        caller's own do not; that has then used nothing up."""
        refusals = []
        for at in range(start, len(self._targets)):
            refusal = await self._refused(at)
            if refusal is None:
                return at
            refusals.append(refusal)
        raise min(refusals, key=lambda error: float("inf") if error.retry_after is None else error.retry_after)

    def note(self, event: UsageEvent) -> None:
        """An attempt has ended. Of its target's rules only what the one entered since needs too is still held."""
        self._events[event.event_id] = event
        gone = [line for line, held in self._held.items() if held.share.scope in _OF_TARGET and line not in self._here]
        if gone:
            self._leave(gone)

    def finish(self) -> None:
        """At once; never raises."""
        self._leave(list(self._held))
        for event in self._events.values():
            self._sizes.note(event)

    async def _refused(self, at: int) -> GatewayError | None:
        """None: it is in. What the target's rules say is given back, what the caller's say is raised."""
        target, policy = self._targets[at].target, self._targets[at].policy
        size = self._size(target)
        least = self._least(target)
        own = list(shares(policy, size, least))
        if not self._inside:
            own = [*shares(self._caller, self._largest(size), least), *own]
        new = [share for share in own if share.line.id not in self._held]
        for share in new:
            if error := self._answers.too_large(share, self._tokens):
                return _of_target(share, error)
        if new:
            # A second demand of a call needs a name of its own.
            hold_id = f"{self._call.request_id}.{at}" if self._inside else self._call.request_id
            demand = Demand(hold_id, tuple(share.line for share in new))
            try:
                verdict = await self._desk.admit(demand)
            except LedgerAway as error:
                raise NotReady(
                    "What is left of a budget cannot be looked up now, try again", code="ledger_away", retry_after=1
                ) from error
            if verdict.code != "ok":
                return _of_target(new[verdict.line], self._answers.refusal(new, verdict))
            for share, reading in zip(new, verdict.readings, strict=True):
                self._held[share.line.id] = _Held(hold_id, share, reading)
                if warning := self._answers.warning(share, reading):
                    self._warnings[share.line.id] = warning
        self._inside = True
        self._here = {share.line.id for share in own}
        self.output_cap = self._lowered(target)
        self.headers = self._told()
        return None

    def _size(self, target: Target) -> Size:
        return self._sizes.of(self._ask, self._call.caller, target, self._tokens)

    def _largest(self, entered: Size) -> Size:
        return entered if len(self._targets) == 1 else largest([self._size(each.target) for each in self._targets])

    def _leave(self, lines: Iterable[str]) -> None:
        """Give back what is held under these ids, corrected by what was really used."""
        gone: dict[str, list[Share]] = {}
        for line in lines:
            held = self._held.pop(line)
            gone.setdefault(held.hold_id, []).append(held.share)
        events = list(self._events.values())
        segment = max((event.segment for event in events), default=0)
        for hold_id, ended in gone.items():
            used = [tokens for share in ended if (tokens := share.used(events)) is not None]
            charges = [charge for share in ended for charge in share.charges(events)]
            demand = Demand(hold_id, tuple(share.line for share in ended))
            part = any(held.hold_id == hold_id for held in self._held.values())
            self._desk.finish(demand, used, charges, segment, part=part)

    def _least(self, target: Target) -> int:
        """Pico-dollars that a budget must have left for the call to be worth making: any at all, or when the cap is to
        be lowered, what the shortest answer costs."""
        price = self._sizes.price(self._ask, target) if self.lowers else None
        if price is None:
            return 1
        shortest = min(self._ask.output_cap or _LEAST_OUTPUT, _LEAST_OUTPUT)
        thinking = self._ask.body.get("thinking")
        if isinstance(thinking, dict) and type(thinking.get("budget_tokens")) is int:
            shortest = max(shortest, thinking["budget_tokens"] + 1)  # Anthropic takes no cap below it
        return max(1, Affordable.of(price, self._tokens).cost(shortest * choices(self._ask)))

    def _lowered(self, target: Target) -> int | None:
        moneys = [(held.share.line, held.reading) for held in self._held.values()]
        left = [
            line.capacity - reading.spent - reading.held + reading.granted
            for line, reading in moneys
            if isinstance(line, Money)
        ]
        price = self._sizes.price(self._ask, target) if self.lowers and left else None
        if price is None:
            return None
        output = Affordable.of(price, self._tokens).output(min(left))
        most = self._ask.output_cap or self._sizes.output_cap(target) or _ANY_MODEL
        cap = most if output is None else output // choices(self._ask)
        return cap if cap < most else None

    def _told(self) -> Headers:
        headers = limit_headers((held.share, held.reading) for held in self._held.values())
        if self._warnings:
            headers.append((b"x-tollgate-budget-warning", ", ".join(self._warnings.values()).encode()))
        if self.output_cap is not None:
            headers.append((b"x-tollgate-lowered-max-tokens", b"%d" % self.output_cap))
        return headers


def _of_target(share: Share, error: GatewayError) -> GatewayError:
    """Another target may do where a target's own rules refuse. Raises the error where the caller's do."""
    if share.scope in _OF_TARGET:
        return error
    raise error
