"""Neutral events to Responses stream events. https://platform.openai.com/docs/api-reference/responses-streaming

The order is OpenAI's own: created, in_progress; for every item added, its parts and deltas, done; then the whole
response. Text blocks that follow each other are parts of one message. A text or thinking block is closed when another
block begins to speak, because clients keep items in the order of their `done` events; should it speak again, that is a
new item. Calls may be open side by side.
"""

from __future__ import annotations

from typing import Any

import orjson

from wire.dialects.openai_responses import carried
from wire.dialects.openai_responses.errors import error_object, in_band_error
from wire.dialects.openai_responses.items import (
    annotation,
    call_item,
    image_item,
    item_id,
    message_item,
    proof_item,
    reasoning_id,
    reasoning_item,
    summary_part,
    text_part,
)
from wire.dialects.openai_responses.response import answer_object, call_kind, finish_losses, status_of
from wire.dialects.openai_responses.tools import split_name
from wire.errors import GatewayError
from wire.neutral import (
    Audio,
    BlockStart,
    BlockStop,
    Citation,
    CitationDelta,
    Ended,
    Failed,
    Finish,
    Image,
    Native,
    Refusal,
    SignatureDelta,
    Stamp,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
    UsageUpdate,
)
from wire.sse import encode_event


class _Block:
    """A neutral block, and what of it the open item has said so far."""

    def __init__(self, part: Text | Refusal | Thinking | ToolCall) -> None:
        self.part = part
        self.pieces: list[str] = []
        self.annotations: list[dict[str, Any]] = []
        self.logprobs: list[Any] = []
        self.signature = part.signature if not isinstance(part, Refusal) else None
        self.opaque = part.opaque if isinstance(part, Thinking) else None
        self.details = part.details if isinstance(part, Thinking) else None
        self.output_index = -1  # -1: no open item
        self.item_id = ""
        self.content_index = 0
        self.spoke = False
        self.over = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def proves(self) -> bool:
        """There is something beside the text that the provider wants to see again, and no item has it yet."""
        return any(proof is not None for proof in (self.signature, self.opaque, self.details))


class _Message:
    """The open message item."""

    def __init__(self, output_index: int, ident: str, group: tuple[str | None, str | None]) -> None:
        self.output_index = output_index
        self.ident = ident
        self.group = group
        self.content: list[dict[str, Any]] = []


