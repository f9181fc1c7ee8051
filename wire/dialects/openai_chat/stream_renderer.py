"""Neutral events to chunks. https://platform.openai.com/docs/api-reference/chat/streaming

Id, model and creation time are fixed once per stream, the role comes once per choice, tool indexes are ordinals within
their choice. Chunks are put together from bytes: only what the model wrote passes through a JSON encoder.
"""

from __future__ import annotations

from typing import Any

import orjson
from msgspec import Struct

from wire.dialects.openai_chat.citations import write_annotation
from wire.dialects.openai_chat.conversation import thought_signature
from wire.dialects.openai_chat.errors import render_error, render_failed
from wire.dialects.openai_chat.finish import write_finish
from wire.dialects.openai_chat.response import render_answered_audio, render_answered_image, render_call
from wire.dialects.openai_chat.thinking import detail_head, has_format, text_detail
from wire.dialects.openai_chat.usage import render_usage
from wire.errors import GatewayError
from wire.neutral import (
    Audio,
    BlockKind,
    BlockStart,
    BlockStop,
    CitationDelta,
    Extra,
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

DONE = b"data: [DONE]\n\n"
_TEXT_FIELDS: dict[BlockKind, bytes] = {
    "text": b'{"content":',
    "refusal": b'{"refusal":',
    "thinking": b'{"reasoning_content":',
}


class _Block(Struct):
    """`ordinal` counts blocks of its kind within the choice, `offset` the characters of content before it.

    `introduced`: whose reasoning it is has been said; `signed`: the proof that has been told. OpenAI's SDK joins the
    strings of all pieces of one index, so both are said once.
    """

    kind: BlockKind
    choice: int
    ordinal: int
    offset: int
    part: Any
    prefix: bytes  # of a text delta, up to the text
    suffix: bytes
    length: int = 0
    introduced: bool = False
    signed: str | None = None


class ChatStreamRenderer:
    def __init__(self, stamp: Stamp, *, include_usage: bool) -> None:
        self.dropped: list[str] = []
        head = orjson.dumps(
            {
                "id": f"chatcmpl-{stamp.id}",
                "object": "chat.completion.chunk",
                "created": stamp.created,
                "model": stamp.model,
            }
        )
        self._head = b"data: " + head[:-1] + b',"choices":['
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"
        self._include_usage = include_usage
        self._usage: Usage | None = None
        self._blocks: dict[int, _Block] = {}
        self._counts: dict[tuple[int, BlockKind], int] = {}
        self._content: dict[int, int] = {}
        self._greeted: set[int] = set()
        self._annotations: dict[int, list[dict[str, Any]]] = {}

    def feed(self, event: StreamEvent) -> bytes:
        match event:
            case TextDelta():
                return self._text(event)
            case BlockStart():
                return self._greet(event.choice) + self._block_start(event)
            case BlockStop():
                return self._block_stop(event)
            case SignatureDelta():
                return self._signature(event)
            case CitationDelta():
                return self._citation(event)
            case Started():
                self._usage = event.usage
                self._drop_all(event.extra)
                return self._greet(0)
            case UsageUpdate():
                self._usage = event.usage
                return b""
            case Finish():
                return self._greet(event.choice) + self._finish(event)
            case Failed():
                return b"data: " + orjson.dumps(render_failed(event)) + b"\n\n"
            case Extra():
                return self._extra(event)
        self._drop_all(event.extra)
        return b""

    def close(self) -> bytes:
        if not self._include_usage or self._usage is None:
            return DONE
        tier = b"" if self._usage.service_tier is None else b',"service_tier":' + orjson.dumps(self._usage.service_tier)
        return self._head + b'],"usage":' + orjson.dumps(render_usage(self._usage)) + tier + b"}\n\n" + DONE

    def error(self, error: GatewayError) -> bytes:
        return b"data: " + orjson.dumps(render_error(error)) + b"\n\n"

    # ------------------------------------------------------------------------------------------------- chunks
    def _chunk(
        self, choice: int, delta: bytes, *, logprobs: bytes = b"null", finish: bytes = b'"finish_reason":null'
    ) -> bytes:
        return b'%b{"index":%d,"delta":%b,"logprobs":%b,%b}]%b' % (
            self._head,
            choice,
            delta,
            logprobs,
            finish,
            self._tail,
        )

    def _greet(self, choice: int) -> bytes:
        if choice in self._greeted:
            return b""
        self._greeted.add(choice)
        return self._chunk(choice, b'{"role":"assistant","content":"","refusal":null}')

    def _text(self, event: TextDelta) -> bytes:
        block = self._blocks[event.block]
        block.length += len(event.text)
        delta = block.prefix + orjson.dumps(event.text) + block.suffix
        if block.kind == "thinking" and has_format(block.part):
            detail = {**text_detail(block.part, event.text), **_detail_head(block)}
            delta = delta[:-1] + b',"reasoning_details":[' + orjson.dumps(detail) + b"]}"
        if event.logprobs is None:
            return self._chunk(block.choice, delta)
        return self._chunk(block.choice, delta, logprobs=orjson.dumps(event.logprobs))

    def _finish(self, event: Finish) -> bytes:
        noted = self._annotations.pop(event.choice, None)
        before = self._chunk(event.choice, orjson.dumps({"annotations": noted})) if noted else b""
        return before + self._chunk(event.choice, b"{}", finish=orjson.dumps(write_finish(event))[1:-1])

    def _extra(self, event: Extra) -> bytes:
        if event.name == "logprobs":
            return self._greet(event.choice) + self._chunk(event.choice, b"{}", logprobs=orjson.dumps(event.value))
        self._drop(f"extra.{event.name}")
        return b""

    # ------------------------------------------------------------------------------------------------- blocks
    def _block_start(self, event: BlockStart) -> bytes:
        ordinal = self._counts.get((event.choice, event.kind), 0)
        self._counts[event.choice, event.kind] = ordinal + 1
        part = event.part
        prefix, suffix = _TEXT_FIELDS.get(event.kind, b""), b"}"
        if isinstance(part, ToolCall):
            field = b'"custom":{"input":' if part.kind == "custom" else b'"function":{"arguments":'
            prefix, suffix = b'{"tool_calls":[{"index":%d,%b' % (ordinal, field), b"}}]}"
        offset = self._content.get(event.choice, 0)
        block = _Block(event.kind, event.choice, ordinal, offset, part, prefix, suffix)
        self._blocks[event.block] = block
        match part:
            case ToolCall():
                block.signed = part.signature
                return self._delta(block, {"tool_calls": [{"index": ordinal, **render_call(part)}]})
            case Text() | Refusal() | Thinking():
                return self._known_text(event.block, part)
            case Image():
                return self._delta(block, {"images": [{**render_answered_image(part), "index": ordinal}]})
            case Audio():
                return self._delta(block, {"audio": render_answered_audio(part)})
            case _:
                self._drop(part.type if isinstance(part, Native) else event.kind)
                return b""

    def _known_text(self, block: int, part: Text | Refusal | Thinking) -> bytes:
        """What a block holds from its start on."""
        rendered = self._text(TextDelta(block=block, text=part.text)) if part.text else b""
        if not isinstance(part, Refusal) and part.signature is not None:
            rendered += self._signature(SignatureDelta(block=block, signature=part.signature))
        if isinstance(part, Thinking) and part.opaque is not None:
            rendered += self._signature(SignatureDelta(block=block, signature=part.opaque, opaque=True))
        return rendered

    def _block_stop(self, event: BlockStop) -> bytes:
        block = self._blocks.pop(event.block)
        if block.kind == "text":
            self._content[block.choice] = block.offset + block.length
        return b""

    def _signature(self, event: SignatureDelta) -> bytes:
        """Proofs go where the caller gives them back on its next turn."""
        block = self._blocks[event.block]
        if block.signed == event.signature:
            return b""
        block.signed = event.signature
        if block.kind == "tool_call":
            call = {
                "index": block.ordinal,
                "function": {"arguments": ""},
                "extra_content": thought_signature(event.signature),
            }
            return self._delta(block, {"tool_calls": [call]})
        if block.kind != "thinking":
            return self._delta(block, {"extra_content": thought_signature(event.signature)})
        detail = _detail_head(block)
        if event.opaque:
            detail |= {"type": "reasoning.encrypted", "data": event.signature}
        else:
            detail |= {"type": "reasoning.text", "signature": event.signature}
        return self._delta(block, {"reasoning_details": [detail]})

    def _citation(self, event: CitationDelta) -> bytes:
        """Kept until the choice ends: OpenAI's SDK takes no second chunk of annotations."""
        block = self._blocks[event.block]
        lost: list[str] = []
        annotation = write_annotation(event.citation, block.offset, block.length, lost)
        for name in lost:
            self._drop(name)
        if annotation is not None:
            self._annotations.setdefault(block.choice, []).append(annotation)
        return b""

    def _delta(self, block: _Block, delta: dict[str, Any]) -> bytes:
        return self._chunk(block.choice, orjson.dumps(delta))

    def _drop(self, name: str) -> None:
        if name not in self.dropped:
            self.dropped.append(name)

    def _drop_all(self, extra: dict[str, Any]) -> None:
        for name in extra:
            self._drop(f"extra.{name}")


def _detail_head(block: _Block) -> dict[str, Any]:
    if block.introduced:
        return {"index": block.ordinal}
    block.introduced = True
    return detail_head(block.part, block.ordinal)
