"""Reading JSON whose types cannot be trusted: every wrong one is a BadRequest that names its path.

Google's JSON is protobuf JSON, and reads leniently: field names in camelCase or snake_case, null for an absent field,
a single value where a list may stand, numbers as text. https://protobuf.dev/programming-guides/json/
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from wire.reading import WrongType, as_text, at, writable_integer


@lru_cache(maxsize=512)
def camel(name: str) -> str:
    """`inline_data` -> `inlineData`; a name without underscores is already in its form."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest) if rest else name


def fields(value: Any, path: str) -> dict[str, Any]:
    """The members of an object of Google's API by camelCase name, null ones left out. Never for the caller's own
    objects (arguments, schemas), whose names are theirs."""
    if not isinstance(value, dict):
        raise WrongType(path, "must be an object")
    return {camel(name): member for name, member in value.items() if member is not None}


def items(value: Any) -> list[Any]:
    """A repeated field. Google takes a lone value for a list of one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def optional_number(holder: dict[str, Any], name: str, path: str) -> float | None:
    value = holder.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise WrongType(at(path, name), "must be a number") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongType(at(path, name), "must be a number")
    return value


def optional_integer(holder: dict[str, Any], name: str, path: str) -> int | None:
    """An integer, also as text or as a number like 40.0 (recorded)."""
    value = optional_number(holder, name, path)
    if value is None:
        return None
    if value != value or value in (float("inf"), float("-inf")) or value != int(value):
        raise WrongType(at(path, name), "must be an integer")
    return writable_integer(int(value), at(path, name))


def strings(holder: dict[str, Any], name: str, path: str) -> tuple[str, ...]:
    found = items(holder.get(name))
    return tuple(as_text(value, f"{at(path, name)}[{place}]") for place, value in enumerate(found))
