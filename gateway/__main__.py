"""`python -m gateway`: check what can be checked before the first call, then serve."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from sqlalchemy.exc import SQLAlchemyError
from uvicorn.supervisors import Multiprocess

from gateway.accounts.migrate import ACCOUNTS
from gateway.observability import logs
from gateway.settings import Overrides, Settings, SettingsError, load
from ledger import migrate as ledger_migrate

GRACE_SECONDS = 30
_log = logging.getLogger("gateway")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options that the gateway takes."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: ./config.yaml if it is there")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where SQLite files and the spool are")
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port of the API (8000)")
    parser.add_argument("--database-url", help="sqlite:///file or postgresql://user:password@host/name")
    parser.add_argument("--master-key", help="the management credential (better: GATEWAY_MASTER_KEY)")
    parser.add_argument("--auto-migrate", action=argparse.BooleanOptionalAction, default=None)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that share the port")
    parser.add_argument("--log-level", help="debug, info, warning, error, or a number")
    parser.add_argument("--page-dir", type=Path, metavar="DIR", help="serve the static page from this folder")
    parser.add_argument("--ui-port", type=int, help="port of the page (3000)")


def overrides_of(options: argparse.Namespace) -> Overrides:
    return Overrides(
        config=options.config,
        data_dir=options.data_dir,
        host=options.host,
        port=options.port,
        database_url=options.database_url,
        master_key=options.master_key,
        auto_migrate=options.auto_migrate,
        log_level=options.log_level,
        page_dir=options.page_dir,
        ui_port=options.ui_port,
    )


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
    sockets = [listen(settings.host, settings.port, "--port")]
    if settings.page_dir is not None and settings.ui_port != settings.port:
        sockets.append(listen(settings.host, settings.ui_port, "--ui-port"))
    _hand_down(overrides)
    config = uvicorn.Config(
        "gateway.serving:app",
        factory=True,
        workers=workers,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
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
    if settings.auto_migrate:
        migrate(settings)


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


def reason(error: Exception) -> str:
    """The first line of what a driver says, which names host and port but no password."""
    original = getattr(error, "orig", None) or error
    return str(original).strip().splitlines()[0][:200] if str(original).strip() else type(error).__name__


def check_folder(folder: Path, name: str) -> None:
    """Make the folder. Raises SettingsError when nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise SettingsError(
            f"{name}: {folder} cannot be written ({error.strerror}); make it writable or name another with --data-dir"
        ) from None


def listen(host: str, port: int, option: str) -> socket.socket:
    """A bound socket. Raises SettingsError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(2048)
    except OSError as error:
        sock.close()
        raise SettingsError(
            f"port {port} on {host}: {error.strerror}; stop what listens there or choose another with {option}"
        ) from None
    sock.set_inheritable(True)
    return sock


def _hand_down(overrides: Overrides) -> None:
    """Worker processes read the settings again, from the environment that they inherit."""
    if overrides.config is not None:
        os.environ["TOLLGATE_CONFIG"] = str(overrides.config)
    for name in ("data_dir", "host", "port", "database_url", "master_key", "log_level", "page_dir", "ui_port"):
        if (value := getattr(overrides, name)) is not None:
            os.environ[f"GATEWAY_{name.upper()}"] = str(value)


if __name__ == "__main__":
    sys.exit(main())
