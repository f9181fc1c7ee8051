"""Keeps one `llama-server` running: waits for a model, starts it, watches it, starts it again when it dies."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import math
import os
import shutil
import signal
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from local_llm.gguf import NoModel, find_model

_log = logging.getLogger(__name__)

State = Literal["no model", "loading", "ready", "failed"]
LOOK_SECONDS = 2.0
FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0
STEADY_SECONDS = 60.0  # having run so long, it counts as having started well
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """`context` is tokens per slot. `threads` None: the cores that this process really may use."""

    models: Path
    model: str | None = None
    slots: int = 4
    context: int = 2048
    threads: int | None = None
    binary: str | None = None


class Engine:
    """`run` it as a task; read `state`, `reason` and `port` from anywhere in the same loop."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._last_lines: deque[str] = deque(maxlen=20)
        self.state: State = "no model"
        self.reason = "starting"
        self.model: Path | None = None
        self.port = 0

    async def run(self) -> None:
        """Never returns; cancel it to stop the engine."""
        backoff = FIRST_BACKOFF_SECONDS
        try:
            while True:
                command = self._next_command()
                if command is None:
                    await asyncio.sleep(LOOK_SECONDS)
                    continue
                started = time.monotonic()
                await self._serve(command)
                backoff = FIRST_BACKOFF_SECONDS if time.monotonic() - started > STEADY_SECONDS else backoff
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)
        finally:
            await self._stop()

    def _say(self, state: State, reason: str) -> None:
        if (state, reason) != (self.state, self.reason):
            _log.log(logging.ERROR if state == "failed" else logging.INFO, "%s: %s", state, reason)
        self.state, self.reason = state, reason

    def _next_command(self) -> list[str] | None:
        """What to start, None while there is nothing; `state` and `reason` then say why."""
        binary = self._settings.binary or os.environ.get("LLAMA_SERVER_BIN") or shutil.which("llama-server")
        try:
            self.model = find_model(self._settings.models, self._settings.model)
        except NoModel as reason:
            self.model = None
            self._say("no model", str(reason))
            return None
        if binary is None or shutil.which(binary) is None:
            self._say("failed", f"there is no {binary or 'llama-server'}; install llama.cpp or set LLAMA_SERVER_BIN")
            return None
        self.port = _free_port()
        return [binary, *_arguments(self._settings, self.model, self.port)]

    async def _serve(self, command: list[str]) -> None:
        """Start the engine and return when it has ended."""
        self._say("loading", f"loading {self.model.name if self.model else ''}")
        self._last_lines.clear()
        try:
            process = self._process = await _start(command)
        except OSError as error:
            self._say("failed", f"{command[0]} cannot be started: {error.strerror}")
            return
        ready = asyncio.create_task(self._await_ready())
        try:
            await self._read_lines(process)
            code = await process.wait()
        finally:
            ready.cancel()
        self._process = None
        for line in self._last_lines:
            _log.warning("llama-server: %s", line)
        cause = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._say("failed", f"llama-server ended ({cause}); it is started again")

    async def _read_lines(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101
        while line := await process.stdout.readline():
            text = line.decode(errors="replace").rstrip()
            self._last_lines.append(text)
            _log.debug("llama-server: %s", text)

    async def _await_ready(self) -> None:
        while not await _healthy(self.port):  # noqa: ASYNC110 - another process gives no event to wait for
            await asyncio.sleep(0.1)
        self._say("ready", f"serving {self.model.name if self.model else ''}")

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


def _arguments(settings: EngineSettings, model: Path, port: int) -> list[str]:
    """llama-server's flags: https://github.com/ggml-org/llama.cpp/tree/master/tools/server"""
    threads = settings.threads or usable_cores()
    return [
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--model", str(model), "--alias", model.stem),
        *("--parallel", str(settings.slots), "--ctx-size", str(settings.slots * settings.context)),
        *("--threads", str(threads), "--threads-batch", str(threads)),
        # Small batches: a long prompt then stalls the other callers for one second instead of four.
        *("--batch-size", "128", "--ubatch-size", "128"),
        *("--cache-ram", "256"),  # MiB of remembered prompts; 8 GiB unless said
        *("--metrics", "--slots", "--no-webui"),
    ]


def usable_cores() -> int:
    """The cores that the scheduler and the cgroup's quota grant, at least one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return allowed
    return allowed if quota == "max" else max(1, min(allowed, math.ceil(int(quota) / int(period))))


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
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        return b" 200 " in await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
