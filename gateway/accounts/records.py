"""Rows of the accounts database as values. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from gateway.accounts.policy import Limits

CalendarPeriod = Literal["day", "week", "month"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A budget that somebody holds. Spending counts from `since`; `next_reset_at` None: it never resets."""

    budget_id: str
    started_at: datetime
    since: datetime
    next_reset_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A virtual key as the database has it; the key itself is known to its holder only.

    What it spends counts from `spend_since`. `allowed_models` None: any. `previous_hash` is what the key was before its
    last rotation, good until `previous_until`.
    """

    id: str
    key_hash: str = field(repr=False)
    key_prefix: str
    key_name: str | None
    user_id: str
    created_at: datetime
    spend_since: datetime
    last_used_at: datetime | None = None
    expires_at: datetime | None = None
    is_active: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    allowed_models: tuple[str, ...] | None = None
    limits: Limits | None = None
    previous_hash: str | None = field(default=None, repr=False)
    previous_until: datetime | None = None
    holding: Holding | None = None

    def is_good_until(self, key_hash: str) -> datetime | None:
        """When the key of that hash ends; None: never."""
        if key_hash == self.key_hash or self.previous_until is None:
            return self.expires_at
        return self.previous_until if self.expires_at is None else min(self.expires_at, self.previous_until)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """A user; `deleted` ones are kept for their usage. `spend` counts from `spend_since`."""

    user_id: str
    alias: str | None
    blocked: bool
    deleted: bool
    created_at: datetime
    updated_at: datetime
    spend_since: datetime
    metadata: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits | None = None
    holding: Holding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A template that any number of users, keys, models, ... hold. Amounts are US dollars; `max_budget` None: only
    tracked.

    It resets every `duration_seconds`, or with each calendar `period` of `zone`, or never. `soft_threshold` is a share
    of the amount, 0 to 1.
    """

    budget_id: str
    name: str | None
    max_budget: Decimal | None
    duration_seconds: int | None
    period: CalendarPeriod | None
    zone: str
    soft_threshold: Decimal | None
    created_at: datetime
    updated_at: datetime
