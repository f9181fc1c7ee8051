from tests.ledger.fixtures import ledger, ledger_url, postgres_ledger, sqlite_ledger

__all__ = ["ledger", "ledger_url", "postgres_ledger", "sqlite_ledger"]
