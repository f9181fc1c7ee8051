"""`tollgate keys`: virtual keys, without a running gateway."""

from __future__ import annotations

import argparse
import json
import sys

from gateway import command_line
from gateway.__main__ import prepare
from gateway.accounts.bootstrap import ensure_bootstrap_key
from gateway.accounts.first_keys import read_or_make
from gateway.accounts.issuing import KeyIssuer, NewKey
from gateway.accounts.store import AccountStore, Actor
from gateway.settings import load
from ledger.engine import make_engine


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a key and show it once")
    command_line.arguments(create)
    create.add_argument("--name", help="what the key is for")
    create.add_argument("--user", help="who pays; made when unknown")


def main(options: argparse.Namespace) -> int:
    """Raises SettingsError."""
    settings = load(command_line.overrides_of(options))
    prepare(settings)
    issuer = KeyIssuer(AccountStore(make_engine(settings.accounts_url)))
    # Before this one: only a database without any key is given the first, which `tollgate link` signs in with.
    ensure_bootstrap_key(issuer, read_or_make(settings).bootstrap)
    record, plain = issuer.create(Actor("command line"), NewKey(key_name=options.name, user_id=options.user))
    sys.stdout.write(json.dumps({"id": record.id, "key": plain, "user_id": record.user_id}) + "\n")
    return 0
