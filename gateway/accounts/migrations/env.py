"""Alembic's entry point. `ledger.migrate.History` hands in an open connection, inside a transaction that it commits."""

from __future__ import annotations

from alembic import context

from gateway.accounts.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="alembic_version_accounts",
)
context.run_migrations()
