"""The running engines: one llama-server a model, loaded when somebody asks, unloaded when idle or memory is short."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from local_llm.engine import Engine
from local_llm.http import Refused
from local_llm.installed import find_server
from local_llm.library import Library, Model
from local_llm.machine import free_memory, resident_memory
from local_llm.settings import ServiceSettings

_log = logging.getLogger(__name__)
LOOK_SECONDS = 2.0
NO_ENGINE = "there is no llama-server: run `make local` (or `tollgate local install`), or name one in LLAMA_SERVER_BIN"
_MIB = 1024 * 1024


class Fleet:
    """`run` it as a task. All else is called from the same loop."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.library = Library(settings.models, settings.model)
        self.engines: dict[str, Engine] = {}
        self.refusals: dict[str, str] = {}  # why a model was not loaded when it was last tried
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._said = ""
        self._loading = asyncio.Lock()

    @property
    def server(self) -> str | None:
        """llama-server's path, None when there is none that could be started."""
        named = self.settings.server or find_server(os.environ)
        return named if named is not None and shutil.which(named) is not None else None

    async def run(self) -> None:
        """Never returns; cancel it to stop all engines."""
        try:
            while True:
                self.library.look()
                await self._keep_up()
                ready = [engine for engine in self.engines.values() if engine.state == "ready"]
                await asyncio.gather(*(engine.speed.measure(engine.port) for engine in ready))
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await asyncio.gather(*(self._unload(name) for name in list(self.engines)), *self._ending)

    def find(self, asked: object) -> Model:
        """The model of a name, the default for none. Raises Refused."""
        self.library.look()
        if asked is None or asked in ("", "default"):
            model = self.library.default
            if model is None:
                raise Refused(503, self.library.reason, retry_after=5)
            return model
        name = str(asked).removesuffix(".gguf")
        if name in self.library.models:
            return self.library.models[name]
        if name in self.library.problems:
            raise Refused(503, self.library.problems[name], retry_after=30)
        known = ", ".join(self.library.models) or "none"
        raise Refused(404, f"there is no model {name[:200]!r} here; there are: {known}")

    @asynccontextmanager
    async def using(self, model: Model) -> AsyncIterator[Engine]:
        """A ready engine, which is not unloaded meanwhile. Raises Refused."""
        engine = await self._engine(model)
        engine.users += 1
        try:
            if await engine.wait() != "ready":
                raise Refused(503, engine.reason, retry_after=5)
            yield engine
        finally:
            engine.users -= 1
            engine.last_used = time.monotonic()

    def state(self) -> tuple[str, str | None]:
        """`ok`, or what the default model waits for, and why."""
        model = self.library.default
        if model is None:
            return "no model", self.library.reason
        if self.server is None:
            return "no engine", NO_ENGINE
        engine = self.engines.get(model.name)
        if engine is not None and engine.state != "ready":
            return engine.state, engine.reason
        if engine is None and model.name in self.refusals:
            return "failed", self.refusals[model.name]
        return "ok", None  # unloaded for being idle is well: the next call loads it

    async def _keep_up(self) -> None:
        """Follow what happened to the files, unload what is idle, and have the default ready."""
        now = time.monotonic()
        for name, engine in list(self.engines.items()):
            if engine.model != self.library.models.get(name):
                _log.info("%s has changed or gone", engine.model.path)
                await self._retire(name)
            elif (
                self.settings.idle_seconds and not engine.users and now - engine.last_used > self.settings.idle_seconds
            ):
                _log.info("%s has been idle for %.0f s", name, now - engine.last_used)
                await self._unload(name)
        model = self.library.default
        fresh = model is not None and self._said != f"{model.name} {model.stamp}"
        if model is not None and model.name not in self.engines and (fresh or model.name in self.refusals):
            try:
                await self._engine(model)
            except Refused as refused:
                self._note(refused.message)
                return
            self._said = f"{model.name} {model.stamp}"  # once: an idle model is not loaded again until it is asked for
        elif model is None:
            self._note(self.library.reason)

    def _note(self, reason: str) -> None:
        if reason != self._said:
            _log.error("%s", reason)
        self._said = reason

    async def _engine(self, model: Model) -> Engine:
        """The engine of a model, started where it is not. Raises Refused."""
        async with self._loading:
            known = self.engines.get(model.name)
            if known is not None and known.model == model:
                return known
            if known is not None:
                await self._retire(model.name)
            server = self.server
            if server is None:
                raise Refused(503, NO_ENGINE, retry_after=30)
            room = await self._make_room(model)
            cache = self.settings.cache_mib if room is None else min(self.settings.cache_mib, room // 2 // _MIB)
            engine = Engine(model, self.settings, server, cache)
            self.engines[model.name] = engine
            self._tasks[model.name] = asyncio.create_task(engine.run())
            self.refusals.pop(model.name, None)
            return engine

    async def _make_room(self, model: Model) -> int | None:
        """Unload idle models, the longest idle first, until this one fits. What is free then, beside it; None when
        nobody knows. Raises Refused."""
        needed = model.needed_bytes(self.settings)
        while (free := self._free()) is not None and free < needed:
            idle = sorted((e for e in self.engines.values() if not e.users), key=lambda e: e.last_used)
            if idle:
                await self._unload(idle[0].model.name)
                continue
            size = f"needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free"
            if self.engines:
                busy = ", ".join(self.engines)
                raise Refused(503, f"{model.name} {size} while {busy} is at work; try again", retry_after=10)
            advice = "take a smaller model, or lower local.context or local.slots"
            self.refusals[model.name] = f"{model.name} {size}: {advice}"
            raise Refused(503, self.refusals[model.name], retry_after=60)
        return None if free is None else free - needed

    def _free(self) -> int | None:
        free = free_memory()
        if self.settings.memory_mib is None:
            return free
        needs = ((e, e.model.needed_bytes(self.settings)) for e in self.engines.values())
        used = sum(max(needed, resident_memory(e.pid) or 0 if e.pid is not None else 0) for e, needed in needs)
        own = max(0, self.settings.memory_mib * _MIB - used)
        return own if free is None else min(own, free)

    async def _retire(self, name: str) -> None:
        """Its file is another one now: callers that it still serves are served to their end."""
        engine, task = self.engines.pop(name), self._tasks.pop(name)

        async def end() -> None:
            while engine.users:  # noqa: ASYNC110 - nothing else hangs on this
                await asyncio.sleep(0.2)
            await _cancelled(task)

        ending = asyncio.create_task(end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _unload(self, name: str) -> None:
        self.engines.pop(name)
        await _cancelled(self._tasks.pop(name))


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
