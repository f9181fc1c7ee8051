"""Tables of the accounts database. Names start with `account_` so that they never meet those of an any-llm gateway."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, MetaData, String, Table, Text

from ledger.tables import UtcTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

users = Table(
    "account_users",
    metadata,
    Column("user_id", String(255), primary_key=True),
    Column("alias", Text),
    Column("blocked", Boolean, nullable=False, default=False),
    Column("metadata", JSON, nullable=False, default=dict),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("deleted_at", UtcTime),
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
    Column("last_used_at", UtcTime),
    Column("expires_at", UtcTime),
    Column("is_active", Boolean, nullable=False, default=True),
    Column("metadata", JSON, nullable=False, default=dict),
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

# One row. Every change of a key or user raises the counter, so that other processes know to look again.
changes = Table(
    "account_changes",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("counter", BigInteger, nullable=False),
)
