"""`tollgate doctor`: look at everything that a start needs, say what is wrong and what to do about it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import redis
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from gateway.command_line import arguments, check_folder, listen, overrides_of, reason
from gateway.routing.providers import Provider, build_providers
from gateway.settings import Settings, SettingsError, load, with_dotenv
from gateway.settings.provider_keys import KeyRing
from ledger.engine import make_engine, reading

__all__ = ["arguments", "main"]

_GGUF_MAGIC = b"GGUF"  # https://github.com/ggml-org/ggml/blob/master/docs/gguf.md


@dataclass(frozen=True, slots=True)
class Finding:
    """`ok` None: worth knowing, not wrong."""

    what: str
    ok: bool | None
    said: str


def main(options: argparse.Namespace) -> int:
    """Print every finding; 1 when something must be mended. A port that a running Tollgate holds is not wrong."""
    findings = list(examine(options))
    for finding in findings:
        mark = {True: "ok  ", False: "FAIL", None: "note"}[finding.ok]
        sys.stdout.write(f"{mark}  {finding.what}: {finding.said}\n")
    return 1 if any(finding.ok is False for finding in findings) else 0


def examine(options: argparse.Namespace) -> Iterator[Finding]:
    try:
        settings = load(overrides_of(options))
        providers = build_providers(settings, _finder(settings))
    except SettingsError as error:
        yield Finding("config", False, str(error))
        return
    yield Finding("config", True, "read")
    yield from (
        _provider(provider) for provider in providers.values() if provider.row.needs_key or provider.unavailable
    )
    yield _folder(settings)
    yield _database("accounts database", settings.accounts_url)
    yield _database("ledger database", settings.ledger_url)
    yield _redis(settings)
    yield from _model_files(settings.models_dir)
    yield _port("API port", settings.host, settings.port, settings.caller_timeout_seconds)
    yield _port("page port", settings.host, settings.ui_port, settings.caller_timeout_seconds)


def _finder(settings: Settings) -> Callable[..., str | None]:
    ring = KeyRing(settings, with_dotenv(os.environ))
    return lambda entry, names, variables: ring.find(entry.api_key, names, variables)


def _provider(provider: Provider) -> Finding:
    if provider.unavailable is None:
        return Finding(f"provider {provider.name}", True, "has a key")
    return Finding(f"provider {provider.name}", None, provider.unavailable)


def _folder(settings: Settings) -> Finding:
    try:
        check_folder(settings.data_dir, "data_dir")
    except SettingsError as error:
        return Finding("data folder", False, str(error))
    return Finding("data folder", True, f"{settings.data_dir} can be written")


def _database(what: str, url: str) -> Finding:
    try:
        engine = make_engine(url)
        with reading(engine) as connection:
            connection.execute(text("SELECT 1"))
        engine.dispose()
    except (SQLAlchemyError, ValueError) as error:
        return Finding(what, False, f"cannot be reached ({reason(error)}); start it or mend database_url")
    return Finding(what, True, "answers")


def _redis(settings: Settings) -> Finding:
    if not settings.redis_url:
        return Finding("Redis", None, "none configured: the worker reads the spool itself")
    client = redis.Redis.from_url(settings.redis_url, socket_connect_timeout=3, socket_timeout=3)
    try:
        client.ping()
    except redis.RedisError as error:
        said = f"cannot be reached ({reason(error)}); start it or mend redis_url. Usage waits in the spool meanwhile"
        return Finding("Redis", False, said)
    finally:
        client.close()
    return Finding("Redis", True, "answers")


def _model_files(folder: Path) -> Iterator[Finding]:
    files = sorted(folder.glob("*.gguf")) if folder.is_dir() else []
    if not files:
        yield Finding("local model", None, f"no GGUF file in {folder}: hosted models only")
    for path in files:
        try:
            with path.open("rb") as file:
                whole = file.read(4) == _GGUF_MAGIC
        except OSError as error:
            yield Finding(f"local model {path.name}", False, f"cannot be read ({error.strerror})")
            continue
        said = "is a GGUF file" if whole else "is not a GGUF file; download it again or delete it"
        yield Finding(f"local model {path.name}", whole, said)


def _port(what: str, host: str, port: int, caller_timeout: float) -> Finding:
    try:
        listen(host, port, "--port", caller_timeout).close()
    except SettingsError as error:
        return Finding(what, None, f"{error} (fine while Tollgate itself is running)")
    return Finding(what, True, f"{port} is free")
