"""Neutral events to a stream of generateContent answers, for upstreams of other dialects.

Text goes out as it comes. A function call goes out whole, as Google sends it. Foreign thinking is shown as thought
parts and sealed onto the next part that is not a thought (see `foreign`). The last event has the finish reasons and the
usage; there is no `[DONE]`.
"""

from __future__ import annotations

from typing import Any

import orjson
from msgspec import structs

from wire.dialects.gemini.citations import PlacedCitation, loses_quote, render_grounding
from wire.dialects.gemini.errors import render_error
from wire.dialects.gemini.foreign import SKIP_VALIDATION, seal
from wire.dialects.gemini.logprobs import render_logprobs
from wire.dialects.gemini.parts import read_arguments, signed
from wire.dialects.gemini.response import answer_media, finish_reason
from wire.dialects.gemini.usage import render_usage
from wire.errors import BadRequest, GatewayError, UpstreamError
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
    Part,
    SignatureDelta,
    Stamp,
    StreamEvent,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
    UsageUpdate,
)
from wire.sse import encode_event


class _Block:
    """A block while it is open: what must be whole before it can go out is gathered here."""

    def __init__(self, kind: BlockKind, part: Part, choice: int) -> None:
        self.kind = kind
        self.part = part
        self.choice = choice
        self.pieces: list[str] = []
        self.signature: str | None = getattr(part, "signature", None)
        self.opaque: str | None = getattr(part, "opaque", None)


class _Candidate:
    """What a choice still owes: sealed thinking for its next part, citations for its last event."""

    def __init__(self) -> None:
        self.sealed: list[Thinking] = []
        self.called = False
        self.malformed: str | None = None
        self.texts: dict[int, list[str]] = {}  # text block -> its pieces
        self.citations: list[CitationDelta] = []
        self.finish: Finish | None = None


