"""Make the ledger: events, rollups, receipts, dead letters, state and the view of sessions.

Revision ID: 0001
Revises: none
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

_TOKENS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "tool_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "output_image_tokens",
    "web_searches",
    "images",
    "audio_ms",
)
_COUNTS = ("events", "calls", "errors", "estimated", "unpriced", *_TOKENS, "duration_us")
_TIME = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_SUM = sa.BigInteger().with_variant(sa.Numeric(38, 0), "postgresql")

_SESSION_USAGE = """
CREATE VIEW session_usage AS
SELECT user_id, session_id, min(event_time) AS first_event_at, max(event_time) AS last_event_at,
       count(*) AS events,
       sum(CASE WHEN kind <> 'attempt' THEN 1 ELSE 0 END) AS calls,
       sum(CASE WHEN kind <> 'attempt' AND status IN ('error', 'lost') THEN 1 ELSE 0 END) AS errors,
       sum(CASE WHEN estimated THEN 1 ELSE 0 END) AS estimated,
       sum(CASE WHEN cost_pico IS NULL THEN 1 ELSE 0 END) AS unpriced,
       {tokens},
       sum(duration_us) AS duration_us,
       coalesce(sum(cost_pico), 0) AS cost_pico
FROM usage_events
WHERE session_id IS NOT NULL
GROUP BY user_id, session_id
"""


def upgrade() -> None:
    _events()
    for name, period, kind in (
        ("hourly_usage", "hour", _TIME),
        ("daily_usage", "day", sa.Date()),
        ("monthly_usage", "month", sa.Date()),
    ):
        _rollup(name, period, kind)
    _bookkeeping()
    op.execute(_SESSION_USAGE.format(tokens=", ".join(f"sum({name}) AS {name}" for name in _TOKENS)))


def _events() -> None:
    op.create_table(
        "usage_events",
        sa.Column("event_time", _TIME, primary_key=True),
        sa.Column("event_id", sa.Uuid(as_uuid=False), primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("producer", sa.Text, nullable=False),
        sa.Column("segment", sa.BigInteger, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("user_id", sa.Text),
        sa.Column("session_id", sa.Text),
        sa.Column("end_user", sa.Text),
        sa.Column("tags", _JSON),
        sa.Column("surface", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model_asked", sa.Text, nullable=False),
        sa.Column("model_used", sa.Text, nullable=False),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("byok", sa.Boolean, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("http_status", sa.Integer),
        sa.Column("error_code", sa.Text),
        sa.Column("finish_reason", sa.Text),
        sa.Column("response_id", sa.Text),
        sa.Column("service_tier", sa.Text),
        *(sa.Column(name, sa.Integer, nullable=False) for name in _TOKENS),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("cost_pico", sa.BigInteger),
        sa.Column("provider_cost_pico", sa.BigInteger),
        sa.Column("price", _JSON),
        sa.Column("dropped", _JSON),
        sa.Column("duration_us", sa.BigInteger, nullable=False),
        sa.Column("first_token_us", sa.BigInteger),
        sa.Column("overhead_us", sa.BigInteger),
        sa.Column("schema_version", sa.SmallInteger, nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
        postgresql_partition_by="RANGE (event_time)",
    )
    for name in ("user", "key", "session"):
        there = sa.text(f"{name}_id IS NOT NULL")
        op.create_index(
            f"ix_usage_events_{name}",
            "usage_events",
            [f"{name}_id", "event_time"],
            postgresql_where=there,
            sqlite_where=there,
        )


def _rollup(name: str, period: str, kind: sa.types.TypeEngine[Any]) -> None:
    op.create_table(
        name,
        sa.Column(period, kind, primary_key=True),
        *(sa.Column(key, sa.Text, primary_key=True) for key in ("user_id", "key_id", "provider", "model")),
        *(sa.Column(count, sa.BigInteger, nullable=False) for count in _COUNTS),
        sa.Column("cost_pico", _SUM, nullable=False),
        sa.CheckConstraint("typeof(cost_pico) = 'integer'", name=f"ck_{name}_cost").ddl_if(dialect="sqlite"),
    )
    op.create_index(f"ix_{name}_user", name, ["user_id", period])


def _bookkeeping() -> None:
    op.create_table(
        "usage_receipts",
        sa.Column("producer", sa.Text, primary_key=True),
        sa.Column("segment", sa.BigInteger, primary_key=True),
        sa.Column("stored", sa.BigInteger, nullable=False),
        sa.Column("dead_lettered", sa.BigInteger, nullable=False),
        sa.Column("first_event_at", _TIME),
        sa.Column("updated_at", _TIME, nullable=False),
    )
    op.create_index("ix_usage_receipts_updated", "usage_receipts", ["updated_at"])
    op.create_table(
        "usage_dead_letters",
        sa.Column("letter_id", sa.String(64), primary_key=True),
        sa.Column("event_id", sa.Text),
        sa.Column("producer", sa.Text),
        sa.Column("segment", sa.BigInteger),
        sa.Column("counted", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("first_seen", _TIME, nullable=False),
        sa.Column("resolution", sa.Text),
        sa.Column("resolved_at", _TIME),
    )
    op.create_index("ix_usage_dead_letters_first_seen", "usage_dead_letters", ["first_seen"])
    op.create_index("ix_usage_dead_letters_origin", "usage_dead_letters", ["producer", "segment"])
    state = op.create_table(
        "ledger_state",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("retained_from", _TIME),
    )
    op.bulk_insert(state, [{"id": 1}])
