"""Migrations: the schema that the tables state, whoever comes first, from wherever the package lies."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError

from ledger import migrate
from ledger.engine import make_engine, reading
from ledger.tables import metadata
from tests.services import free_port
from tests.usage_worker.events import save, usage_event
from usage_worker.verify import verify

ROOT = Path(__file__).resolve().parents[2]


def test_the_migrated_schema_is_what_the_tables_say(ledger_url: str) -> None:
    migrate.upgrade(ledger_url)
    engine = make_engine(ledger_url)
    with reading(engine) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "version_table": migrate.LEDGER.version_table}
        )
        assert compare_metadata(context, metadata) == []
        assert inspect(connection).get_view_names() == ["session_usage"]
    engine.dispose()


def test_twice_is_as_good_as_once_and_the_revision_is_told(ledger_url: str) -> None:
    engine = make_engine(ledger_url)
    assert migrate.current(engine) is None
    migrate.upgrade(ledger_url)
    migrate.upgrade(ledger_url)
    assert migrate.current(engine) == migrate.head()
    engine.dispose()


def test_an_older_ledger_is_brought_up_with_its_sums(ledger_url: str) -> None:
    migrate.upgrade(ledger_url)
    engine = make_engine(ledger_url)
    save(engine, [usage_event(number) for number in range(20)])
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE hourly_totals"))
        connection.execute(text("UPDATE alembic_version_ledger SET version_num = '0001'"))
    migrate.upgrade(ledger_url)
    assert migrate.current(engine) == migrate.head() == "0002"
    assert verify(engine) == []
    engine.dispose()


def test_other_version_tables_are_left_alone(ledger_url: str) -> None:
    engine = make_engine(ledger_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('somebody else')"))
    migrate.upgrade(ledger_url)
    with reading(engine) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "somebody else"
    engine.dispose()


def test_processes_that_start_at_once_do_not_disturb_each_other(ledger_url: str) -> None:
    code = "import sys; from ledger import migrate; migrate.upgrade(sys.argv[1])"

    def one(_: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, ledger_url]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(one, range(4)))
    assert [(each.returncode, each.stderr) for each in done] == [(0, "")] * 4
    engine = make_engine(ledger_url)
    assert migrate.current(engine) == migrate.head()
    engine.dispose()


def test_the_package_runs_from_anywhere(tmp_path: Path) -> None:
    """As an installed wheel does; the folder's name would be read as interpolation if it were not escaped."""
    site = tmp_path / "100%s site"
    for package in ("ledger", "usage_contract"):
        shutil.copytree(ROOT / package, site / package)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from ledger import migrate; import ledger;"
        "assert ledger.__file__.startswith(sys.argv[1]); migrate.upgrade(sys.argv[2])"
    )
    command = [sys.executable, "-c", code, str(site), f"sqlite:///{tmp_path}/ledger.db"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_database_that_is_away_is_said_so() -> None:
    with pytest.raises(OperationalError):
        migrate.upgrade(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
