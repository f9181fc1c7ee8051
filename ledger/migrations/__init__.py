"""Alembic migrations of the ledger, in the package so that an installed wheel can run them."""
