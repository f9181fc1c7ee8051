"""What a caller may use up: limits and budgets that apply to a call, gathered from its key, user, model and provider.

`gateway.accounts` makes a `Policy` from the database, `gateway.admission` holds calls to it. Neither knows the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

Scope = Literal["key", "user", "model", "provider", "tag", "global"]


def model_scope(provider: str, model: str) -> str:
    """The id that a model's calls are counted under, however the caller wrote its letters: many providers take any."""
    return f"{provider}:{model.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """None: no limit. Tokens are input and output together unless the name says which."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    concurrent_calls: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRule:
    """Limits of one scope: all calls with that `scope_id` share them, whichever replica they reach."""

    scope: Scope
    scope_id: str
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRule:
    """Money that all calls of one scope may spend between `since` and `until` (None: no end).

    `amount_pico` None: only tracked. `soft_threshold`: from this share of the amount on, answers carry a warning.
    """

    budget_id: str
    scope: Scope
    scope_id: str
    amount_pico: int | None
    since: datetime
    until: datetime | None
    soft_threshold: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All that applies to a call. Empty for callers without limits: admission then does nothing at all."""

    limits: tuple[LimitRule, ...] = ()
    budgets: tuple[BudgetRule, ...] = ()
