"""Table definitions of the ledger (SQLAlchemy Core). The schema itself is made by `ledger.migrations`.

Conventions
- Time is UTC. Columns of type `UtcTime` take and give aware datetimes: TIMESTAMPTZ on Postgres, whole microseconds
  since the epoch on SQLite (integers sort, text with varying fractions does not).
- `event_time` is the time inside `event_id` (UUIDv7, milliseconds). It decides the row's partition, hour, day and
  month, so a late event always goes to its own day and a partition always equals a month of `monthly_usage`.
- Money is whole pico-dollars. A single event and, on SQLite, a rollup row fit into int64 (9.2 million US dollars). On
  Postgres the rollups hold NUMERIC(38, 0). On SQLite a CHECK refuses a sum that left the integers: SQLite would
  otherwise turn it into a float without a word.
- Rollup keys are never null: '' stands for "no user", "no key".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Microseconds since the epoch, exact. Raises ValueError for a datetime without a time zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a time zone is ambiguous")
    return (moment - EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC datetime on both databases. Binding a naive one raises ValueError."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return to_us(value) if dialect.name == "sqlite" else from_us(to_us(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return from_us(value) if dialect.name == "sqlite" else value.astimezone(UTC)


class WholeNumber(TypeDecorator[int]):
    """A sum that may exceed int64 on Postgres (NUMERIC(38, 0)); an INTEGER on SQLite. Always an int in Python."""

    impl = Numeric(38, 0)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else Numeric(38, 0))

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else int(value)


metadata = MetaData()

_Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

# Column of each token class, in the order of usage_contract.event.Tokens.
TOKEN_COLUMNS = {
    "input": "input_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "input_audio": "input_audio_tokens",
    "input_image": "input_image_tokens",
    "tool_input": "tool_input_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
    "output_audio": "output_audio_tokens",
    "output_image": "output_image_tokens",
    "web_searches": "web_searches",
    "images": "images",
    "audio_ms": "audio_ms",
}

usage_events = Table(
    "usage_events",
    metadata,
    Column("event_time", UtcTime, primary_key=True),
    Column("event_id", Uuid(as_uuid=False), primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("producer", Text, nullable=False),
    Column("segment", BigInteger, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("key_id", Text),
    Column("user_id", Text),
    Column("session_id", Text),
    Column("end_user", Text),
    Column("tags", _Json),
    Column("surface", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model_asked", Text, nullable=False),
    Column("model_used", Text, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("byok", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("http_status", Integer),
    Column("error_code", Text),
    Column("finish_reason", Text),
    Column("response_id", Text),
    Column("service_tier", Text),
    *(Column(name, Integer, nullable=False) for name in TOKEN_COLUMNS.values()),
    Column("estimated", Boolean, nullable=False),
    Column("cost_pico", BigInteger),
    Column("provider_cost_pico", BigInteger),
    Column("price", _Json),
    Column("dropped", _Json),
    Column("duration_us", BigInteger, nullable=False),
    Column("first_token_us", BigInteger),
    Column("overhead_us", BigInteger),
    Column("schema_version", SmallInteger, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    postgresql_partition_by="RANGE (event_time)",
)
# Newest-first pages of one user, key or session are read from these; rows without one stay out of the index.
for _name in ("user", "key", "session"):
    _column = usage_events.c[f"{_name}_id"]
    Index(
        f"ix_usage_events_{_name}",
        _column,
        usage_events.c.event_time,
        postgresql_where=_column.is_not(None),
        sqlite_where=_column.is_not(None),
    )

# What a rollup row adds up. `events` counts every row; `calls` those that a caller saw the outcome of or lost (kind
# final or lost), `errors` the calls among them with status error or lost, `unpriced` events whose cost is unknown.
MEASURES = (
    "events",
    "calls",
    "errors",
    "estimated",
    "unpriced",
    *TOKEN_COLUMNS.values(),
    "duration_us",
    "cost_pico",
)
ROLLUP_KEYS = ("user_id", "key_id", "provider", "model")
TOTALS_KEYS = ("provider", "model")


def _rollup(name: str, period: Column[Any], keys: tuple[str, ...] = ROLLUP_KEYS) -> Table:
    table = Table(
        name,
        metadata,
        period,
        *(Column(key, Text, primary_key=True) for key in keys),
        *(Column(measure, BigInteger, nullable=False) for measure in MEASURES[:-1]),
        Column("cost_pico", WholeNumber, nullable=False),
        CheckConstraint("typeof(cost_pico) = 'integer'", name=f"ck_{name}_cost").ddl_if(dialect="sqlite"),
    )
    if "user_id" in keys:
        Index(f"ix_{name}_user", table.c.user_id, period)
    return table


# UTC hours serve reporting zones: a zone's day is made of whole hours (see docs/usage-ledger.md for :30 and :45 zones).
hourly_usage = _rollup("hourly_usage", Column("hour", UtcTime, primary_key=True))
daily_usage = _rollup("daily_usage", Column("day", Date, primary_key=True))
monthly_usage = _rollup("monthly_usage", Column("month", Date, primary_key=True))  # the first day of the month
# Of all users together: what an operator looks at, in few rows however many keys there are. Kept past the retention.
hourly_totals = _rollup("hourly_totals", Column("hour", UtcTime, primary_key=True), TOTALS_KEYS)
ROLLUPS = (hourly_usage, daily_usage, monthly_usage, hourly_totals)


def rollup_keys(table: Table) -> tuple[str, ...]:
    """The columns of a rollup's key besides its period."""
    return tuple(column.name for column in table.primary_key.columns)[1:]


usage_receipts = Table(
    "usage_receipts",
    metadata,
    Column("producer", Text, primary_key=True),
    Column("segment", BigInteger, primary_key=True),
    Column("stored", BigInteger, nullable=False),
    Column("dead_lettered", BigInteger, nullable=False),
    Column("first_event_at", UtcTime),  # earliest event_time that was stored; null when none was
    Column("updated_at", UtcTime, nullable=False),
    Index("ix_usage_receipts_updated", "updated_at"),
)

# stored: a retry or a newer worker could store it. superseded: a `lost` event whose real outcome is stored. dropped: an
# operator gave it up. All but the first still count in the receipt of their segment.
RESOLUTIONS = ("stored", "superseded", "dropped")

usage_dead_letters = Table(
    "usage_dead_letters",
    metadata,
    Column(
        "letter_id", String(64), primary_key=True
    ),  # SHA-256 over origin and payload, so a repeat is the same letter
    Column("event_id", Text),  # where it could be read
    Column("producer", Text),  # null: not even the origin could be read, so no receipt counts it
    Column("segment", BigInteger),
    Column("counted", Boolean, nullable=False),  # whether the segment's receipt counts it
    Column("reason", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),  # emptied once stored or dropped
    Column("first_seen", UtcTime, nullable=False),
    Column("resolution", Text),  # null: open; else one of RESOLUTIONS
    Column("resolved_at", UtcTime),
    Index("ix_usage_dead_letters_first_seen", "first_seen"),
    Index("ix_usage_dead_letters_origin", "producer", "segment"),
)

# One row. What is older than `retained_from` was dropped and is never inserted again; it only ever grows.
ledger_state = Table(
    "ledger_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("retained_from", UtcTime),
)
