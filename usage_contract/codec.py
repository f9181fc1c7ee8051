"""Events and intents to bytes and back.

One JSON object, defaults left out, keys as in `usage_contract.event`. On a Redis stream it is the field `event` beside
`v` (schema version), `producer` and `segment`, so that an entry that cannot be decoded counts against its segment too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from usage_contract.event import SCHEMA_VERSION, Caller, Intent, Tokens, UsageEvent

_Record = TypeVar("_Record", UsageEvent, Intent)


class InvalidEvent(ValueError):
    """The bytes are not an event of a version that is known here. Dead-letter it; trying again cannot help."""


def encode(event: UsageEvent) -> bytes:
    """The event as one line of JSON, no line end."""
    return _dump(event)


def encode_intent(intent: Intent) -> bytes:
    return _dump(intent)


def decode(data: bytes | str) -> UsageEvent:
    """Raises InvalidEvent. Unknown fields of the same or an older version are an error; a newer version is, too."""
    return _load(UsageEvent, data)


def decode_intent(data: bytes | str) -> Intent:
    return _load(Intent, data)


def to_stream_fields(event: UsageEvent) -> dict[bytes, bytes]:
    return {
        b"v": str(event.schema_version).encode(),
        b"producer": event.producer.encode(),
        b"segment": str(event.segment).encode(),
        b"event": encode(event),
    }


def from_stream_fields(entry: Mapping[bytes, bytes]) -> UsageEvent:
    """Raises InvalidEvent."""
    try:
        version = int(entry[b"v"])
        data = entry[b"event"]
    except (KeyError, ValueError) as error:
        raise InvalidEvent(f"not a usage event: {error}") from error
    if version > SCHEMA_VERSION:
        raise InvalidEvent(f"schema version {version} is newer than {SCHEMA_VERSION}: update the worker first")
    return decode(data)


def stream_origin(entry: Mapping[bytes, bytes]) -> tuple[str, int] | None:
    """Producer and segment of an entry whose event cannot be decoded; None when even these are unreadable."""
    try:
        return entry[b"producer"].decode(), int(entry[b"segment"])
    except (KeyError, ValueError):
        return None


def _plain(value: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for spec in fields(value):
        item = getattr(value, spec.name)
        default = spec.default_factory() if spec.default_factory is not MISSING else spec.default
        if item == default and spec.name != "schema_version":
            continue
        out[spec.name] = _plain(item) if isinstance(item, Caller | Tokens) else item
    return out


def _dump(value: UsageEvent | Intent) -> bytes:
    return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False).encode()


def _load(kind: type[_Record], data: bytes | str) -> _Record:
    try:
        plain = json.loads(data)
        if plain.get("schema_version", SCHEMA_VERSION) > SCHEMA_VERSION:
            raise InvalidEvent(f"schema version {plain['schema_version']} is newer than {SCHEMA_VERSION}")
        if "caller" in plain:
            plain["caller"] = Caller(**plain["caller"])
        if "tokens" in plain:
            plain["tokens"] = Tokens(**plain["tokens"])
        if "dropped" in plain:
            plain["dropped"] = tuple(plain["dropped"])
        return kind(**plain)
    except InvalidEvent:
        raise
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidEvent(f"not a usage event: {error}") from error
