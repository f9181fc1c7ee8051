"""The HTTP client, blocking and not: sends a request, waits and tries again as it is told to, names what goes wrong."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol
from weakref import WeakKeyDictionary

import httpx

from tollgate.sdk.errors import ProviderTimeoutError, ProviderUnreachableError, TollgateError
from tollgate.sdk.requests import Outbound

CONNECT_SECONDS = 10.0
READ_SECONDS = 600.0  # a model that thinks for long sends nothing meanwhile
_TRANSIENT = frozenset({429, 500, 502, 503, 529})
_LONGEST_WAIT = 60.0


class Receiver(Protocol):
    """Knows what an error's answer says."""

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> TollgateError: ...


@dataclass(frozen=True)
class Manner:
    """`timeout`: seconds without a byte from the provider. `max_retries`: how often a call that failed for a passing
    reason (no connection, 429, 500, 502, 503, 529) is sent again before its first byte; `Retry-After` is obeyed."""

    timeout: float | None = None
    max_retries: int = 0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def times(self, timeout: float | None) -> httpx.Timeout:
        return httpx.Timeout(timeout or self.timeout or READ_SECONDS, connect=CONNECT_SECONDS)

    def wait(self, tried: int, error: TollgateError) -> float | None:
        """Seconds until the next attempt after so many; None: there is none."""
        passing = error.status in _TRANSIENT or error.code == "upstream_connect"
        if tried > self.max_retries or not passing:
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= _LONGEST_WAIT else None
        return min(8.0, 0.5 * 2.0 ** (tried - 1)) * random.uniform(0.5, 1.0)


@cache
def _tls() -> ssl.SSLContext:
    """Made once: reading the certificates of the world costs more than a call."""
    return httpx.create_ssl_context()


def unreached(error: httpx.HTTPError, provider: str) -> TollgateError:
    """The library's exception in our words: its own text may name more than anybody wants in a log."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return ProviderUnreachableError("It could not be reached", code="upstream_connect", provider=provider)
    if isinstance(error, httpx.TimeoutException):
        return ProviderTimeoutError("It did not answer in time", code="upstream_timeout", provider=provider)
    return ProviderUnreachableError("The connection broke", code="upstream_connection", provider=provider)


class Sender:
    """Blocking."""

    def __init__(self, manner: Manner, provider: str) -> None:
        self._manner = manner
        self._provider = provider
        self._client = httpx.Client(verify=_tls(), headers={"user-agent": "tollgate-sdk", **manner.headers})

    def send(self, outbound: Outbound, receiver: Receiver, *, stream: bool, timeout: float | None) -> httpx.Response:
        """An answer with a 2xx; its body read, or with `stream` still to come. Raises TollgateError."""
        tried = 0
        while True:
            tried += 1
            try:
                return self._once(outbound, receiver, stream, timeout)
            except TollgateError as error:
                wait = self._manner.wait(tried, error)
                if wait is None:
                    raise
            time.sleep(wait)

    def _once(self, outbound: Outbound, receiver: Receiver, stream: bool, timeout: float | None) -> httpx.Response:
        times = self._manner.times(timeout)
        request = self._client.build_request(
            outbound.method, outbound.url, headers=dict(outbound.headers), content=outbound.body, timeout=times
        )
        try:
            response = self._client.send(request, stream=stream)
            if not response.is_success:
                try:
                    response.read()
                finally:
                    response.close()
        except httpx.HTTPError as error:
            raise unreached(error, self._provider) from None
        if not response.is_success:
            raise receiver.failure(response.status_code, response.headers, response.content)
        return response

    def close(self) -> None:
        self._client.close()


class AsyncSender:
    """For asyncio. Each event loop has connections of its own."""

    def __init__(self, manner: Manner, provider: str) -> None:
        self._manner = manner
        self._provider = provider
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()

    async def send(
        self, outbound: Outbound, receiver: Receiver, *, stream: bool, timeout: float | None
    ) -> httpx.Response:
        """An answer with a 2xx; its body read, or with `stream` still to come. Raises TollgateError."""
        tried = 0
        while True:
            tried += 1
            try:
                return await self._once(outbound, receiver, stream, timeout)
            except TollgateError as error:
                wait = self._manner.wait(tried, error)
                if wait is None:
                    raise
            await asyncio.sleep(wait)

    async def _once(
        self, outbound: Outbound, receiver: Receiver, stream: bool, timeout: float | None
    ) -> httpx.Response:
        client = self._client()
        times = self._manner.times(timeout)
        request = client.build_request(
            outbound.method, outbound.url, headers=dict(outbound.headers), content=outbound.body, timeout=times
        )
        try:
            response = await client.send(request, stream=stream)
            if not response.is_success:
                try:
                    await response.aread()
                finally:
                    await response.aclose()
        except httpx.HTTPError as error:
            raise unreached(error, self._provider) from None
        if not response.is_success:
            raise receiver.failure(response.status_code, response.headers, response.content)
        return response

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = httpx.AsyncClient(verify=_tls(), headers={"user-agent": "tollgate-sdk", **self._manner.headers})
            self._clients[loop] = client
        return client

    async def close(self) -> None:
        """The connections of the running event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()
