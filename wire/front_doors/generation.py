"""The settings that all front doors have in common."""

from __future__ import annotations

from typing import Any

from wire.reading import WrongType, integer_or_none, number_or_none

_HOTTEST = 2


def read_max_tokens(body: dict[str, Any]) -> int | None:
    """Raises WrongType."""
    value = integer_or_none(body, "max_tokens", "")
    if value is not None and value < 1:
        raise WrongType("max_tokens", "must be at least 1")
    return value


def read_temperature(body: dict[str, Any]) -> float | None:
    """Raises WrongType."""
    value = number_or_none(body, "temperature", "")
    if value is not None and not 0 <= value <= _HOTTEST:
        raise WrongType("temperature", f"must be between 0 and {_HOTTEST}")
    return value
