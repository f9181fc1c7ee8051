"""Typed access to decoded JSON, so that a wrong type is named by its path and is never another exception.

`WrongType` is a caller's error; where an upstream's answer is read it becomes UpstreamMalformed.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import orjson

from wire.errors import BadRequest

# What no id, name or tag holds: control characters but tab and line feed, and halves of surrogate pairs.
UNSTORABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


class WrongType(BadRequest):
    """`path` holds something that the format does not allow there; `problem` says what, for people."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}", param=path)
        self.path = path
        self.problem = problem


def at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def as_object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WrongType(path, "must be an object")
    return value


def as_list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise WrongType(path, "must be a list")
    return value


def as_text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise WrongType(path, "must be a string")
    return value


def object_or_none(source: dict[str, Any], key: str, path: str) -> dict[str, Any] | None:
    value = source.get(key)
    return None if value is None else as_object(value, at(path, key))


def list_or_empty(source: dict[str, Any], key: str, path: str) -> list[Any]:
    value = source.get(key)
    return [] if value is None else as_list(value, at(path, key))


def text(source: dict[str, Any], key: str, path: str) -> str:
    return as_text(source.get(key), at(path, key))


def text_or_none(source: dict[str, Any], key: str, path: str) -> str | None:
    value = source.get(key)
    return None if value is None else as_text(value, at(path, key))


def integer_or_none(source: dict[str, Any], key: str, path: str) -> int | None:
    """A whole number; `16.0` is one, as servers written in languages without integers send it."""
    value = source.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise WrongType(at(path, key), "must be an integer")
    return value if value is None else writable_integer(value, at(path, key))


def writable_integer(value: int, path: str) -> int:
    """Raises WrongType for one that JSON writers do not take: more than 64 bits."""
    if not _SMALLEST <= value <= _LARGEST:
        raise WrongType(path, "is beyond 64 bits")
    return value


def number_or_none(source: dict[str, Any], key: str, path: str) -> float | None:
    value = source.get(key)
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise WrongType(at(path, key), "must be a number")
    return value


def flag_or_none(source: dict[str, Any], key: str, path: str) -> bool | None:
    value = source.get(key)
    if value is not None and not isinstance(value, bool):
        raise WrongType(at(path, key), "must be true or false")
    return value


def beyond(source: dict[str, Any], known: Collection[str]) -> dict[str, Any] | None:
    """The members with no field of their own in the neutral model. A null says nothing and is left out."""
    return {key: value for key, value in source.items() if key not in known and value is not None} or None


def unknown_fields(source: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The same for a format whose nulls are handed back as they came."""
    return {key: value for key, value in source.items() if key not in known}


def json_text(value: Any, path: str) -> str:
    """The value as JSON text. Raises WrongType for what cannot be written again (nested beyond all measure)."""
    try:
        return orjson.dumps(value).decode()
    except TypeError as error:
        raise WrongType(path, "is nested too deeply or holds a number that is too large") from error
