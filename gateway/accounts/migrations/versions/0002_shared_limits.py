"""Make the limits that models, providers and everybody share.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.tables import UtcTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "account_limits",
        sa.Column("scope", sa.String(16), primary_key=True),
        sa.Column("scope_id", sa.String(255), primary_key=True),
        sa.Column("limits", sa.JSON, nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("updated_at", UtcTime, nullable=False),
    )
