"""`tollgate usage ...` as it is typed: output, exit codes, and one line for what a person must mend."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from ledger import migrate
from ledger.engine import make_engine
from tests.services import free_port
from tests.usage_worker.events import NOON, PRODUCER, entry_of, save, store_of, stored_events, usage_event
from usage_worker.commands import add_usage_actions
from usage_worker.entries import Entry, letter_of


def run(url: str | None, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_usage_actions(parser.add_subparsers().add_parser("usage"))
    at = 3 if arguments[0] == "dead-letters" else 2
    words = ["usage", *arguments]
    options = parser.parse_args([*words[:at], *([] if url is None else ["--database-url", url]), *words[at:]])
    code: int = options.run(options)
    return code


@pytest.fixture
def filled(ledger_url: str) -> Iterator[Engine]:
    migrate.upgrade(ledger_url)
    engine = make_engine(ledger_url)
    save(engine, [usage_event(1), usage_event(2)])
    store_of(engine).save(
        [], [letter_of(entry_of(usage_event(3)), "was unreadable"), letter_of(Entry(None, b"?", PRODUCER, 1), "bad")]
    )
    yield engine
    engine.dispose()


def test_verify_rebuild_verify(filled: Engine, ledger_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ledger_url, "verify") == 0
    said = capsys.readouterr()
    assert "adds up" in said.out
    assert "2 dead letters wait" in said.err
    with filled.begin() as connection:
        connection.execute(text("DELETE FROM daily_usage"))
    assert run(ledger_url, "verify") == 1
    assert "daily_usage [day=2026-11-20" in capsys.readouterr().out
    assert run(ledger_url, "rebuild", "--from", "2026-11-20", "--to", "2026-11-21") == 0
    assert "from 2026-11-20 to before 2026-11-21" in capsys.readouterr().out
    assert run(ledger_url, "verify") == 0
    assert run(ledger_url, "rebuild", "--from", "2030-01-01") == 0
    assert "Nothing to rebuild" in capsys.readouterr().out


def test_export_to_a_file_and_to_standard_output(
    filled: Engine, ledger_url: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    target = tmp_path / "events.jsonl"
    assert run(ledger_url, "export", "--format", "jsonl", "--output", str(target), "--user", "user-1") == 0
    assert [json.loads(line)["request_id"] for line in target.read_text().splitlines()] == ["req-1"]
    assert list(tmp_path.glob("*.part")) == []
    assert run(ledger_url, "export", "--from", "2026-11-20", "--to", "2026-11-21") == 0
    said = capfdbinary.readouterr()
    assert said.out.count(b"\r\n") == 3
    assert b"2 events" in said.err
    assert run(ledger_url, "export", "--to", "2026-11-20", "--format", "jsonl") == 0
    assert capfdbinary.readouterr().out == b""


def test_dead_letters_list_retry_drop(filled: Engine, ledger_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ledger_url, "dead-letters", "list") == 0
    assert "was unreadable" in capsys.readouterr().out
    assert run(ledger_url, "dead-letters", "list", "--json", "--limit", "1") == 0
    assert json.loads(capsys.readouterr().out)["first_seen"] == NOON.isoformat()
    assert run(ledger_url, "dead-letters", "retry") == 1
    said = capsys.readouterr().out
    assert said.startswith("1 stored, 1 still bad\n")
    assert len(stored_events(filled)) == 3
    letter = said.splitlines()[1].split()[0]
    assert run(ledger_url, "dead-letters", "drop", letter) == 0
    assert capsys.readouterr().out == "1 dropped\n"
    assert run(ledger_url, "dead-letters", "retry") == 0
    assert run(ledger_url, "verify") == 0


def test_what_a_person_must_mend_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GATEWAY_DATABASE_URL", raising=False)
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    cases = [
        (None, "no database: give --database-url"),
        (f"sqlite:///{tmp_path}/empty.db", "run `tollgate migrate`"),
        (away, "is its database up?"),
        ("mysql://x/y", "must begin with sqlite:/// or postgresql://"),
    ]
    for url, words in cases:
        assert run(url, "verify") == 1
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1


def test_whoever_adds_the_commands_finds_the_database(filled: Engine, ledger_url: str) -> None:
    parser = argparse.ArgumentParser()
    add_usage_actions(
        parser.add_subparsers().add_parser("usage"),
        flags=lambda sub: sub.add_argument("--config"),  # type: ignore[arg-type]
        database_url=lambda options: ledger_url if options.config == "here" else "",
    )
    options = parser.parse_args(["usage", "verify", "--config", "here"])
    assert options.run(options) == 0
