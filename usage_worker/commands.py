"""`tollgate usage verify|rebuild|export|dead-letters`: argument parsing and output; the work is done next door.

Every handler takes the parsed options and returns the exit code: 0, 1 for what a person must look at or mend.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ledger import migrate
from ledger.engine import make_engine
from ledger.partitions import midnight
from ledger.queries import UsageFilter
from usage_worker import dead_letters
from usage_worker.errors import WorkerError
from usage_worker.export import FORMATS, CannotExport, export
from usage_worker.rebuild import CannotRebuild, rebuild
from usage_worker.verify import verify

DatabaseUrl = Callable[[argparse.Namespace], str]
More = Callable[[argparse.Namespace], list[str]]


def database_url_flag(parser: argparse.ArgumentParser) -> None:
    """The one flag that the commands need when nobody resolves settings for them."""
    variable = "GATEWAY_DATABASE_URL"
    parser.add_argument("--database-url", default=os.environ.get(variable), help=f"ledger database [{variable}]")


def given_database_url(options: argparse.Namespace) -> str:
    if not options.database_url:
        raise ValueError("no database: give --database-url or set GATEWAY_DATABASE_URL")
    return str(options.database_url)


def nothing_more(_options: argparse.Namespace) -> list[str]:
    return []


def add_usage_actions(
    usage: argparse.ArgumentParser,
    *,
    flags: Callable[[argparse.ArgumentParser], None] = database_url_flag,
    database_url: DatabaseUrl = given_database_url,
    also_verify: More = nothing_more,
) -> None:
    """Give a `usage` command its actions. `flags` adds what `database_url` needs to find the ledger (`--config`, ...);
    `also_verify` says what is wrong outside the ledger. Each action's handler is in the parsed options as `run`."""
    actions = usage.add_subparsers(required=True, metavar="ACTION")

    def add(name: str, handler: Callable[[Engine, argparse.Namespace], int], text: str, to: Any) -> Any:
        parser = to.add_parser(name, help=text)
        flags(parser)
        parser.set_defaults(run=lambda options: _run(handler, options, database_url))
        return parser

    def verifying(engine: Engine, options: argparse.Namespace) -> int:
        return _verify(engine, also_verify(options))

    add("verify", verifying, "prove that events, rollups and receipts agree, and that no hold is left over", actions)
    rebuilding = add("rebuild", _rebuild, "make rollups from the events again", actions)
    rebuilding.add_argument("--from", dest="start", type=date.fromisoformat, metavar="DAY", help="first UTC day")
    rebuilding.add_argument("--to", dest="end", type=date.fromisoformat, metavar="DAY", help="day after the last")
    exporting = add("export", _export, "write events to a file", actions)
    exporting.add_argument("--format", choices=sorted(FORMATS), default="csv")
    exporting.add_argument("--output", type=Path, metavar="FILE", help="standard output when left out")
    exporting.add_argument("--from", dest="start", type=date.fromisoformat, metavar="DAY", help="first UTC day")
    exporting.add_argument("--to", dest="end", type=date.fromisoformat, metavar="DAY", help="day after the last")
    for name in ("user", "key", "session"):
        exporting.add_argument(f"--{name}", metavar="ID", help=f"only this {name}'s events")

    letters = actions.add_parser("dead-letters", help="events that could not be stored")
    verbs = letters.add_subparsers(required=True, metavar="VERB")
    listing = add("list", _list_letters, "show those that wait for somebody", verbs)
    listing.add_argument("--limit", type=int, default=100)
    listing.add_argument("--json", action="store_true", help="one JSON object a line, with the payload")
    retrying = add("retry", _retry_letters, "store what can be stored by now", verbs)
    retrying.add_argument("ids", nargs="*", metavar="ID", help="their ids or beginnings; all when left out")
    dropping = add("drop", _drop_letters, "give letters up for good", verbs)
    dropping.add_argument("ids", nargs="+", metavar="ID", help="their ids or beginnings")


