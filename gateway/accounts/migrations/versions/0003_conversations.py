"""Keep conversations and background jobs.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.tables import UtcTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _conversations()
    _jobs()


def _conversations() -> None:
    op.create_table(
        "account_conversations",
        sa.Column("user_id", sa.String(255), primary_key=True),
        sa.Column("conversation_id", sa.String(255), primary_key=True),
        sa.Column("system_prompt", sa.Text),
        sa.Column("last_position", sa.BigInteger, nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("updated_at", UtcTime, nullable=False),
        sa.Column("expires_at", UtcTime, nullable=False),
    )
    op.create_index("ix_account_conversations_expires_at", "account_conversations", ["expires_at"])
    op.create_index("ix_account_conversations_recent", "account_conversations", ["user_id", "updated_at"])
    op.create_table(
        "account_messages",
        sa.Column("user_id", sa.String(255), primary_key=True),
        sa.Column("conversation_id", sa.String(255), primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id", "conversation_id"],
            ["account_conversations.user_id", "account_conversations.conversation_id"],
            name="fk_account_messages_conversation",
            ondelete="CASCADE",
        ),
    )


def _jobs() -> None:
    op.create_table(
        "account_jobs",
        sa.Column("job_id", sa.String(36), primary_key=True),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("key_id", sa.String(36)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("status", sa.Integer),
        sa.Column("runs", sa.Integer, nullable=False),
        sa.Column("claimed_by", sa.String(36)),
        sa.Column("leased_until", UtcTime),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("started_at", UtcTime),
        sa.Column("ended_at", UtcTime),
        sa.Column("expires_at", UtcTime, nullable=False),
    )
    op.create_index("ix_account_jobs_expires_at", "account_jobs", ["expires_at"])
    op.create_index("ix_account_jobs_open", "account_jobs", ["state", "leased_until"])
    op.create_index("ix_account_jobs_user_id", "account_jobs", ["user_id", "state"])