class ResponsesStreamRenderer:
    """One object per stream."""

    def __init__(self, stamp: Stamp) -> None:
        self.dropped: list[str] = []
        self._stamp = stamp
        self._sequence = 0
        self._output: list[dict[str, Any]] = []  # by output index; an open item stands there as it was announced
        self._blocks: dict[int, _Block] = {}  # of the first choice; kinds that come whole are not among them
        self._message: _Message | None = None
        self._speaking: _Block | None = None  # the text or thinking block that is open
        self._usage: Usage | None = None
        self._finish: Finish | None = None
        self._out: list[bytes] = []

    def feed(self, event: StreamEvent) -> bytes:
        if isinstance(event, Failed):
            return self.error(in_band_error({"message": event.message, "code": event.code, "type": event.type}))
        self._out = []
        match event:
            case TextDelta():
                self._on_delta(event)
            case BlockStart():
                self._on_block(event)
            case BlockStop():
                self._on_stop(event)
            case CitationDelta():
                self._on_citation(event.block, event.citation)
            case SignatureDelta():
                self._on_signature(event)
            case Started():
                answer = answer_object(self._stamp, finish=None, output=[])
                self._emit("response.created", response=answer)
                self._emit("response.in_progress", response=answer)
            case UsageUpdate():
                self._usage = event.usage
            case Finish():
                self._on_finish(event)
            case Ended():
                self._close_all()
            case _:
                self._drop(f"extra.{event.name}")
        return b"".join(self._out)

    def close(self) -> bytes:
        self._out = []
        self._close_all()
        finish = self._finish or Finish(reason="stop")
        self.dropped += [loss for loss in finish_losses(finish) if loss not in self.dropped]
        self._emit(f"response.{status_of(finish)}", response=self._answer(finish))
        return b"".join(self._out)

    def error(self, error: GatewayError) -> bytes:
        """`error` as OpenAI sends it, with its fields beside `type` too, where the SDK's own event type has them."""
        self._out = []
        told = error_object(error)
        beside = {key: told[key] for key in ("code", "message", "param")}
        self._emit("error", **beside, error=told)
        answer = self._answer(Finish(reason="error"), error)
        self._emit("response.failed", response=answer)
        return b"".join(self._out)

    def _answer(self, finish: Finish, error: GatewayError | None = None) -> dict[str, Any]:
        usage = self._usage
        return answer_object(
            self._stamp,
            finish=finish,
            output=self._output,
            usage=usage,
            error=error,
            service_tier=None if usage is None else usage.service_tier,
        )

    def _emit(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        self._out.append(encode_event(orjson.dumps(event), kind))

    def _drop(self, name: str) -> None:
        if name not in self.dropped:
            self.dropped.append(name)

    # --------------------------------------------------------------------------------------- events
    def _on_finish(self, finish: Finish) -> None:
        if finish.choice == 0:
            self._finish = finish

    def _on_block(self, event: BlockStart) -> None:
        part = event.part
        if event.choice != 0:
            self._drop(f"choices[{event.choice}]")
        elif isinstance(part, Text | Refusal | Thinking):
            self._blocks[event.block] = _Block(part)
            self._on_delta(TextDelta(block=event.block, text=part.text))
            for citation in part.citations if isinstance(part, Text) else ():
                self._on_citation(event.block, citation)
        elif isinstance(part, ToolCall):
            self._open_call(event.block, part)
        else:
            self._whole(part)

    def _whole(self, part: Any) -> None:
        """A part that comes in one piece."""
        if isinstance(part, Native) and part.dialect == "openai_responses":
            self._hush()
            self._add_whole(part.value)
        elif isinstance(part, Image):
            self._hush()
            item = image_item(self._new_id("image_generation_call"), part, self.dropped)
            if item is not None:
                self._add_whole(item)
        else:
            self._drop(part.type if isinstance(part, Native) else type(part).__name__.lower())
            if isinstance(part, Audio) and part.transcript:
                block = _Block(Text(text=""))
                self._speak(block, part.transcript, [])
                self._end_block(block)

    def _on_delta(self, event: TextDelta) -> None:
        block = self._blocks.get(event.block)
        if block is None or not event.text:
            return
        if isinstance(block.part, ToolCall):
            block.pieces.append(event.text)
            kind = "custom_tool_call_input" if block.part.kind == "custom" else "function_call_arguments"
            self._emit(
                f"response.{kind}.delta", item_id=block.item_id, output_index=block.output_index, delta=event.text
            )
            return
        logprobs = event.logprobs.get("content") if isinstance(event.logprobs, dict) else None
        self._speak(block, event.text, list(logprobs or []))

    def _on_citation(self, number: int, citation: Citation) -> None:
        block = self._blocks.get(number)
        if block is None or not isinstance(block.part, Text):
            return
        entry = annotation(citation, len(block.text), self.dropped)
        if entry is None:
            return
        if self._speaking is not block:
            self._open_text(block)
        self._emit(
            "response.output_text.annotation.added",
            **self._where(block),
            annotation_index=len(block.annotations),
            annotation=entry,
        )
        block.annotations.append(entry)

    def _on_signature(self, event: SignatureDelta) -> None:
        block = self._blocks.get(event.block)
        if block is None:
            return
        if event.opaque:
            block.opaque = event.signature
        else:
            block.signature = event.signature

    def _on_stop(self, event: BlockStop) -> None:
        block = self._blocks.get(event.block)
        if block is None:
            return
        if isinstance(event.part, Thinking) and isinstance(block.part, Thinking):
            block.details = event.part.details  # said by the whole part alone
        self._end_block(block)

    # --------------------------------------------------------------------------------------- items
    def _new_id(self, kind: str) -> str:
        return item_id(self._stamp, kind, len(self._output))

    def _thinking_id(self, block: _Block) -> str:
        ours = self._new_id("reasoning")
        return ours if block.spoke or not isinstance(block.part, Thinking) else reasoning_id(block.part, ours)

    def _add(self, item: dict[str, Any]) -> int:
        index = len(self._output)
        self._output.append(item)
        self._emit("response.output_item.added", output_index=index, item=item)
        return index

    def _add_whole(self, item: dict[str, Any]) -> None:
        index = self._add(item)
        self._emit("response.output_item.done", output_index=index, item=item)

    def _complete(self, index: int, item: dict[str, Any]) -> None:
        self._output[index] = item
        self._emit("response.output_item.done", output_index=index, item=item)

    def _where(self, block: _Block) -> dict[str, Any]:
        return {"item_id": block.item_id, "output_index": block.output_index, "content_index": block.content_index}

    def _speak(self, block: _Block, text: str, logprobs: list[Any]) -> None:
        if isinstance(block.part, Thinking):
            if self._speaking is not block:
                self._open_thinking(block)
            where = {"item_id": block.item_id, "output_index": block.output_index, "summary_index": 0}
            self._emit("response.reasoning_summary_text.delta", **where, delta=text)
        else:
            if self._speaking is not block:
                self._open_text(block)
            if isinstance(block.part, Refusal):
                self._emit("response.refusal.delta", **self._where(block), delta=text)
            else:
                self._emit("response.output_text.delta", **self._where(block), delta=text, logprobs=logprobs)
        block.pieces.append(text)
        block.logprobs += logprobs

    def _open_text(self, block: _Block) -> None:
        part = block.part
        group = (part.item_id, part.phase) if isinstance(part, Text) else (None, None)
        if self._message is None or (isinstance(part, Text) and self._message.group != group):
            self._hush()
        else:
            self._end_speech()
        if self._message is None:
            ident = self._new_id("message")
            index = self._add(message_item(ident, "in_progress", [], group[1]))
            self._message = _Message(index, ident, group)
        message = self._message
        block.item_id, block.output_index, block.content_index = (
            message.ident,
            message.output_index,
            len(message.content),
        )
        message.content.append({})
        self._begin(block)
        empty = {"type": "refusal", "refusal": ""} if isinstance(part, Refusal) else text_part("", [], [])
        self._emit("response.content_part.added", **self._where(block), part=empty)

    def _open_thinking(self, block: _Block) -> None:
        self._hush()
        block.item_id = self._thinking_id(block)
        block.output_index = self._add({"id": block.item_id, "type": "reasoning", "summary": []})
        self._begin(block)
        where = {"item_id": block.item_id, "output_index": block.output_index, "summary_index": 0}
        self._emit("response.reasoning_summary_part.added", **where, part=summary_part(""))

    def _begin(self, block: _Block) -> None:
        block.pieces, block.annotations, block.logprobs = [], [], []
        block.spoke = True
        self._speaking = block

    def _open_call(self, number: int, part: ToolCall) -> None:
        self._hush()
        block = self._blocks[number] = _Block(part)
        block.item_id = self._new_id(call_kind(part))
        block.output_index = self._add(call_item(block.item_id, _with_arguments(part, ""), "in_progress"))
        block.spoke = True
        self._on_delta(TextDelta(block=number, text=part.arguments))

    # --------------------------------------------------------------------------------------- ends
    def _end_block(self, block: _Block) -> None:
        if block.over:
            return
        block.over = True
        part = block.part
        if isinstance(part, ToolCall):
            self._end_call(block, part)
        elif isinstance(part, Thinking):
            self._end_thinking(block, part.origin)
        else:
            if self._speaking is block:
                self._end_speech()
            if block.signature is not None and isinstance(part, Text):
                self._hush()
                blob = carried.of_text(block.signature, empty=not block.spoke)
                self._add_whole(proof_item(self._new_id("reasoning"), blob))

    def _end_thinking(self, block: _Block, origin: str | None) -> None:
        """A proof that comes after the item was closed, or without any text, is an item of its own."""
        if self._speaking is block:
            self._end_speech()
        elif block.proves or (origin == "openai_responses" and not block.spoke):
            self._hush()
            block.pieces = []
            self._add_whole(reasoning_item(self._thinking_id(block), _told(block)))

    def _end_call(self, block: _Block, part: ToolCall) -> None:
        arguments = block.text
        where = {"item_id": block.item_id, "output_index": block.output_index}
        if part.kind == "custom":
            self._emit("response.custom_tool_call_input.done", **where, input=arguments)
        else:
            name = split_name(part.name, part.namespace)[0]
            self._emit("response.function_call_arguments.done", **where, name=name, arguments=arguments)
        self._complete(block.output_index, call_item(block.item_id, _with_arguments(part, arguments), self._status()))
        if block.signature is not None:
            self._add_whole(proof_item(self._new_id("reasoning"), carried.of_call(part.id, block.signature)))

    def _end_speech(self) -> None:
        """Close the open content part or reasoning item."""
        block, self._speaking = self._speaking, None
        if block is None:
            return
        text = block.text
        if isinstance(block.part, Thinking):
            where = {"item_id": block.item_id, "output_index": block.output_index, "summary_index": 0}
            self._emit("response.reasoning_summary_text.done", **where, text=text)
            self._emit("response.reasoning_summary_part.done", **where, part=summary_part(text))
            self._complete(block.output_index, reasoning_item(block.item_id, _told(block)))
            block.signature = block.opaque = block.details = None
            return
        if isinstance(block.part, Refusal):
            self._emit("response.refusal.done", **self._where(block), refusal=text)
            part: dict[str, Any] = {"type": "refusal", "refusal": text}
        else:
            self._emit("response.output_text.done", **self._where(block), text=text, logprobs=block.logprobs)
            part = text_part(text, block.annotations, block.logprobs)
        self._emit("response.content_part.done", **self._where(block), part=part)
        if self._message is not None:
            self._message.content[block.content_index] = part

    def _hush(self) -> None:
        """Close whatever speaks, and the message with it."""
        self._end_speech()
        message, self._message = self._message, None
        if message is not None:
            item = message_item(message.ident, self._status(), message.content, message.group[1])
            self._complete(message.output_index, item)

    def _close_all(self) -> None:
        for block in self._blocks.values():
            self._end_block(block)
        self._hush()

    def _status(self) -> str:
        """Of an item that ends now: cut only if the answer's end is already known to be a cut."""
        return "incomplete" if self._finish is not None and status_of(self._finish) == "incomplete" else "completed"


def _with_arguments(part: ToolCall, arguments: str) -> ToolCall:
    return ToolCall(id=part.id, name=part.name, arguments=arguments, kind=part.kind, namespace=part.namespace)


def _told(block: _Block) -> Thinking:
    """The thinking that the item shows, with what came beside its text."""
    part = block.part if isinstance(block.part, Thinking) else Thinking()
    return Thinking(
        text=block.text,
        signature=block.signature,
        opaque=block.opaque,
        redacted=part.redacted,
        origin=part.origin,
        details=block.details,
    )
