"""Sums of usage as the playground tells them: in all, by user and by model, US dollars rounded to six places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ledger.summaries import GroupBy, UsageGroup
from usage_contract.money import six_places


def by_user_and_model(groups: Sequence[UsageGroup], *, end_users: bool) -> dict[str, Any]:
    """Of groups by user, end user, provider and model: the dearest first. End users are told apart where asked for."""
    told = {
        **_sum(groups),
        "users": [
            {"user_id": user_id, **_sum(own), "models": _models(own)}
            for (user_id,), own in _grouped(groups, ("user_id",))
        ],
        "models": _models(groups),
    }
    if end_users:
        told["end_users"] = [
            {"end_user": end_user, "user_id": user_id, **_sum(own), "models": _models(own)}
            for (end_user, user_id), own in _grouped(groups, ("end_user", "user_id"))
        ]
    return told


def _models(groups: Sequence[UsageGroup]) -> list[dict[str, Any]]:
    return [
        {"provider": provider, "model": model, **_sum(same)}
        for (provider, model), same in _grouped(groups, ("provider", "model"))
    ]


def _grouped(
    groups: Sequence[UsageGroup], by: tuple[GroupBy, ...]
) -> list[tuple[tuple[str | None, ...], list[UsageGroup]]]:
    found: dict[tuple[str | None, ...], list[UsageGroup]] = {}
    for group in groups:
        found.setdefault(tuple(getattr(group, name) for name in by), []).append(group)
    return sorted(found.items(), key=lambda item: -_cost(item[1]))


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
