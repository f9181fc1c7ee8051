"""What an answer used and cost, in the words that the front doors share. Amounts are exact decimals, never floats."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import orjson

from wire.neutral import Account, Served, Stamp, Usage

_MICRO_DOLLAR = Decimal("0.000001")


def served_by(stamp: Stamp) -> Served:
    """Who answers. Raises ValueError for a stamp of a call that did not come through a front door."""
    if stamp.served is None:
        raise ValueError("the answer of a front door says who served it")
    return stamp.served


def token_counts(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
    }


def costs(account: Account) -> dict[str, Any]:
    """US dollars, each rounded half up to six places, the total as their sum; null where no price is known."""
    if account.input_usd is None or account.output_usd is None:
        return {"input_cost": None, "output_cost": None, "total_cost": None, "currency": "USD"}
    given, made = _six_places(account.input_usd), _six_places(account.output_usd)
    return {
        "input_cost": _number(given),
        "output_cost": _number(made),
        "total_cost": _number(given + made),
        "currency": "USD",
    }


def exact_cost(account: Account) -> orjson.Fragment | None:
    """US dollars with every digit; None where no price is known."""
    if account.input_usd is None or account.output_usd is None:
        return None
    return _number((account.input_usd + account.output_usd).normalize())


def milliseconds(microseconds: int) -> float:
    return round(microseconds / 1000, 3)


def request_id(stamp: Stamp) -> str:
    """The request's id as its header and the ledger have it."""
    return "-".join((stamp.id[:8], stamp.id[8:12], stamp.id[12:16], stamp.id[16:20], stamp.id[20:]))


def timestamp(unix_seconds: int) -> str:
    """ISO 8601 in UTC with a Z."""
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _six_places(usd: Decimal) -> Decimal:
    return usd.quantize(_MICRO_DOLLAR, rounding=ROUND_HALF_UP)


def _number(usd: Decimal) -> orjson.Fragment:
    """The decimal as a JSON number, digit for digit."""
    return orjson.Fragment(f"{usd:f}".encode())
