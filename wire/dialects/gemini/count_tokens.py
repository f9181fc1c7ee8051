"""countTokens: how many tokens a request's input is. https://ai.google.dev/api/tokens"""

from __future__ import annotations

from typing import Any

from wire.dialect import Quirks, Rendered
from wire.dialects.gemini.render import render_request
from wire.dialects.gemini.request import parse_request
from wire.dialects.gemini.shape import fields
from wire.errors import UpstreamMalformed
from wire.neutral import Request
from wire.reading import as_object


def parse_count_request(body: dict[str, Any], *, model: str | None = None) -> Request:
    """`contents` (Vertex: with the other fields beside it) or a whole `generateContentRequest`."""
    top = fields(body, "body")
    if "generateContentRequest" in top:
        return parse_request(as_object(top["generateContentRequest"], "generateContentRequest"), model=model)
    return parse_request(body, model=model)


def render_count_request(request: Request, *, quirks: Quirks) -> Rendered:
    """As `generateContentRequest`: with `contents` alone, tools and system instruction would not be counted."""
    rendered = render_request(request, quirks=quirks)
    whole = {"model": f"models/{request.model.removeprefix('models/')}", **rendered.body}
    return Rendered(body={"generateContentRequest": whole}, dropped=rendered.dropped)


def parse_count_response(body: dict[str, Any]) -> int:
    """The input's tokens. Raises UpstreamMalformed."""
    total = body.get("totalTokens") if isinstance(body, dict) else None
    if isinstance(total, bool) or not isinstance(total, int):
        raise UpstreamMalformed("The upstream's token count has no totalTokens")
    return total


def render_count_response(tokens: int) -> dict[str, Any]:
    return {"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]}
