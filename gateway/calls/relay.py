"""Moves an upstream's answer to the caller, whole or streamed, passed through or translated, and reads it for metering.

A relay either returns with the answer delivered (or the caller gone), or raises a GatewayError. `exchange.told` tells
whether anything of an answer has gone out: an error before that becomes plain JSON or the next target's answer, one
after it is in-band. Signs of life (comments, for one who waits for a slot) are no answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

import orjson

from gateway.calls.answer import Headers
from gateway.calls.tally import Tally
from gateway.exchange import Exchange
from gateway.upstream import UpstreamResponse
from wire.dialect import CallerFormat, Dialect, Facts, Meter, StreamParser, StreamRenderer
from wire.errors import GatewayError, UpstreamError, UpstreamMalformed, UpstreamTruncated
from wire.neutral import Stamp, StreamEvent
from wire.sse import SseEvent, SseSplitter, encode_comment
from wire.tool_fitting import Fitted, StreamRestorer, restore_response
from wire.translation import caller_names

Clock = Callable[[], float]
_GRACE_SECONDS = 2.0  # for what may follow an answer's last event: a count, or just the end


class Reader(Protocol):
    """What is needed of a format that is passed through. Every dialect is one."""

    def read_response(self, body: bytes) -> Facts: ...
    def meter(self, *, hide_usage: bool = False) -> Meter: ...
    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError: ...


class Stream(Protocol):
    """One stream on its way: upstream events in, bytes for the caller out."""

    def feed(self, event: SseEvent, now: float) -> bytes: ...

    def close(self, now: float) -> bytes:
        """At the upstream's end. Raises UpstreamTruncated when the answer is not whole."""

    def failed(self, error: GatewayError) -> bytes:
        """What is still to be sent after the upstream failed in-band."""


class Way(Protocol):
    """How the answers of one attempt reach the caller."""

    def whole(self, raw: bytes, stamp: Stamp, tally: Tally) -> tuple[bytes, tuple[str, ...]]:
        """The body for the caller, and what it lost. Raises UpstreamError."""

    def stream(self, stamp: Stamp, tally: Tally) -> Stream: ...
    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError: ...


class Passing:
    """The same format on both sides: bytes go on as they came."""

    def __init__(self, reader: Reader, *, hide_usage: bool = False) -> None:
        self._reader = reader
        self._hide_usage = hide_usage
        self.parse_error = reader.parse_error

    def whole(self, raw: bytes, stamp: Stamp, tally: Tally) -> tuple[bytes, tuple[str, ...]]:  # noqa: ARG002 - a Way
        tally.take_facts(self._reader.read_response(raw))
        return raw, ()

    def stream(self, stamp: Stamp, tally: Tally) -> Stream:  # noqa: ARG002 - a Way
        return _PassThrough(self._reader.meter(hide_usage=self._hide_usage), tally)


class Translating:
    """Two dialects, through the neutral model."""

    def __init__(self, upstream: Dialect, caller: CallerFormat, fitted: Fitted, *, include_usage: bool) -> None:
        self._upstream = upstream
        self._caller = caller
        self._fitted = fitted
        self._include_usage = include_usage
        self.parse_error = upstream.parse_error

    def whole(self, raw: bytes, stamp: Stamp, tally: Tally) -> tuple[bytes, tuple[str, ...]]:
        answer = self._upstream.parse_response(json_object(raw))
        tally.take_response(answer)
        if self._fitted.changed:
            answer = restore_response(answer, self._fitted)
        rendered = self._caller.render_response(answer, stamp)
        return orjson.dumps(rendered.body), caller_names(rendered.dropped, {})

    def stream(self, stamp: Stamp, tally: Tally) -> Stream:
        renderer = self._caller.stream_renderer(stamp, include_usage=self._include_usage)
        restorer = StreamRestorer(self._fitted) if self._fitted.changed else None
        return _Translation(self._upstream.stream_parser(), renderer, tally, restorer)


def json_object(raw: bytes) -> dict[str, Any]:
    """An upstream's body. Raises UpstreamMalformed."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise UpstreamMalformed("The upstream's answer is not JSON") from error
    if not isinstance(body, dict):
        raise UpstreamMalformed("The upstream's answer is not a JSON object")
    return body


class _PassThrough:
    """Only usage and the end are looked for."""

    def __init__(self, meter: Meter, tally: Tally) -> None:
        self._meter = meter
        self._tally = tally

    def feed(self, event: SseEvent, now: float) -> bytes:
        if event.data is None:
            return event.raw
        keep = self._meter.feed(event)
        self._tally.take_meter(self._meter, now)
        return event.raw if keep else b""

    def close(self, now: float) -> bytes:
        self._meter.close()
        self._tally.take_meter(self._meter, now)
        return b""

    def failed(self, error: GatewayError) -> bytes:  # noqa: ARG002 - a Stream
        """The upstream's own error event has gone out already."""
        return b""


