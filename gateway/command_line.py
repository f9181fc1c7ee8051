"""What the gateway's command line and the `tollgate` command share. Imports little: commands must start fast."""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path

from gateway.settings import Overrides, SettingsError


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


def listen(host: str, port: int, option: str, caller_timeout: float) -> socket.socket:
    """A bound socket. Raises SettingsError when the port is taken. The kernel ends a connection whose other end has
    taken nothing of an answer for `caller_timeout` seconds: a caller that stops reading holds no slot and no budget for
    good, and nobody keeps a clock for it. https://man7.org/linux/man-pages/man7/tcp.7.html"""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(caller_timeout * 1000))
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


def reason(error: Exception) -> str:
    """The first line of what a driver says, which names host and port but no password."""
    original = getattr(error, "orig", None) or error
    return str(original).strip().splitlines()[0][:200] if str(original).strip() else type(error).__name__
