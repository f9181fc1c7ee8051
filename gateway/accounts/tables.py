"""Tables of the accounts database. Names start with `account_` so that they never meet those of an any-llm gateway.

`version` is the value of the change counter at a row's last change: whoever has seen the counter at N reads on from
there. Money is exact decimal text. Keys and users are never removed, only marked as deleted: others learn of it by
`version`, and the ledger's rows keep their names.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from ledger.tables import UtcTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Json = JSON(none_as_null=True)

users = Table(
    "account_users",
    metadata,
    Column("user_id", String(255), primary_key=True),
    Column("alias", Text),
    Column("blocked", Boolean, nullable=False),
    Column("metadata", _Json, nullable=False),
    Column("limits", _Json),
    Column("spend_since", UtcTime, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("deleted_at", UtcTime),
    Column("version", BigInteger, nullable=False, index=True),
)

keys = Table(
    "account_keys",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("key_prefix", String(16), nullable=False),
    Column("key_name", Text),
    Column("user_id", String(255), ForeignKey("account_users.user_id"), nullable=False, index=True),
    Column("created_at", UtcTime, nullable=False),
    Column("spend_since", UtcTime),
    Column("last_used_at", UtcTime),
    Column("expires_at", UtcTime),
    Column("is_active", Boolean, nullable=False),
    Column("metadata", _Json, nullable=False),
    Column("tags", _Json, nullable=False),
    Column("allowed_models", _Json),
    Column("limits", _Json),
    Column("previous_hash", String(64), unique=True),
    Column("previous_until", UtcTime),
    Column("deleted_at", UtcTime),
    Column("version", BigInteger, nullable=False, index=True),
)

budgets = Table(
    "account_budgets",
    metadata,
    Column("budget_id", String(36), primary_key=True),
    Column("name", Text),
    Column("max_budget", String(40)),
    Column("duration_seconds", BigInteger),
    Column("period", String(8)),
    Column("zone", String(64), nullable=False),
    Column("soft_threshold", String(40)),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

# Who holds which budget. Users and keys hold at most one; a model, provider, tag or everybody may hold several.
budget_holders = Table(
    "account_budget_holders",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("scope_id", String(255), primary_key=True),
    Column("budget_id", String(36), ForeignKey("account_budgets.budget_id"), primary_key=True, index=True),
    Column("started_at", UtcTime, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("next_reset_at", UtcTime, index=True),
)

# What was spent in the period that ended is read from the ledger, between `since` and `reset_at`.
budget_resets = Table(
    "account_budget_resets",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("budget_id", String(36), nullable=False),
    Column("scope", String(16), nullable=False),
    Column("scope_id", String(255), nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("reset_at", UtcTime, nullable=False),
    Column("next_reset_at", UtcTime),
    Index("ix_account_budget_resets_budget_id", "budget_id", "id"),
)

# What a model, a provider or everybody may use up; keys and users have a column of their own for that.
limits = Table(
    "account_limits",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("scope_id", String(255), primary_key=True),
    Column("limits", _Json, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

prices = Table(
    "account_prices",
    metadata,
    Column("model_key", String(255), primary_key=True),
    Column("effective_at", UtcTime, primary_key=True),
    Column("price", _Json, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

# Only ever added to.
audit_log = Table(
    "account_audit",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("request_id", String(64)),
    Column("action", String(32), nullable=False),
    Column("subject", String(16), nullable=False),
    Column("subject_id", String(255), nullable=False),
    Column("before", _Json),
    Column("after", _Json),
    Index("ix_account_audit_subject", "subject", "subject_id", "id"),
)

# What a provider keeps for a user and names by an id: responses and conversations of OpenAI's Responses API.
provider_objects = Table(
    "account_provider_objects",
    metadata,
    Column("object_id", String(255), primary_key=True),
    Column("user_id", String(255), primary_key=True),
    Column("provider", String(255), nullable=False),
    Column("created_at", UtcTime, nullable=False, index=True),
)

# Dialogues that the gateway keeps for a user. What people and models said stands here and nowhere else.
conversations = Table(
    "account_conversations",
    metadata,
    Column("user_id", String(255), primary_key=True),
    Column("conversation_id", String(255), primary_key=True),
    Column("system_prompt", Text),
    Column("last_position", BigInteger, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False, index=True),
    Index("ix_account_conversations_recent", "user_id", "updated_at"),
)

messages = Table(
    "account_messages",
    metadata,
    Column("user_id", String(255), primary_key=True),
    Column("conversation_id", String(255), primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("role", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    ForeignKeyConstraint(
        ["user_id", "conversation_id"],
        ["account_conversations.user_id", "account_conversations.conversation_id"],
        name="fk_account_messages_conversation",
        ondelete="CASCADE",
    ),
)

# Calls to be made in the background. `claimed_by` works on it until `leased_until`; `request` and `answer` are JSON.
jobs = Table(
    "account_jobs",
    metadata,
    Column("job_id", String(36), primary_key=True),
    Column("user_id", String(255), nullable=False),
    Column("key_id", String(36)),
    Column("state", String(16), nullable=False),
    Column("request", Text, nullable=False),
    Column("answer", Text),
    Column("status", Integer),
    Column("runs", Integer, nullable=False),
    Column("claimed_by", String(36)),
    Column("leased_until", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("expires_at", UtcTime, nullable=False, index=True),
    Index("ix_account_jobs_open", "state", "leased_until"),
    Index("ix_account_jobs_user_id", "user_id", "state"),
)

# One row. Every change raises the counter in its own transaction, so that other processes know to look again.
changes = Table(
    "account_changes",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("counter", BigInteger, nullable=False),
)