class _Translation:
    """Parse to neutral events, render them in the caller's dialect."""

    def __init__(
        self, parser: StreamParser, renderer: StreamRenderer, tally: Tally, restorer: StreamRestorer | None
    ) -> None:
        self._parser = parser
        self._renderer = renderer
        self._tally = tally
        self._restorer = restorer

    def feed(self, event: SseEvent, now: float) -> bytes:
        if event.data is None:  # a sign of life, for who waits in line: the same in every dialect
            return event.raw if event.raw.startswith(b":") else b""
        events = self._parser.feed(event)
        self._tally.take_events(events, now)
        if self._tally.failed is not None:
            return b""
        return self._render(events)

    def close(self, now: float) -> bytes:
        events = self._parser.close()
        self._tally.take_events(events, now)
        if self._tally.failed is not None:
            return b""
        if not self._tally.ended:
            raise UpstreamTruncated("The upstream's stream ended before its answer was whole")
        out = self._render(events)
        end = self._renderer.close()  # what the dialect's last event cannot hold is known only now
        lost = self._tally.lost = caller_names(self._renderer.dropped, {})
        comment = encode_comment("tollgate-dropped: " + ", ".join(lost)) if lost else b""
        return out + comment + end

    def failed(self, error: GatewayError) -> bytes:
        return self._renderer.error(error)

    def _render(self, events: list[StreamEvent]) -> bytes:
        if self._restorer is not None:
            events = self._restorer.feed(events)
        return b"".join([self._renderer.feed(item) for item in events])


async def _events(response: UpstreamResponse, tally: Tally, heard: Callable[[], None]) -> AsyncIterator[list[SseEvent]]:
    """Events as they arrive, all that came in one piece together. `heard` is called for every piece.

    Once the answer is whole its end is not waited for long: some upstreams keep the connection, or send comments."""
    splitter = SseSplitter()
    until: float | None = None
    while True:
        if tally.ended and until is None:
            until = asyncio.get_running_loop().time() + _GRACE_SECONDS
        piece = await (response.chunk() if until is None else _last_chunk(response, until))
        if piece is None:
            break
        heard()
        if events := splitter.feed(piece):
            yield events
    if events := splitter.close():
        yield events


async def _last_chunk(response: UpstreamResponse, until: float) -> bytes | None:
    """None when there is none by then."""
    if asyncio.get_running_loop().time() >= until:
        return None
    try:
        async with asyncio.timeout_at(until):
            return await response.chunk()
    except TimeoutError:
        return None


async def relay_stream(
    exchange: Exchange,
    response: UpstreamResponse,
    stream: Stream,
    tally: Tally,
    headers: Headers,
    about: Headers,
    clock: Clock,
    heard: Callable[[], None],
    whole: Callable[[], Awaitable[None]],
) -> None:
    """Deliver a stream; `whole` is called when all of it has been read, before its last bytes go out.

    The answer starts with the first bytes there are to send, so that an error in the upstream's first event can still
    become a plain error. Who answers is said `about` it in headers, or, where a stream began with signs of life, in
    comments. Raises UpstreamError."""
    async for events in _events(response, tally, heard):
        now = clock()
        out = b"".join([stream.feed(event, now) for event in events])
        if tally.failed is not None:
            return await _end_failed(exchange, stream, tally.failed, out)
        if exchange.told or any(event.data is not None for event in events):
            await _send(exchange, headers, about, out)
        elif out:
            if exchange.status is None:
                await exchange.start_stream(200, headers)
            await exchange.sign(out)
    out = stream.close(clock())
    if tally.failed is not None:
        return await _end_failed(exchange, stream, tally.failed, out)
    await whole()
    await _send(exchange, headers, about, out)
    if not exchange.told:
        raise UpstreamMalformed("The upstream's stream was empty")
    return await exchange.end_stream()


async def relay_bytes(
    exchange: Exchange, response: UpstreamResponse, headers: Headers, heard: Callable[[], None]
) -> None:
    """Deliver a body that nobody looks into (audio), as it arrives. Raises UpstreamError."""
    while (piece := await response.chunk()) is not None:
        heard()
        await _send(exchange, headers, [], piece)
    if exchange.status is None:
        await exchange.start_stream(200, headers)
    await exchange.end_stream()


async def _send(exchange: Exchange, headers: Headers, about: Headers, out: bytes) -> None:
    if not out:
        return
    if exchange.status is None:
        await exchange.start_stream(200, [*headers, *about])
    elif not exchange.told:
        await exchange.sign(b"".join([b": %b: %b\n" % header for header in about]) + b"\n")
    await exchange.write(out)


async def _end_failed(exchange: Exchange, stream: Stream, failed: GatewayError, out: bytes) -> None:
    """The upstream failed in-band: in-band for the caller too, unless nothing has gone out yet."""
    if not exchange.told:
        raise failed
    await exchange.write(out + stream.failed(failed))
    await exchange.end_stream()
