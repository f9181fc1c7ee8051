"""Sums of usage as the playground tells them: in all, by user and by model, US dollars rounded to six places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ledger.summaries import UsageGroup
from usage_contract.money import six_places


def by_user_and_model(groups: Sequence[UsageGroup]) -> dict[str, Any]:
    """Of groups by user, provider and model. The dearest first."""
    users: dict[str | None, list[UsageGroup]] = {}
    models: dict[tuple[str | None, str | None], list[UsageGroup]] = {}
    for group in groups:
        users.setdefault(group.user_id, []).append(group)
        models.setdefault((group.provider, group.model), []).append(group)
    return {
        **_sum(groups),
        "users": [
            {
                "user_id": user_id,
                **_sum(own),
                "models": [{"provider": each.provider, "model": each.model, **_sum([each])} for each in own],
            }
            for user_id, own in sorted(users.items(), key=lambda item: -_cost(item[1]))
        ],
        "models": [
            {"provider": provider, "model": model, **_sum(same)}
            for (provider, model), same in sorted(models.items(), key=lambda item: -_cost(item[1]))
        ],
    }


def _sum(groups: Sequence[UsageGroup]) -> dict[str, Any]:
    """`unpriced` are calls and attempts whose cost is unknown, and missing in the total."""
    given = sum(group.totals.tokens.input for group in groups)
    made = sum(group.totals.tokens.output for group in groups)
    return {
        "requests": sum(group.totals.calls for group in groups),
        "errors": sum(group.totals.errors for group in groups),
        "usage": {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made},
        "cost": {"total_cost": six_places(_cost(groups)), "currency": "USD"},
        "unpriced": sum(group.totals.unpriced for group in groups),
    }


def _cost(groups: Sequence[UsageGroup]) -> int:
    return sum(group.totals.cost_pico for group in groups)
