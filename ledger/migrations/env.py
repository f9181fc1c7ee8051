"""Alembic's entry point. `ledger.migrate` hands in an open connection, inside a transaction that it commits."""

from __future__ import annotations

from alembic import context

from ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="alembic_version_ledger",
)
context.run_migrations()
