"""`tollgate up`: the whole stack as processes on this machine, no Docker needed."""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway import command_line
from gateway.accounts.first_keys import read_bootstrap, read_or_make
from gateway.command_line import check_folder, overrides_of
from gateway.observability import logs
from gateway.settings import Settings, load, with_dotenv
from tollgate.events import worker_flags
from tollgate.link import link_of, note_address
from tollgate.supervisor import FailedToStart, Service, Supervisor

_PAGES = (Path(__file__).parents[1] / "page", Path(__file__).parents[2] / "ui" / "public")


def page_folder() -> Path | None:
    """Where the static page is: in the wheel, or beside the packages in a clone."""
    return next((folder for folder in _PAGES if (folder / "index.html").is_file()), None)


def arguments(parser: argparse.ArgumentParser) -> None:
    command_line.arguments(parser)
    parser.add_argument("--no-ui", action="store_true", help="do not serve the page")
    parser.add_argument("--no-local", action="store_true", help="do not start the local model")


def main(options: argparse.Namespace) -> int:
    """Raises SettingsError. Returns the exit code."""
    overrides = overrides_of(options)
    settings = load(overrides)
    logs.configure(settings.log_level)
    check_folder(settings.data_dir, "data_dir")
    read_or_make(settings)
    note_address(settings)
    try:
        return asyncio.run(_run(options, settings))
    except FailedToStart as error:
        return int(error.args[0])


async def _run(options: argparse.Namespace, settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor(_services(options, settings), stop)
    try:
        await supervisor.start()
        if not stop.is_set():
            _welcome(settings, with_page=not options.no_ui)
        await stop.wait()
    finally:
        await supervisor.end()
    return 0


def _services(options: argparse.Namespace, settings: Settings) -> list[Service]:
    shared = _shared_flags(options)
    page = None if options.no_ui else settings.page_dir or page_folder()
    flags = [*shared, "--host", settings.host, "--port", str(settings.port), "--ui-port", str(settings.ui_port)]
    if page is not None:
        flags += ["--page-dir", str(page)]
    if options.workers > 1:
        flags += ["--workers", str(options.workers)]
    services = [
        Service("gateway", "gateway", flags, _secrets(options), ready=_until_serving(settings), vital=True),
        Service("usage worker", "usage_worker", worker_flags(settings)),
    ]
    if not options.no_local:
        services.append(local_service(settings))
    return services


def local_service(settings: Settings) -> Service:
    """It waits for a model where there is none yet. What the environment says of it beats the configuration."""
    chosen = settings.local
    flags = ["--port", str(chosen.port), "--models-dir", str(settings.models_dir)]
    flags += ["--server", chosen.server] if chosen.server else []
    said = chosen.model_dump(exclude={"port", "server"})
    surrounding = with_dotenv(os.environ)
    environment = {
        name: text
        for key, value in said.items()
        if (text := surrounding.get(name := f"LOCAL_{key.upper()}") or ("" if value is None else str(value)))
    }
    return Service("local model", "local_llm", flags, environment, grace=20)


def _secrets(options: argparse.Namespace) -> dict[str, str]:
    """Flags that must not be read from a list of processes."""
    return {} if options.master_key is None else {"GATEWAY_MASTER_KEY": options.master_key}


def _shared_flags(options: argparse.Namespace) -> list[str]:
    flags: list[str] = []
    for name in ("config", "data_dir", "database_url", "log_level"):
        if (value := getattr(options, name)) is not None:
            flags += [f"--{name.replace('_', '-')}", str(value)]
    return flags


def _until_serving(settings: Settings) -> Callable[[], Awaitable[None]]:
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "") else settings.host  # noqa: S104 - compared, not bound

    async def serving() -> None:
        while not await asyncio.to_thread(_answers, host, settings.port):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)

    return serving


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/health/readiness")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _welcome(settings: Settings, *, with_page: bool) -> None:
    """What to click and what to copy. The link holds a key, so it is shown on a terminal only."""
    if not sys.stdout.isatty():
        return
    api = f"http://127.0.0.1:{settings.port}"
    key = read_bootstrap(settings)
    lines = ["", f"  Tollgate is up.  API {api}  Docs {api}/docs"]
    if with_page:
        lines.append(f"  Open     {link_of(settings)}")
    if key:
        body = '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}'
        lines.append(f"  Try      curl {api}/v1/chat/completions -H 'Authorization: Bearer {key}' -d '{body}'")
    lines += ["  Stop     Ctrl-C", ""]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
