"""Spool lines of intents and events: the encoding of `usage_contract.codec`, made for the request path.

The same JSON objects, several times as fast: a record's values go into a msgspec struct of the same fields at once.
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


class EventId(msgspec.Struct):
    """The one field of an intent or event that recovery looks at."""

    event_id: str


class EventVersion(msgspec.Struct):
    schema_version: int


event_id: Final = msgspec.json.Decoder(EventId).decode
event_version: Final = msgspec.json.Decoder(EventVersion).decode


def event_line(event: UsageEvent) -> bytes:
    """A framed `E` line."""
    row = _event(event)
    row.tokens = _tokens(event.tokens)
    row.caller = _caller(event.caller)
    return frame("E", _text(row))


def intent_line(intent: Intent) -> bytes:
    """A framed `I` line."""
    row = _intent(intent)
    row.caller = _caller(intent.caller)
    return frame("I", _text(row))


def _mirror(kind: type) -> Callable[[Any], Any]:
    """A function from a record to a struct that encodes without what is at its default; the version always stays."""
    required: list[Any] = []
    optional: list[Any] = []
    for spec in fields(kind):
        if spec.default_factory is not MISSING:
            optional.append((spec.name, Any, msgspec.field(default_factory=dict)))
        elif spec.default is MISSING or spec.name == "schema_version":
            required.append((spec.name, Any))
        else:
            optional.append((spec.name, Any, spec.default))
    struct = msgspec.defstruct(f"{kind.__name__}Line", [*required, *optional], omit_defaults=True)
    values = attrgetter(*(each[0] for each in (*required, *optional)))

    def mirrored(record: Any) -> Any:
        return struct(*values(record))

    return mirrored


_event: Final = _mirror(UsageEvent)
_intent: Final = _mirror(Intent)
_caller: Final = _mirror(Caller)
_tokens: Final = _mirror(Tokens)


def _text(row: Any) -> bytes:
    """Names and tags come from callers; what no database takes (NUL, half of a surrogate pair) becomes U+FFFD."""
    try:
        line = _encode(row)
    except UnicodeEncodeError:
        return _encode(_clean(msgspec.to_builtins(row)))
    return _encode(_clean(msgspec.to_builtins(row))) if b"\\u0000" in line else line


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
