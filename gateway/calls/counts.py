"""Token counts: asked of the provider where it speaks the caller's dialect, else estimated. Free, so never a row."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any
from urllib.parse import quote

import orjson

from gateway.calls.answer import JSON_HEADERS, answer_headers
from gateway.calls.ask import Ask
from gateway.calls.own_key import in_our_words
from gateway.calls.prepare import check_available, passed_headers, upstream_headers
from gateway.exchange import Exchange
from gateway.routing.resolve import Target
from gateway.settings import UpstreamSection
from gateway.surfaces import CountSurface
from gateway.upstream import Upstream, UpstreamRequest
from wire.dialects.gemini.count_tokens import parse_count_request, render_count_response
from wire.errors import UpstreamTimedOut
from wire.estimate import estimate_request_tokens
from wire.neutral import DialectName
from wire.rewriting import replace_top_level


class TokenCounts:
    """Serves the counting surfaces."""

    def __init__(self, upstream: Upstream, limits: UpstreamSection) -> None:
        self._upstream = upstream
        self._limits = limits

    async def serve(self, exchange: Exchange, ask: Ask, surface: CountSurface, target: Target) -> None:
        """Raises GatewayError. An estimate says so in `x-tollgate-estimated`."""
        provider = target.provider
        sent = perf_counter()
        native = surface.dialect.name in provider.dialects and surface.operation in provider.row.paths
        headers = JSON_HEADERS + answer_headers(target, 1 if native else 0, (sent - exchange.started) * 1000, ())
        if native and provider.unavailable is None:
            await exchange.respond(200, headers, await self._ask(exchange, ask, surface, target))
            return
        tokens = _estimate(ask, surface, provider.dialects[0])
        body = orjson.dumps(_render(surface, tokens))
        await exchange.respond(200, [*headers, (b"x-tollgate-estimated", b"1")], body)

    async def _ask(self, exchange: Exchange, ask: Ask, surface: CountSurface, target: Target) -> bytes:
        provider = target.provider
        check_available(provider)
        url = provider.url(surface.operation, quote(target.model, safe=""))
        model = None if surface.dialect.name == "gemini" else orjson.dumps(target.model)
        body = ask.raw if model is None else replace_top_level(ask.raw, {"model": model})
        passed = passed_headers(exchange.header, surface.dialect.name)
        request = UpstreamRequest("POST", url, upstream_headers(provider, passed), body)
        try:
            async with asyncio.timeout(self._limits.first_byte_timeout), self._upstream.send(request) as response:
                raw = await response.read()
        except TimeoutError as error:
            raise UpstreamTimedOut("The upstream did not answer in time") from error
        if 200 <= response.status < 300:
            return raw
        refused = surface.dialect.parse_error(response.status, response.headers, raw)
        raise in_our_words(refused, provider, response.status, own_key=ask.own_key is not None)


def _estimate(ask: Ask, surface: CountSurface, upstream: DialectName) -> int:
    parse = parse_count_request if surface.dialect.name == "gemini" else surface.dialect.parse_request
    return estimate_request_tokens(parse(ask.body, model=ask.model), upstream)


def _render(surface: CountSurface, tokens: int) -> dict[str, Any]:
    match surface.dialect.name:
        case "gemini":
            return render_count_response(tokens)
        case "openai_responses":
            return {"object": "response.input_tokens", "input_tokens": tokens}
        case _:
            return {"input_tokens": tokens}
