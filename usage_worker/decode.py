"""Entries to rows and dead letters. Pure: the clock comes in as an argument, and nothing here raises for a batch.

The fast decoder is built from the dataclasses of `usage_contract`, so the shape is stated once; unlike
`usage_contract.decode` it also refuses values of a wrong type or outside what the ledger's columns hold.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import MISSING, fields
from datetime import datetime
from typing import Annotated, Any, NamedTuple, get_type_hints

import msgspec
from msgspec import Meta

from ledger.tables import TOKEN_COLUMNS, to_us, usage_events
from ledger.uuid7 import event_time_us
from usage_contract.event import SCHEMA_VERSION, Caller, Tokens, UsageEvent
from usage_worker.entries import MAX_PRODUCER, Entry, Letter, letter_of

FUTURE_TOLERANCE_US = 24 * 3600 * 1_000_000
# Identifiers that are in an index. Postgres refuses an index row over 2,704 bytes and a rollup key holds four of them.
INDEXED_BYTES = 512
MAX_EVENT_PICO = 10**18  # a million US dollars: far above any call, far below what a batch's sum may not exceed

EARLIEST_US = 1_577_836_800_000_000  # 2020: an id from before was not minted by any gateway

# An escaped NUL: legal in JSON, impossible in a Postgres text. The row is stored with U+FFFD in its place.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
_Long = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Microseconds = Annotated[int, Meta(ge=0, le=253_402_300_799_999_999)]  # the last one of the year 9999
_Money = Annotated[int, Meta(ge=-MAX_EVENT_PICO, le=MAX_EVENT_PICO)]


def _mirror(kind: type, overrides: dict[str, Any]) -> Any:
    """A msgspec struct with the dataclass's fields; `overrides` narrows types to what the columns hold."""
    hints = get_type_hints(kind)
    specs: list[tuple[str, Any, Any]] = []
    for spec in fields(kind):
        default: Any = spec.default
        if spec.default_factory is not MISSING:
            default = msgspec.field(default_factory=spec.default_factory)
        specs.append(
            (
                spec.name,
                overrides.get(spec.name, hints[spec.name]),
                msgspec.NODEFAULT if default is MISSING else default,
            )
        )
    return msgspec.defstruct(kind.__name__, specs, forbid_unknown_fields=True, kw_only=True, gc=False)


_Tokens = _mirror(Tokens, dict.fromkeys(TOKEN_COLUMNS, _Count))
_Event = _mirror(
    UsageEvent,
    {
        "producer": Annotated[str, Meta(min_length=1, max_length=MAX_PRODUCER)],
        "segment": _Long,
        "started_us": _Microseconds,
        "attempt": _Count,
        "caller": _mirror(Caller, {}),
        "http_status": _Count | None,
        "tokens": _Tokens,
        "cost_pico": _Money | None,
        "provider_cost_pico": _Money | None,
        "duration_us": _Microseconds,
        "first_token_us": _Microseconds | None,
        "overhead_us": _Microseconds | None,
        "schema_version": Annotated[int, Meta(ge=1, le=SCHEMA_VERSION)],
    },
)


class _Version(msgspec.Struct):
    schema_version: int = SCHEMA_VERSION


UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)  # the last: a payload nested too deep

_decoder = msgspec.json.Decoder(_Event)
_version_decoder = msgspec.json.Decoder(_Version)
_to_json = msgspec.json.Encoder().encode


class Row(NamedTuple):
    """A sound event, as the columns of `usage_events` (times as microseconds, JSON as text) and where it came from."""

    values: tuple[Any, ...]
    entry: Entry

    @property
    def event_time(self) -> int:
        return int(self.values[0])

    @property
    def event_id(self) -> str:
        return str(self.values[1])

    @property
    def kind(self) -> str:
        return str(self.values[_KIND])

    @property
    def origin(self) -> tuple[str, int]:
        """Producer and segment that the event itself names: its receipt is counted there."""
        return self.values[_PRODUCER], self.values[_SEGMENT]

    def letter(self, reason: str) -> Letter:
        """The dead letter of a row that cannot be stored after all."""
        producer, segment = self.origin
        return Letter(self.entry.payload, producer, segment, reason, True, self.event_id)


