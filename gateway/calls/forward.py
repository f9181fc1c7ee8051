"""The upstream request of surfaces that belong to no chat dialect, and of token counts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import orjson

from gateway.calls.ask import Ask
from gateway.calls.prepare import Prepared, check_available, upstream_headers
from gateway.calls.relay import Passing, Stream, json_object
from gateway.calls.tally import Tally
from gateway.routing.resolve import Target
from gateway.surfaces import ForwardSurface
from gateway.upstream import UpstreamRequest
from wire.dialect import Facts
from wire.dialects.gemini import DIALECT as GEMINI
from wire.embeddings import (
    EmbeddingRequest,
    parse_embedding_request,
    parse_gemini_embeddings,
    render_batch_embed,
    render_embeddings,
)
from wire.errors import BadRequest, GatewayError, UpstreamError, UpstreamMalformed
from wire.forwarded import ForwardReader
from wire.multipart import Form, boundary_of
from wire.native_completion import NativeMeter, parse_native, read_native, with_usage
from wire.neutral import Stamp
from wire.rewriting import replace_top_level
from wire.sse import SseEvent
from wire.translation import caller_names

_READER = ForwardReader()


def prepare_forward(ask: Ask, surface: ForwardSurface, target: Target) -> Prepared:
    """Raises BadRequest when the provider does not have the operation, NotReady when it cannot be used."""
    provider = target.provider
    check_available(provider)
    if surface.operation == "embeddings" and "gemini" in provider.dialects and provider.row.name == "gemini":
        return _gemini_embeddings(ask, target)
    if surface.operation not in provider.row.paths:
        raise BadRequest(
            f"Provider '{provider.name}' does not have {surface.path}", param="model", code="unsupported_operation"
        )
    url = provider.url(surface.operation, quote(target.model, safe=""))
    if surface.form:
        body = Form(ask.raw, boundary_of(ask.content_type)).replaced("model", target.model)
        request = UpstreamRequest("POST", url, upstream_headers(provider, [], ask.content_type), body, ask.stream)
        return Prepared(request, Passing(_READER))
    body, added = _rewritten(ask, surface, target)
    streamed = ask.stream or surface.operation == "audio_speech"
    request = UpstreamRequest("POST", url, upstream_headers(provider, []), body, streamed)
    if surface.operation == "native_completion":
        return Prepared(request, NativeCompletion())
    if surface.operation == "responses_compact":
        return Prepared(request, Passing(surface.dialect))
    return Prepared(request, Passing(_READER, hide_usage=added))


def _rewritten(ask: Ask, surface: ForwardSurface, target: Target) -> tuple[bytes, bool]:
    """The upstream's model name, and for streamed completions the usage chunk."""
    changes: dict[str, bytes | None] = {"model": orjson.dumps(target.model)}
    added = False
    if surface.operation == "completions" and ask.stream and target.provider.row.quirks.stream_options:
        options = ask.body.get("stream_options")
        wanted = {**options, "include_usage": True} if isinstance(options, dict) else {"include_usage": True}
        changes["stream_options"] = orjson.dumps(wanted)
        added = not ask.include_usage
    return replace_top_level(ask.raw, changes), added


def _gemini_embeddings(ask: Ask, target: Target) -> Prepared:
    wanted = parse_embedding_request(ask.body)
    rendered = render_batch_embed(wanted, target.model)
    url = target.provider.url("gemini_batch_embed", quote(target.model, safe=""))
    request = UpstreamRequest("POST", url, upstream_headers(target.provider, []), orjson.dumps(rendered.body))
    return Prepared(request, _Embeddings(wanted, target.asked), caller_names(rendered.dropped, {}))


class NativeCompletion:
    """llama.cpp's own answer with `usage` filled in: a `Way`."""

    def whole(self, raw: bytes, stamp: Stamp, tally: Tally) -> tuple[bytes, tuple[str, ...]]:  # noqa: ARG002 - a Way
        answer = parse_native(raw)
        tally.take_facts(read_native(answer))
        return orjson.dumps(with_usage(answer)), ()

    def stream(self, stamp: Stamp, tally: Tally) -> Stream:  # noqa: ARG002 - a Way
        return _NativeStream(tally)

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return _READER.parse_error(status, headers, body)


class _NativeStream:
    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._meter = NativeMeter()

    def feed(self, event: SseEvent, now: float) -> bytes:
        ended = self._meter.ended
        self._meter.feed(event)
        self._tally.take_meter(self._meter, now)
        last = self._meter.last
        return event.raw if ended or last is None else last

    def close(self, now: float) -> bytes:
        self._meter.close()
        self._tally.take_meter(self._meter, now)
        return b""

    def failed(self, error: GatewayError) -> bytes:  # noqa: ARG002 - a Stream
        """The upstream's own error event has gone out already."""
        return b""


class _Embeddings:
    """Gemini's answer in OpenAI's shape: a `Way`."""

    def __init__(self, wanted: EmbeddingRequest, model: str) -> None:
        self._wanted = wanted
        self._model = model

    def whole(self, raw: bytes, stamp: Stamp, tally: Tally) -> tuple[bytes, tuple[str, ...]]:  # noqa: ARG002 - a Way
        result = parse_gemini_embeddings(json_object(raw))
        tally.take_facts(Facts(usage=result.usage))
        return orjson.dumps(render_embeddings(result, self._wanted, self._model)), ()

    def stream(self, stamp: Stamp, tally: Tally) -> Stream:  # noqa: ARG002 - a Way
        raise UpstreamMalformed("The upstream streamed an embedding")

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return GEMINI.parse_error(status, headers, body)
