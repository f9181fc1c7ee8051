"""What a call may use up: its limits and budgets as one demand before the first attempt, and what it really used after
the last."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from gateway.accounts.policy import BudgetRule, LimitRule, Policy
from gateway.admission.desk import Desk, LedgerAway
from gateway.admission.output_sizes import OutputSizes
from gateway.admission.rules import (
    DAY_MS,
    MINUTE_MS,
    Charge,
    Demand,
    Line,
    Money,
    Reading,
    Slots,
    Spending,
    Unit,
    Verdict,
    Window,
)
from gateway.calls.ask import Ask
from gateway.metering.settlement import Call
from gateway.models import Models
from gateway.observability.metrics import Metrics
from gateway.pricing import Price, cost_pico
from gateway.routing.resolve import Target
from gateway.settings import AdmissionSection
from gateway.surfaces import ChatSurface, ForwardSurface
from usage_contract.event import Caller, UsageEvent
from wire.errors import GatewayError, LimitReached, NotAllowed, NotReady, PriceUnknown
from wire.estimate import estimate_request_tokens
from wire.neutral import Usage

Headers = list[tuple[bytes, bytes]]

_LONG_BODY = 16 * 1024  # from here on a body may be mostly images, which its bytes say little about
_MOST_CHOICES = 128
_NAMES: Mapping[Unit, str] = {
    "requests": "requests",
    "input": "input tokens",
    "output": "output tokens",
    "tokens": "tokens",
}
_EVERYTHING = Usage(input=1_000_000, output=1_000_000, images=1, web_searches=1, seconds=3600.0)


@dataclass(frozen=True, slots=True)
class _Size:
    """How large a call may become, in tokens and pico-dollars. `cost` 0: nothing it does costs anything."""

    input: int
    output: int
    cost: int


@dataclass(slots=True)
class Grant:
    """A call that was let in. `note` each of its events, then `finish` once, after the last."""

    demand: Demand
    headers: Headers
    _desk: Desk
    _sizes: OutputSizes
    _events: dict[str, UsageEvent] = field(default_factory=dict)

    def note(self, event: UsageEvent) -> None:
        self._events[event.event_id] = event

    def finish(self) -> None:
        """At once; never raises."""
        events = self._events.values()
        used = {
            "input": sum(event.tokens.input for event in events),
            "output": sum(event.tokens.output for event in events),
        }
        used["tokens"] = used["input"] + used["output"]
        lines = self.demand.lines
        corrected = [used[line.unit] for line in lines if isinstance(line, Window) and line.unit != "requests"]
        charges = [
            Charge(line.id, event.event_id, event.cost_pico)
            for line in lines
            if isinstance(line, Money)
            for event in events
            if event.cost_pico and _counts(line.spending, event)
        ]
        self._desk.finish(self.demand, corrected, charges, max((event.segment for event in events), default=0))
        for event in events:
            if event.status == "success":
                self._sizes.note(_who(event.caller), event.model_used, event.tokens.output)


class Allowance:
    """Lets calls in. One per process."""

    def __init__(self, desk: Desk, models: Models, metrics: Metrics, settings: AdmissionSection) -> None:
        self._desk = desk
        self._models = models
        self._metrics = metrics
        self._settings = settings
        self._sizes = OutputSizes()

    async def enter(
        self, policy: Policy, call: Call, ask: Ask, targets: Sequence[Target], estimate: int
    ) -> Grant | None:
        """None when nothing applies. Raises GatewayError when the call may not be made now; it has then used nothing.

        `estimate`: input tokens, from bytes.
        """
        size = self._size(ask, call.caller, targets if policy.budgets else targets[:1], estimate)
        demand = Demand(call.request_id, tuple(_lines(policy, size)))
        if not demand.lines:
            return None
        self._refuse_too_large(demand, size)
        try:
            verdict = await self._desk.admit(demand)
        except LedgerAway as error:
            raise NotReady(
                "What is left of a budget cannot be looked up now, try again", code="ledger_away", retry_after=1
            ) from error
        if verdict.code != "ok":
            raise self._refusal(demand, verdict)
        headers = _limit_headers(demand, verdict.readings)
        headers += self._warnings(policy, demand, verdict.readings)
        return Grant(demand, headers, self._desk, self._sizes)

    def priced(self, targets: Sequence[Target]) -> Sequence[Target]:
        """The targets that may be called as to their price. Raises PriceUnknown when there is none."""
        if self._settings.unpriced == "allow":
            return targets
        found = [target for target in targets if self._models.price(target) is not None]
        if not found:
            raise PriceUnknown(f"Model '{targets[0].provider.name}:{targets[0].model}' has no price", param="model")
        return found

    def _size(self, ask: Ask, caller: Caller, targets: Sequence[Target], estimate: int) -> _Size:
        """The dearest target counts: any of them may have to answer."""
        first = targets[0]
        surface = ask.surface
        if isinstance(surface, ForwardSurface) and surface.form:
            estimate = 1  # a file: what it costs is known when it has been listened to
        elif len(ask.raw) > _LONG_BODY:
            estimate = _parsed_estimate(ask, estimate)
        output = 0
        if isinstance(surface, ChatSurface) or surface.path == "/v1/completions":
            cap = self._models.output_cap(first)
            output = ask.output_cap or self._sizes.p95(_who(caller), first.model)
            output = (output if cap is None else min(output, cap)) * _choices(ask)
        images = _choices(ask) if surface.path == "/v1/images/generations" else 0
        usage = Usage(input=estimate, output=output, images=images)
        tier = ask.body.get("service_tier")
        prices = [price for target in targets if (price := self._models.price(target)) is not None]
        costs = [_hold(price.for_tier(tier if isinstance(tier, str) else None), usage) for price in prices]
        return _Size(estimate, output, max(costs, default=0))

    def _refuse_too_large(self, demand: Demand, size: _Size) -> None:
        """Raises LimitReached when the input alone is more than a limit ever lets through."""
        for line in demand.lines:
            if isinstance(line, Window) and line.unit in ("input", "tokens") and size.input > line.capacity:
                self._metrics.limit_hits.labels(line.id.partition(":")[0]).inc()
                raise LimitReached(
                    f"The request is too large: about {size.input} tokens, the limit is {_limit_text(line)}",
                    code="request_exceeds_limit",
                    detail="Rate limit exceeded",
                )

    def _refusal(self, demand: Demand, verdict: Verdict) -> GatewayError:
        line = demand.lines[verdict.line]
        scope = line.spending.scope if isinstance(line, Money) else line.id.partition(":")[0]
        headers = {name.decode(): value.decode() for name, value in _limit_headers(demand, verdict.readings)}
        retry_after = max(1, math.ceil(verdict.retry_ms / 1000))
        match verdict.code:
            case "spent" if isinstance(line, Money):
                self._metrics.budget_exceeded.labels(scope).inc()
                return NotAllowed(_spent_text(line.spending), code="budget_exceeded")
            case "holds":
                self._metrics.budget_exceeded.labels(scope).inc()
                return LimitReached(
                    "What is left of the budget is held for calls in flight", code="budget_held", retry_after=1
                )
            case "share" if self._settings.on_redis_away == "refuse":
                return NotReady("Limits and budgets cannot be checked now, try again", code="redis_away", retry_after=1)
            case "share":
                return LimitReached(
                    "This gateway's share of the budget is used up while it cannot ask the others",
                    code="budget_share_used",
                    retry_after=retry_after,
                )
        self._metrics.limit_hits.labels(scope).inc()
        return LimitReached(
            f"Rate limit exceeded: {_limit_text(line)} for this {scope}",
            retry_after=retry_after,
            detail="Rate limit exceeded",
            headers=headers,
        )

    def _warnings(self, policy: Policy, demand: Demand, readings: Sequence[Reading]) -> Headers:
        """Budgets past their soft threshold."""
        rules = {_budget_key(rule): rule for rule in policy.budgets if rule.soft_fraction is not None}
        found = []
        for line, reading in zip(demand.lines, readings, strict=True):
            rule = rules.get(line.id)
            if rule is None or not isinstance(line, Money) or rule.soft_fraction is None:
                continue
            used = reading.spent + reading.held
            if used >= Decimal(str(rule.soft_fraction)) * line.capacity:
                self._metrics.budget_warnings.labels(rule.scope).inc()
                found.append(f"{rule.scope} {used * 100 // line.capacity}%")
        return [(b"x-tollgate-budget-warning", ", ".join(found).encode())] if found else []


def _lines(policy: Policy, size: _Size) -> Iterator[Line]:
    for rule in policy.limits:
        yield from _limit_lines(rule, size)
    for budget in policy.budgets:
        if budget.amount_pico is not None and size.cost:
            spending = Spending(budget.scope, budget.scope_id, budget.since)
            yield Money(_budget_key(budget), budget.amount_pico, size.cost, spending)


def _limit_lines(rule: LimitRule, size: _Size) -> Iterator[Line]:
    name = f"{rule.scope}:{rule.scope_id}"
    limits = rule.limits
    if limits.concurrent_calls is not None:
        yield Slots(f"{name}:calls", limits.concurrent_calls)
    both = size.input + size.output
    windows: tuple[tuple[str, int | None, int, int, Unit], ...] = (
        ("rpm", limits.requests_per_minute, MINUTE_MS, 1, "requests"),
        ("tpm", limits.tokens_per_minute, MINUTE_MS, both, "tokens"),
        ("input-tpm", limits.input_tokens_per_minute, MINUTE_MS, size.input, "input"),
        ("output-tpm", limits.output_tokens_per_minute, MINUTE_MS, size.output, "output"),
        ("tpd", limits.tokens_per_day, DAY_MS, both, "tokens"),
    )
    for suffix, capacity, period_ms, amount, unit in windows:
        if capacity is not None:
            # An estimate above the whole limit waits for an empty window rather than for ever.
            taken = amount if unit == "requests" else min(amount, capacity)
            yield Window(f"{name}:{suffix}", capacity, period_ms, taken, unit)


def _budget_key(rule: BudgetRule) -> str:
    """A new period is a new count."""
    return f"{rule.budget_id}:{rule.scope}:{rule.scope_id}:{rule.since.timestamp():.6f}"


def _hold(price: Price, usage: Usage) -> int:
    """At least 1 unless the model is free, so that its real cost is counted."""
    return max(cost_pico(price, usage), 1 if cost_pico(price, _EVERYTHING) else 0)


def _choices(ask: Ask) -> int:
    value = ask.body.get("n")
    return min(value, _MOST_CHOICES) if type(value) is int and value > 1 else 1


def _parsed_estimate(ask: Ask, estimate: int) -> int:
    """From the parts of a conversation: a picture's bytes are no tokens. What cannot be read is counted by bytes."""
    if not isinstance(ask.surface, ChatSurface):
        return estimate
    try:
        request = ask.request or ask.surface.dialect.parse_request(ask.body, model=ask.model, stream=ask.stream)
    except GatewayError:
        return estimate
    return estimate_request_tokens(request)


