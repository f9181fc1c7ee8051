"""From what a caller asks to the request that goes upstream: passed through when the dialect is spoken there, else
translated through the neutral model. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import orjson
from msgspec.structs import replace

from gateway.calls.ask import Ask
from gateway.routing.resolve import Target
from gateway.surfaces import DIALECTS
from gateway.upstream import UpstreamRequest
from wire.dialect import Dialect
from wire.errors import BadRequest, NotReady
from wire.providers import Operation
from wire.translation import caller_names

# Request headers of the caller that may go upstream, per dialect, when it is spoken there natively.
PASSED_HEADERS: dict[str, tuple[bytes, ...]] = {
    "openai_chat": (b"openai-beta",),
    "openai_responses": (b"openai-beta",),
    "anthropic_messages": (b"anthropic-beta", b"anthropic-version"),
    "gemini": (),
}


def passed_headers(header: Callable[[bytes], str | None], dialect: str) -> list[tuple[str, str]]:
    """The caller's headers that its dialect's list allows to go upstream."""
    return [(name.decode(), value) for name in PASSED_HEADERS[dialect] if (value := header(name))]


@dataclass(frozen=True, slots=True)
class Prepared:
    """`upstream` is the dialect spoken there; `native`: it is the caller's own. `hide_usage`: the usage chunk was asked
    for by us. `dropped` are the caller's fields that the upstream cannot take."""

    request: UpstreamRequest
    upstream: Dialect
    native: bool
    hide_usage: bool
    dropped: tuple[str, ...]


def prepare(ask: Ask, target: Target, passed: list[tuple[str, str]]) -> Prepared:
    """Raises BadRequest for what cannot be carried, NotReady when the provider cannot be used."""
    provider = target.provider
    if provider.unavailable is not None:
        raise NotReady(
            f"Provider '{provider.name}' is unavailable: {provider.unavailable}", code="provider_unavailable"
        )
    caller = ask.surface.dialect
    dropped: tuple[str, ...] = ()
    if caller.name in provider.dialects:
        body, added = caller.rewrite_request(
            ask.raw, model=target.model, quirks=provider.row.quirks, include_usage=ask.stream
        )
        headers, upstream, native = passed, caller, True
    else:
        upstream, native, added = DIALECTS[provider.dialects[0]], False, False
        body, headers, dropped = _translate(ask, target, upstream)
    url = provider.url(_operation(upstream, ask.stream), quote(target.model, safe=""))
    return Prepared(
        request=UpstreamRequest("POST", url, _headers(target, headers), body),
        upstream=upstream,
        native=native,
        hide_usage=added,
        dropped=dropped,
    )


def _translate(ask: Ask, target: Target, upstream: Dialect) -> tuple[bytes, list[tuple[str, str]], tuple[str, ...]]:
    caller = ask.surface.dialect
    request = caller.parse_request(ask.body, model=ask.model, stream=ask.stream)
    # The usage of a translated stream is always needed; the caller's renderer knows whether to show it.
    request = replace(request, model=target.model, stream=ask.stream, include_usage=ask.stream)
    rendered = upstream.render_request(request, quirks=target.provider.row.quirks)
    dropped = caller_names(rendered.dropped, caller.field_names)
    if dropped and ask.strict:
        raise BadRequest(
            f"Field {dropped[0]!r} cannot be carried to {target.provider.name} (strict)",
            param=dropped[0],
            code="cannot_carry",
        )
    return orjson.dumps(rendered.body), list(rendered.headers.items()), dropped


def _operation(dialect: Dialect, stream: bool) -> Operation:
    if dialect.name == "gemini":
        return "gemini_stream" if stream else "gemini"
    return dialect.name


def _headers(target: Target, extra: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """One value a name; the caller's or dialect's (versions, betas) before the row's fixed ones."""
    merged = dict(target.provider.auth_headers())
    merged.update(extra)
    merged["content-type"] = "application/json"
    return list(merged.items())
