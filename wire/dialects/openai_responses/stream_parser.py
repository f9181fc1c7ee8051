"""Responses stream events to neutral events. https://platform.openai.com/docs/api-reference/responses-streaming

Every content part, reasoning item and call is a block; an item of the provider's own tools is a block that comes whole.
Providers differ in what they repeat: text is taken from the deltas, and only where none came from the `done` event, the
finished item or the final response object, so that nothing is lost and nothing comes twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from wire.dialects.openai_responses.errors import in_band_error
from wire.dialects.openai_responses.parts import CALL_TYPES, read_citation, read_output_item
from wire.dialects.openai_responses.response import created_of, extra_of, finish_of, malformed
from wire.dialects.openai_responses.usage import read_usage
from wire.errors import UpstreamError, UpstreamMalformed, UpstreamTruncated
from wire.neutral import (
    BlockKind,
    BlockStart,
    BlockStop,
    CitationDelta,
    Ended,
    Failed,
    Part,
    Refusal,
    SignatureDelta,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    UsageUpdate,
)
from wire.reading import (
    WrongType,
    as_object,
    as_text,
    at,
    integer_or_none,
    list_or_empty,
    text,
    text_or_none,
)
from wire.sse import SseEvent

_PARAGRAPH = "\n\n"

# An output item, and the content part in it; None for items that are a block themselves.
_Key = tuple[int | str, int | None]


class _Block:
    """What later events need of an open block."""

    def __init__(self, number: int, kind: BlockKind) -> None:
        self.number = number
        self.kind = kind
        self.has_text = False
        self.citations = 0
        self.section: tuple[str, int] | None = None  # reasoning: which summary or content part the last delta was of
        self.stopped = False


class ResponsesStreamParser:
    """One object per stream."""

    def __init__(self) -> None:
        self._blocks: dict[_Key, _Block] = {}
        self._messages: dict[int | str, dict[str, Any]] = {}  # open message items, for their id and phase
        self._done: set[int | str] = set()  # items whose `done` event came, by index and by id
        self._next_block = 0
        self._started = False
        self._failed = False
        self._ended = False
        self._out: list[StreamEvent] = []
        self._handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "response.created": self._on_created,
            "response.queued": self._on_created,
            "response.in_progress": self._on_created,
            "response.output_item.added": self._on_item_added,
            "response.output_item.done": self._on_item_done,
            "response.content_part.added": self._on_part_added,
            "response.content_part.done": self._on_part_done,
            "response.output_text.delta": self._on_text_delta,
            "response.output_text.done": self._on_text_done,
            "response.output_text.annotation.added": self._on_annotation,
            "response.refusal.delta": self._on_text_delta,
            "response.refusal.done": self._on_text_done,
            "response.function_call_arguments.delta": self._on_arguments,
            "response.function_call_arguments.done": self._on_arguments,
            "response.custom_tool_call_input.delta": self._on_arguments,
            "response.custom_tool_call_input.done": self._on_arguments,
            "response.reasoning_summary_text.delta": self._on_reasoning,
            "response.reasoning_text.delta": self._on_reasoning,
            "response.completed": self._on_final,
            "response.incomplete": self._on_final,
            "response.cancelled": self._on_final,
            "response.failed": self._on_failed,
            "error": self._on_error,
        }

    def feed(self, event: SseEvent) -> list[StreamEvent]:
        if not event.data or event.data == b"[DONE]":
            return []
        try:
            body = orjson.loads(event.data)
        except orjson.JSONDecodeError as error:
            raise UpstreamMalformed("The upstream sent an event that is not JSON") from error
        self._out = []
        try:
            kind = as_object(body, "event").get("type")
            if kind is None and body.get("error") is not None:
                kind = "error"  # a compatible server's bare error document
            if not self._ended and (handler := self._handlers.get(kind if isinstance(kind, str) else "")):
                handler(body)
        except WrongType as error:
            raise malformed(error) from error
        return self._out

    def close(self) -> list[StreamEvent]:
        if not self._ended and not self._failed:
            raise UpstreamTruncated("The upstream's stream ended before its answer was complete")
        return []

    # --------------------------------------------------------------------------------------- start and end
    def _start(self, answer: dict[str, Any]) -> None:
        if not self._started:
            self._started = True
            self._out.append(
                Started(
                    id=text_or_none(answer, "id", "response"),
                    model=text_or_none(answer, "model", "response"),
                    created=created_of(answer),
                )
            )

    def _on_created(self, body: dict[str, Any]) -> None:
        self._start(as_object(body.get("response"), "response"))

    def _on_final(self, body: dict[str, Any]) -> None:
        answer = as_object(body.get("response"), "response")
        self._start(answer)
        for index, value in enumerate(list_or_empty(answer, "output", "response")):
            item = as_object(value, f"response.output[{index}]")
            if not {index, item.get("id")} & self._done:
                self._finish_item(index, item)
        for block in self._blocks.values():
            self._stop(block)
        if body["type"] == "response.cancelled":
            answer = {**answer, "status": "cancelled"}
        usage = read_usage(answer)
        if usage is not None:
            self._out.append(UsageUpdate(usage=usage))
        self._out += [finish_of(answer), Ended(extra=extra_of(answer))]
        self._ended = True

    def _on_failed(self, body: dict[str, Any]) -> None:
        answer = as_object(body.get("response"), "response")
        self._start(answer)
        usage = read_usage(answer)
        if usage is not None and not self._failed:
            self._out.append(UsageUpdate(usage=usage))
        self._fail(in_band_error(answer.get("error")))
        self._ended = True

    def _on_error(self, body: dict[str, Any]) -> None:
        """Comes before `response.failed`, or alone. The fields are beside `type` or below `error`."""
        self._start({})
        self._fail(in_band_error(body.get("error") or {**body, "type": None}))

    def _fail(self, error: UpstreamError) -> None:
        if not self._failed:
            self._failed = True
            self._out.append(Failed.of(error))

    # --------------------------------------------------------------------------------------- blocks
    def _open(self, key: _Key, kind: BlockKind, part: Part) -> _Block:
        self._start({})
        block = self._blocks[key] = _Block(self._next_block, kind)
        self._next_block += 1
        self._out.append(BlockStart(block=block.number, kind=kind, part=part))
        return block

    def _stop(self, block: _Block, part: Part | None = None) -> None:
        if not block.stopped:
            block.stopped = True
            self._out.append(BlockStop(block=block.number, part=part))

    def _say(self, block: _Block, said: str, logprobs: Any = None) -> None:
        if said:
            block.has_text = True
            self._out.append(TextDelta(block=block.number, text=said, logprobs=logprobs))

    def _text_block(self, item: int | str, index: int, kind: str) -> _Block:
        """Open already, or opened now: not every server announces its content parts."""
        block = self._blocks.get((item, index))
        if block is None:
            message = self._messages.get(item, {})
            ident, phase = text_or_none(message, "id", "item"), text_or_none(message, "phase", "item")
            if kind == "refusal":
                return self._open((item, index), "refusal", Refusal(text=""))
            block = self._open((item, index), "text", Text(text="", item_id=ident, phase=phase))
        return block

    # --------------------------------------------------------------------------------------- items
    def _on_item_added(self, body: dict[str, Any]) -> None:
        key, item = _item_key(body), body.get("item")
        if item is None:  # some servers announce an item that they do not describe
            return
        item = as_object(item, "item")
        kind = text(item, "type", "item")
        if kind == "message":
            self._messages[key] = item
        elif kind == "reasoning":
            self._open(
                (key, None), "thinking", Thinking(item_id=text_or_none(item, "id", "item"), origin="openai_responses")
            )
        elif kind in CALL_TYPES:
            self._open_call(key, item)

    def _open_call(self, key: int | str, item: dict[str, Any]) -> _Block:
        custom = item["type"] == "custom_tool_call"
        part = ToolCall(
            id=text(item, "call_id", "item"),
            name=text(item, "name", "item"),
            arguments="",
            kind="custom" if custom else "function",
            item_id=text_or_none(item, "id", "item"),
            namespace=text_or_none(item, "namespace", "item"),
        )
        block = self._open((key, None), "tool_call", part)
        self._say(block, text_or_none(item, "input" if custom else "arguments", "item") or "")
        return block

    def _on_item_done(self, body: dict[str, Any]) -> None:
        key = _item_key(body)
        if key not in self._done:
            self._finish_item(key, as_object(body.get("item"), "item"))

    def _finish_item(self, key: int | str, item: dict[str, Any]) -> None:
        """Gives what the deltas did not, and closes the item's blocks."""
        self._done |= {key, *([item["id"]] if isinstance(item.get("id"), str) else [])}
        parts = read_output_item(item, f"output[{key}]")
        if item["type"] == "message":
            self._messages[key] = item
            for index, part in enumerate(parts):
                self._finish_text(key, index, part)
            return
        block = self._blocks.get((key, None))
        for part in parts:
            if isinstance(part, Thinking):
                self._finish_thinking(block or self._open((key, None), "thinking", _silent(part)), part)
            elif isinstance(part, ToolCall):
                block = block or self._open_call(key, {**item, "arguments": "", "input": ""})
                self._say(block, "" if block.has_text else part.arguments)
                self._stop(block, part)
            else:
                self._stop(self._open((key, None), "native", part), part)

    def _finish_text(self, key: int | str, index: int, part: Part) -> None:
        if not isinstance(part, Text | Refusal):
            return
        block = self._text_block(key, index, "refusal" if isinstance(part, Refusal) else "text")
        self._say(block, "" if block.has_text else part.text)
        if isinstance(part, Text):
            for citation in part.citations[block.citations :]:
                self._out.append(CitationDelta(block=block.number, citation=citation))
            block.citations = max(block.citations, len(part.citations))
        self._stop(block, part)

    def _finish_thinking(self, block: _Block, part: Thinking) -> None:
        self._say(block, "" if block.has_text else part.text)
        if part.opaque is not None:
            self._out.append(SignatureDelta(block=block.number, signature=part.opaque, opaque=True))
        self._stop(block, part)

    # --------------------------------------------------------------------------------------- content
    def _on_part_added(self, body: dict[str, Any]) -> None:
        kind = text(as_object(body.get("part"), "part"), "type", "part")
        if kind in ("output_text", "refusal"):
            self._text_block(_item_key(body), _index(body, "content_index"), kind)

    def _on_part_done(self, body: dict[str, Any]) -> None:
        part = as_object(body.get("part"), "part")
        if part.get("type") in ("output_text", "refusal"):
            wrapped = {"type": "message", "content": [part]}
            for read in read_output_item(wrapped, "item"):
                self._finish_text(_item_key(body), _index(body, "content_index"), read)

    def _on_text_delta(self, body: dict[str, Any]) -> None:
        kind = "refusal" if body["type"] == "response.refusal.delta" else "text"
        block = self._text_block(_item_key(body), _index(body, "content_index"), kind)
        logprobs = body.get("logprobs")
        self._say(block, text(body, "delta", ""), {"content": logprobs, "refusal": None} if logprobs else None)

    def _on_text_done(self, body: dict[str, Any]) -> None:
        kind = "refusal" if body["type"] == "response.refusal.done" else "text"
        block = self._text_block(_item_key(body), _index(body, "content_index"), kind)
        if not block.has_text:
            self._say(block, text(body, kind, ""))

    def _on_annotation(self, body: dict[str, Any]) -> None:
        block = self._text_block(_item_key(body), _index(body, "content_index"), "text")
        block.citations += 1
        citation = read_citation(body.get("annotation"), "annotation")
        self._out.append(CitationDelta(block=block.number, citation=citation))

    def _on_arguments(self, body: dict[str, Any]) -> None:
        block = self._blocks.get((_item_key(body), None))
        if block is None:
            raise WrongType("item_id", "names a call that was not announced")
        if body["type"].endswith(".delta"):
            self._say(block, text(body, "delta", ""))
        elif not block.has_text:
            self._say(block, text(body, "arguments" if "arguments" in body else "input", ""))

    def _on_reasoning(self, body: dict[str, Any]) -> None:
        """Full reasoning and its summary never come together in one item; if they did, the first would win."""
        key = _item_key(body)
        block = self._blocks.get((key, None))
        if block is None:
            ident = text_or_none(body, "item_id", "")
            block = self._open((key, None), "thinking", Thinking(item_id=ident, origin="openai_responses"))
        summary = body["type"] == "response.reasoning_summary_text.delta"
        section = ("summary", _index(body, "summary_index")) if summary else ("text", _index(body, "content_index"))
        if block.section is not None and block.section[0] != section[0]:
            return
        said = as_text(body.get("delta"), at("", "delta"))
        if block.section is not None and block.section != section:
            said = _PARAGRAPH + said
        block.section = section
        self._say(block, said)


def _item_key(body: dict[str, Any]) -> int | str:
    index = integer_or_none(body, "output_index", "")
    return text(body, "item_id", "") if index is None else index


def _index(body: dict[str, Any], key: str) -> int:
    return integer_or_none(body, key, "") or 0


def _silent(part: Thinking) -> Thinking:
    return Thinking(item_id=part.item_id, origin=part.origin)
