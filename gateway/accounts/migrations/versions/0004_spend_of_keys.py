"""Keep of a key since when its spending counts, as of a user: who changes its budget does not go back to its making.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.tables import UtcTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("account_keys", sa.Column("spend_since", UtcTime))
    op.execute(
        "UPDATE account_keys SET spend_since = coalesce((SELECT since FROM account_budget_holders"
        " WHERE scope = 'key' AND scope_id = account_keys.id), created_at)"
    )
