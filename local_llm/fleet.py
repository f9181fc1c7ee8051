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
from local_llm.machine import free_memory, own_memory, resident_memory
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
        self.refusals: dict[str, str] = {}  # why a model cannot be loaded
        self._tasks: dict[Engine, asyncio.Task[None]] = {}  # of those too that are being unloaded: they hold memory yet
        self._retiring: set[asyncio.Task[None]] = set()
        self._kept = self._noted = ""
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
            await asyncio.gather(*(self._end(engine) for engine in list(self._tasks)))

    @property
    def default(self) -> Model | None:
        """What a call without a name gets. Where none was chosen, one that cannot be loaded is passed over."""
        failed = (name for name, engine in self.engines.items() if engine.state == "failed")
        return self.library.default({*self.refusals, *failed})

    def find(self, asked: object) -> Model:
        """The model of a name, the default for none. Raises Refused."""
        self.library.look()
        if asked is None or asked in ("", "default"):
            model = self.default
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
        """Its engine, ready or not, which is not unloaded meanwhile. Raises Refused."""
        engine = await self._engine(model)
        engine.users += 1
        try:
            yield engine
        finally:
            engine.users -= 1
            engine.last_used = time.monotonic()

    def state(self) -> tuple[str, str | None]:
        """`ok`, or what the default model waits for, and why."""
        model = self.default
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
        for engine in list(self.engines.values()):
            name, idle = engine.model.name, time.monotonic() - engine.last_used
            if self.engines.get(name) is not engine:
                continue  # unloaded for another one while we waited
            if engine.model != self.library.models.get(name):
                _log.info("%s has changed or gone", engine.model.path)
                self._retire(engine)
            elif self.settings.idle_seconds and not engine.users and idle > self.settings.idle_seconds:
                _log.info("%s has been idle for %.0f s", name, idle)
                await self._end(engine)
        unloaded = [model for name, model in self.library.models.items() if name not in self.engines]
        self.refusals = {model.name: reason for model in unloaded if (reason := self._beyond(model)) is not None}
        model = self.default
        if model is None:
            self._note(self.library.reason)
        elif self._kept != (key := f"{model.name} {model.stamp}"):
            try:
                await self._engine(model)
            except Refused as refusal:
                self._note(refusal.message)
                return
            self._kept = key  # once: an idle model is not loaded again until it is asked for

    def _note(self, reason: str) -> None:
        if reason != self._noted:
            _log.error("%s", reason)
        self._noted = reason

    async def _engine(self, model: Model) -> Engine:
        """The engine of a model, started where it is not. Raises Refused."""
        async with self._loading:
            known = self.engines.get(model.name)
            if known is not None and known.model == model:
                return known
            if known is not None:
                self._retire(known)
            server = self.server
            if server is None:
                raise Refused(503, NO_ENGINE, retry_after=30)
            room = await self._make_room(model)
            cache = self.settings.cache_mib if room is None else min(self.settings.cache_mib, room // 2 // _MIB)
            engine = Engine(model, self.settings, server, cache)
            self.engines[model.name] = engine
            self._tasks[engine] = asyncio.create_task(engine.run())
            self.refusals.pop(model.name, None)
            return engine

    async def _make_room(self, model: Model) -> int | None:
        """Unload idle models, the longest idle first, until this one fits; none where that would not be enough. What is
        free then, beside it; None when nobody knows. Raises Refused."""
        needed = model.needed_bytes(self.settings)
        if (beyond := self._beyond(model)) is not None:
            self.refusals[model.name] = beyond
            raise Refused(503, beyond, retry_after=60)
        while (free := self._free()) is not None and free < needed:
            idle = sorted((e for e in self.engines.values() if not e.users), key=lambda e: e.last_used)
            if free + sum(map(self._held, idle)) < needed or not idle:
                busy = ", ".join(engine.model.name for engine in self._tasks if engine not in idle)
                raise Refused(
                    503, f"{_too_large(model, needed, free)} while {busy} is at work; try again", retry_after=10
                )
            await self._end(idle[0])
        return None if free is None else free - needed

    def _beyond(self, model: Model) -> str | None:
        """Why it would not fit even if nothing else were loaded; None when it would."""
        needed, free = model.needed_bytes(self.settings), self._free()
        if free is None or needed <= (most := free + sum(map(self._held, self._tasks))):
            return None
        return f"{_too_large(model, needed, most)}: take a smaller model, or lower local.context or local.slots"

    def free_bytes(self) -> int | None:
        """Memory that another model could have without one being unloaded; None when nobody knows."""
        free = self._free()
        return None if free is None else max(0, free)

    def _free(self) -> int | None:
        """Less than nothing where more was promised than there is."""
        free, held = free_memory(), sum(map(self._held, self._tasks))
        if free is not None:
            # What a process has of its own is missing there already. What it maps or has not taken yet is not.
            free -= held - sum(own_memory(e.pid) or 0 for e in self._tasks if e.pid is not None)
        if self.settings.memory_mib is None:
            return free
        own = self.settings.memory_mib * _MIB - held
        return own if free is None else min(own, free)

    def _held(self, engine: Engine) -> int:
        """What it takes, or will have taken once it is loaded."""
        resident = resident_memory(engine.pid) if engine.pid is not None else None
        return max(engine.model.needed_bytes(self.settings), resident or 0)

    def _retire(self, engine: Engine) -> None:
        """Its file is another one now: callers that it still serves are served to their end."""
        del self.engines[engine.model.name]

        async def end() -> None:
            while engine.users:  # noqa: ASYNC110 - nothing else hangs on this
                await asyncio.sleep(0.2)
            await self._end(engine)

        ending = asyncio.create_task(end())
        self._retiring.add(ending)
        ending.add_done_callback(self._retiring.discard)

    async def _end(self, engine: Engine) -> None:
        """Stop it. Nobody is sent to it any more."""
        if self.engines.get(engine.model.name) is engine:
            del self.engines[engine.model.name]
        task = self._tasks.get(engine)
        if task is None:
            return
        if not task.cancelling():
            task.cancel()
        await asyncio.wait({task})
        self._tasks.pop(engine, None)


def _too_large(model: Model, needed: int, free: int) -> str:
    return f"{model.name} needs about {needed / 1e9:.1f} GB of memory, and {max(0, free) / 1e9:.1f} GB are free"
