"""`python -m local_llm`: serve the model of a folder on :11434, or wait for one."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from local_llm.engine import Engine, EngineSettings
from local_llm.server import Front

_log = logging.getLogger("local_llm")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT. Returns 1, after one line on standard error, when the port is taken."""
    chosen = _parser().parse_args(arguments)
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO").upper(), format="%(levelname)s local_llm %(message)s")
    settings = EngineSettings(chosen.models_dir, chosen.model, chosen.slots, chosen.context, chosen.threads)
    try:
        asyncio.run(_serve(settings, chosen.host, chosen.port))
    except OSError as error:
        print(f"local_llm: {chosen.host}:{chosen.port}: {os.strerror(error.errno or 0)}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    environ = os.environ.get  # argparse checks a default that is text like an argument
    parser = argparse.ArgumentParser(prog="python -m local_llm", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=11434)
    parser.add_argument("--models-dir", type=Path, default=Path("models"), help="folder of GGUF files")
    parser.add_argument("--model", default=environ("LOCAL_MODEL") or None, help="file name; else the first by name")
    parser.add_argument("--slots", type=int, default=environ("LOCAL_SLOTS") or "4", help="answers at once")
    parser.add_argument("--context", type=int, default=environ("LOCAL_CONTEXT") or "2048", help="tokens per slot")
    parser.add_argument("--threads", type=int, default=environ("LOCAL_THREADS") or None, help="else all usable cores")
    return parser


async def _serve(settings: EngineSettings, host: str, port: int) -> None:
    engine = Engine(settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await Front(engine).listen(host, port)
    _log.info("listening on %s:%d", host, port)
    running = asyncio.create_task(engine.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.close()
    running.cancel()
    try:
        await running
    except asyncio.CancelledError:
        _log.info("stopped")


if __name__ == "__main__":
    sys.exit(main())
