"""What must be known of a passed-through Gemini stream, read without translating it.

Events are decoded into types that hold only what is counted; everything else is skipped by the decoder.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from wire.dialect import Facts
from wire.dialects.gemini.errors import classify
from wire.dialects.gemini.finish import finish_word, neutral_reason
from wire.dialects.gemini.response import is_block
from wire.dialects.gemini.usage import parse_usage, searches_of, with_searches
from wire.errors import UpstreamError, UpstreamMalformed, UpstreamTruncated
from wire.neutral import Usage
from wire.sse import SseEvent


class _Part(Struct):
    text: str | None = None
    functionCall: Raw = Raw()
    executableCode: Raw = Raw()
    inlineData: Raw = Raw()


class _Content(Struct):
    parts: list[_Part] | None = None


class _Candidate(Struct):
    content: _Content | None = None
    finishReason: str | int | None = None
    index: int | None = None
    groundingMetadata: Any = None


class _Answer(Struct):
    candidates: list[_Candidate] | None = None
    usageMetadata: Raw = Raw()
    promptFeedback: Any = None
    responseId: str | None = None
    modelVersion: str | None = None
    error: Raw = Raw()


_ANSWER = msgspec.json.Decoder(_Answer)


def _given(member: Raw) -> bytes:
    """The member's own bytes; none where it is absent or null."""
    value = bytes(member)
    return b"" if value == b"null" else value


class GeminiMeter:
    """`finish` is that of candidate 0; the stream has ended once every candidate seen has a finish reason."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.response_id: str | None = None
        self.generated = False
        self.text_bytes = 0
        self.failed: UpstreamError | None = None
        self.ended = False
        self._usage_bytes = b""
        self._searches: dict[int, int] = {}
        self._called = False
        self._finished: dict[int, bool] = {}
        self._word: str | None = None
        self._model: str | None = None

    def feed(self, event: SseEvent) -> bool:
        """Always True: Gemini's usage is unasked, nothing is kept from the caller. Raises UpstreamMalformed."""
        data = event.data
        if data is None or data == b"[DONE]":
            return True
        try:
            answer = _ANSWER.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._not_an_answer(data, error)
            return True
        if _given(answer.error):
            self.failed = classify(None, msgspec.json.decode(data))
            return True
        if self.response_id is None:
            self.response_id = answer.responseId
        self._model = answer.modelVersion or self._model
        for place, candidate in enumerate(answer.candidates or ()):
            self._count(place if candidate.index is None else candidate.index, candidate)
        if self._finished:
            self.ended = all(self._finished.values())
        elif is_block(answer.promptFeedback):
            self.ended, self.finish = True, "content_filter"
        if raw := _given(answer.usageMetadata):
            self._read_usage(raw)
        return True

    def _not_an_answer(self, data: bytes, cause: Exception) -> None:
        """An error in an array, as streams without `alt=sse` have it; else the stream is broken."""
        try:
            document = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            document = None
        first = document[0] if isinstance(document, list) and document else None
        if not isinstance(first, dict) or "error" not in first:
            raise UpstreamMalformed("The upstream sent an event that is not an answer of Gemini's") from cause
        self.failed = classify(None, document)

    def _count(self, index: int, candidate: _Candidate) -> None:
        for part in (candidate.content.parts if candidate.content is not None else None) or ():
            if part.text is not None:
                self.text_bytes += len(part.text) if part.text.isascii() else len(part.text.encode())
            called, code = len(_given(part.functionCall)), len(_given(part.executableCode))
            if called:
                self._called = self._called or index == 0
            self.text_bytes += called + code
            self.generated = self.generated or bool(part.text or called or code or _given(part.inlineData))
        if candidate.groundingMetadata is not None:
            self._searches[index] = searches_of(candidate.groundingMetadata)
        word = finish_word(candidate.finishReason)
        self._finished[index] = word is not None or self._finished.get(index, False)
        if index == 0 and word is not None:
            self._word = word
        if index == 0 and self._word is not None:
            self.finish = neutral_reason(self._word, called=self._called)

    def _read_usage(self, raw: bytes) -> None:
        if raw != self._usage_bytes or self.ended or self._searches:
            self._usage_bytes = raw
            counted = parse_usage(msgspec.json.decode(raw), complete=self.ended)
            self.usage = with_searches(counted, sum(self._searches.values()), self._model) or self.usage

    def close(self) -> None:
        """Raises UpstreamTruncated when a candidate has no finish reason, or nothing came at all."""
        if not self.ended and self.failed is None:
            raise UpstreamTruncated("The upstream's stream ended before the answer was whole")


def read_response(body: bytes) -> Facts:
    """Of a whole answer. Raises UpstreamMalformed, or the error that came with status 200."""
    meter = GeminiMeter()
    meter.feed(SseEvent(None, body, body))
    if meter.failed is not None:
        raise meter.failed
    return Facts(
        usage=meter.usage if meter.usage is None else msgspec.structs.replace(meter.usage, complete=True),
        finish=meter.finish,
        response_id=meter.response_id,
        text_bytes=meter.text_bytes,
        service_tier=meter.usage.service_tier if meter.usage else None,
    )
