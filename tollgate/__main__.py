"""The `tollgate` command."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway import __main__ as gateway_command
from gateway import __version__
from gateway.accounts.bootstrap import make_secrets, read_or_make
from gateway.accounts.keys import Keys
from gateway.accounts.store import AccountStore
from gateway.settings import SettingsError, load
from ledger.engine import make_engine
from tollgate import doctor, up
from tollgate.link import link_of
from usage_worker.commands import add_usage_commands

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when all is well, 1 with one line on standard error for what must be mended, 2 for wrong usage."""
    options = _parser().parse_args(argv)
    run: Command = options.run
    try:
        return run(options)
    except SettingsError as error:
        sys.stderr.write(f"tollgate: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tollgate", description="A self-hosted LLM gateway whose bill is exact")
    parser.add_argument("--version", action="version", version=f"tollgate {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    starting = commands.add_parser("up", help="start everything on this machine")
    gateway_command.arguments(starting)
    starting.add_argument("--no-ui", action="store_true", help="do not serve the page")
    starting.add_argument("--no-local", action="store_true", help="do not start the local model")
    starting.set_defaults(run=up.main)

    for name in ("gateway", "serve"):
        serving = commands.add_parser(name, help="the gateway alone" if name == "gateway" else "the same as gateway")
        gateway_command.arguments(serving)
        serving.set_defaults(run=_gateway)

    for name in ("migrate", "init-db"):
        migrating = _with_settings(commands.add_parser(name, help="bring the databases to this version's schema"))
        migrating.set_defaults(run=_migrate)

    init = commands.add_parser("init", help="make the master key, the first virtual key and a database password")
    init.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to keep them in")
    init.set_defaults(run=_init)

    keys = commands.add_parser("keys", help="virtual keys").add_subparsers(required=True, metavar="ACTION")
    create = _with_settings(keys.add_parser("create", help="make a key and show it once"))
    create.add_argument("--name", help="what the key is for")
    create.add_argument("--user", help="who pays; made when unknown")
    create.set_defaults(run=_create_key)

    link = _with_settings(commands.add_parser("link", help="print the link that signs a browser in"))
    link.set_defaults(run=_link)

    doctor_parser = _with_settings(commands.add_parser("doctor", help="look for what is wrong, and say what to do"))
    doctor_parser.set_defaults(run=doctor.main)

    add_usage_commands(commands, flags=gateway_command.arguments, database_url=_ledger_url)
    return parser


def _with_settings(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    gateway_command.arguments(parser)
    return parser


def _ledger_url(options: argparse.Namespace) -> str:
    return load(gateway_command.overrides_of(options)).ledger_url


def _gateway(options: argparse.Namespace) -> int:
    overrides = gateway_command.overrides_of(options)
    gateway_command.serve(load(overrides), options.workers, overrides)
    return 0


def _migrate(options: argparse.Namespace) -> int:
    settings = load(gateway_command.overrides_of(options))
    if settings.accounts_url.startswith("sqlite"):
        gateway_command.check_folder(settings.data_dir, "data_dir")
    gateway_command.migrate(settings)
    sys.stdout.write("The databases have the schema of this version.\n")
    return 0


def _init(options: argparse.Namespace) -> int:
    make_secrets(options.out)
    sys.stdout.write(f"Secrets are in {options.out}\n")
    return 0


def _create_key(options: argparse.Namespace) -> int:
    settings = load(gateway_command.overrides_of(options))
    gateway_command.prepare(settings)
    keys = Keys(AccountStore(make_engine(settings.accounts_url)), read_or_make(settings).master)
    record, plain = asyncio.run(keys.create(key_name=options.name, user_id=options.user))
    sys.stdout.write(json.dumps({"id": record.id, "key": plain, "user_id": record.user_id}) + "\n")
    return 0


def _link(options: argparse.Namespace) -> int:
    sys.stdout.write(link_of(load(gateway_command.overrides_of(options))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
