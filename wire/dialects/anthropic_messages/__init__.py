"""Anthropic's Messages API. https://platform.claude.com/docs/en/api/messages

| module | what it owns |
|---|---|
| `request` | a body to a neutral request |
| `render`, `settings`, `tools`, `models` | a neutral request to a body; what Claude models take |
| `blocks`, `media`, `parts` | content blocks to parts, sources, parts to content blocks |
| `foreign` | what other providers need back, sealed in fields that clients return |
| `response`, `finish`, `usage` | whole answers, stop reasons, token counts |
| `stream_parser`, `stream_renderer`, `meter` | streams: read, written, passed through |
| `errors` | errors of the upstream and ours |
| `shape` | typed reading of JSON |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from wire.dialect import Dialect, Facts, Quirks, Rendered
from wire.dialects.anthropic_messages import errors, foreign, render, request, response
from wire.dialects.anthropic_messages.meter import Meter
from wire.dialects.anthropic_messages.stream_parser import StreamParser
from wire.dialects.anthropic_messages.stream_renderer import StreamRenderer
from wire.errors import GatewayError, UpstreamError
from wire.neutral import DialectName, Request, Response, Stamp
from wire.rewriting import read_top_level, replace_top_level

_FIELD_NAMES: Mapping[str, str] = {
    "model": "model",
    "messages": "messages",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop": "stop_sequences",
    "response_format": "output_config.format",
    "reasoning": "thinking",
    "reasoning.effort": "output_config.effort",
    "reasoning.budget_tokens": "thinking.budget_tokens",
    "stream": "stream",
    "user": "metadata.user_id",
    "service_tier": "service_tier",
}
_SEAL = foreign.PREFIX.encode()


class AnthropicMessages:
    """The dialect as `wire.dialect.Dialect` wants it; every method is a door to a module."""

    name: DialectName = "anthropic_messages"
    field_names: Mapping[str, str] = _FIELD_NAMES

    def parse_request(self, body: dict[str, Any], *, model: str | None = None, stream: bool | None = None) -> Request:
        return request.parse_request(body, model=model, stream=stream)

    def render_request(self, request: Request, *, quirks: Quirks) -> Rendered:
        return render.render_request(request, quirks=quirks)

    def rewrite_request(
        self,
        body: bytes,
        *,
        model: str | None,
        quirks: Quirks,
        include_usage: bool,  # noqa: ARG002 (usage is part of every stream of this dialect)
    ) -> tuple[bytes, bool]:
        """Only the model's name, and fields that the upstream refuses.

        A conversation that began with another provider's model also loses what is sealed in it (`foreign`): Anthropic
        refuses that. Raises BadRequest for a body that is not a JSON object.
        """
        changes: dict[str, bytes | None] = {
            _FIELD_NAMES[name]: None for name in quirks.drop if "." not in _FIELD_NAMES.get(name, ".")
        }
        if model is not None:
            changes["model"] = orjson.dumps(model)
        if _SEAL in body:
            messages = read_top_level(body).get("messages")
            if messages is not None:
                changes["messages"] = foreign.without_seals(bytes(messages))
        return replace_top_level(body, changes), False

    def parse_response(self, body: dict[str, Any]) -> Response:
        return response.parse_response(body)

    def render_response(self, response_: Response, stamp: Stamp) -> Rendered:
        return response.render_response(response_, stamp)

    def read_response(self, body: bytes) -> Facts:
        return response.read_response(body)

    def stream_parser(self) -> StreamParser:
        return StreamParser()

    def stream_renderer(
        self,
        stamp: Stamp,
        *,
        include_usage: bool = False,  # noqa: ARG002 (usage is part of every stream of this dialect)
    ) -> StreamRenderer:
        return StreamRenderer(stamp)

    def meter(self, *, hide_usage: bool = False) -> Meter:  # noqa: ARG002 (no event holds usage alone)
        return Meter()

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return errors.parse_error(status, headers, body)

    def render_error(self, error: GatewayError) -> dict[str, Any]:
        return errors.render_error(error)


DIALECT: Dialect = AnthropicMessages()
