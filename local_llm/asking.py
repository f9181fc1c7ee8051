"""Asks llama-server, on loopback: small questions whole, and calls whose answer goes on to a caller as it arrives."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from local_llm.http import Caller, Refused

_HOST = "127.0.0.1"
_TOO_FAR_AHEAD = 256 * 1024  # bytes that a caller has not taken yet
DIED = "llama-server ended before its answer was whole; it is started again"
# llama-server answers 500 to whatever it throws while it reads a body (a template that refuses a conversation, a field
# of a wrong type) and to its own failures, which begin so: tools/server/server-context.cpp of llama.cpp.
_OWN_FAILURES = (
    *("Compute error", "Invalid input batch", "Context size has been exceeded", "context shift", "failed to "),
    *("std::bad_alloc", "Unknown Exception"),
)


class NotReached(Exception):
    """llama-server does not answer: it has ended, and is being started again."""


async def ask(port: int, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    """Status and body of a small answer. Raises NotReached."""
    try:
        reader, writer = await asyncio.open_connection(_HOST, port)
    except OSError as error:
        raise NotReached from error
    try:
        writer.write(_request(method, path, b"" if body is None else json.dumps(body).encode()))
        raw = await reader.read()
    except ConnectionError as error:
        raise NotReached from error
    finally:
        writer.close()
    head, _, rest = raw.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        raise NotReached
    return int(words[1]), _unchunked(rest) if b"transfer-encoding: chunked" in head.lower() else rest


async def pass_on(port: int, path: str, body: bytes, caller: Caller) -> None:
    """Send a call and give its answer to the caller, as it is, piece by piece. Raises NotReached while nothing of an
    answer has come, Refused when llama-server ends in the middle of one and there is still room to say so."""
    loop = asyncio.get_running_loop()
    answer = _Answer(caller)
    try:
        transport, _ = await loop.create_connection(lambda: answer, _HOST, port)
    except OSError as error:
        raise NotReached from error
    try:
        transport.write(_request("POST", path, body))
        await answer.done
        await caller.writer.drain()
    finally:
        transport.abort()  # also when the caller has gone: llama-server then ends its work for it


def _request(method: str, path: str, body: bytes) -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


def _unchunked(raw: bytes) -> bytes:
    pieces = []
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        length = int(size.partition(b";")[0] or b"0", 16)
        if not length:
            break
        pieces.append(raw[:length])
        raw = raw[length + 2 :]
    return b"".join(pieces)


class _Answer(asyncio.Protocol):
    """llama-server's answer on its way. A protocol, not a stream reader: it is called for every token of everybody."""

    def __init__(self, caller: Caller) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._caller = caller
        self._target = caller.writer.transport
        self._transport: asyncio.Transport | None = None
        self._head = bytearray()
        self._body: _Chunks | _Length | None = None
        self._refusal: bytearray | None = None
        self._status = 0
        self._draining: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._body is None:
            self._head += data
            if b"\r\n\r\n" not in self._head:
                return
            head, _, data = bytes(self._head).partition(b"\r\n\r\n")
            self._start(head)
        assert self._body is not None  # noqa: S101
        if data:
            self._take(data, self._body)
        if self._target.get_write_buffer_size() > _TOO_FAR_AHEAD and self._draining is None:
            self._draining = asyncio.create_task(self._wait())

    def _take(self, data: bytes, body: _Chunks | _Length) -> None:
        if self._refusal is None:
            self._target.write(data)
        else:
            self._refusal += data
        if body.feed(data) and not self.done.done():
            if self._refusal is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(refusal(self._status, bytes(self._refusal)))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._draining is not None:
            self._draining.cancel()
        if not self.done.done():
            self.done.set_exception(self._cut_short())

    def _cut_short(self) -> Exception:
        if self._body is None:
            return NotReached()
        if isinstance(self._body, _Chunks) and self._body.between:
            return Refused(502, DIED)  # the stream is whole up to here, so the error fits in
        return ConnectionResetError(DIED)

    def _start(self, head: bytes) -> None:
        """The caller's connection ends with this answer, whatever llama-server says of its own."""
        lines = head.split(b"\r\n")
        low = head.lower()
        chunked = b"transfer-encoding: chunked" in low
        sizes = [int(line.partition(b":")[2]) for line in lines if line.lower().startswith(b"content-length:")]
        self._body = _Chunks() if chunked else _Length(sizes[0] if sizes else 0)
        self._status = int(head[9:12]) if head[9:12].isdigit() else 502
        self._caller.answered = True
        if self._caller.begun:
            if not chunked:
                self._refusal = bytearray()  # it waits for a stream already, and this is an error: told in-band
            return
        if self._status == 500:
            self._refusal = bytearray()  # whose fault it was is in the text
            return
        hop = (b"connection:", b"keep-alive:", b"server:", b"access-control-")
        kept = [line for line in lines if not line.lower().startswith(hop)]
        self._caller.begun = True
        self._target.write(b"\r\n".join([*kept, b"connection: close", b"", b""]))

    async def _wait(self) -> None:
        assert self._transport is not None  # noqa: S101
        self._transport.pause_reading()
        await self._caller.writer.drain()
        self._draining = None
        self._transport.resume_reading()


def refusal(status: int, body: bytes) -> Refused:
    """An error of llama-server, to be told to a caller."""
    try:
        error = json.loads(body)["error"]
        message, kind = str(error["message"]), str(error.get("type", ""))
        if status == 500 and not message.startswith(_OWN_FAILURES):
            return Refused(400, message)
        return Refused(status, message, type=kind)
    except (ValueError, KeyError, TypeError):
        return Refused(status, "llama-server refused the request")


class _Length:
    def __init__(self, length: int) -> None:
        self._left = length

    def feed(self, data: bytes) -> bool:
        """Whether the body is whole now."""
        self._left -= len(data)
        return self._left <= 0


class _Chunks:
    """Follows chunked framing: https://www.rfc-editor.org/rfc/rfc9112#section-7.1"""

    def __init__(self) -> None:
        self._left = 0
        self._line = b""
        self._last = False

    @property
    def between(self) -> bool:
        """Another chunk could begin here."""
        return not self._left and not self._line and not self._last

    def feed(self, data: bytes) -> bool:
        """Whether the body is whole now."""
        if self._line:
            data, self._line = self._line + data, b""
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._line = data[at:]
                return False
            if self._last and end == at:
                return True
            if not self._last:
                size = int(data[at:end].partition(b";")[0], 16)
                self._last = size == 0
                self._left = size + 2 if size else 0
            at = end + 2
        return False
