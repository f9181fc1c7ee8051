"""The front door: answers `/health` itself and passes everything else to the engine, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
from http import HTTPStatus
from typing import Any

from local_llm.engine import Engine

_HEAD_LIMIT = 64 * 1024
_PIECE = 64 * 1024


class Front:
    """One connection carries one request: whoever hangs up thereby ends the engine's work for it, too."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Raises OSError when the port is taken."""
        return await asyncio.start_server(self._connected, host, port, limit=_HEAD_LIMIT)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the caller has gone; nobody is left to tell
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            await _answer(writer, 431, _error(431, "the request's headers are too long"))
            return
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method in (b"GET", b"HEAD") and path in (b"/health", b"/"):
            await _answer(writer, 200, self._status())
        elif self._engine.state == "ready":
            await self._pass_on(head, reader, writer)
        else:
            await _answer(writer, 503, _error(503, self._engine.reason))

    def _status(self) -> dict[str, Any]:
        """Always 200: the service lives. `status` says whether a model can be asked."""
        model = self._engine.model
        return {
            "status": "ok" if self._engine.state == "ready" else self._engine.state,
            "model": model.name if model else None,
            "reason": None if self._engine.state == "ready" else self._engine.reason,
        }

    async def _pass_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_engine, to_engine = await asyncio.open_connection("127.0.0.1", self._engine.port)
        except OSError:
            await _answer(writer, 503, _error(503, "llama-server does not answer; it is started again"))
            return
        try:
            to_engine.write(_closing(head))
            asking = asyncio.create_task(_copy(reader, to_engine))
            telling = asyncio.create_task(_copy_answer(from_engine, writer))
            # Whichever side ends first ends the other: the answer is whole, or the caller has hung up.
            done, rest = await asyncio.wait({asking, telling}, return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            await asyncio.gather(asking, telling, return_exceptions=True)
            if telling in done and isinstance(telling.exception(), asyncio.IncompleteReadError):
                await _answer(writer, 502, _error(502, "llama-server ended before it answered; it is started again"))
        finally:
            to_engine.transport.abort()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy until the end of the source."""
    while piece := await source.read(_PIECE):
        target.write(piece)
        await target.drain()


async def _copy_answer(engine: asyncio.StreamReader, caller: asyncio.StreamWriter) -> None:
    """Copy an answer, telling the caller that its connection ends. Raises IncompleteReadError when none came."""
    head = await engine.readuntil(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 1"):  # 100 Continue and the like come before the answer
        caller.write(head)
        head = await engine.readuntil(b"\r\n\r\n")
    caller.write(_closing(head))
    await _copy(engine, caller)


def _closing(head: bytes) -> bytes:
    """The head of a request or an answer with `connection: close` in place of what it said."""
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    hop = (b"connection:", b"keep-alive:", b"proxy-connection:")
    kept = [line for line in lines if not line.lower().startswith(hop)]
    return b"\r\n".join([*kept, b"connection: close", b"", b""])


def _error(status: int, message: str) -> dict[str, Any]:
    """llama-server's own shape of an error."""
    kind = "unavailable_error" if status == 503 else "server_error"
    return {"error": {"code": status, "message": message, "type": kind}}


async def _answer(writer: asyncio.StreamWriter, status: int, body: dict[str, Any]) -> None:
    text = json.dumps(body).encode()
    retry = "retry-after: 5\r\n" if status == 503 else ""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(text)}\r\n{retry}connection: close\r\n\r\n"
    )
    writer.write(head.encode("latin-1") + text)
    with contextlib.suppress(ConnectionError):
        await writer.drain()