COLUMNS = tuple(column.name for column in usage_events.columns)
_KIND, _PRODUCER, _SEGMENT = (COLUMNS.index(name) for name in ("kind", "producer", "segment"))


def decode(entries: Sequence[Entry], now: datetime) -> tuple[list[Row], list[Letter]]:
    """Every entry becomes exactly one row or one letter."""
    rows: list[Row] = []
    letters: list[Letter] = []
    received = to_us(now)
    for entry in entries:
        if entry.problem is not None:
            letters.append(letter_of(entry, entry.problem))
            continue
        if entry.suspect:
            # Not decoded: that may be what kills.
            letters.append(letter_of(entry, "workers that had it alone in hand died"))
            continue
        try:
            event = _decoder.decode(_without_nul(entry.payload))
            values = _columns(event, received)
        except UNREADABLE as error:
            letters.append(letter_of(entry, _explain(entry.payload, error)))
        else:
            rows.append(Row(values, entry))
    return rows, letters


def indexable(value: str | None) -> str | None:
    """The value, or when it is too long for an index its beginning and a hash: still one row, still distinct."""
    if value is None or len(value) <= INDEXED_BYTES // 4:
        return value
    raw = value.encode()
    if len(raw) <= INDEXED_BYTES:
        return value
    return raw[: INDEXED_BYTES - 33].decode(errors="ignore") + "~" + hashlib.sha256(raw).hexdigest()[:32]


def _without_nul(payload: bytes) -> bytes:
    return _NUL.sub(rb"\1\\ufffd", payload) if b"\\u0000" in payload else payload


def _columns(event: Any, received: int) -> tuple[Any, ...]:
    """Raises ValueError with a reason that holds no caller's text."""
    time = event_time_us(event.event_id)
    if time < EARLIEST_US:
        raise ValueError("the time inside event_id is before 2020")
    if time > received + FUTURE_TOLERANCE_US:
        raise ValueError("the time inside event_id is more than a day in the future")
    caller, tokens = event.caller, event.tokens
    return (
        time,
        event.event_id,
        event.request_id,
        event.kind,
        event.producer,
        event.segment,
        event.started_us,
        event.attempt,
        indexable(caller.key_id),
        indexable(caller.user_id),
        indexable(caller.session_id),
        caller.end_user,
        _to_json(caller.tags).decode() if caller.tags else None,
        event.surface,
        indexable(event.provider),
        event.model_asked,
        indexable(event.model_used),
        event.stream,
        event.byok,
        event.status,
        event.http_status,
        event.error_code,
        event.finish_reason,
        event.response_id,
        event.service_tier,
        tokens.input,
        tokens.cache_read,
        tokens.cache_write_5m,
        tokens.cache_write_1h,
        tokens.input_audio,
        tokens.input_image,
        tokens.tool_input,
        tokens.output,
        tokens.reasoning,
        tokens.output_audio,
        tokens.output_image,
        tokens.web_searches,
        tokens.images,
        tokens.audio_ms,
        event.estimated,
        event.cost_pico,
        event.provider_cost_pico,
        _to_json(event.price).decode() if event.price is not None else None,
        _to_json(event.dropped).decode() if event.dropped else None,
        event.duration_us,
        event.first_token_us,
        event.overhead_us,
        event.schema_version,
        received,
    )


def _explain(payload: bytes, error: Exception) -> str:
    """The reason for a person."""
    try:
        version = _version_decoder.decode(payload).schema_version
    except UNREADABLE:
        return f"not a usage event: {error}"
    if version > SCHEMA_VERSION:
        return f"schema version {version} is newer than {SCHEMA_VERSION}: update the worker, then retry"
    return f"not a usage event: {error}"
