"""As much of HTTP/1.1 as a service behind a gateway needs: one request a connection, a bounded body, one answer.

https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

HEAD_LIMIT = 64 * 1024
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
)


class Refused(Exception):
    """An answer that is an error. `retry_after` is in seconds, `type` one of llama-server's own words."""

    def __init__(self, status: int, message: str, *, type: str = "", retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after
        self.type = type or {400: "invalid_request_error", 404: "not_found_error", 503: "unavailable_error"}.get(
            status, "server_error"
        )

    def body(self) -> dict[str, Any]:
        """llama-server's own shape of an error."""
        return {"error": {"code": self.status, "message": self.message, "type": self.type}}


@dataclass(frozen=True, slots=True)
class Request:
    """`headers` by lower-case name, the last of a name counts."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int) -> Request | None:
    """None when the caller sent nothing. Raises Refused, ConnectionError, IncompleteReadError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise Refused(431, "the request's headers are too long") from None
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise Refused(400, "this is not an HTTP/1.1 request")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    address = urlsplit(words[1])
    body = await _body(reader, headers, limit)
    return Request(words[0], address.path, parse_qs(address.query), headers, body)


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str], limit: int) -> bytes:
    if headers.get("transfer-encoding", "identity").lower() == "chunked":
        return await _chunked(reader, limit)
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit():
        raise Refused(400, "content-length is not a number")
    if int(length) > limit:
        raise Refused(413, f"the request is larger than {limit} bytes")
    return await reader.readexactly(int(length))


async def _chunked(reader: asyncio.StreamReader, limit: int) -> bytes:
    pieces: list[bytes] = []
    room = limit
    while True:
        line = (await reader.readuntil(b"\r\n")).partition(b";")[0].strip()
        try:
            size = int(line, 16)
        except ValueError:
            raise Refused(400, "a chunk's size is not a number") from None
        if not 0 <= size <= room:
            raise Refused(413, f"the request is larger than {limit} bytes")
        if size == 0:
            while await reader.readuntil(b"\r\n") != b"\r\n":  # trailers
                pass
            return b"".join(pieces)
        room -= size
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)


class Caller:
    """Who asked, and what it has been told so far. An error is a plain answer until a stream has begun."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.begun = False
        self.answered = False  # the model's own answer has begun, and signs of life are no longer needed

    async def answer(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        """JSON (bytes: already), or text as it is."""
        text = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        kind = "text/plain; version=0.0.4; charset=utf-8" if isinstance(body, str) else "application/json"
        said = {"content-type": kind, "content-length": str(len(text)), **(headers or {}), "connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        self.begun = True
        self.writer.write(f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}\r\n".encode("latin-1") + text)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def refuse(self, refused: Refused) -> None:
        if self.begun:
            self.event(b"data: " + json.dumps(refused.body()).encode() + b"\n\n")
            self.writer.write(b"0\r\n\r\n")
            return
        headers = {} if refused.retry_after is None else {"retry-after": str(refused.retry_after)}
        await self.answer(refused.status, refused.body(), headers)

    def event(self, text: bytes) -> None:
        """One chunk of a stream, which it begins."""
        if not self.begun:
            self.begun = True
            self.writer.write(STREAM_HEAD)
        self.writer.write(b"%x\r\n%b\r\n" % (len(text), text))
