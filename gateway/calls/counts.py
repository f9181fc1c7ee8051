"""Token counts: asked of the provider where it speaks the caller's dialect, else estimated. Free, so never a row."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import Any
from urllib.parse import quote

import orjson

from gateway.calls.answer import JSON_HEADERS, answer_headers
from gateway.calls.ask import Ask, refusing_depth
from gateway.calls.own_key import in_our_words
from gateway.calls.prepare import check_available, passed_headers, upstream_headers
from gateway.calls.relay import json_object
from gateway.exchange import Exchange
from gateway.routing.providers import Provider
from gateway.routing.resolve import Target
from gateway.settings import UpstreamSection
from gateway.surfaces import CountSurface
from gateway.upstream import Upstream, UpstreamRequest
from wire.dialect import Dialect
from wire.dialects.gemini.count_tokens import parse_count_request, render_count_response
from wire.dialects.openai_chat import DIALECT as OPENAI_CHAT
from wire.errors import GatewayError, UpstreamMalformed, UpstreamTimedOut
from wire.estimate import estimate_request_tokens
from wire.neutral import DialectName, Request
from wire.rewriting import replace_top_level
from wire.translation import translate


class TokenCounts:
    """Serves the counting surfaces, and counts for front doors."""

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
            return await exchange.respond(200, headers, await self._ask(exchange, ask, surface, target))
        if _counts_chats(provider):
            own_key = ask.own_key is not None
            names = surface.dialect.field_names
            with refusing_depth(ask.body):
                counted = await self._count_chat(_parse(ask, surface), names, target, own_key=own_key)
            headers = JSON_HEADERS + answer_headers(target, 1, (sent - exchange.started) * 1000, ())
            return await exchange.respond(200, headers, orjson.dumps(_render(surface, counted)))
        tokens = _estimate(ask, surface, provider.dialects[0])
        body = orjson.dumps(_render(surface, tokens))
        return await exchange.respond(200, [*headers, (b"x-tollgate-estimated", b"1")], body)

    async def _ask(self, exchange: Exchange, ask: Ask, surface: CountSurface, target: Target) -> bytes:
        provider = target.provider
        check_available(provider)
        url = provider.url(surface.operation, quote(target.model, safe=""))
        model = None if surface.dialect.name == "gemini" else orjson.dumps(target.model)
        body = ask.raw if model is None else replace_top_level(ask.raw, {"model": model})
        passed = passed_headers(exchange.header, surface.dialect.name)
        request = UpstreamRequest("POST", url, upstream_headers(provider, passed), body)
        return await self._send(request, provider, surface.dialect, own_key=ask.own_key is not None)

    async def exactly(self, request: Request, names: Mapping[str, str], target: Target) -> int | None:
        """By the model's own tokenizer; None where it cannot be asked (just now)."""
        if not _counts_chats(target.provider):
            return None
        try:
            return await self._count_chat(request, names, target, own_key=False)
        except GatewayError:
            return None

    async def _count_chat(self, request: Request, names: Mapping[str, str], target: Target, *, own_key: bool) -> int:
        """By the model's own tokenizer, as the conversation that would be sent."""
        provider = target.provider
        found = translate(request, names, OPENAI_CHAT, model=target.model, stream=False, quirks=provider.row.quirks)
        url = provider.url("openai_chat_input_tokens", "")
        asked = UpstreamRequest("POST", url, upstream_headers(provider, []), orjson.dumps(found.body))
        raw = await self._send(asked, provider, OPENAI_CHAT, own_key=own_key)
        counted = json_object(raw).get("input_tokens")
        if type(counted) is not int:
            raise UpstreamMalformed("The upstream's count is not a number")
        return counted

    async def _send(self, request: UpstreamRequest, provider: Provider, dialect: Dialect, *, own_key: bool) -> bytes:
        try:
            async with asyncio.timeout(self._limits.first_byte_timeout), self._upstream.send(request) as response:
                raw = await response.read()
        except TimeoutError as error:
            raise UpstreamTimedOut("The upstream did not answer in time") from error
        if 200 <= response.status < 300:
            return raw
        refused = dialect.parse_error(response.status, response.headers, raw)
        raise in_our_words(refused, provider, response.status, own_key=own_key)


def _counts_chats(provider: Provider) -> bool:
    return "openai_chat_input_tokens" in provider.row.paths and provider.unavailable is None


def _estimate(ask: Ask, surface: CountSurface, upstream: DialectName) -> int:
    with refusing_depth(ask.body):
        return estimate_request_tokens(_parse(ask, surface), upstream)


def _parse(ask: Ask, surface: CountSurface) -> Request:
    parse = parse_count_request if surface.dialect.name == "gemini" else surface.dialect.parse_request
    return parse(ask.body, model=ask.model)


def _render(surface: CountSurface, tokens: int) -> dict[str, Any]:
    match surface.dialect.name:
        case "gemini":
            return render_count_response(tokens)
        case "openai_responses":
            return {"object": "response.input_tokens", "input_tokens": tokens}
        case _:
            return {"input_tokens": tokens}