def _run(handler: Callable[[Engine, argparse.Namespace], int], options: argparse.Namespace, url: DatabaseUrl) -> int:
    """Failures that a person can mend are one line on standard error."""
    try:
        return _with_ledger(handler, options, url)
    except (WorkerError, CannotExport, CannotRebuild, ValueError) as error:
        sys.stderr.write(f"tollgate usage: {error}\n")
    except SQLAlchemyError as error:
        sys.stderr.write(f"tollgate usage: the ledger cannot be used ({type(error).__name__}): is its database up?\n")
    return 1


def _with_ledger(
    handler: Callable[[Engine, argparse.Namespace], int], options: argparse.Namespace, url: DatabaseUrl
) -> int:
    engine = make_engine(url(options))
    try:
        if migrate.current(engine) != migrate.head():
            raise ValueError("the ledger is missing or of another version: run `tollgate migrate`")
        return handler(engine, options)
    finally:
        engine.dispose()


def _verify(engine: Engine, outside: list[str]) -> int:
    differences = verify(engine)
    for line in (*differences, *outside):
        sys.stdout.write(f"{line}\n")
    waiting = dead_letters.count_open(engine)
    if waiting:
        sys.stderr.write(f"{waiting} dead letters wait: tollgate usage dead-letters list\n")
    if differences:
        sys.stderr.write(f"{len(differences)} differences; rollups are made anew by `tollgate usage rebuild`\n")
    if outside:
        sys.stderr.write("What is held for calls does not agree: a running gateway gives back what a dead one held\n")
    if differences or outside:
        return 1
    sys.stdout.write("The ledger adds up: events, rollups and receipts agree.\n")
    return 0


def _rebuild(engine: Engine, options: argparse.Namespace) -> int:
    span = rebuild(engine, options.start, options.end)
    sys.stdout.write(
        "Nothing to rebuild.\n" if span is None else f"Rebuilt the days from {span[0]} to before {span[1]}.\n"
    )
    return 0


def _export(engine: Engine, options: argparse.Namespace) -> int:
    wanted = UsageFilter(
        start=midnight(options.start) if options.start else None,
        end=midnight(options.end) if options.end else None,
        user_id=options.user,
        key_id=options.key,
        session_id=options.session,
    )
    if options.output is None:
        count = export(engine, wanted, options.format, sys.stdout.buffer)
    else:
        # Beside its final name first: a file that is there is whole.
        part = options.output.with_name(options.output.name + ".part")
        with part.open("wb") as file:
            count = export(engine, wanted, options.format, file)
        part.replace(options.output)
    sys.stderr.write(f"{count} events\n")
    return 0


def _list_letters(engine: Engine, options: argparse.Namespace) -> int:
    for letter in dead_letters.open_letters(engine, limit=options.limit):
        if options.json:
            values = {name: getattr(letter, name) for name in letter.__dataclass_fields__}
            values |= {"first_seen": letter.first_seen.isoformat(), "payload": letter.payload.decode(errors="replace")}
            sys.stdout.write(json.dumps(values, ensure_ascii=False) + "\n")
        else:
            seen = letter.first_seen.isoformat(timespec="seconds")
            origin = f"{letter.producer}/{letter.segment}" if letter.producer else "origin unknown"
            sys.stdout.write(f"{letter.letter_id[:12]}  {seen}  {origin}  {letter.event_id or '-'}  {letter.reason}\n")
    return 0


def _retry_letters(engine: Engine, options: argparse.Namespace) -> int:
    result = dead_letters.retry(engine, _now, options.ids)
    sys.stdout.write(f"{result.stored} stored, {len(result.still_bad)} still bad\n")
    for letter_id, reason in result.still_bad.items():
        sys.stdout.write(f"{letter_id[:12]}  {reason}\n")
    return 1 if result.still_bad else 0


def _drop_letters(engine: Engine, options: argparse.Namespace) -> int:
    sys.stdout.write(f"{dead_letters.drop(engine, _now, options.ids)} dropped\n")
    return 0


def _now() -> datetime:
    return datetime.now(UTC)
