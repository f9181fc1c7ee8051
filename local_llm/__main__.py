"""`python -m local_llm`: serve the models of a folder on :11434, or wait for one."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence

from local_llm.fleet import Fleet
from local_llm.front import Front
from local_llm.settings import ServiceSettings, add_flags, settings_of

_log = logging.getLogger("local_llm")
_FINISH_SECONDS = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT. Returns 1, after one line on standard error, when the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m local_llm", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=11434)
    add_flags(parser, os.environ)
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO").upper(), format="%(levelname)s local_llm %(message)s")
    try:
        asyncio.run(_serve(settings_of(chosen), chosen.host, chosen.port))
    except OSError as error:
        print(f"local_llm: {chosen.host}:{chosen.port}: {os.strerror(error.errno or 0)}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


async def _serve(settings: ServiceSettings, host: str, port: int) -> None:
    fleet = Fleet(settings)
    front = Front(fleet)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await front.listen(host, port)
    _log.info("listening on %s:%d", host, port)
    running = asyncio.create_task(fleet.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.close()
    await front.finish(_FINISH_SECONDS)
    running.cancel()
    try:
        await running
    except asyncio.CancelledError:
        _log.info("stopped")


if __name__ == "__main__":
    sys.exit(main())
