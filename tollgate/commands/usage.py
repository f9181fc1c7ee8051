"""`tollgate usage`: check, mend and export the ledger."""

from __future__ import annotations

import argparse

from gateway import command_line
from gateway.admission.at_rest import holds_left
from gateway.admission.in_redis import RedisAway
from gateway.settings import load
from usage_worker.commands import add_usage_actions


def arguments(parser: argparse.ArgumentParser) -> None:
    add_usage_actions(parser, flags=command_line.arguments, database_url=_ledger_url, also_verify=_holds_left)


def main(options: argparse.Namespace) -> int:
    """Each action has brought its handler. Raises SettingsError."""
    code: int = options.run(options)
    return code


def _ledger_url(options: argparse.Namespace) -> str:
    return load(command_line.overrides_of(options)).ledger_url


def _holds_left(options: argparse.Namespace) -> list[str]:
    """In Redis. Without it holds live and die in the gateway's memory."""
    settings = load(command_line.overrides_of(options))
    if not settings.redis_url:
        return []
    try:
        return holds_left(settings.redis_url, settings.admission.lease_seconds)
    except (RedisAway, ValueError) as error:
        return [f"holds [{error}]: not looked at"]
