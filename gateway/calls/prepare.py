"""From what a caller asks to the request that goes upstream: passed through when the dialect is spoken there, else
translated through the neutral model. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import orjson

from gateway.calls.ask import Ask, refusing_depth
from gateway.calls.relay import Passing, Translating, Way
from gateway.routing.providers import Provider
from gateway.routing.resolve import Target
from gateway.surfaces import DIALECTS, ChatSurface
from gateway.upstream import UpstreamRequest
from wire.dialect import CallerFormat, Dialect
from wire.errors import BadRequest, NotReady
from wire.neutral import DialectName
from wire.providers import Operation
from wire.tool_fitting import Fitted
from wire.translation import translate
from wire.web_search import searching_dialect, with_search_tool

# Request headers of the caller that may go upstream, per dialect, when it is spoken there natively.
PASSED_HEADERS: dict[str, tuple[bytes, ...]] = {
    "openai_chat": (b"openai-beta",),
    "openai_responses": (b"openai-beta",),
    "anthropic_messages": (b"anthropic-beta", b"anthropic-version"),
    "gemini": (),
}


def passed_headers(header: Callable[[bytes], str | None], dialect: str) -> list[tuple[str, str]]:
    """The caller's headers that its dialect's list allows to go upstream; none of a front door."""
    return [(name.decode(), value) for name in PASSED_HEADERS.get(dialect, ()) if (value := header(name))]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The request, and how its answer comes back. `dropped` are the caller's fields that the upstream cannot take."""

    request: UpstreamRequest
    way: Way
    dropped: tuple[str, ...] = ()


def prepare_chat(ask: Ask, surface: ChatSurface, target: Target, passed: list[tuple[str, str]]) -> Prepared:
    """Raises BadRequest for what cannot be carried, NotReady when the provider cannot be used."""
    provider = target.provider
    check_available(provider)
    caller = surface.dialect
    if caller.name in provider.dialects:
        native = DIALECTS[caller.name]
        body, added = native.rewrite_request(
            ask.raw, model=target.model, quirks=provider.row.quirks, include_usage=ask.stream
        )
        headers = upstream_headers(provider, passed)
        request = UpstreamRequest("POST", chat_url(target, native, ask.stream), headers, body, ask.stream)
        return Prepared(request, Passing(native, hide_usage=added), _refused_fields(ask, native, provider))
    upstream = DIALECTS[_spoken_with(ask, provider)]
    with refusing_depth(ask.body):
        body, headers, dropped, fitted = _translate(ask, caller, target, upstream)
    request = UpstreamRequest("POST", chat_url(target, upstream, ask.stream), headers, body, ask.stream)
    return Prepared(request, Translating(upstream, caller, fitted, include_usage=ask.include_usage), dropped)


def _spoken_with(ask: Ask, provider: Provider) -> DialectName:
    """The provider's preferred dialect; one that can search the web where that is asked for. Raises BadRequest."""
    if ask.request is None or not ask.request.web_search:
        return provider.dialects[0]
    dialect = searching_dialect(provider.row, provider.dialects)
    if dialect is None:
        raise BadRequest(f"Provider '{provider.name}' cannot search the web", param="web_search", code="no_web_search")
    return dialect


def check_available(provider: Provider) -> None:
    """Raises NotReady with the reason when no call can be sent to the provider."""
    if provider.unavailable is not None:
        raise NotReady(
            f"Provider '{provider.name}' is unavailable: {provider.unavailable}", code="provider_unavailable"
        )


def chat_url(target: Target, dialect: Dialect, stream: bool) -> str:
    operation: Operation = "gemini_stream" if dialect.name == "gemini" and stream else dialect.name
    return target.provider.url(operation, quote(target.model, safe=""))


def upstream_headers(
    provider: Provider, extra: list[tuple[str, str]], content_type: str = "application/json"
) -> list[tuple[str, str]]:
    """One value a name; `extra` (versions, betas) before the row's fixed ones, the credential before all."""
    merged = dict(provider.row.headers)
    merged.update(extra)
    merged.update(provider.auth_headers())
    merged["content-type"] = content_type
    return list(merged.items())


def _refused_fields(ask: Ask, caller: Dialect, provider: Provider) -> tuple[str, ...]:
    """Top-level fields that the rewriting has taken out, because this upstream is known to refuse them."""
    names = (caller.field_names.get(name, name) for name in sorted(provider.row.quirks.drop))
    refused = tuple(name for name in names if ask.body.get(name) is not None)
    _check_strict(ask, refused, provider)
    return refused


def _check_strict(ask: Ask, dropped: tuple[str, ...], provider: Provider) -> None:
    """Raises BadRequest when the caller wants everything carried or nothing sent."""
    if dropped and ask.strict:
        raise BadRequest(
            f"Field {dropped[0]!r} cannot be carried to {provider.name} (strict)", param=dropped[0], code="cannot_carry"
        )


def _translate(
    ask: Ask, caller: CallerFormat, target: Target, upstream: Dialect
) -> tuple[bytes, list[tuple[str, str]], tuple[str, ...], Fitted]:
    request = ask.request or caller.parse_request(ask.body, model=ask.model, stream=ask.stream)
    found = translate(
        with_search_tool(request, upstream.name),
        caller.field_names,
        upstream,
        model=target.model,
        stream=ask.stream,
        quirks=target.provider.row.quirks,
    )
    _check_strict(ask, found.dropped, target.provider)
    headers = upstream_headers(target.provider, list(found.headers.items()))
    return orjson.dumps(found.body), headers, found.dropped, found.fitted
