"""Which limits and budgets apply to a call, answered from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

from gateway.accounts.budget_rows import EVERYBODY
from gateway.accounts.directory import Directory
from gateway.accounts.periods import current
from gateway.accounts.policy import BudgetRule, LimitRule, Limits, Policy, Scope
from gateway.accounts.records import Holding, KeyRecord
from usage_contract.money import pico_from_decimal

NOTHING: Final = Policy()


class PolicySource:
    """One per process. What it answers from is refreshed whenever the accounts change."""

    def __init__(self, directory: Directory, now: Callable[[], datetime]) -> None:
        self._directory = directory
        self._now = now

    def policy_for(
        self, key: KeyRecord | None, user_id: str, model: str, provider: str, tags: Mapping[str, str]
    ) -> Policy:
        """All that applies to one call; the shared empty `NOTHING` when nothing does. No I/O.

        `key` None: the master key. `model` is the upstream's own name of it, `provider` the name of its entry; a
        model's scope is `provider:model`, a tag's `name=value`.
        """
        limits = tuple(self._limits(key, user_id))
        budgets = tuple(self._budgets(key, user_id, model, provider, tags))
        return Policy(limits=limits, budgets=budgets) if limits or budgets else NOTHING

    def _limits(self, key: KeyRecord | None, user_id: str) -> Iterator[LimitRule]:
        user = self._directory.user(user_id)
        if key is not None and key.limits is not None:
            yield _limit("key", key.id, key.limits)
        if user is not None and user.limits is not None:
            yield _limit("user", user_id, user.limits)

    def _budgets(
        self, key: KeyRecord | None, user_id: str, model: str, provider: str, tags: Mapping[str, str]
    ) -> Iterator[BudgetRule]:
        user = self._directory.user(user_id)
        held: list[tuple[Scope, str, Holding]] = []
        if key is not None and key.holding is not None:
            held.append(("key", key.id, key.holding))
        if user is not None and user.holding is not None:
            held.append(("user", user_id, user.holding))
        rules = self._directory.rules
        if rules.holders:
            mine: set[tuple[Scope, str]] = {
                ("model", f"{provider}:{model}"),
                ("provider", provider),
                ("global", EVERYBODY),
                *(("tag", f"{name}={value}") for name, value in tags.items()),
            }
            held += [(h.scope, h.scope_id, h.holding) for h in rules.holders if (h.scope, h.scope_id) in mine]
        for scope, scope_id, holding in held:
            if rule := self._rule(scope, scope_id, holding):
                yield rule

    def _rule(self, scope: Scope, scope_id: str, holding: Holding) -> BudgetRule | None:
        budget = self._directory.rules.budgets.get(holding.budget_id)
        if budget is None:
            return None  # deleted a moment ago
        if holding.next_reset_at is not None:
            holding = current(budget, holding, self._now())
        return BudgetRule(
            budget_id=budget.budget_id,
            scope=scope,
            scope_id=scope_id,
            amount_pico=None if budget.max_budget is None else pico_from_decimal(budget.max_budget),
            since=holding.since,
            until=holding.next_reset_at,
            soft_fraction=None if budget.soft_threshold is None else float(budget.soft_threshold),
        )


def _limit(scope: Scope, scope_id: str, limits: Limits) -> LimitRule:
    return LimitRule(scope=scope, scope_id=scope_id, limits=limits)
