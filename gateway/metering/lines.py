"""Spool lines of intents and events: the encoding of `usage_contract.codec`, made for the request path.

The same JSON objects, several times as fast: only what differs from its default is gathered, then encoded in one go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from operator import attrgetter
from typing import Any, Final

import msgspec

from usage_contract.event import Caller, Intent, Tokens, UsageEvent
from usage_contract.spool import frame

_encode: Final = msgspec.json.Encoder().encode
_NO_DEFAULT: Final = object()


class EventId(msgspec.Struct):
    """The one field of an intent or event that recovery looks at."""

    event_id: str


class EventVersion(msgspec.Struct):
    schema_version: int


event_id: Final = msgspec.json.Decoder(EventId).decode
event_version: Final = msgspec.json.Decoder(EventVersion).decode


def event_line(event: UsageEvent) -> bytes:
    """A framed `E` line."""
    data = _event_fields(event)
    data["schema_version"] = event.schema_version
    return frame("E", _text(_nested(data)))


def intent_line(intent: Intent) -> bytes:
    """A framed `I` line."""
    return frame("I", _text(_nested(_intent_fields(intent))))


def _differing(kind: type) -> Callable[[Any], dict[str, Any]]:
    """A function that gathers a dataclass's fields that differ from their defaults."""
    names = tuple(spec.name for spec in fields(kind))
    defaults = tuple(
        spec.default_factory()
        if spec.default_factory is not MISSING
        else (_NO_DEFAULT if spec.default is MISSING else spec.default)
        for spec in fields(kind)
    )
    values = attrgetter(*names)

    def gather(record: Any) -> dict[str, Any]:
        return {
            name: value
            for name, value, default in zip(names, values(record), defaults, strict=True)
            if value is not default and value != default
        }

    return gather


_event_fields: Final = _differing(UsageEvent)
_intent_fields: Final = _differing(Intent)
_caller_fields: Final = _differing(Caller)
_token_fields: Final = _differing(Tokens)


def _nested(data: dict[str, Any]) -> dict[str, Any]:
    if "caller" in data:
        data["caller"] = _caller_fields(data["caller"])
    if "tokens" in data:
        data["tokens"] = _token_fields(data["tokens"])
    return data


def _text(data: dict[str, Any]) -> bytes:
    """Names and tags come from callers; what no database takes (NUL, half of a surrogate pair) becomes U+FFFD."""
    try:
        line = _encode(data)
    except UnicodeEncodeError:
        return _encode(_clean(data))
    return _encode(_clean(data)) if b"\\u0000" in line else line


def _clean(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
        case dict():
            return {_clean(key): _clean(item) for key, item in value.items()}
        case list() | tuple():
            return [_clean(item) for item in value]
        case _:
            return value
