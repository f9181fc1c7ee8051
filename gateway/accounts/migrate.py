"""The accounts database's migrations."""

from __future__ import annotations

from pathlib import Path

from ledger.migrate import History

ACCOUNTS = History(Path(__file__).parent / "migrations", "alembic_version_accounts", 7_061_640_102)
