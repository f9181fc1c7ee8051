"""The OpenAI Responses API: requests, answers, streams, errors. https://platform.openai.com/docs/api-reference/responses

Also spoken by xAI, DeepSeek, OpenRouter, Bedrock, Azure and llama.cpp, with the differences noted where they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wire.dialect import Dialect, Facts, Meter, Quirks, Rendered, StreamParser, StreamRenderer
from wire.dialects.openai_responses.errors import parse_error, render_error
from wire.dialects.openai_responses.meter import ResponsesMeter
from wire.dialects.openai_responses.render import FIELD_NAMES, render_request, rewrite_request
from wire.dialects.openai_responses.request import parse_request
from wire.dialects.openai_responses.response import parse_response, read_response, render_response
from wire.dialects.openai_responses.stream_parser import ResponsesStreamParser
from wire.dialects.openai_responses.stream_renderer import ResponsesStreamRenderer
from wire.errors import GatewayError, UpstreamError
from wire.neutral import DialectName, Request, Response, Stamp


class OpenAIResponses:
    """The package's functions in the shape of `wire.dialect.Dialect`."""

    name: DialectName = "openai_responses"
    field_names: Mapping[str, str] = FIELD_NAMES

    def parse_request(self, body: dict[str, Any], *, model: str | None = None, stream: bool | None = None) -> Request:
        return parse_request(body, model=model, stream=stream)

    def render_request(self, request: Request, *, quirks: Quirks) -> Rendered:
        return render_request(request, quirks=quirks)

    def rewrite_request(
        self, body: bytes, *, model: str | None, quirks: Quirks, include_usage: bool
    ) -> tuple[bytes, bool]:
        return rewrite_request(body, model=model, quirks=quirks, include_usage=include_usage)

    def parse_response(self, body: dict[str, Any]) -> Response:
        return parse_response(body)

    def render_response(self, response: Response, stamp: Stamp) -> Rendered:
        return render_response(response, stamp)

    def read_response(self, body: bytes) -> Facts:
        return read_response(body)

    def stream_parser(self) -> StreamParser:
        return ResponsesStreamParser()

    def stream_renderer(self, stamp: Stamp, *, include_usage: bool = False) -> StreamRenderer:
        del include_usage  # usage is part of the last event, asked for or not
        return ResponsesStreamRenderer(stamp)

    def meter(self, *, hide_usage: bool = False) -> Meter:
        del hide_usage  # there is no usage event to keep from the caller
        return ResponsesMeter()

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return parse_error(status, headers, body)

    def render_error(self, error: GatewayError) -> dict[str, Any]:
        return render_error(error)


DIALECT: Dialect = OpenAIResponses()
