"""Neutral events to Anthropic stream events. https://platform.claude.com/docs/en/build-with-claude/streaming

On this wire one content block is open at a time, while neutral blocks may overlap (OpenAI streams parallel tool calls
side by side and ends its text with the answer). So:

* what can go on in a new block (text, thinking) is closed when another block begins, and opened anew should it go on;
* a tool call cannot be cut in two: what comes while one is open waits until it has ended.

A text or thinking block is opened by its first words, so that an empty one leaves no trace; Anthropic refuses empty
text when the client sends the answer back. Foreign signatures are sealed as `foreign` says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from msgspec import structs

from wire.dialect import Quirks
from wire.dialects.anthropic_messages import foreign
from wire.dialects.anthropic_messages.errors import render_error, render_failed
from wire.dialects.anthropic_messages.finish import render_finish
from wire.dialects.anthropic_messages.foreign import OWN
from wire.dialects.anthropic_messages.parts import Block, PartRenderer, citation_block, tool_input
from wire.dialects.anthropic_messages.usage import render_usage
from wire.errors import GatewayError
from wire.neutral import (
    BlockStart,
    BlockStop,
    CitationDelta,
    Ended,
    Extra,
    Failed,
    Finish,
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

# Members of message_delta and its delta that Anthropic clients know; an `Ended` of another dialect holds other names.
_DELTA_EXTRA = ("container",)
_EVENT_EXTRA = ("context_management", "input_transformations")
_CALL_EXTRA = ("caller", "toolset_name")
_START_EXTRA = ("container", "context_management", "diagnostics", "input_transformations")

_Delta = TextDelta | SignatureDelta | CitationDelta


class _Block:
    """A neutral block: what it is, and what waits for it to be opened on the wire."""

    __slots__ = ("begun", "held", "kind", "opened", "part", "raw", "signature", "stopped", "waiting")

    def __init__(self, kind: str, part: Any) -> None:
        self.kind = kind
        self.part = part
        self.waiting = False  # another block is open; `held` is to be written once this one may be
        self.held: list[_Delta] = []
        self.stopped = False
        self.opened = False  # content_block_start has been written
        self.begun = False  # arguments have been written, and they begin as an object does
        self.raw: list[str] | None = None  # arguments that must be wrapped, whole, at the end
        self.signature: str | None = None  # of a text or a tool call: written after it


class StreamRenderer:
    """One stream. `dropped` lists what it could not carry."""

    def __init__(self, stamp: Stamp) -> None:
        self.dropped: list[str] = []
        self._stamp = stamp
        self._blocks: dict[int, _Block] = {}
        self._current: _Block | None = None
        self._queue: list[_Block] = []
        self._index = 0
        self._started = False
        self._over = False
        self._called_tools = False
        self._refused = False
        self._usage: Usage | None = None
        self._finish: Finish | None = None
        self._extra: dict[str, Any] = {}
        self._parts = PartRenderer(own=False, seal=True, quirks=Quirks(), dropped=self.dropped)

    def feed(self, event: StreamEvent) -> bytes:
        if self._over:
            return b""
        if isinstance(event, TextDelta):  # nearly every event
            if event.logprobs is not None:
                self._drop("logprobs")
            return self._deliver(event)
        if isinstance(event, Started):
            return self._start(event)
        begun = b"" if self._started else self._start(Started())
        return begun + _HANDLERS[type(event)](self, event)

    def close(self) -> bytes:
        """message_delta and message_stop, after the end of what is open. Nothing after an error."""
        if self._over:
            return b""
        self._over = True
        out = self._end_all() if self._started else self._start(Started())
        delta = render_finish(self._finish, called_tools=self._called_tools, refused=self._refused)
        delta.update({name: self._extra[name] for name in _DELTA_EXTRA if name in self._extra})
        closing: dict[str, Any] = {"type": "message_delta", "delta": delta, "usage": render_usage(self._usage)}
        closing.update({name: self._extra[name] for name in _EVENT_EXTRA if name in self._extra})
        return out + _event("message_delta", closing) + encode_event(b'{"type":"message_stop"}', "message_stop")

    def error(self, error: GatewayError) -> bytes:
        """The in-band error. Nothing follows it; nothing again when the upstream's own was already given."""
        if self._over:
            return b""
        self._over = True
        return _event("error", render_error(error))

    # ------------------------------------------------------------------------------------ events of the whole answer
    def _start(self, event: Started) -> bytes:
        self._started = True
        self._usage = event.usage
        message: dict[str, Any] = {
            "id": f"msg_{self._stamp.id}",
            "type": "message",
            "role": "assistant",
            "model": self._stamp.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": render_usage(event.usage),
        }
        for name, value in event.extra.items():
            if name in _START_EXTRA:
                message[name] = value
            else:
                self._drop(f"extra.{name}")
        return _event("message_start", {"type": "message_start", "message": message})

    def _on_usage(self, event: UsageUpdate) -> bytes:
        self._usage = event.usage
        return b""

    def _on_finish(self, event: Finish) -> bytes:
        if event.choice == 0:
            self._finish = event
            if event.reason == "error":
                self._drop("finish_reason")
        return b""

    def _on_ended(self, event: Ended) -> bytes:
        self._extra = event.extra
        for name in event.extra:
            if name not in _DELTA_EXTRA and name not in _EVENT_EXTRA:
                self._drop(f"extra.{name}")
        return self._end_all()

    def _on_extra(self, event: Extra) -> bytes:
        self._drop(f"extra.{event.name}")
        return b""

    def _on_failed(self, event: Failed) -> bytes:
        self._over = True
        return _event("error", render_failed(event))

    # ------------------------------------------------------------------------------------ which block may write
    def _on_block_start(self, event: BlockStart) -> bytes:
        if event.choice != 0:
            self._drop(f"choices[{event.choice}]")
            return b""
        part, words = _without_words(event.part)
        block = self._blocks[event.block] = _Block(event.kind, part)
        out = self._enter(block)
        return out + self._deliver(TextDelta(block=event.block, text=words)) if words else out

    def _deliver(self, event: _Delta) -> bytes:
        block = self._blocks.get(event.block)
        if block is None:
            return b""  # of a choice that is not carried
        if block is self._current:
            return self._write(block, event)
        if block.waiting:
            block.held.append(event)
            return b""
        if block.stopped:
            return b""
        out = self._enter(block)
        if block is self._current:
            return out + self._write(block, event)
        block.held.append(event)
        return b""

    def _on_block_stop(self, event: BlockStop) -> bytes:
        block = self._blocks.get(event.block)
        if block is None:
            return b""
        block.stopped = True
        return self._end_current() + self._advance() if block is self._current else b""

    def _enter(self, block: _Block) -> bytes:
        """Make it the current block, or let it wait for a tool call to end."""
        out = b""
        if self._current is not None:
            if self._current.kind == "tool_call":
                block.waiting = True
                self._queue.append(block)
                return b""
            out = self._end_current()
        return out + self._begin(block)

    def _advance(self) -> bytes:
        """Write what waited, up to the first block that has not ended."""
        out = b""
        while self._queue and self._current is None:
            block = self._queue.pop(0)
            block.waiting = False
            held, block.held = block.held, []
            out += self._begin(block)
            for event in held:
                out += self._write(block, event)
            if block.stopped or (self._queue and block.kind != "tool_call"):
                out += self._end_current()
        return out

    def _end_all(self) -> bytes:
        for block in self._blocks.values():
            block.stopped = True
        return self._end_current() + self._advance()

    # ------------------------------------------------------------------------------------ one block on the wire
    def _begin(self, block: _Block) -> bytes:
        self._current = block
        part = block.part
        if isinstance(part, ToolCall):
            self._called_tools = True
            before = b"" if part.signature is None else self._whole(foreign.signature_block(part.signature, part.id))
            start = {"type": "tool_use", "id": part.id, "name": part.name, "input": {}}
            start.update({name: value for name, value in (part.extra or {}).items() if name in _CALL_EXTRA})
            block.raw = [] if part.kind == "custom" else None
            return before + self._open(block, start)
        if isinstance(part, Thinking):
            if part.origin == OWN and not part.redacted:
                return self._open(block, {"type": "thinking", "thinking": "", "signature": ""})
            return b""
        if block.kind in ("text", "refusal"):
            self._refused = self._refused or block.kind == "refusal"
            block.signature = block.signature or getattr(part, "signature", None)
            return b""
        out = b"".join(self._whole(whole) for whole in self._parts.in_assistant_turn(part))
        block.kind = "whole"
        return out

    def _write(self, block: _Block, event: _Delta) -> bytes:
        if isinstance(event, TextDelta):
            return self._write_text(block, event.text) if event.text else b""
        if isinstance(event, CitationDelta):
            if block.kind != "text":
                return b""
            out = b"" if block.opened else self._open(block, {"type": "text", "text": ""})
            return out + self._delta({"type": "citations_delta", "citation": citation_block(event.citation)})
        if block.kind != "thinking":
            block.signature = event.signature
            return b""
        if block.part.origin == OWN and not block.part.redacted:
            return self._delta({"type": "signature_delta", "signature": event.signature})
        name = "opaque" if event.opaque else "signature"
        block.part = structs.replace(block.part, **{name: event.signature})
        return b""

    def _write_text(self, block: _Block, text: str) -> bytes:
        if block.kind == "tool_call":
            return self._write_arguments(block, text)
        if block.kind == "thinking":
            out = b"" if block.opened else self._open(block, {"type": "thinking", "thinking": "", "signature": ""})
            return out + self._text_delta(b"thinking_delta", b"thinking", text)
        if block.kind == "whole":
            return b""
        out = b"" if block.opened else self._open(block, {"type": "text", "text": ""})
        return out + self._text_delta(b"text_delta", b"text", text)

    def _write_arguments(self, block: _Block, text: str) -> bytes:
        """As they come while they are an object, as `input` must be; anything else is wrapped at the end."""
        if not block.begun and block.raw is None:
            text = text.lstrip()
            if not text:
                return b""
            block.begun = text.startswith("{")
            block.raw = None if block.begun else []
        if block.raw is not None:
            block.raw.append(text)
            return b""
        return self._text_delta(b"input_json_delta", b"partial_json", text)

    def _end_current(self) -> bytes:
        block, self._current = self._current, None
        if block is None:
            return b""
        out = b""
        if block.raw:
            call = structs.replace(block.part, arguments="".join(block.raw))
            wrapped, whole = tool_input(call)
            if not whole:
                self._drop(f"{call.id}.arguments")
            out += self._text_delta(b"input_json_delta", b"partial_json", orjson.dumps(wrapped).decode())
        if block.kind == "thinking":
            out += self._end_thinking(block)
        if block.opened:
            out += b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % self._index
            self._index += 1
            block.opened = False
        if block.signature is not None:
            call_id = block.part.id if isinstance(block.part, ToolCall) else None
            out += self._whole(foreign.signature_block(block.signature, call_id))
            block.signature = None
        return out

    def _end_thinking(self, block: _Block) -> bytes:
        """The seal of a foreign one, as its signature, or as a block of its own where it had no words."""
        part = block.part
        if part.origin == OWN and not part.redacted:
            return b""
        if block.opened:
            return self._delta({"type": "signature_delta", "signature": foreign.seal_thinking(part)})
        if not block.stopped and part.signature is None and part.opaque is None:
            return b""  # it may go on, and there is nothing to carry yet
        return b"".join(self._whole(whole) for whole in self._parts.in_assistant_turn(part))

    def _open(self, block: _Block, start: Block) -> bytes:
        block.opened = True
        return self._content_block_start(start)

    def _whole(self, block: Block) -> bytes:
        """A block without deltas; text always has them."""
        out = self._content_block_start({**block, "text": ""} if block["type"] == "text" else block)
        if block["type"] == "text":
            out += self._text_delta(b"text_delta", b"text", block["text"])
        out += b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % self._index
        self._index += 1
        return out

    def _content_block_start(self, block: Block) -> bytes:
        start = {"type": "content_block_start", "index": self._index, "content_block": block}
        return _event("content_block_start", start)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", {"type": "content_block_delta", "index": self._index, "delta": delta})

    def _text_delta(self, kind: bytes, field: bytes, text: str) -> bytes:
        return (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
            b'"delta":{"type":"%b","%b":%b}}\n\n' % (self._index, kind, field, orjson.dumps(text))
        )

    def _drop(self, name: str) -> None:
        if name not in self.dropped:
            self.dropped.append(name)


def _without_words(part: Any) -> tuple[Any, str]:
    """The part of a BlockStart, and the words that it already holds: they are written like those that follow."""
    if isinstance(part, ToolCall):
        return structs.replace(part, arguments=""), part.arguments
    if isinstance(part, Text | Thinking | Refusal):
        return structs.replace(part, text=""), part.text
    return part, ""


def _event(name: str, data: dict[str, Any]) -> bytes:
    return encode_event(orjson.dumps(data), name)


_HANDLERS: dict[type, Callable[[StreamRenderer, Any], bytes]] = {
    BlockStart: StreamRenderer._on_block_start,
    SignatureDelta: StreamRenderer._deliver,
    CitationDelta: StreamRenderer._deliver,
    BlockStop: StreamRenderer._on_block_stop,
    UsageUpdate: StreamRenderer._on_usage,
    Finish: StreamRenderer._on_finish,
    Failed: StreamRenderer._on_failed,
    Ended: StreamRenderer._on_ended,
    Extra: StreamRenderer._on_extra,
}
