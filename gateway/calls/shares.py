"""Limits and budgets of a policy as lines of a demand, each with whose it is. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from gateway.accounts.policy import BudgetRule, LimitRule, Policy, Scope, model_scope
from gateway.admission.rules import DAY_MS, MINUTE_MS, Charge, Line, Money, Slots, Spending, Unit, Window
from gateway.calls.sizes import Size
from usage_contract.event import UsageEvent


@dataclass(frozen=True, slots=True)
class Share:
    """What a call takes of one rule. `soft_threshold` is a budget's: from this share of it on, answers warn."""

    line: Line
    scope: Scope
    scope_id: str
    soft_threshold: Decimal | None = None

    def counts(self, event: UsageEvent) -> bool:
        """Whether an attempt uses it up, as the ledger will say too: a fallback is another model."""
        match self.scope:
            case "model":
                return self.scope_id == model_scope(event.provider, event.model_used)
            case "provider":
                return self.scope_id == event.provider
            case _:
                return True

    def used(self, events: list[UsageEvent]) -> int | None:
        """The tokens that were really used; None where nothing is corrected."""
        if not isinstance(self.line, Window) or self.line.unit == "requests":
            return None
        mine = [event.tokens for event in events if self.counts(event)]
        tokens_in, tokens_out = sum(each.input for each in mine), sum(each.output for each in mine)
        return {"input": tokens_in, "output": tokens_out, "tokens": tokens_in + tokens_out}[self.line.unit]

    def charges(self, events: list[UsageEvent]) -> Iterator[Charge]:
        """What the attempts have cost the budget."""
        if isinstance(self.line, Money):
            for event in events:
                if event.cost_pico and self.counts(event):
                    yield Charge(self.line.id, event.event_id, event.cost_pico)


def shares(policy: Policy, size: Size, least: int) -> Iterator[Share]:
    """All that a call of that size takes. `least`: pico-dollars that a budget must have left."""
    for rule in policy.limits:
        for line in _lines(rule, size):
            yield Share(line, rule.scope, rule.scope_id)
    for budget in policy.budgets:
        if budget.amount_pico is not None and size.cost:
            spending = Spending(budget.scope, budget.scope_id, budget.since)
            hold = max(size.cost, least)
            money = Money(_budget_key(budget), budget.amount_pico, hold, spending, least)
            yield Share(money, budget.scope, budget.scope_id, budget.soft_threshold)


def _lines(rule: LimitRule, size: Size) -> Iterator[Line]:
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
