"""Make users, keys, budgets, prices, the audit log, what providers keep for users, and the change counter.

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
    _users()
    _keys()
    _budgets()
    _prices()
    _audit()
    _provider_objects()
    changes = op.create_table(
        "account_changes",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(changes, [{"id": 1, "counter": 0}])


def _users() -> None:
    op.create_table(
        "account_users",
        sa.Column("user_id", sa.String(255), primary_key=True),
        sa.Column("alias", sa.Text),
        sa.Column("blocked", sa.Boolean, nullable=False),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("limits", sa.JSON),
        sa.Column("spend_since", UtcTime, nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("updated_at", UtcTime, nullable=False),
        sa.Column("deleted_at", UtcTime),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_account_users_version", "account_users", ["version"])


def _keys() -> None:
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
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("allowed_models", sa.JSON),
        sa.Column("limits", sa.JSON),
        sa.Column("previous_hash", sa.String(64), unique=True),
        sa.Column("previous_until", UtcTime),
        sa.Column("deleted_at", UtcTime),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_account_keys_user_id", "account_keys", ["user_id"])
    op.create_index("ix_account_keys_version", "account_keys", ["version"])


def _budgets() -> None:
    op.create_table(
        "account_budgets",
        sa.Column("budget_id", sa.String(36), primary_key=True),
        sa.Column("name", sa.Text),
        sa.Column("max_budget", sa.String(40)),
        sa.Column("duration_seconds", sa.BigInteger),
        sa.Column("period", sa.String(8)),
        sa.Column("zone", sa.String(64), nullable=False),
        sa.Column("soft_threshold", sa.String(40)),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("updated_at", UtcTime, nullable=False),
    )
    op.create_table(
        "account_budget_holders",
        sa.Column("scope", sa.String(16), primary_key=True),
        sa.Column("scope_id", sa.String(255), primary_key=True),
        sa.Column(
            "budget_id",
            sa.String(36),
            sa.ForeignKey("account_budgets.budget_id", name="fk_account_budget_holders_budget_id"),
            primary_key=True,
        ),
        sa.Column("started_at", UtcTime, nullable=False),
        sa.Column("since", UtcTime, nullable=False),
        sa.Column("next_reset_at", UtcTime),
    )
    op.create_index("ix_account_budget_holders_budget_id", "account_budget_holders", ["budget_id"])
    op.create_index("ix_account_budget_holders_next_reset_at", "account_budget_holders", ["next_reset_at"])
    op.create_table(
        "account_budget_resets",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("budget_id", sa.String(36), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("scope_id", sa.String(255), nullable=False),
        sa.Column("since", UtcTime, nullable=False),
        sa.Column("reset_at", UtcTime, nullable=False),
        sa.Column("next_reset_at", UtcTime),
    )
    op.create_index("ix_account_budget_resets_budget_id", "account_budget_resets", ["budget_id", "id"])


def _prices() -> None:
    op.create_table(
        "account_prices",
        sa.Column("model_key", sa.String(255), primary_key=True),
        sa.Column("effective_at", UtcTime, primary_key=True),
        sa.Column("price", sa.JSON, nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("updated_at", UtcTime, nullable=False),
    )


def _audit() -> None:
    op.create_table(
        "account_audit",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(64)),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(16), nullable=False),
        sa.Column("subject_id", sa.String(255), nullable=False),
        sa.Column("before", sa.JSON),
        sa.Column("after", sa.JSON),
    )
    op.create_index("ix_account_audit_subject", "account_audit", ["subject", "subject_id", "id"])


def _provider_objects() -> None:
    op.create_table(
        "account_provider_objects",
        sa.Column("object_id", sa.String(255), primary_key=True),
        sa.Column("user_id", sa.String(255), primary_key=True),
        sa.Column("provider", sa.String(255), nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
    )
    op.create_index("ix_account_provider_objects_created_at", "account_provider_objects", ["created_at"])
