"""`python -m gateway`: check what can be checked before the first call, then serve."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

import uvicorn
from sqlalchemy.exc import SQLAlchemyError
from uvicorn.supervisors import Multiprocess

from gateway.accounts.migrate import ACCOUNTS
from gateway.command_line import arguments, check_folder, listen, overrides_of, reason
from gateway.observability import logs
from gateway.settings import Overrides, Settings, SettingsError, load
from gateway.settings.schema import LocalSection
from ledger import migrate as ledger_migrate

GRACE_SECONDS = 30
# Longer than clients and proxies keep an idle connection (nginx 60 s, httpx 5 s), so that they close it, not we: a
# request that crosses our close is lost on its way.
IDLE_SECONDS = 75
_log = logging.getLogger("gateway")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal. Exit code 1, and one line, for what the operator must mend first."""
    parser = argparse.ArgumentParser(prog="python -m gateway", description="The Tollgate gateway")
    arguments(parser)
    options = parser.parse_args(argv)
    try:
        overrides = overrides_of(options)
        settings = load(overrides)
        serve(settings, options.workers, overrides)
    except SettingsError as error:
        sys.stderr.write(f"tollgate: {error}\n")
        return 1
    return 0


def serve(settings: Settings, workers: int, overrides: Overrides) -> None:
    """Raises SettingsError for what keeps it from starting."""
    prepare(settings)
    if workers > 1 and not settings.redis_url:
        raise SettingsError("--workers above 1 needs redis_url: limits would be counted in each process apart")
    patience = settings.caller_timeout_seconds
    sockets = [listen(settings.host, settings.port, "--port", patience)]
    if settings.page_dir is not None and settings.ui_port != settings.port:
        sockets.append(listen(settings.host, settings.ui_port, "--ui-port", patience))
    if (port := settings.llm_server.port) is not None:
        sockets.append(listen(settings.host, port, "llm_server.port", patience))
    _hand_down(overrides)
    config = uvicorn.Config(
        "gateway.serving:app",
        factory=True,
        workers=workers,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=IDLE_SECONDS,
        server_header=False,
        proxy_headers=False,  # nothing here asks for the caller's address, and a forwarded one could be made up
        h11_max_incomplete_event_size=64 * 1024,
        lifespan="on",
    )
    server = uvicorn.Server(config)
    for sock in sockets:
        _log.info("listening on http://%s:%d", *sock.getsockname()[:2])
    if workers > 1:
        Multiprocess(config, sockets=sockets).run()
    else:
        server.run(sockets=sockets)
        if not server.started:
            raise SettingsError("the gateway could not start; the log above says why")


def prepare(settings: Settings) -> None:
    """Everything that must hold before the first call. Raises SettingsError."""
    try:
        logs.configure(settings.log_level)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    check_folder(settings.data_dir, "data_dir")
    check_folder(settings.spool_root, "spool.folder")
    _warn_of_local(settings)
    if settings.auto_migrate:
        migrate(settings)


def _warn_of_local(settings: Settings) -> None:
    """The container does not read this file, which may hold keys: what is said in it for the service is unheard."""
    base = entry.api_base if (entry := settings.providers.get("local")) else None
    if base is None or urlsplit(base).hostname in ("127.0.0.1", "localhost", "::1"):
        return
    said, usual = settings.local, LocalSection()
    for name in LocalSection.model_fields:
        if name not in ("port", "server") and getattr(said, name) != getattr(usual, name):
            _log.warning("local.%s is not used by the local model at %s: set LOCAL_%s there", name, base, name.upper())


def migrate(settings: Settings) -> None:
    """Bring both databases to the schema of this version. Raises SettingsError when one cannot be reached."""
    for name, url, upgrade in (
        ("accounts", settings.accounts_url, ACCOUNTS.upgrade),
        ("ledger", settings.ledger_url, ledger_migrate.upgrade),
    ):
        try:
            upgrade(url)
        except (SQLAlchemyError, ValueError) as error:
            raise SettingsError(
                f"{name} database: cannot be reached or migrated ({reason(error)}); start it or mend database_url"
            ) from None


def _hand_down(overrides: Overrides) -> None:
    """Worker processes read the settings again, from the environment that they inherit."""
    if overrides.config is not None:
        os.environ["TOLLGATE_CONFIG"] = str(overrides.config)
    for name in ("data_dir", "host", "port", "database_url", "master_key", "log_level", "page_dir", "ui_port"):
        if (value := getattr(overrides, name)) is not None:
            os.environ[f"GATEWAY_{name.upper()}"] = str(value)


if __name__ == "__main__":
    sys.exit(main())