class GeminiStreamRenderer:
    def __init__(self, stamp: Stamp) -> None:
        self.dropped: list[str] = []
        self._tail = b'"modelVersion":' + orjson.dumps(stamp.model) + b',"responseId":' + orjson.dumps(stamp.id) + b"}"
        self._blocks: dict[int, _Block] = {}
        self._candidates: dict[int, _Candidate] = {}
        self._usage: Usage | None = None

    def feed(self, event: StreamEvent) -> bytes:
        match event:
            case TextDelta():
                return self._delta(event)
            case BlockStart():
                return self._start(event)
            case BlockStop(block=number):
                return self._stop(number)
            case SignatureDelta():
                self._sign(event)
            case CitationDelta(block=number) if (block := self._blocks.get(number)) is not None:
                self._candidate(block.choice).citations.append(event)
                if loses_quote(event.citation):
                    self._drop("citations.cited_text")
            case UsageUpdate(usage=usage):
                self._usage = usage
            case Finish(choice=choice):
                self._candidate(choice).finish = event
            case Extra(name=name):
                self._drop(f"extra.{name}")
            case Failed():
                return self.error(UpstreamError(event.message, status=event.status, code=event.code, type=event.type))
        return b""

    def close(self) -> bytes:
        """The last event: what is still owed, finish reasons, usage."""
        owed = b"".join(self._stop(number) for number in list(self._blocks))
        candidates = [self._last(index, candidate) for index, candidate in self._candidates.items()]
        body: dict[str, Any] = {"candidates": candidates or [self._last(0, _Candidate())]}
        if self._usage is not None:
            body["usageMetadata"] = render_usage(self._usage)
        return owed + encode_event(orjson.dumps(body)[:-1] + b"," + self._tail)

    def error(self, error: GatewayError) -> bytes:
        return encode_event(orjson.dumps(render_error(error)))

    def _candidate(self, index: int) -> _Candidate:
        return self._candidates.setdefault(index, _Candidate())

    def _drop(self, name: str) -> None:
        if name not in self.dropped:
            self.dropped.append(name)

    def _part(self, choice: int, part: bytes, extra: bytes = b"") -> bytes:
        """An event with one part. Written by hand: this is what a stream is made of."""
        return (
            b'data: {"candidates":[{"content":{"parts":['
            + part
            + b'],"role":"model"},"index":'
            + str(choice).encode()
            + extra
            + b"}],"
            + self._tail
            + b"\n\n"
        )

    def _signed_part(self, choice: int, part: dict[str, Any], signature: str | None = None) -> bytes:
        """A part that is not a thought, with its own signature or the seal of the thinking before it."""
        candidate = self._candidate(choice)
        if candidate.sealed and signature in (None, SKIP_VALIDATION):
            signature = seal(candidate.sealed)
            candidate.sealed = []
        return self._part(choice, orjson.dumps(signed(part, signature)))

    def _start(self, event: BlockStart) -> bytes:
        block = _Block(event.kind, event.part, event.choice)
        self._blocks[event.block] = block
        candidate = self._candidate(event.choice)
        if event.kind == "text":
            candidate.texts[event.block] = []
        match event.part:
            case Image() | Audio() if (media := answer_media(event.part)) is not None:
                return self._signed_part(event.choice, media)
            case Native(dialect="gemini"):
                return self._part(event.choice, orjson.dumps(event.part.value))
            case Native():
                self._drop(event.part.type)
            case Image() | Audio():
                self._drop(event.kind)
        first = getattr(event.part, "text", "")
        return self._delta(TextDelta(block=event.block, text=first)) if first else b""

    def _delta(self, event: TextDelta) -> bytes:
        block = self._blocks.get(event.block)
        if block is None:
            return b""
        if block.kind == "tool_call":
            block.pieces.append(event.text)
            return b""
        if block.kind == "thinking":
            block.pieces.append(event.text)
            return self._part(block.choice, b'{"text":' + orjson.dumps(event.text) + b',"thought":true}')
        candidate = self._candidates[block.choice]
        if block.kind == "text":
            candidate.texts[event.block].append(event.text)
        if candidate.sealed:
            return self._signed_part(block.choice, {"text": event.text})
        logprobs = render_logprobs(event.logprobs) if event.logprobs is not None else None
        extra = b',"logprobsResult":' + orjson.dumps(logprobs) if logprobs is not None else b""
        return self._part(block.choice, b'{"text":' + orjson.dumps(event.text) + b"}", extra)

    def _sign(self, event: SignatureDelta) -> None:
        block = self._blocks.get(event.block)
        if block is not None and event.opaque:
            block.opaque = event.signature
        elif block is not None:
            block.signature = event.signature

    def _stop(self, number: int) -> bytes:
        block = self._blocks.pop(number, None)
        if block is None:
            return b""
        part = block.part
        if isinstance(part, ToolCall):
            return self._call(block, structs.replace(part, arguments=part.arguments + "".join(block.pieces)))
        if isinstance(part, Thinking):
            return self._thought(block, part)
        if block.kind == "text" and block.signature is not None:
            return self._signed_part(block.choice, {"text": ""}, block.signature)
        return b""

    def _call(self, block: _Block, call: ToolCall) -> bytes:
        candidate = self._candidate(block.choice)
        try:
            arguments = read_arguments(call)
        except BadRequest:
            candidate.malformed = f"{call.name}({call.arguments})"
            self._drop("tool_call.arguments")
            return b""
        # Lets Gemini 3 go on with a foreign model's call, if the caller turns to it later.
        signature = block.signature or (None if candidate.called else SKIP_VALIDATION)
        candidate.called = True
        body = {"functionCall": {"name": call.name, "args": arguments, "id": call.id}}
        return self._signed_part(block.choice, body, signature)

    def _thought(self, block: _Block, part: Thinking) -> bytes:
        text = "".join(block.pieces)
        if part.origin == "gemini":
            if block.signature is None:
                return b""
            body = {"text": "", "thought": True, "thoughtSignature": block.signature}
            return self._part(block.choice, orjson.dumps(body))
        whole = structs.replace(part, text=text, signature=block.signature, opaque=block.opaque)
        self._candidate(block.choice).sealed.append(whole)
        return b""

    def _last(self, index: int, candidate: _Candidate) -> dict[str, Any]:
        part: dict[str, Any] = {"text": ""}
        if candidate.sealed:
            part["thoughtSignature"] = seal(candidate.sealed)
        result: dict[str, Any] = {
            "content": {"parts": [part], "role": "model"},
            "finishReason": finish_reason(candidate.finish, malformed=candidate.malformed is not None),
            "index": index,
        }
        if candidate.malformed is not None:
            result["finishMessage"] = f"Malformed function call: {candidate.malformed}"
        if candidate.citations:
            numbers = list(candidate.texts)
            placed = [
                PlacedCitation(numbers.index(delta.block), delta.citation)
                for delta in candidate.citations
                if delta.block in candidate.texts
            ]
            result["groundingMetadata"] = render_grounding(
                ["".join(pieces) for pieces in candidate.texts.values()], placed
            )
        return result
