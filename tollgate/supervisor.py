"""Keeps child processes running: starts them in order, restarts one that died, stops them all in order."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

_log = logging.getLogger("tollgate")
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 15.0
_HEALTHY_SECONDS = 30.0
_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True, slots=True)
class Service:
    """One child: `python -m <module> arguments`. `ready` is awaited before the next one starts. A `vital` one that
    ends before it was ever ready ends everything: it has said why."""

    name: str
    module: str
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], Awaitable[None]] | None = None
    vital: bool = False
    grace: float = 50.0  # seconds between SIGTERM and SIGKILL


class FailedToStart(Exception):
    """A vital service ended before it was ready; its exit code is in `args[0]`."""


class Supervisor:
    """Runs services until `stop` is set."""

    def __init__(self, services: Sequence[Service], stop: asyncio.Event) -> None:
        self._services = services
        self._stop = stop
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all, each once its predecessor is ready. Raises FailedToStart."""
        for service in self._services:
            if self._stop.is_set():
                return
            process = await self._spawn(service)
            await self._wait_ready(service, process)
            self._keepers.append(asyncio.create_task(self._keep(service, process)))

    async def run(self) -> None:
        """Wait for `stop`, then end the services, first started first: the gateway ships, then the worker drains."""
        await self._stop.wait()
        await self.end()

    async def end(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for service in self._services:
            if process := self._running.get(service.name):
                await _terminate(process, service.grace)

    async def _spawn(self, service: Service) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            service.module,
            *service.arguments,
            env={**os.environ, **service.environment},
            # Ctrl-C reaches the supervisor alone: it ends the services in their order.
            process_group=0,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        self._running[service.name] = process
        return process

    async def _wait_ready(self, service: Service, process: asyncio.subprocess.Process) -> None:
        if service.ready is None:
            return
        ready = asyncio.ensure_future(service.ready())
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({ready, ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        over = ended.done()
        for task in (ready, ended, stopped):
            task.cancel()
        await asyncio.gather(ready, ended, stopped, return_exceptions=True)
        if over and service.vital and not self._stop.is_set():
            raise FailedToStart(process.returncode or 1)

    async def _keep(self, service: Service, process: asyncio.subprocess.Process) -> None:
        wait = _FIRST_WAIT
        clock = asyncio.get_running_loop().time
        while True:
            since = clock()
            code = await process.wait()
            if clock() - since > _HEALTHY_SECONDS:
                wait = _FIRST_WAIT
            _log.warning("%s ended with code %s; starting it again in %.1f s", service.name, code, wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)
            process = await self._spawn(service)


async def _terminate(process: asyncio.subprocess.Process, grace: float) -> None:
    if process.returncode is not None:
        return
    try:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(grace):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    except ProcessLookupError:
        await process.wait()


def _die_with_parent() -> None:
    """A child must not outlive a supervisor that was killed: it would hold the ports. prctl(2), Linux only."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
