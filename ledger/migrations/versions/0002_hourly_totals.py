"""Add the hourly sums of all users together, made from those by user.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_COUNTS = (
    "events",
    "calls",
    "errors",
    "estimated",
    "unpriced",
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
    "duration_us",
)


def upgrade() -> None:
    op.create_table(
        "hourly_totals",
        sa.Column("hour", sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql"), primary_key=True),
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        *(sa.Column(count, sa.BigInteger, nullable=False) for count in _COUNTS),
        sa.Column("cost_pico", sa.BigInteger().with_variant(sa.Numeric(38, 0), "postgresql"), nullable=False),
        sa.CheckConstraint("typeof(cost_pico) = 'integer'", name="ck_hourly_totals_cost").ddl_if(dialect="sqlite"),
    )
    measures = (*_COUNTS, "cost_pico")
    op.execute(
        f"INSERT INTO hourly_totals (hour, provider, model, {', '.join(measures)}) "
        f"SELECT hour, provider, model, {', '.join(f'sum({name})' for name in measures)} "
        "FROM hourly_usage GROUP BY hour, provider, model"
    )
