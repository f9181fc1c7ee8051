"""The settings that all front doors have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wire.reading import WrongType, integer_or_none, number_or_none

_HOTTEST = 2
_SCHEMAS: Mapping[str, Any] = {
    "model": {"type": "string", "description": "An alias, a provider, provider:model, or a bare catalogue id"},
    "temperature": {"type": "number", "minimum": 0, "maximum": _HOTTEST},
    "max_tokens": {"type": "integer", "minimum": 1, "description": "At most the model's limit"},
    "stream": {"type": "boolean", "default": False, "description": "Answer by server-sent events"},
}


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


def schema_of(fields: Mapping[str, Any], *, required: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of a body that has these fields beside the common ones. Others are reported as dropped."""
    properties = {**_SCHEMAS, **fields}
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": True}
