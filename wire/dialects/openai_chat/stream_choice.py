"""One choice of a stream: its deltas to blocks that open, grow and close one after the other.

Tool calls are told apart by index, and by id where a server numbers all of them 0; a missing id is made of the answer's
id and the call's ordinal. Servers repeat ids, names and roles, or send them empty: none of that starts anything new.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Literal

from wire.dialects.openai_chat.citations import read_annotations
from wire.dialects.openai_chat.finish import read_finish
from wire.dialects.openai_chat.media import read_image
from wire.dialects.openai_chat.messages import read_signature
from wire.dialects.openai_chat.thinking import detail_text, origin_of, plain_text, same_block
from wire.neutral import (
    Audio,
    BlockKind,
    BlockStart,
    BlockStop,
    CitationDelta,
    Extra,
    Finish,
    Media,
    Native,
    Part,
    Refusal,
    SignatureDelta,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
)
from wire.reading import (
    WrongType,
    as_list,
    as_object,
    as_text,
    json_text,
    list_or_empty,
    object_or_none,
    text_or_none,
)

_PATH = "choices[].delta"
_PLAIN = frozenset({"content", "role"})
_EMPTY_PARTS: dict[str, Part] = {
    "text": Text(text=""),
    "refusal": Refusal(text=""),
    "thinking": Thinking(origin="openai_chat"),
}


class _Call:
    """A tool call while it arrives. It starts, as a block, once its name is known."""

    def __init__(self, index: Any, given_id: str | None, kind: Literal["function", "custom"]) -> None:
        self.index = index
        self.given_id = given_id
        self.kind = kind
        self.name: str | None = None
        self.block: int | None = None
        self.waiting = ""
        self.signature: str | None = None
        self.ends_object = False  # the arguments so far end in a brace


class ChoiceStream:
    def __init__(self, index: int, id_stem: str, take_block: Callable[[], int]) -> None:
        self.ended_by: dict[str, Any] | None = None  # the choice object that held the finish reason
        self._index = index
        self._id_stem = id_stem
        self._take_block = take_block
        self._kind: BlockKind | None = None
        self._block = -1
        self._last_text: int | None = None
        self._logprobs: Any = None
        self._detail: dict[str, Any] = {}
        self._call: _Call | None = None
        self._calls = 0
        self._closed: dict[Any, str | None] = {}
        self._call_signatures: dict[str, str] = {}
        self._audio: dict[str, Any] = {}
        self._audio_data: list[bytes] = []

    # ------------------------------------------------------------------------------------------------- deltas
    def delta(self, delta: dict[str, Any], logprobs: Any) -> list[StreamEvent]:
        """Raises WrongType."""
        if isinstance(logprobs, dict) and (logprobs.get("content") or logprobs.get("refusal")):
            self._logprobs = logprobs
        events: list[StreamEvent] = []
        content = delta.get("content")
        plain = isinstance(content, str) and delta.keys() <= _PLAIN  # nine of ten deltas
        if not plain:
            events += self._reasoning(delta)
        if isinstance(content, str):
            if content:
                events += self._grow("text", content)
        elif content is not None:
            events += self._content_parts(as_list(content, f"{_PATH}.content"))
        if not plain:
            events += self._rest(delta)
        if self._logprobs is not None:
            events.append(Extra(name="logprobs", value=self._logprobs, choice=self._index))
            self._logprobs = None
        return events

    def _rest(self, delta: dict[str, Any]) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        refusal = text_or_none(delta, "refusal", _PATH)
        if refusal:
            events += self._grow("refusal", refusal)
        for item in list_or_empty(delta, "tool_calls", _PATH):
            events += self._call_delta(as_object(item, f"{_PATH}.tool_calls[]"))
        legacy = object_or_none(delta, "function_call", _PATH)
        if legacy:
            events += self._call_delta({"function": legacy})
        for item in list_or_empty(delta, "images", _PATH):
            image = read_image(as_object(item, f"{_PATH}.images[]"), "")
            events += self._whole("image", image)
        self._note_audio(object_or_none(delta, "audio", _PATH) or {})
        for citation in read_annotations(list_or_empty(delta, "annotations", _PATH), f"{_PATH}.annotations"):
            events += self._open("text", _EMPTY_PARTS["text"]) if self._last_text is None else []
            events.append(CitationDelta(block=self._last_text or 0, citation=citation))
        signature = read_signature(delta)
        if signature is not None:
            events += [] if self._kind in ("text", "tool_call") else self._open("text", _EMPTY_PARTS["text"])
            events.append(SignatureDelta(block=self._block, signature=signature))
        return events

    def close(self) -> list[StreamEvent]:
        """The blocks that are still open, and what is only known at the end. Raises WrongType."""
        events = self._stop()
        for signature in self._call_signatures.values():
            events += self._whole("thinking", Thinking(signature=signature, origin="gemini"))
        if self._audio or self._audio_data:
            data = base64.b64encode(b"".join(self._audio_data)).decode()
            events += self._whole("audio", Audio(media=Media(data=data), **self._audio))
        return events

    def finish(self) -> Finish:
        return read_finish(self.ended_by or {}, self._index, calls_tools=self._calls > 0)

    # ------------------------------------------------------------------------------------------------- blocks
    def _open(self, kind: BlockKind, part: Part) -> list[StreamEvent]:
        events = self._stop()
        self._kind, self._block = kind, self._take_block()
        if kind == "text":
            self._last_text = self._block
        events.append(BlockStart(block=self._block, kind=kind, part=part, choice=self._index))
        return events

    def _stop(self) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        if self._call is not None:
            events += self._end_call(self._call)
        if self._kind is not None:
            events.append(BlockStop(block=self._block))
        self._kind, self._call, self._detail = None, None, {}
        return events

    def _whole(self, kind: BlockKind, part: Part) -> list[StreamEvent]:
        events = self._open(kind, part)
        return events + self._stop()

    def _grow(self, kind: BlockKind, text: str) -> list[StreamEvent]:
        logprobs, self._logprobs = self._logprobs, None
        grown = self._open(kind, _EMPTY_PARTS[kind]) if self._kind != kind else []
        grown.append(TextDelta(block=self._block, text=text, logprobs=logprobs))
        return grown

    def _content_parts(self, parts: list[Any]) -> list[StreamEvent]:
        """Mistral: text and thinking parts; anything else it may say stays whole."""
        events: list[StreamEvent] = []
        for item in parts:
            part = as_object(item, f"{_PATH}.content[]")
            kind = text_or_none(part, "type", f"{_PATH}.content[]") or ""
            if kind == "text":
                text = text_or_none(part, "text", f"{_PATH}.content[]")
                events += self._grow("text", text) if text else []
            elif kind == "thinking":
                text = _thinking_text(part)
                events += self._grow("thinking", text) if text else []
            else:
                events += self._whole("native", Native(dialect="openai_chat", type=kind, value=part))
        return events

    # ---------------------------------------------------------------------------------------------- reasoning
    def _reasoning(self, delta: dict[str, Any]) -> list[StreamEvent]:
        """`reasoning_details` repeat the plain field's text, so that one counts only where they have none."""
        details = [
            as_object(item, f"{_PATH}.reasoning_details[]") for item in list_or_empty(delta, "reasoning_details", _PATH)
        ]
        events: list[StreamEvent] = []
        text, _ = plain_text(delta, _PATH)
        if text and not any(detail_text(entry) for entry in details):
            events += self._grow("thinking", text)
        for entry in details:
            events += self._detail_delta(entry)
        return events

    def _detail_delta(self, entry: dict[str, Any]) -> list[StreamEvent]:
        where = f"{_PATH}.reasoning_details[]"
        data, signature = text_or_none(entry, "data", where), text_or_none(entry, "signature", where)
        item_id = text_or_none(entry, "id", where)
        if self._detail and same_block(self._detail, entry):
            entry = {**entry, "format": entry.get("format") or self._detail.get("format")}
        origin = origin_of(entry)
        if origin == "gemini" and data is not None:
            if item_id is not None:  # OpenRouter: the proof of the tool call of this id
                return self._sign_call(item_id, data)
            data, signature = None, data
        events: list[StreamEvent] = []
        if self._kind != "thinking" or (self._detail and not same_block(self._detail, entry)):
            responses_id = item_id if origin == "openai_responses" else None
            redacted = origin == "anthropic_messages" and data is not None
            events += self._open("thinking", Thinking(origin=origin, item_id=responses_id, redacted=redacted))
        self._detail = entry
        text = as_text(detail_text(entry), where)
        if text:
            events.append(TextDelta(block=self._block, text=text))
        if signature:
            events.append(SignatureDelta(block=self._block, signature=signature))
        if data:
            events.append(SignatureDelta(block=self._block, signature=data, opaque=True))
        return events

    def _sign_call(self, call_id: str, signature: str) -> list[StreamEvent]:
        if self._call is not None and self._call.given_id == call_id and self._call.block is not None:
            return [SignatureDelta(block=self._call.block, signature=signature)]
        self._call_signatures[call_id] = signature
        return []

    # --------------------------------------------------------------------------------------------- tool calls
    def _call_delta(self, source: dict[str, Any]) -> list[StreamEvent]:
        where = f"{_PATH}.tool_calls[]"
        kind: Literal["function", "custom"] = "custom" if source.get("type") == "custom" else "function"
        described = object_or_none(source, kind, where) or {}
        given_id = text_or_none(source, "id", where) or None
        name = text_or_none(described, "name", where) or None
        arguments = described.get("input" if kind == "custom" else "arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = json_text(arguments, where)
        arguments = arguments or ""
        index = source.get("index")
        events: list[StreamEvent] = []
        if self._call is None or self._is_new(self._call, index, given_id, name, arguments):
            if self._is_late(index, given_id):
                if arguments:
                    raise WrongType(where, "goes on with a call after the next one has begun")
                return []
            if not (given_id or name or arguments):
                return []
            events += self._stop()
            self._call = _Call(index, given_id, kind)
        call = self._call
        call.given_id = call.given_id or given_id
        call.name = call.name or name
        call.signature = read_signature(source) or call.signature
        return events + self._grow_call(call, arguments)

    def _is_new(self, call: _Call, index: Any, given_id: str | None, name: str | None, arguments: str) -> bool:
        if given_id is not None and call.given_id is not None:
            return given_id != call.given_id
        if index is not None and call.index is not None and index != call.index:
            return True
        # Without ids and with one index for all, a call ends where a named one with arguments of its own begins.
        begins = given_id is None and name is not None and call.name is not None
        return begins and (name != call.name or (call.ends_object and arguments.startswith("{")))

    def _is_late(self, index: Any, given_id: str | None) -> bool:
        return index in self._closed and index is not None and given_id in (None, self._closed[index])

    def _grow_call(self, call: _Call, arguments: str) -> list[StreamEvent]:
        call.ends_object = arguments.rstrip().endswith("}") if arguments else call.ends_object
        if call.block is not None:
            return [TextDelta(block=call.block, text=arguments)] if arguments else []
        call.waiting += arguments
        if call.name is None:
            return []
        call_id = call.given_id or f"{self._id_stem}{self._calls}"
        self._calls += 1
        part = ToolCall(
            id=call_id,
            name=call.name,
            arguments="",
            kind=call.kind,
            signature=call.signature or self._call_signatures.pop(call_id, None),
        )
        self._kind, self._block = "tool_call", self._take_block()
        call.block = self._block
        events: list[StreamEvent] = [BlockStart(block=self._block, kind="tool_call", part=part, choice=self._index)]
        if call.waiting:
            events.append(TextDelta(block=self._block, text=call.waiting))
        return events

    def _end_call(self, call: _Call) -> list[StreamEvent]:
        if call.block is None:
            raise WrongType(f"{_PATH}.tool_calls[]", "has a call without a name")
        if call.index is not None:
            self._closed[call.index] = call.given_id
        return []

    # ------------------------------------------------------------------------------------------------- audio
    def _note_audio(self, audio: dict[str, Any]) -> None:
        """Pieces of base64, each complete in itself. The neutral block is whole, so they are kept until the end."""
        where = f"{_PATH}.audio"
        if data := text_or_none(audio, "data", where):
            try:
                self._audio_data.append(base64.b64decode(data, validate=True))
            except binascii.Error as error:
                raise WrongType(f"{where}.data", "is not valid base64") from error
        for key in ("id", "transcript"):
            if value := text_or_none(audio, key, where):
                self._audio[key] = self._audio.get(key, "") + value if key == "transcript" else value
        if isinstance(audio.get("expires_at"), int) and audio["expires_at"]:
            self._audio["expires_at"] = audio["expires_at"]


def _thinking_text(part: dict[str, Any]) -> str:
    where = f"{_PATH}.content[].thinking"
    inner = part.get("thinking")
    if isinstance(inner, str):
        return inner
    pieces = [as_object(item, where) for item in as_list(inner, where)]
    return "".join(text_or_none(piece, "text", where) or "" for piece in pieces)
