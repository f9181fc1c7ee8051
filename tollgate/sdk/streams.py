"""Streams as iterators of typed chunks. They hold a connection until their end, or until they are closed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, ExitStack
from types import TracebackType
from typing import Any, Generic, Self

import httpx

from tollgate.sdk.answers import ChunkT, StreamReading
from tollgate.sdk.sending import unreached
from tollgate.sdk.types.shape import About


class _Known(Generic[ChunkT]):
    """What is known beside the chunks; complete at the stream's end."""

    def __init__(self, reading: StreamReading[ChunkT]) -> None:
        self._reading = reading

    @property
    def tollgate(self) -> About:
        return self._reading.about

    @property
    def dropped(self) -> tuple[str, ...]:
        """Fields of the request that the provider cannot take, and what its answer has lost so far."""
        return self._reading.about.dropped

    @property
    def usage(self) -> Any:
        """The last token count seen, as its API has it, whether it was asked for or not. None: there was none."""
        return self._reading.usage


class Stream(_Known[ChunkT]):
    """`for chunk in stream`, best inside `with stream:`. An error in the middle is raised there, and so is an end that
    comes too early: what came before it has been given by then."""

    def __init__(self, response: httpx.Response, reading: StreamReading[ChunkT], provider: str) -> None:
        super().__init__(reading)
        self._resources = ExitStack()
        self._resources.callback(response.close)
        self._chunks = _chunks(response, reading, provider, self._resources)

    def keep(self, resources: ExitStack) -> None:
        """Close these too at the end."""
        self._resources.push(resources)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ChunkT:
        return next(self._chunks)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cut the stream. The provider stops writing as soon as it notices."""
        self._chunks.close()
        self._resources.close()

    def __del__(self) -> None:
        """One that was forgotten in the middle."""
        self.close()


def _chunks(
    response: httpx.Response, reading: StreamReading[ChunkT], provider: str, resources: ExitStack
) -> Generator[ChunkT, None, None]:
    with resources:
        try:
            for piece in response.iter_bytes():
                yield from reading.feed(piece)
        except httpx.HTTPError as error:
            raise unreached(error, provider) from None
        yield from reading.close()


class AsyncStream(_Known[ChunkT]):
    """`async for chunk in stream`, best inside `async with stream:`."""

    def __init__(self, response: httpx.Response, reading: StreamReading[ChunkT], provider: str) -> None:
        super().__init__(reading)
        self._resources = AsyncExitStack()
        self._resources.push_async_callback(response.aclose)
        self._chunks = _achunks(response, reading, provider, self._resources)

    def keep(self, resources: AsyncExitStack) -> None:
        """Close these too at the end."""
        self._resources.push_async_exit(resources)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChunkT:
        return await anext(self._chunks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Cut the stream. The provider stops writing as soon as it notices."""
        await self._chunks.aclose()
        await self._resources.aclose()

    aclose = close


async def _achunks(
    response: httpx.Response, reading: StreamReading[ChunkT], provider: str, resources: AsyncExitStack
) -> AsyncGenerator[ChunkT, None]:
    async with resources:
        try:
            async for piece in response.aiter_bytes():
                for chunk in reading.feed(piece):
                    yield chunk
        except httpx.HTTPError as error:
            raise unreached(error, provider) from None
        for chunk in reading.close():
            yield chunk
