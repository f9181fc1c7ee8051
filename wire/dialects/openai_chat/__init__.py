"""OpenAI Chat Completions, and everything that calls itself compatible with it.

https://platform.openai.com/docs/api-reference/chat

Reading a request: `request`, `messages`, `tools`, `media`. Writing one: `render`, `conversation`. Whole answers:
`response`. Streams: `stream_parser` with `stream_choice`, `stream_renderer`. Metering what passes through: `meter`,
`measure`, `usage`. Shared by both directions: `thinking`, `citations`, `finish`, `errors`, `reading`.

Not carried: video and file addresses where a provider's row does not say that it takes them, audio by address. Of the
legacy form, `functions` are written back as `tools`.
"""

from __future__ import annotations

from collections.abc import Mapping

from wire.dialect import Dialect, Meter, StreamParser, StreamRenderer
from wire.dialects.openai_chat.errors import parse_error, render_error
from wire.dialects.openai_chat.meter import ChatMeter
from wire.dialects.openai_chat.render import FIELD_NAMES, render_request, rewrite_request
from wire.dialects.openai_chat.request import parse_request
from wire.dialects.openai_chat.response import parse_response, read_response, render_response
from wire.dialects.openai_chat.stream_parser import ChatStreamParser
from wire.dialects.openai_chat.stream_renderer import ChatStreamRenderer
from wire.neutral import DialectName, Stamp

__all__ = ["DIALECT"]


class _OpenAIChat:
    name: DialectName = "openai_chat"
    field_names: Mapping[str, str] = FIELD_NAMES
    parse_request = staticmethod(parse_request)
    render_request = staticmethod(render_request)
    rewrite_request = staticmethod(rewrite_request)
    parse_response = staticmethod(parse_response)
    render_response = staticmethod(render_response)
    read_response = staticmethod(read_response)
    parse_error = staticmethod(parse_error)
    render_error = staticmethod(render_error)

    def stream_parser(self) -> StreamParser:
        return ChatStreamParser()

    def stream_renderer(self, stamp: Stamp, *, include_usage: bool = False) -> StreamRenderer:
        return ChatStreamRenderer(stamp, include_usage=include_usage)

    def meter(self, *, hide_usage: bool = False) -> Meter:
        return ChatMeter(hide_usage=hide_usage)


DIALECT: Dialect = _OpenAIChat()
