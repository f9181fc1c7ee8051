"""Keeps one `llama-server` running for one model: starts it, watches it, starts it again when it dies."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import time
from collections import deque
from typing import Literal

from local_llm.asking import NotReached, ask
from local_llm.library import Model
from local_llm.line import Line
from local_llm.machine import usable_cores
from local_llm.settings import ServiceSettings
from local_llm.speed import Speed

_log = logging.getLogger(__name__)

State = Literal["loading", "ready", "failed", "stopped"]
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 60.0
STEADY_SECONDS = 30.0  # having served so long, it counts as having started well
STOP_SECONDS = 10.0
NOTICE_SECONDS = 3.0  # within which the end of a process is known


class Engine:
    """`run` it as a task; read the rest from anywhere in the same loop."""

    def __init__(self, model: Model, settings: ServiceSettings, server: str, cache_mib: int) -> None:
        self._command = [server, *server_arguments(model, settings, cache_mib)]
        self._process: asyncio.subprocess.Process | None = None
        self._last_lines: deque[str] = deque(maxlen=20)
        self._changed = asyncio.Condition()
        self.model = model
        self.line = Line(settings.slots, settings.queue)
        self.context = model.context(settings)
        self.state: State = "loading"
        self.reason = f"{model.name} is being loaded"
        self.port = 0
        self.load_seconds: float | None = None
        self.restarts = 0
        self.speed = Speed()
        self.users = 0  # callers that wait for it or are being served
        self.last_used = time.monotonic()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def run(self) -> None:
        """Returns never; cancel it to stop the engine."""
        backoff = FIRST_BACKOFF_SECONDS
        try:
            while True:
                served = await self._serve()
                backoff = FIRST_BACKOFF_SECONDS if served > STEADY_SECONDS else backoff
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)
                self.restarts += 1
        finally:
            await self._stop()
            await self._say("stopped", f"{self.model.name} is unloaded")

    async def wait(self) -> State:
        """Until it is ready, or there is no hope just now; the state then."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.state != "loading")
            return self.state

    async def recovered(self) -> State:
        """After it was not reached: the state once its end has been noticed and it was started anew."""
        try:
            async with asyncio.timeout(NOTICE_SECONDS), self._changed:
                await self._changed.wait_for(lambda: self.state != "ready")
        except TimeoutError:
            return self.state
        return await self.wait()

    async def _say(self, state: State, reason: str) -> None:
        if (state, reason) != (self.state, self.reason):
            _log.log(logging.ERROR if state == "failed" else logging.INFO, "%s: %s", state, reason)
        async with self._changed:
            self.state, self.reason = state, reason
            self._changed.notify_all()

    async def _serve(self) -> float:
        """Start it and return when it has ended: for how many seconds it was ready."""
        self.port = _free_port()
        self._last_lines.clear()
        started = time.monotonic()
        # While it is tried again after it could not start, callers are refused at once rather than kept waiting.
        if self.state != "failed":
            await self._say("loading", f"{self.model.name} is being loaded")
        try:
            process = self._process = await _start([*self._command, "--port", str(self.port)])
        except OSError as error:
            await self._say("failed", f"{self._command[0]} cannot be started: {error.strerror}")
            return 0.0
        ready = asyncio.create_task(self._await_ready(started))
        try:
            await self._read_lines(process)
            code = await process.wait()
        finally:
            ready.cancel()
        self._process = None
        for line in self._last_lines:
            _log.warning("llama-server: %s", line)
        return await self._ended(code, started)

    async def _ended(self, code: int, started: float) -> float:
        cause = f"signal {-code}" if code < 0 else f"exit code {code}"
        if self.state == "ready":
            _log.error("llama-server of %s ended (%s); it is started again", self.model.name, cause)
            await self._say("loading", f"llama-server ended ({cause}); {self.model.name} is being loaded again")
            return time.monotonic() - started - (self.load_seconds or 0.0)
        await self._say("failed", f"llama-server ended ({cause}) while it loaded {self.model.name}; it is tried again")
        return 0.0

    async def _read_lines(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101
        while line := await process.stdout.readline():
            text = line.decode(errors="replace").rstrip()
            self._last_lines.append(text)
            _log.debug("llama-server: %s", text)

    async def _await_ready(self, started: float) -> None:
        while not await _healthy(self.port):  # noqa: ASYNC110 - another process gives no event
            await asyncio.sleep(0.05)
        self.load_seconds = time.monotonic() - started
        self.last_used = time.monotonic()
        await self._say("ready", f"{self.model.name} is loaded, in {self.load_seconds:.1f} s")

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _start(command: list[str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 20,
        # Spinning threads starve each other on busy cores; measured as up to ten times slower.
        env={"GOMP_SPINCOUNT": "1000", **os.environ},
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )


def server_arguments(model: Model, settings: ServiceSettings, cache_mib: int) -> list[str]:
    """llama-server's flags: https://github.com/ggml-org/llama.cpp/tree/master/tools/server"""
    threads = settings.threads or usable_cores()
    batch = model.batch(settings)
    return [
        *("--host", "127.0.0.1"),
        *("--model", str(model.path), "--alias", model.name),
        *("--parallel", str(settings.slots), "--ctx-size", str(settings.slots * model.context(settings))),
        *("--threads", str(threads), "--threads-batch", str(threads)),
        *("--batch-size", str(batch), "--ubatch-size", str(batch)),
        *("--cache-ram", str(cache_mib)),  # 8 GiB unless said
        # Chat models embed by their last token, which may come in several batches; embedding models say how they do.
        *(("--embeddings",) if model.embeds_only else ("--embeddings", "--pooling", "last")),
        *("--jinja", "--metrics", "--slots", "--no-webui", "--offline"),
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> None:
    """In the child: PR_SET_PDEATHSIG, so that a killed service leaves no engine behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


async def _healthy(port: int) -> bool:
    try:
        status, _ = await ask(port, "GET", "/health")
    except NotReached:
        return False
    return status == 200
