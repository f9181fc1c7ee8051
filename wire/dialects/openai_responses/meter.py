"""Reads a passed-through stream for the bill. Every event is decoded only as far as needed."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from wire.dialects.openai_responses.errors import in_band_error
from wire.dialects.openai_responses.response import finish_of, malformed, text_bytes
from wire.dialects.openai_responses.usage import read_usage
from wire.errors import UpstreamError, UpstreamMalformed, UpstreamTruncated
from wire.neutral import Usage
from wire.reading import WrongType
from wire.sse import SseEvent

_NOTHING = msgspec.Raw(b"null")


class _Event(Struct):
    type: Any = None
    delta: Any = None
    error: Any = None
    code: Any = None
    message: Any = None
    response: msgspec.Raw = _NOTHING


class _Head(Struct):
    id: Any = None


_EVENT = msgspec.json.Decoder(_Event)
_HEAD = msgspec.json.Decoder(_Head)
_ANSWER = msgspec.json.Decoder(dict[str, Any])

_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.cancelled", "response.failed"})
_NOT_WRITTEN = frozenset({"response.audio.delta"})  # base64, not text


class ResponsesMeter:
    """Usage, finish and first token of one stream.

    Members of an event come in any order, and a member's name can stand in any text, so bytes are not searched:
    decoding into a struct of the few members that matter skips the rest and costs no more than one search.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.response_id: str | None = None
        self.generated = False
        self.text_bytes = 0
        self.failed: UpstreamError | None = None
        self.ended = False

    def feed(self, event: SseEvent) -> bool:
        """Always True: usage is part of the answer here, no event of its own."""
        data = event.data
        if not data or data == b"[DONE]":
            return True
        try:
            body = _EVENT.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UpstreamMalformed("The upstream sent an event that is not a JSON object") from error
        kind = body.type if isinstance(body.type, str) else ""
        if isinstance(body.delta, str):
            if kind.endswith(".delta") and kind not in _NOT_WRITTEN:
                self.generated = True
                self.text_bytes += len(body.delta.encode())
        elif kind in _TERMINAL:
            self._end(kind, bytes(body.response))
        elif kind == "response.output_item.done":
            self.generated = True
        elif kind == "error" or (not kind and body.error is not None):
            self._fail(body.error or {"code": body.code, "message": body.message})
        elif self.response_id is None and body.response != _NOTHING:
            self._head(bytes(body.response))
        return True

    def close(self) -> None:
        if not self.ended and self.failed is None:
            raise UpstreamTruncated("The upstream's stream ended before its answer was complete")

    def _head(self, raw: bytes) -> None:
        try:
            self._identify(_HEAD.decode(raw).id)
        except msgspec.DecodeError as error:
            raise UpstreamMalformed("The upstream's first event holds no answer") from error

    def _identify(self, ident: Any) -> None:
        if isinstance(ident, str):
            self.response_id = ident

    def _end(self, kind: str, raw: bytes) -> None:
        try:
            answer = _ANSWER.decode(raw)
            self._identify(answer.get("id"))
            self.usage = read_usage(answer) or self.usage
            written = text_bytes(answer)
            self.finish = "error" if kind == "response.failed" else finish_of(answer).reason
        except msgspec.DecodeError as error:
            raise UpstreamMalformed("The upstream's final event holds no answer") from error
        except WrongType as error:
            raise malformed(error) from error
        # A server that sends no deltas still wrote what its final object shows.
        self.text_bytes = self.text_bytes or written
        self.generated = self.generated or written > 0
        self.ended = True
        if kind == "response.failed":
            self._fail(answer.get("error"))

    def _fail(self, error: Any) -> None:
        self.finish = "error"
        self.failed = self.failed or in_band_error(error)
