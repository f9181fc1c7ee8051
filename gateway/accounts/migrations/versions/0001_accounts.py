"""Make users, keys, what providers keep for users, and the change counter.

Revision ID: 0001
Revises: none
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.tables import UtcTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "account_users",
        sa.Column("user_id", sa.String(255), primary_key=True),
        sa.Column("alias", sa.Text),
        sa.Column("blocked", sa.Boolean, nullable=False),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("updated_at", UtcTime, nullable=False),
        sa.Column("deleted_at", UtcTime),
    )
    op.create_table(
        "account_keys",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("key_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("key_prefix", sa.String(16), nullable=False),
        sa.Column("key_name", sa.Text),
        sa.Column(
            "user_id",
            sa.String(255),
            sa.ForeignKey("account_users.user_id", name="fk_account_keys_user_id"),
            nullable=False,
        ),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("last_used_at", UtcTime),
        sa.Column("expires_at", UtcTime),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("metadata", sa.JSON, nullable=False),
    )
    op.create_index("ix_account_keys_user_id", "account_keys", ["user_id"])
    op.create_table(
        "account_provider_objects",
        sa.Column("object_id", sa.String(255), primary_key=True),
        sa.Column("user_id", sa.String(255), primary_key=True),
        sa.Column("provider", sa.String(255), nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
    )
    op.create_index("ix_account_provider_objects_created_at", "account_provider_objects", ["created_at"])
    changes = op.create_table(
        "account_changes",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(changes, [{"id": 1, "counter": 0}])
