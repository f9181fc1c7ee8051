"""Reading JSON whose types cannot be trusted: every wrong one is a BadRequest that names its path."""

from __future__ import annotations

import binascii
from collections.abc import Collection
from typing import Any

import orjson

from wire.errors import BadRequest


def wrong(path: str, what: str) -> BadRequest:
    """The error for the field at `path`: "messages[0].role: must be a string"."""
    return BadRequest(f"{path}: {what}", param=path)


def at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def as_object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(path, "must be an object")
    return value


def as_array(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise wrong(path, "must be an array")
    return value


def as_string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise wrong(path, "must be a string")
    return value


def string(holder: dict[str, Any], key: str, path: str) -> str:
    return as_string(holder.get(key), at(path, key))


def optional_string(holder: dict[str, Any], key: str, path: str) -> str | None:
    value = holder.get(key)
    return None if value is None else as_string(value, at(path, key))


def optional_object(holder: dict[str, Any], key: str, path: str) -> dict[str, Any] | None:
    value = holder.get(key)
    return None if value is None else as_object(value, at(path, key))


def optional_array(holder: dict[str, Any], key: str, path: str) -> list[Any]:
    value = holder.get(key)
    return [] if value is None else as_array(value, at(path, key))


def optional_integer(holder: dict[str, Any], key: str, path: str) -> int | None:
    value = holder.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(at(path, key), "must be an integer")
    return value


def optional_number(holder: dict[str, Any], key: str, path: str) -> float | None:
    value = holder.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(at(path, key), "must be a number")
    return value


def optional_bool(holder: dict[str, Any], key: str, path: str) -> bool | None:
    value = holder.get(key)
    if value is not None and not isinstance(value, bool):
        raise wrong(at(path, key), "must be true or false")
    return value


def unknown_fields(holder: dict[str, Any], known: Collection[str]) -> dict[str, Any] | None:
    """The members that have no place in the neutral model, None where there are none."""
    return {key: value for key, value in holder.items() if key not in known} or None


def base64_text(value: Any, path: str) -> str:
    """Base64 of the standard alphabet, padded, without line ends. Raises BadRequest for anything else."""
    text = as_string(value, path)
    if "\n" in text or "\r" in text:
        text = text.replace("\r", "").replace("\n", "")
    text += "=" * (-len(text) % 4)
    try:
        empty = not binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise wrong(path, "is not valid base64") from None
    if empty:
        raise wrong(path, "is empty")
    return text


def json_text(value: Any, path: str) -> str:
    """The value as JSON text. Raises BadRequest for what cannot be written again (nested beyond all measure)."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        raise wrong(path, "is nested too deeply or holds a number that is too large") from None
