"""The front door on :11434: who may ask what, of which model, in which order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from local_llm.asking import NotReached, ask, pass_on, refusal
from local_llm.checks import Ask, read_ask
from local_llm.engine import Engine
from local_llm.fitting import COUNTED, check_fits
from local_llm.fleet import Fleet
from local_llm.http import HEAD_LIMIT, Caller, Refused, Request, read_request
from local_llm.library import Model
from local_llm.line import LineFull
from local_llm.status import listing, metrics_text, status

_log = logging.getLogger(__name__)
_BODY_LIMIT = 32 * 1024 * 1024
_FIRST_SIGN_SECONDS, _NEXT_SIGN_SECONDS = 2.0, 10.0

# What takes a slot of the model, and what is answered beside it.
_SLOT_PATHS = (
    *("/completion", "/completions", "/v1/completions", "/infill"),
    *("/v1/chat/completions", "/chat/completions", "/v1/messages", "/v1/responses"),
    *("/v1/embeddings", "/embeddings", "/embedding", "/v1/rerank", "/rerank"),
)
_SIDE_PATHS = ("/tokenize", "/detokenize", "/apply-template", *COUNTED.values())
_LOOK_PATHS = ("/slots", "/props")
_NOT_REACHED = "llama-server does not answer; it is started again"


class Front:
    """One connection carries one request: whoever hangs up thereby ends the engine's work for it, too."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._open: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Raises OSError when the port is taken."""
        return await asyncio.start_server(self._connected, host, port, limit=HEAD_LIMIT)

    async def finish(self, seconds: float) -> None:
        """Let the answers that are under way come to their end, for so long."""
        if self._open:
            await asyncio.wait(self._open, timeout=seconds)
        for task in self._open:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = Caller(writer)
        try:
            request = await read_request(reader, writer, _BODY_LIMIT)
            if request is not None:
                await self._until_gone(reader, asyncio.create_task(self._serve(request, caller)))
        except Refused as refused:
            with contextlib.suppress(ConnectionError):
                await caller.refuse(refused)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()  # the caller has gone, or its answer was cut: nobody is left to tell
        finally:
            writer.close()

    async def _until_gone(self, reader: asyncio.StreamReader, work: asyncio.Task[None]) -> None:
        """Whoever hangs up ends the work for it."""
        self._open.add(work)
        gone = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open.discard(work)
            for task in (work, gone):
                task.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        with contextlib.suppress(asyncio.CancelledError):
            await work

    async def _serve(self, request: Request, caller: Caller) -> None:
        path = request.path.rstrip("/") or "/"
        if request.method in ("GET", "HEAD"):
            await self._look(request, path, caller)
            return
        if request.method != "POST" or path not in (*_SLOT_PATHS, *_SIDE_PATHS):
            raise Refused(404, f"there is no {request.method} {path[:200]} here")
        asked = read_ask(request.body, self._fleet.settings.slots)
        model = self._fleet.find(asked.body.get("model"))
        deadline = asyncio.get_running_loop().time() + self._fleet.settings.wait_seconds
        async with self._fleet.using(model) as engine:
            if path in _SIDE_PATHS:
                await self._served(engine, deadline, lambda: pass_on(engine.port, path, asked.raw, caller))
                return
            try:
                with engine.line.place(asked.weight) as turn:
                    await self._served(engine, deadline, lambda: self._ask(engine, path, asked, caller, turn, deadline))
            except LineFull:
                full = f"{model.name} is at work for others, and {engine.line.waiting} wait"
                raise Refused(503, full, retry_after=5) from None

    async def _served(self, engine: Engine, deadline: float, ask: Callable[[], Awaitable[None]]) -> None:
        """Ask once the engine is ready, and again where it died before it answered. Raises Refused."""
        for restarted in (False, True):
            try:
                async with asyncio.timeout_at(deadline):
                    state = await (engine.recovered() if restarted else engine.wait())
            except TimeoutError:
                raise Refused(503, engine.reason, retry_after=10) from None
            if state != "ready":
                raise Refused(503, engine.reason, retry_after=5)
            with contextlib.suppress(NotReached):
                return await ask()
        raise Refused(503, _NOT_REACHED, retry_after=2)

    async def _ask(
        self, engine: Engine, path: str, asked: Ask, caller: Caller, turn: asyncio.Future[None], deadline: float
    ) -> None:
        """Raises NotReached while nothing of an answer has come, Refused."""
        await check_fits(engine, path, asked.body, len(asked.raw))
        async with self._signs(caller, asked.stream):
            try:
                async with asyncio.timeout_at(deadline):
                    await turn
            except TimeoutError:
                waited = f"no slot of {engine.model.name} got free in {self._fleet.settings.wait_seconds:.0f} s"
                raise Refused(503, waited, retry_after=10) from None
            await pass_on(engine.port, path, asked.raw, caller)

    async def _look(self, request: Request, path: str, caller: Caller) -> None:
        """What is answered without waiting for a model."""
        state, reason = self._fleet.state()
        if path in ("/", "/health", "/health/liveness"):
            # Always 200: the service lives. `status` says whether a model can be asked.
            model = self._fleet.default
            await caller.answer(200, {"status": state, "model": model.name if model else None, "reason": reason})
        elif path == "/health/readiness":
            await caller.answer(200 if state == "ok" else 503, {"status": state, "reason": reason})
        elif path in ("/v1/models", "/models"):
            await caller.answer(200, listing(self._fleet))
        elif path == "/status":
            await caller.answer(200, status(self._fleet))
        elif path == "/metrics":
            await caller.answer(200, metrics_text(self._fleet))
        elif path in _LOOK_PATHS:
            await self._look_into(self._fleet.find(request.query.get("model", [None])[-1]), path, caller)
        else:
            raise Refused(404, f"there is no {request.method} {path[:200]} here")

    async def _look_into(self, model: Model, path: str, caller: Caller) -> None:
        """At a model that is loaded: looking loads none."""
        engine = self._fleet.engines.get(model.name)
        if engine is None or engine.state != "ready":
            raise Refused(503, f"{model.name} is not loaded", retry_after=5)
        try:
            code, body = await ask(engine.port, "GET", path)
        except NotReached:
            raise Refused(503, _NOT_REACHED, retry_after=2) from None
        if code != 200:
            raise refusal(code, body)
        await caller.answer(200, body)

    @asynccontextmanager
    async def _signs(self, caller: Caller, streaming: bool) -> AsyncIterator[None]:
        """Signs of life for one who waits in line for a stream, so that nothing between gives up: comments, as SSE has
        them. They begin a 200: what is refused before the line is a plain answer."""
        if not streaming:
            yield
            return

        async def give() -> None:
            await asyncio.sleep(_FIRST_SIGN_SECONDS)
            while not caller.answered:
                caller.event(b": waiting\n\n")
                await caller.writer.drain()
                await asyncio.sleep(_NEXT_SIGN_SECONDS)

        giving = asyncio.create_task(give())
        try:
            yield
        finally:
            giving.cancel()
