"""Bring a database to the schema that this code needs. Safe when several processes start at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from ledger.engine import make_engine, reading


@dataclass(frozen=True, slots=True)
class History:
    """The migrations of one set of tables. Several may live in one database, each with a version table of its own.

    `folder` holds Alembic's `env.py` and `versions`; `lock` is the number of an advisory lock on Postgres.
    """

    folder: Path
    version_table: str
    lock: int

    def upgrade(self, url: str) -> None:
        """Run what is missing, in one transaction; nothing to do is fine. A second process waits for the first.

        Raises sqlalchemy.exc.OperationalError when the database is not reachable.
        """
        engine = make_engine(url)
        try:
            if self.current(engine) == self.head():
                return
            with engine.begin() as connection:  # on SQLite this is BEGIN IMMEDIATE, the lock
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": self.lock})
                command.upgrade(self._config(connection), "head")
        finally:
            engine.dispose()

    def current(self, engine: Engine) -> str | None:
        """The schema's revision; None for a database without these tables."""
        with reading(engine) as connection:
            context = MigrationContext.configure(connection, opts={"version_table": self.version_table})
            return context.get_current_revision()

    def head(self) -> str:
        """The revision that this code needs."""
        revision = ScriptDirectory.from_config(self._config(None)).get_current_head()
        assert revision is not None, "the package holds its migrations"  # noqa: S101
        return revision

    def _config(self, connection: Connection | None) -> Config:
        config = Config()
        # A literal percent sign in the install path would be read as interpolation.
        config.set_main_option("script_location", str(self.folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        return config


LEDGER = History(Path(__file__).parent / "migrations", "alembic_version_ledger", 7_061_640_101)


def upgrade(url: str) -> None:
    """Bring a ledger database to `head()`. Raises sqlalchemy.exc.OperationalError when it is not reachable."""
    LEDGER.upgrade(url)


def current(engine: Engine) -> str | None:
    """The ledger schema's revision; None for a database without a ledger."""
    return LEDGER.current(engine)


def head() -> str:
    """The ledger revision that this code needs."""
    return LEDGER.head()
