"""Which limits and budgets apply to a call, answered from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

from gateway.accounts.budget_rows import EVERYBODY
from gateway.accounts.directory import Directory
from gateway.accounts.periods import current
from gateway.accounts.policy import BudgetRule, LimitRule, Limits, Policy, Scope, model_scope
from gateway.accounts.records import Holding, KeyRecord
from usage_contract.money import pico_from_decimal

NOTHING: Final = Policy()


class PolicySource:
    """One per process. What it answers from is refreshed whenever the accounts change; no method does I/O.

    `configured`: limits by scope and id from the configuration; those of the user `*` are for every user without limits
    of its own. Limits in the database beat them.
    """

    def __init__(
        self, directory: Directory, now: Callable[[], datetime], configured: Mapping[tuple[Scope, str], Limits]
    ) -> None:
        self._directory = directory
        self._now = now
        self.configured = configured

    def of_caller(self, key: KeyRecord | None, user_id: str, tags: Mapping[str, str]) -> Policy:
        """What applies whichever model answers: the key's, the user's, the tags' and everybody's. `key` None: the
        master key. A tag's scope is `name=value`. The shared empty `NOTHING` when nothing does."""
        user = self._directory.user(user_id)
        limits: list[LimitRule] = []
        budgets: list[BudgetRule] = []
        if key is not None and key.limits is not None:
            limits.append(LimitRule(scope="key", scope_id=key.id, limits=key.limits))
        usual = self.configured.get(("user", EVERYBODY))
        if (own := usual if user is None or user.limits is None else user.limits) is not None:
            limits.append(LimitRule(scope="user", scope_id=user_id, limits=own))
        if key is not None and key.holding is not None:
            budgets += self._rules("key", key.id, key.holding)
        if user is not None and user.holding is not None:
            budgets += self._rules("user", user_id, user.holding)
        if self._nothing_is_shared():
            return Policy(limits=tuple(limits), budgets=tuple(budgets)) if limits or budgets else NOTHING
        tagged: Iterator[tuple[Scope, str]] = (("tag", f"{name}={value}") for name, value in tags.items())
        return self._with_shared((("global", EVERYBODY), *tagged), limits, budgets)

    def of_target(self, provider: str, model: str) -> Policy:
        """What applies while this model answers. `model` is the upstream's own name of it, `provider` the name of its
        entry."""
        if self._nothing_is_shared():
            return NOTHING
        return self._with_shared((("provider", provider), ("model", model_scope(provider, model))), [], [])

    def _nothing_is_shared(self) -> bool:
        rules = self._directory.rules
        return not (rules.limits or rules.holdings or self.configured)

    def _with_shared(
        self, scopes: tuple[tuple[Scope, str], ...], limits: list[LimitRule], budgets: list[BudgetRule]
    ) -> Policy:
        rules = self._directory.rules
        for scope, scope_id in scopes:
            name = scope, scope_id
            if (found := rules.limits.get(name) or self.configured.get(name)) is not None:
                limits.append(LimitRule(scope=scope, scope_id=scope_id, limits=found))
            for holding in rules.holdings.get(name, ()):
                budgets += self._rules(scope, scope_id, holding)
        return Policy(limits=tuple(limits), budgets=tuple(budgets)) if limits or budgets else NOTHING

    def _rules(self, scope: Scope, scope_id: str, holding: Holding) -> Iterator[BudgetRule]:
        budget = self._directory.rules.budgets.get(holding.budget_id)
        if budget is None:
            return  # deleted a moment ago
        if holding.next_reset_at is not None:
            holding = current(budget, holding, self._now())
        yield BudgetRule(
            budget_id=budget.budget_id,
            scope=scope,
            scope_id=scope_id,
            amount_pico=None if budget.max_budget is None else pico_from_decimal(budget.max_budget),
            since=holding.since,
            until=holding.next_reset_at,
            soft_threshold=budget.soft_threshold,
        )
