"""A TCP proxy that breaks connections in the middle of a reply, and can be pointed at another server meanwhile."""

from __future__ import annotations

import asyncio
import random
import threading
from types import TracebackType
from typing import Self

_PIECE = 65536


class FaultyProxy:
    """`with FaultyProxy(port) as proxy:` listens on a free loopback port. Runs an event loop in a thread of its own.

    While `cut_every` is above 0, one reply in so many (by chance) is cut after a part of it and both connections are
    reset; `cuts` counts them. `target` may be changed at any time: it holds for connections made after that.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.cut_every = 0
        self.cuts = 0
        self.port = 0
        self._random = random.Random(4)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty proxy", daemon=True)
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def reset(self) -> None:
        """Break every connection that is open now."""
        self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _close(self) -> None:
        self._server.close()
        self._abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind, ahead = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, ahead}
        self._open |= pair
        ways = [
            asyncio.ensure_future(self._pump(reader, ahead, reply=False)),
            asyncio.ensure_future(self._pump(behind, writer, reply=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for each in pair:
                each.transport.abort()
            self._open -= pair

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, reply: bool) -> None:
        """Until one side ends, or a reply is cut."""
        try:
            while piece := await source.read(_PIECE):
                cut = reply and self.cut_every > 0 and self._random.randrange(self.cut_every) == 0
                sink.write(piece[: len(piece) // 2] if cut else piece)
                await sink.drain()
                if cut:
                    self.cuts += 1
                    return
        except ConnectionError:
            return
