"""One HTTP exchange on raw ASGI: read a bounded body, answer once, stream, and know when the caller has gone.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Protocol
from urllib.parse import parse_qs

from wire.errors import BadRequest, TooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]


class Framing(Protocol):
    """Another way to cut a stream than SSE (Gemini's JSON array)."""

    content_type: str

    def feed(self, rendered: bytes) -> bytes: ...
    def close(self) -> bytes: ...


class CallerGone(Exception):
    """The caller hung up before its request was whole: there is nobody to answer."""


class Exchange:
    """One request and its answer. `status` is what was answered, None before that. `told`: something of an answer has
    gone out; signs of life are nothing of it, and another upstream's answer may still follow them."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str, started: float) -> None:
        self.scope = scope
        self.request_id = request_id
        self.started = started  # time.perf_counter: the event loop's own clock may count whole milliseconds only
        self.status: int | None = None
        self.told = False
        self.gone = False
        self.params: Mapping[str, str] = {}
        self.notes = ""  # for the access line
        self.framing: Framing | None = None
        self._receive = receive
        self._send = send
        self._headers: dict[bytes, str] | None = None
        self._watcher: asyncio.Task[None] | None = None

    def header(self, name: bytes) -> str | None:
        """First value of a request header, by its lower-case name."""
        if self._headers is None:
            self._headers = {}
            for key, value in self.scope["headers"]:
                self._headers.setdefault(key, value.decode("latin-1"))
        return self._headers.get(name)

    def query(self, name: str) -> str | None:
        values = parse_qs(self.scope.get("query_string", b"").decode("latin-1")).get(name)
        return values[0] if values else None

    async def body(self, limit: int, patience: float) -> bytes:
        """The whole request body. Raises TooLarge past `limit` bytes, CallerGone when it breaks off, BadRequest (408)
        when nothing of it has come for `patience` seconds."""
        declared = self.header(b"content-length")
        if declared is not None:
            if not declared.isascii() or not declared.isdigit():
                raise BadRequest("Content-Length is not a number")
            if int(declared) > limit:
                raise too_large(limit)
        pieces: list[bytes] = []
        size = 0
        while True:
            try:
                async with asyncio.timeout(patience):
                    message = await self._receive()
            except TimeoutError:
                raise too_slow() from None
            if message["type"] == "http.disconnect":
                raise CallerGone
            piece: bytes = message.get("body", b"")
            size += len(piece)
            if size > limit:
                raise too_large(limit)
            pieces.append(piece)
            if not message.get("more_body", False):
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def watch(self, on_gone: Callable[[], None]) -> None:
        """From now on, call `on_gone` once when the caller hangs up. The body must have been read."""
        self._watcher = asyncio.create_task(self._wait_for_disconnect(on_gone))

    async def _wait_for_disconnect(self, on_gone: Callable[[], None]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        on_gone()

    def unwatch(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    async def linger(self, seconds: float) -> None:
        """So long, or until the caller hangs up. Zero: just look whether it has."""
        gone = asyncio.Event()
        self.watch(gone.set)
        try:
            async with asyncio.timeout(seconds):
                await gone.wait()
        except TimeoutError:
            return
        finally:
            self.unwatch()

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer."""
        self.status, self.told = status, True
        if self.gone:
            return
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [*headers, (b"content-length", str(len(body)).encode())],
            }
        )
        await self._send({"type": "http.response.body", "body": body})

    async def start_stream(self, status: int, headers: Headers) -> None:
        self.status = status
        if self.framing is not None:
            headers = [header for header in headers if header[0] != b"content-type"]
            headers.append((b"content-type", self.framing.content_type.encode()))
        if not self.gone:
            await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, body: bytes) -> None:
        """One piece of a stream; waits while the caller reads too slowly. Nothing is sent to one who has gone."""
        self.told = True
        await self.sign(body)

    async def sign(self, body: bytes) -> None:
        """A sign of life in a stream, which every client skips."""
        if self.framing is not None:
            body = self.framing.feed(body)
        if body and not self.gone:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end_stream(self) -> None:
        if not self.gone:
            last = b"" if self.framing is None else self.framing.close()
            await self._send({"type": "http.response.body", "body": last})


def too_large(limit: int) -> TooLarge:
    return TooLarge(f"The request body is larger than {limit} bytes")


def too_slow() -> BadRequest:
    return BadRequest("The rest of the request did not come in time", status=408, code="request_timeout")