def _who(caller: Caller) -> str:
    return caller.key_id or caller.user_id or ""


def _counts(spending: Spending, event: UsageEvent) -> bool:
    """Whether the ledger will count the event to the same budget: a fallback is another model."""
    match spending.scope:
        case "model":
            return spending.scope_id == f"{event.provider}:{event.model_used}"
        case "provider":
            return spending.scope_id == event.provider
        case _:
            return True


def _spent_text(spending: Spending) -> str:
    if spending.scope == "global":
        return "The gateway has exceeded budget limit"
    return f"{spending.scope.capitalize()} '{spending.scope_id}' has exceeded budget limit"


def _limit_text(line: Line) -> str:
    if isinstance(line, Window):
        return f"{line.capacity} {_NAMES[line.unit]} per {'minute' if line.period_ms == MINUTE_MS else 'day'}"
    return f"{line.capacity} concurrent calls"


def _limit_headers(demand: Demand, readings: Sequence[Reading]) -> Headers:
    """OpenAI's names, and the any-llm gateway's for requests. Of several limits the one with the least left."""
    tightest: dict[str, tuple[int, Window]] = {}
    for line, reading in zip(demand.lines, readings, strict=True):
        if isinstance(line, Window):
            word = "requests" if line.unit == "requests" else "tokens"
            if word not in tightest or reading.left < tightest[word][0]:
                tightest[word] = (reading.left, line)
    headers: Headers = []
    for word, (left, line) in tightest.items():
        seconds = line.period_ms // 1000
        headers += [
            (f"x-ratelimit-limit-{word}".encode(), b"%d" % line.capacity),
            (f"x-ratelimit-remaining-{word}".encode(), b"%d" % left),
            (f"x-ratelimit-reset-{word}".encode(), b"%ds" % seconds),
        ]
        if word == "requests":
            headers += [
                (b"x-ratelimit-limit", b"%d" % line.capacity),
                (b"x-ratelimit-remaining", b"%d" % left),
                (b"x-ratelimit-reset", b"%d" % (time.time() + seconds)),
            ]
    return headers
