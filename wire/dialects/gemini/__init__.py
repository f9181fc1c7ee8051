"""Google Gemini: generateContent and streamGenerateContent. https://ai.google.dev/api/generate-content

The model and whether to stream are in the URL, not in the body. Also here, for the routes: `count_tokens` (the
countTokens shapes) and `array_framing` (streams for callers without `alt=sse`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from wire.dialect import Dialect, Facts, Quirks, Rendered
from wire.dialects.gemini.errors import parse_error, render_error
from wire.dialects.gemini.foreign import SEAL_MARK, without_seals
from wire.dialects.gemini.meter import GeminiMeter, read_response
from wire.dialects.gemini.render import render_request
from wire.dialects.gemini.request import parse_request
from wire.dialects.gemini.response import parse_response, render_response
from wire.dialects.gemini.settings import FIELD_NAMES
from wire.dialects.gemini.stream_parser import GeminiStreamParser
from wire.dialects.gemini.stream_renderer import GeminiStreamRenderer
from wire.errors import GatewayError, UpstreamError
from wire.neutral import DialectName, Request, Response, Stamp
from wire.reading import WrongType, json_text
from wire.rewriting import read_top_level, replace_top_level

__all__ = ["DIALECT"]

_MODEL_FIELD = re.compile(rb'"model"\s*:')
_SEAL_BYTES = SEAL_MARK.encode()


def _unsealed(contents: bytes) -> bytes:
    try:
        parsed = orjson.loads(contents)
    except orjson.JSONDecodeError:
        raise WrongType("contents", "cannot be read") from None
    return json_text(without_seals(parsed), "contents").encode()


class _Gemini:
    name: DialectName = "gemini"
    field_names: Mapping[str, str] = FIELD_NAMES

    def parse_request(self, body: dict[str, Any], *, model: str | None = None, stream: bool | None = None) -> Request:
        return parse_request(body, model=model, stream=stream)

    def render_request(self, request: Request, *, quirks: Quirks) -> Rendered:
        return render_request(request, quirks=quirks)

    def rewrite_request(
        self,
        body: bytes,
        *,
        model: str | None,
        quirks: Quirks,  # noqa: ARG002 (no quirk changes a body that is Gemini's already)
        include_usage: bool,  # noqa: ARG002 (usage is always there)
    ) -> tuple[bytes, bool]:
        """The body as it is. Only two things change: `model`, where a caller repeats it in the body, and values of
        this gateway from an answer of another provider, which Google would refuse."""
        sealed = _SEAL_BYTES in body
        if not sealed and (model is None or _MODEL_FIELD.search(body) is None):
            return body, False
        top = read_top_level(body)
        changes: dict[str, bytes | None] = {}
        if model is not None and "model" in top:
            changes["model"] = orjson.dumps(f"models/{model.removeprefix('models/')}")
        if sealed and "contents" in top:
            changes["contents"] = _unsealed(bytes(top["contents"]))
        return (replace_top_level(body, changes) if changes else body), False

    def parse_response(self, body: dict[str, Any]) -> Response:
        return parse_response(body)

    def render_response(self, response: Response, stamp: Stamp) -> Rendered:
        return render_response(response, stamp)

    def read_response(self, body: bytes) -> Facts:
        return read_response(body)

    def stream_parser(self) -> GeminiStreamParser:
        return GeminiStreamParser()

    def stream_renderer(
        self,
        stamp: Stamp,
        *,
        include_usage: bool = False,  # noqa: ARG002 (usage is always told)
    ) -> GeminiStreamRenderer:
        return GeminiStreamRenderer(stamp)

    def meter(
        self,
        *,
        hide_usage: bool = False,  # noqa: ARG002 (the gateway never has to ask for usage)
    ) -> GeminiMeter:
        return GeminiMeter()

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return parse_error(status, headers, body)

    def render_error(self, error: GatewayError) -> dict[str, Any]:
        return render_error(error)


DIALECT: Dialect = _Gemini()
