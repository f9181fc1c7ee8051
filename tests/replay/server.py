"""The loopback server: an event loop in a thread of its own, so that blocking clients and tests can use it too."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from tests.replay.answers import Answer, Gate, answer_of


@dataclass(frozen=True)
class Call:
    """One request as it arrived: `path` without the query, header names in lower case, `at` by `time.monotonic`.

    `answer_id` names the answer that was begun to this call alone, where its `Answer` has a `written_id`.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    answer_id: str | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def model(self) -> str | None:
        """The model that the body or, as with Gemini, the path names."""
        if "/models/" in self.path:
            return unquote(self.path.rpartition("/models/")[2].rpartition(":")[0]) or None
        named = self._field("model")
        return named if isinstance(named, str) else None

    @property
    def stream(self) -> bool:
        """Whether the body or, as with Gemini, the path asks for a stream."""
        return self.path.endswith(":streamGenerateContent") or self._field("stream") is True

    @cached_property
    def _members(self) -> dict[str, Any]:
        """Read once: a call is held against every route of its path."""
        try:
            loaded = json.loads(self.body)
        except ValueError:
            return {}
        return loaded if isinstance(loaded, dict) else {}

    def _field(self, name: str) -> Any:
        return self._members.get(name)


@dataclass
class _Route:
    """Answers for the calls that match; the last one stays, so that it also answers all later calls."""

    method: str
    path: str
    model: str | None
    header: tuple[str, str] | None
    stream: bool | None
    answers: deque[Answer]

    def matches(self, call: Call) -> bool:
        if (call.method, call.path) != (self.method, self.path):
            return False
        if self.header is not None and call.headers.get(self.header[0].lower()) != self.header[1]:
            return False
        if self.stream is not None and call.stream != self.stream:
            return False
        return self.model is None or call.model == self.model

    @property
    def precision(self) -> int:
        return (self.header is not None) * 4 + (self.model is not None) * 2 + (self.stream is not None)

    def take(self) -> Answer:
        return self.answers.popleft() if len(self.answers) > 1 else self.answers[0]


