"""The one HTTP client towards providers, and the only module that knows which library it is (pyreqwest).

Pooled, one per process, never follows a redirect, never takes a header or address from a caller. What goes wrong
becomes `wire.errors`: nothing of the library's exceptions leaves this file. HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the
environment hold for providers far away; what is near is asked directly.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import (
    BuilderError,
    ConnectError,
    ConnectTimeoutError,
    PyreqwestError,
    RequestTimeoutError,
)
from pyreqwest.http import HeaderMap
from pyreqwest.response import Response

from gateway.settings import UpstreamSection
from wire.errors import UpstreamError, UpstreamMalformed, UpstreamTimedOut, UpstreamUnavailable

UNREACHED = "upstream_connect"  # the error's code where nothing of the request was sent
MAX_ANSWER_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    method: str
    url: str
    headers: Sequence[tuple[str, str]]
    body: bytes | None = None
    stream: bool = False  # the answer is to be read as it arrives


class UpstreamResponse:
    """Status and headers (lower-case names) are here; the body is still arriving."""

    def __init__(self, response: Response) -> None:
        self._reader = response.body_reader
        self.status: int = response.status
        self.headers: Mapping[str, str] = _readable(response.headers)

    async def chunk(self) -> bytes | None:
        """The next piece of the body as it arrived, None at its end. Raises UpstreamError."""
        try:
            piece = await self._reader.read_chunk()
        except PyreqwestError as error:
            raise translate(error) from error
        return None if piece is None else bytes(piece)

    async def read(self, limit: int = MAX_ANSWER_BYTES) -> bytes:
        """The whole body. Raises UpstreamMalformed past the limit, UpstreamError when it breaks off."""
        pieces: list[bytes] = []
        size = 0
        while (piece := await self.chunk()) is not None:
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise UpstreamMalformed("The upstream's answer is too large")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class Upstream:
    """Connection pool to all providers. `close()` ends it; calls in flight end with an error then.

    `near`: origins (`http://127.0.0.1:11434/`) that no proxy stands before, whatever the environment says.
    """

    def __init__(self, settings: UpstreamSection, near: Iterable[str] = ()) -> None:
        self._near = tuple(near)
        self._client = _builder(settings).build()
        self._direct = _builder(settings).no_proxy().build()

    async def close(self) -> None:
        await self._client.close()
        await self._direct.close()

    @asynccontextmanager
    async def send(self, request: UpstreamRequest) -> AsyncIterator[UpstreamResponse]:
        """Send, and give the answer once its headers are here. Leaving early closes the connection."""
        client = self._direct if request.url.startswith(self._near) else self._client
        try:
            builder = client.request(request.method, request.url).headers(list(request.headers))
            if request.body is not None:
                builder = builder.body_bytes(request.body)
            if request.stream:
                # Else the library reads 64 KiB ahead before it gives the first byte: a stream would come all at once.
                builder = builder.streamed_read_buffer_limit(0)
            exchange = builder.build_streamed()
            response = await exchange.__aenter__()
        except PyreqwestError as error:
            raise translate(error) from error
        except ValueError:  # an address or header that is none; its text holds the value, which may be a key
            raise UpstreamUnavailable("The request to the upstream cannot be made", code=UNREACHED) from None
        try:
            yield UpstreamResponse(response)
        finally:
            await exchange.__aexit__(None, None, None)


def _builder(settings: UpstreamSection) -> ClientBuilder:
    return (
        ClientBuilder()
        .connect_timeout(timedelta(seconds=settings.connect_timeout))
        .read_timeout(timedelta(seconds=max(settings.first_byte_timeout, settings.total_timeout)))
        .follow_redirects(False)
        .referer(False)
        .user_agent("tollgate")
        .pool_max_idle_per_host(1024)
    )


def _readable(headers: HeaderMap) -> dict[str, str]:
    """By lower-case name. The library refuses to read a value beyond ASCII: it is left out."""
    try:
        return {name.lower(): value for name, value in headers.items()}
    except ValueError:
        readable = {}
        for name in headers:
            with suppress(ValueError):
                readable[name.lower()] = headers[name]
        return readable


def translate(error: PyreqwestError) -> UpstreamError:
    """The library's exception in our words; its text may name hosts and stays behind (`__cause__`)."""
    if isinstance(error, ConnectTimeoutError):
        return UpstreamUnavailable("The upstream could not be reached in time", code=UNREACHED)
    if isinstance(error, ConnectError | BuilderError):
        return UpstreamUnavailable("The upstream could not be reached", code=UNREACHED)
    if isinstance(error, RequestTimeoutError):
        return UpstreamTimedOut("The upstream did not answer in time")
    return UpstreamUnavailable("The connection to the upstream broke", code="upstream_connection")
