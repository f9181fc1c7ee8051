"""Moves an upstream's answer to the caller, whole or streamed, passed through or translated, and reads it for metering.

Each relay either returns with the answer delivered (or the caller gone), or raises a GatewayError. `exchange.status`
tells whether bytes have gone out: an error before that becomes plain JSON or the next target, one after it is in-band.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from gateway.calls.answer import Headers
from gateway.calls.ask import Ask
from gateway.calls.prepare import Prepared
from gateway.calls.tally import Tally
from gateway.exchange import Exchange
from gateway.upstream import UpstreamResponse
from wire.dialect import Dialect
from wire.errors import GatewayError, UpstreamMalformed, UpstreamTruncated
from wire.neutral import Stamp
from wire.sse import SseEvent, SseSplitter, encode_comment

Clock = Callable[[], float]


async def read_whole(
    response: UpstreamResponse, prepared: Prepared, ask: Ask, stamp: Stamp, tally: Tally
) -> tuple[bytes, tuple[str, ...]]:
    """The body for the caller and what it lost in translation. Raises UpstreamError."""
    raw = await response.read()
    if prepared.native:
        tally.take_facts(prepared.upstream.read_response(raw))
        return raw, ()
    answer = prepared.upstream.parse_response(_object(raw))
    tally.take_response(answer)
    rendered = ask.surface.dialect.render_response(answer, stamp)
    return orjson.dumps(rendered.body), rendered.dropped


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise UpstreamMalformed("The upstream's answer is not JSON") from error
    if not isinstance(body, dict):
        raise UpstreamMalformed("The upstream's answer is not a JSON object")
    return body


class PassThrough:
    """Same dialect on both sides: bytes go on as they came, only usage and the end are looked for."""

    def __init__(self, dialect: Dialect, tally: Tally, *, hide_usage: bool) -> None:
        self.tally = tally
        self._meter = dialect.meter(hide_usage=hide_usage)

    def feed(self, event: SseEvent, now: float) -> bytes:
        if event.data is None:
            return event.raw
        keep = self._meter.feed(event)
        self.tally.take_meter(self._meter, now)
        return event.raw if keep else b""

    def close(self, now: float) -> bytes:
        self._meter.close()
        self.tally.take_meter(self._meter, now)
        return b""


class Translation:
    """Two dialects: parse to neutral events, render them in the caller's."""

    def __init__(self, upstream: Dialect, caller: Dialect, stamp: Stamp, tally: Tally, *, include_usage: bool) -> None:
        self.tally = tally
        self._parser = upstream.stream_parser()
        self._renderer = caller.stream_renderer(stamp, include_usage=include_usage)
        self._closed = False

    def feed(self, event: SseEvent, now: float) -> bytes:
        if event.data is None:
            return b""
        events = self._parser.feed(event)
        self.tally.take_events(events, now)
        if self.tally.failed is not None:
            return b""
        return b"".join([self._renderer.feed(item) for item in events])

    def close(self, now: float) -> bytes:
        events = self._parser.close()
        self.tally.take_events(events, now)
        if self.tally.failed is not None:
            return b""
        if not self.tally.ended:
            raise UpstreamTruncated("The upstream's stream ended before its answer was whole")
        out = b"".join([self._renderer.feed(item) for item in events])
        lost = self._renderer.dropped
        comment = encode_comment("tollgate-dropped: " + ", ".join(dict.fromkeys(lost))) if lost else b""
        return out + comment + self._renderer.close()

    def error(self, error: GatewayError) -> bytes:
        return self._renderer.error(error)


async def stream_events(response: UpstreamResponse, heard: Callable[[], None]) -> AsyncIterator[list[SseEvent]]:
    """Events as they arrive, all that came in one piece together. `heard` is called for every piece."""
    splitter = SseSplitter()
    while (piece := await response.chunk()) is not None:
        heard()
        if events := splitter.feed(piece):
            yield events
    if events := splitter.close():
        yield events


async def relay_stream(
    exchange: Exchange,
    response: UpstreamResponse,
    translator: PassThrough | Translation,
    headers: Headers,
    clock: Clock,
    heard: Callable[[], None],
) -> None:
    """Deliver a stream. The answer starts with the first bytes there are to send, so that an error in the upstream's
    first event can still become a plain error. Raises UpstreamError."""
    async for events in stream_events(response, heard):
        now = clock()
        out = b"".join([translator.feed(event, now) for event in events])
        failed = translator.tally.failed
        if failed is not None and exchange.status is None:
            raise failed
        await _send(exchange, headers, out)
        if failed is not None:
            return await _end_failed(exchange, translator, failed)
    out = translator.close(clock())
    await _send(exchange, headers, out)
    if (failed := translator.tally.failed) is not None:
        if exchange.status is None:
            raise failed
        return await _end_failed(exchange, translator, failed)
    if exchange.status is None:
        raise UpstreamMalformed("The upstream's stream was empty")
    return await exchange.end_stream()


async def _send(exchange: Exchange, headers: Headers, out: bytes) -> None:
    if not out:
        return
    if exchange.status is None:
        await exchange.start_stream(200, headers)
    await exchange.write(out)


async def _end_failed(exchange: Exchange, translator: PassThrough | Translation, failed: GatewayError) -> None:
    """The upstream failed in-band after bytes have gone out. Passed through, its own error event has gone already."""
    if isinstance(translator, Translation):
        await exchange.write(translator.error(failed))
    await exchange.end_stream()