@dataclass
class _Counts:
    """What tests ask about; guarded by the condition."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    calls: list[Call] = field(default_factory=list)
    unmatched: list[Call] = field(default_factory=list)
    finished: int = 0
    broken: int = 0


class _Reader(asyncio.StreamReader):
    """A reader that says when its client has gone, also while nobody reads."""

    def __init__(self) -> None:
        super().__init__(limit=1 << 20)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.gone.set()


class Upstream:
    """`with Upstream() as upstream:` listens on a free loopback port until the block ends.

    `calls` are the requests that found an answer, in order of arrival: what a provider would have billed. `finished`
    counts answers sent whole, `broken` those whose client was gone before the end (or that were cut on purpose).
    `hold` may name a gate for the head of each answer that has none, once the call is counted.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self._host = host
        self._port = port
        self.hold: Callable[[Call], Gate | None] = lambda _call: None
        self._routes: list[_Route] = []
        self._counts = _Counts()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="replay upstream", daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`; append `/v1` and the like to make a provider's `api_base`."""
        return f"http://{self._host}:{self._port}"

    # -- what it says

    def add(
        self,
        interaction: Mapping[str, Any],
        *,
        prefix: str = "",
        model: str | None = None,
        header: tuple[str, str] | None = None,
        stream: bool | None = None,
    ) -> Answer:
        """Replay an interaction at its own method and path (`prefix` in front). Returns the answer it will give.

        Interactions at one path are given in the order added. Those with `model`, `header` or `stream` answer only
        calls that name that model, carry that header, ask (or do not ask) for a stream, and come before the others.
        """
        request = interaction["request"]
        path = prefix + urlsplit(request["url"]).path
        return self.on(
            path, answer_of(interaction), method=request["method"], model=model, header=header, stream=stream
        )

    def on(
        self,
        path: str,
        *answers: Answer,
        method: str = "POST",
        model: str | None = None,
        header: tuple[str, str] | None = None,
        stream: bool | None = None,
    ) -> Answer:
        """Give these answers, in order, to the calls of that method and path; the last one to all later calls too."""
        wanted = (method, unquote(path), model, header, stream)
        with self._counts.changed:
            for route in self._routes:
                if (route.method, route.path, route.model, route.header, route.stream) == wanted:
                    route.answers.extend(answers)
                    return answers[-1]
            self._routes.append(_Route(*wanted, deque(answers)))
        return answers[-1]

    def forget(self) -> None:
        """Drop all answers and all that was counted."""
        with self._counts.changed:
            self._routes.clear()
            self._counts.calls.clear()
            self._counts.unmatched.clear()
            self._counts.finished = self._counts.broken = 0

    # -- what it was asked

    @property
    def calls(self) -> list[Call]:
        with self._counts.changed:
            return list(self._counts.calls)

    @property
    def unmatched(self) -> list[Call]:
        """Requests that no answer was for; each was answered with 404."""
        with self._counts.changed:
            return list(self._counts.unmatched)

    @property
    def finished(self) -> int:
        return self._counts.finished

    @property
    def broken(self) -> int:
        return self._counts.broken

    def wait(self, *, calls: int = 0, finished: int = 0, broken: int = 0, seconds: float = 30.0) -> None:
        """Block until at least so many are counted. Raises TimeoutError with the counts."""
        counts = self._counts

        def enough() -> bool:
            return len(counts.calls) >= calls and counts.finished >= finished and counts.broken >= broken

        with counts.changed:
            if not counts.changed.wait_for(enough, seconds):
                raise TimeoutError(
                    f"upstream counted {len(counts.calls)} calls, {counts.finished} finished, {counts.broken} broken"
                )

    async def called(self, *, calls: int = 0, finished: int = 0, broken: int = 0, seconds: float = 30.0) -> None:
        """`wait` for tests that run in an event loop."""
        await asyncio.to_thread(self.wait, calls=calls, finished=finished, broken=broken, seconds=seconds)

    # -- the server, in its own thread

    async def _listen(self) -> None:
        def connection() -> asyncio.StreamReaderProtocol:
            reader = _Reader()
            return asyncio.StreamReaderProtocol(reader, lambda _, writer: self._serve(reader, writer))

        self._server = await self._loop.create_server(connection, self._host, self._port, backlog=4096)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        # A drained writer then means sent bytes, so that a cut falls exactly where it should.
        writer.transport.set_write_buffer_limits(0)
        try:
            while (call := await _read(reader)) is not None:
                if not await self._reply(call, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client left within a request: nothing was accepted
        finally:
            writer.transport.abort()

    async def _reply(self, call: Call, reader: _Reader, writer: asyncio.StreamWriter) -> bool:
        """Answer one call; False when the connection is over. A client that leaves meanwhile is noticed at once."""
        answer = self._choose(call)
        answer = replace(answer, gate=answer.gate or self.hold(call))
        sending = asyncio.ensure_future(_send(answer, writer))
        leaving = asyncio.ensure_future(reader.gone.wait())
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            whole = sending.done() and not sending.cancelled() and sending.exception() is None and sending.result()
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
        with self._counts.changed:
            if whole:
                self._counts.finished += 1
            else:
                self._counts.broken += 1
            self._counts.changed.notify_all()
        return bool(whole) and call.headers.get("connection", "").lower() != "close"

    def _choose(self, call: Call) -> Answer:
        counts = self._counts
        with counts.changed:
            found = [route for route in self._routes if route.matches(call)]
            counts.changed.notify_all()
            if found:
                answer = max(found, key=lambda route: route.precision).take()
                answer_id = f"accepted-{len(counts.calls)}" if answer.written_id else None
                counts.calls.append(replace(call, answer_id=answer_id))
                return answer if answer_id is None else answer.named(answer_id)
            counts.unmatched.append(call)
        text = json.dumps({"error": {"message": f"the replay has no answer for {call.method} {call.path}"}})
        return Answer(status=404, pieces=(text.encode(),))


async def _read(reader: asyncio.StreamReader) -> Call | None:
    """The next request of a connection; None when the client closed it in between."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunked(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    path, _, query = target.partition("?")
    return Call(method, unquote(path), query, headers, body, time.monotonic())


async def _read_chunked(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(parts)


async def _send(answer: Answer, writer: asyncio.StreamWriter) -> bool:
    """Send the answer; False when it ended the connection on purpose."""
    if answer.hang:
        await asyncio.Event().wait()
    if answer.delay:
        await asyncio.sleep(answer.delay)
    if answer.gate is not None:
        await answer.gate.passed()
    if answer.garbage is not None:
        writer.write(answer.garbage)
        await writer.drain()
        return False
    writer.write(_head(answer))
    left = answer.cut_after
    for number, piece in enumerate(answer.pieces):
        if number in answer.gates or (number and answer.piece_delay):
            await writer.drain()
            await _hold(answer, number)
        if left is not None and left < len(piece):
            await _cut(answer, piece[:left], writer)
            return False
        left = None if left is None else left - len(piece)
        writer.write(piece if answer.length else b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
    if len(answer.pieces) in answer.gates:
        await answer.gates[len(answer.pieces)].passed()
    if left is not None:
        await _cut(answer, b"", writer)
        return False
    if not answer.length:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


def _head(answer: Answer) -> bytes:
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "Unknown"
    headers = dict(answer.headers)
    if answer.length:
        headers["content-length"] = str(len(answer.body))
    else:
        headers["transfer-encoding"] = "chunked"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} {phrase}\r\n{lines}\r\n".encode("latin-1")


async def _hold(answer: Answer, number: int) -> None:
    if number and answer.piece_delay:
        await asyncio.sleep(answer.piece_delay)
    if number in answer.gates:
        await answer.gates[number].passed()


async def _cut(answer: Answer, rest: bytes, writer: asyncio.StreamWriter) -> None:
    """Send what is still to arrive; the caller then resets the connection."""
    if rest:
        writer.write(rest if answer.length else b"%x\r\n%b\r\n" % (len(rest), rest))
    with contextlib.suppress(ConnectionError):
        await writer.drain()
