"""Anthropic stream events to neutral events. https://platform.claude.com/docs/en/build-with-claude/streaming

Blocks never interleave on this wire, but nothing here relies on it. A block that only Anthropic has (a server tool's
call, its result, a compaction) is given whole once it has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from msgspec import structs

from wire import reading
from wire.dialects.anthropic_messages.blocks import parse_citation, parse_content
from wire.dialects.anthropic_messages.errors import failed_event
from wire.dialects.anthropic_messages.finish import parse_finish
from wire.dialects.anthropic_messages.foreign import OWN
from wire.dialects.anthropic_messages.usage import merge_native, parse_usage
from wire.errors import BadRequest, UpstreamMalformed, UpstreamTruncated
from wire.neutral import (
    BlockStart,
    BlockStop,
    CitationDelta,
    Ended,
    Native,
    SignatureDelta,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    UsageUpdate,
)
from wire.sse import SseEvent

_START_FIELDS = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"})
_DELTA_FIELDS = frozenset({"stop_reason", "stop_sequence", "stop_details"})
_NO_PART = Text(text="")


class _Block:
    """One open content block: its ordinal in the answer, what it began as, and the JSON that followed."""

    __slots__ = ("json", "native", "ordinal", "spoke")

    def __init__(self, ordinal: int, native: dict[str, Any], spoke: bool) -> None:
        self.ordinal = ordinal
        self.native = native  # the block itself: needed at its end
        self.spoke = spoke  # a BlockStart was given: False for blocks that are given whole
        self.json: list[str] = []


class StreamParser:
    """One stream. `feed` gives what each event means; `close` says whether the answer was whole."""

    def __init__(self) -> None:
        self._blocks: dict[int, _Block] = {}
        self._next_ordinal = 0
        self._usage: dict[str, Any] | None = None
        self._extra: dict[str, Any] = {}
        self._started = False
        self._finished = False
        self._over = False

    def feed(self, event: SseEvent) -> list[StreamEvent]:
        """Raises UpstreamMalformed on what is not an event of this dialect; unknown events give nothing."""
        data = event.data
        if data is None or self._over or data.strip() == b"[DONE]":  # some compatible servers end with OpenAI's mark
            return []
        try:
            message = reading.as_object(orjson.loads(data), "event")
            handle = _HANDLERS.get(message.get("type", ""))
            return handle(self, message) if handle is not None else []
        except orjson.JSONDecodeError as error:
            raise UpstreamMalformed("The upstream sent an event that is not JSON") from error
        except BadRequest as error:
            raise UpstreamMalformed(f"The upstream sent a malformed event: {error.message}") from error

    def close(self) -> list[StreamEvent]:
        """Raises UpstreamTruncated when neither message_stop nor an error was seen."""
        if not self._over:
            raise UpstreamTruncated("The upstream's answer ended before it was whole")
        return []

    def _message_start(self, event: dict[str, Any]) -> list[StreamEvent]:
        message = reading.as_object(event.get("message"), "message")
        self._usage = merge_native(self._usage, message.get("usage"))
        extra = reading.unknown_fields(message, _START_FIELDS)
        if self._started:  # two answers spliced into one (an upstream that tried again): the second goes on
            return self._end_all()
        self._started = True
        return [
            Started(
                id=reading.text_or_none(message, "id", "message"),
                model=reading.text_or_none(message, "model", "message"),
                usage=parse_usage(self._usage, complete=False),
                extra={name: value for name, value in extra.items() if value is not None},
            )
        ]

    def _block_start(self, event: dict[str, Any]) -> list[StreamEvent]:
        native = reading.as_object(event.get("content_block"), "content_block")
        ordinal = self._next_ordinal
        self._next_ordinal += 1
        kind = reading.text(native, "type", "content_block")
        index = _index(event)
        begun: list[StreamEvent] = [] if self._started else [Started()]
        if index in self._blocks:
            begun += self._end_block(index)
        self._blocks[index] = _Block(ordinal, native, spoke=kind in _SPEAKING)
        self._started = True
        if kind not in _SPEAKING:
            return begun
        (part,) = parse_content([native], "content", answer=True)
        if isinstance(part, Text):
            empty = BlockStart(block=ordinal, kind="text", part=_NO_PART)
            return [*begun, empty, *_words(ordinal, part.text), *_citations(ordinal, part)]
        if isinstance(part, Thinking):
            signature = part.signature or None
            start = Thinking(opaque=part.opaque, redacted=part.redacted, origin=OWN)
            begun += [BlockStart(block=ordinal, kind="thinking", part=start), *_words(ordinal, part.text)]
            return begun if signature is None else [*begun, SignatureDelta(block=ordinal, signature=signature)]
        call = structs.replace(part, arguments="", path="")
        return [*begun, BlockStart(block=ordinal, kind="tool_call", part=call)]

    def _block_delta(self, event: dict[str, Any]) -> list[StreamEvent]:
        block = self._block(event)
        delta = reading.as_object(event.get("delta"), "delta")
        kind = delta.get("type")
        if kind == "text_delta":
            return _words(block.ordinal, reading.text(delta, "text", "delta"))
        if kind == "thinking_delta":
            return _words(block.ordinal, reading.text(delta, "thinking", "delta"))
        if kind == "input_json_delta":
            piece = reading.text(delta, "partial_json", "delta")
            block.json.append(piece)
            return _words(block.ordinal, piece) if block.spoke else []
        if kind == "signature_delta":
            return [SignatureDelta(block=block.ordinal, signature=reading.text(delta, "signature", "delta"))]
        if kind == "citations_delta":
            citation = parse_citation(delta.get("citation"), "delta.citation", answer=True)
            return [CitationDelta(block=block.ordinal, citation=citation)]
        if not block.spoke:  # compaction_delta, and what blocks of tomorrow bring
            block.native = {**block.native, **{key: value for key, value in delta.items() if key != "type"}}
        return []

    def _block_stop(self, event: dict[str, Any]) -> list[StreamEvent]:
        self._block(event)
        return self._end_block(_index(event))

    def _end_all(self) -> list[StreamEvent]:
        return [event for index in tuple(self._blocks) for event in self._end_block(index)]

    def _end_block(self, index: int) -> list[StreamEvent]:
        block = self._blocks.pop(index)
        text = "".join(block.json)
        stop = BlockStop(block=block.ordinal)
        if not block.spoke:
            value = block.native if not text else {**block.native, "input": _parsed(text)}
            part = Native(dialect=OWN, type=value["type"], value=value, path=f"content[{block.ordinal}]")
            return [BlockStart(block=block.ordinal, kind="native", part=part), stop]
        if block.native["type"] == "tool_use" and not text:
            whole = reading.json_text(block.native.get("input") or {}, "input")
            return [TextDelta(block=block.ordinal, text=whole), stop]
        return [stop]

    def _message_delta(self, event: dict[str, Any]) -> list[StreamEvent]:
        events = self._end_all()
        delta = event.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        if delta.get("stop_reason") is not None and not self._finished:
            self._finished = True
            events.append(parse_finish(delta))
        for holder, known in ((delta, _DELTA_FIELDS), (event, ("type", "delta", "usage"))):
            said = reading.unknown_fields(holder, known)
            self._extra.update({name: value for name, value in said.items() if value is not None})
        if event.get("usage") is not None:
            self._usage = merge_native(self._usage, event["usage"])
            usage = parse_usage(self._usage)
            if usage is not None:
                events.append(UsageUpdate(usage=usage))
        return events

    def _message_stop(self, _event: dict[str, Any]) -> list[StreamEvent]:
        events = self._end_all()
        self._over = True
        if not self._finished:
            events.append(parse_finish({}))
        return [*events, Ended(extra=self._extra)]

    def _error(self, event: dict[str, Any]) -> list[StreamEvent]:
        self._over = True
        return [failed_event(event)]

    def _block(self, event: dict[str, Any]) -> _Block:
        block = self._blocks.get(_index(event))
        if block is None:
            raise UpstreamMalformed("The upstream sent a piece of a content block that it had not begun")
        return block


def _index(event: dict[str, Any]) -> int:
    return reading.integer_or_none(event, "index", "") or 0


def _words(ordinal: int, text: str) -> list[StreamEvent]:
    return [TextDelta(block=ordinal, text=text)] if text else []


def _citations(ordinal: int, part: Text) -> list[StreamEvent]:
    return [CitationDelta(block=ordinal, citation=citation) for citation in part.citations]


def _parsed(text: str) -> Any:
    """Input of a server tool. What is not JSON was cut by the upstream and is kept as it is."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return {"_raw": text}


_SPEAKING = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
_HANDLERS: dict[str, Callable[[StreamParser, dict[str, Any]], list[StreamEvent]]] = {
    "message_start": StreamParser._message_start,
    "content_block_start": StreamParser._block_start,
    "content_block_delta": StreamParser._block_delta,
    "content_block_stop": StreamParser._block_stop,
    "message_delta": StreamParser._message_delta,
    "message_stop": StreamParser._message_stop,
    "error": StreamParser._error,
}
