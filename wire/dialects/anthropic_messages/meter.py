"""Reads what must be known of a passed-through stream: usage, end, errors, how much the model wrote.

Every event of every stream goes through here, so an event is decoded only where its name or its bytes say that it
matters, and deltas by a typed decoder that looks at three fields.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
from msgspec import Struct

from wire.dialects.anthropic_messages.errors import error_of_event
from wire.dialects.anthropic_messages.finish import neutral_reason
from wire.dialects.anthropic_messages.usage import merge_native, parse_usage
from wire.errors import UpstreamError, UpstreamTruncated
from wire.neutral import Usage
from wire.sse import SseEvent


class _Delta(Struct, frozen=True):
    text: str = ""
    thinking: str = ""
    partial_json: str = ""


class _DeltaEvent(Struct, frozen=True):
    delta: _Delta = _Delta()


_DELTAS = msgspec.json.Decoder(_DeltaEvent)
_SKIPPED = frozenset({"ping", "content_block_stop"})


class Meter:
    """One stream. Nothing is kept from the caller: usage is part of this dialect's events."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.response_id: str | None = None
        self.generated = False
        self.text_bytes = 0
        self.failed: UpstreamError | None = None
        self.ended = False
        self._native: dict[str, Any] | None = None

    def feed(self, event: SseEvent) -> bool:
        """Always True. An event that cannot be read is the client's to judge and changes nothing here."""
        data = event.data
        if data is None or event.event in _SKIPPED:
            return True
        if event.event == "content_block_delta":
            self._read_delta(data)
            return True
        try:
            message = orjson.loads(data)
        except orjson.JSONDecodeError:
            return True
        if isinstance(message, dict):
            if message.get("type") == "content_block_delta":  # a server that names no events
                self._read_delta(data)
            else:
                self._read(message)
        return True

    def close(self) -> None:
        """Raises UpstreamTruncated when neither message_stop nor an error was seen."""
        if not self.ended and self.failed is None:
            raise UpstreamTruncated("The upstream's answer ended before it was whole")

    def _read_delta(self, data: bytes) -> None:
        try:
            delta = _DELTAS.decode(data).delta
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        self._wrote(delta.text or delta.thinking or delta.partial_json)

    def _wrote(self, text: str) -> None:
        if text:
            self.generated = True
            self.text_bytes += len(text) if text.isascii() else len(text.encode())

    def _read(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "message_start":
            message = event.get("message")
            if isinstance(message, dict):
                identity = message.get("id")
                self.response_id = identity if isinstance(identity, str) else None
                self._count(message.get("usage"), complete=False)
        elif kind == "message_delta":
            delta = event.get("delta")
            word = delta.get("stop_reason") if isinstance(delta, dict) else None
            if word is not None:
                self.finish = neutral_reason(word)
            self._count(event.get("usage"), complete=True)
        elif kind == "content_block_start":
            block = event.get("content_block")
            if isinstance(block, dict):
                self._read_block(block)
        elif kind == "message_stop":
            self.ended = True
        elif kind == "error":
            self.failed = error_of_event(event)

    def _read_block(self, block: dict[str, Any]) -> None:
        """Text and thinking begin empty and come in deltas; any other block is something the model wrote."""
        first = block.get("text", block.get("thinking"))
        if isinstance(first, str):
            self._wrote(first)
        else:
            self.generated = True

    def _count(self, native: Any, *, complete: bool) -> None:
        if isinstance(native, dict):
            self._native = merge_native(self._native, native)
            self.usage = parse_usage(self._native, complete=complete)
