"""`tollgate usage`: check, mend and export the ledger."""

from __future__ import annotations

import argparse

from gateway import command_line
from gateway.settings import load
from usage_worker.commands import add_usage_actions


def arguments(parser: argparse.ArgumentParser) -> None:
    add_usage_actions(parser, flags=command_line.arguments, database_url=_ledger_url)


def main(options: argparse.Namespace) -> int:
    """Each action has brought its handler. Raises SettingsError."""
    code: int = options.run(options)
    return code


def _ledger_url(options: argparse.Namespace) -> str:
    return load(command_line.overrides_of(options)).ledger_url
