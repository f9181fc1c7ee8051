"""Neutral parts to content blocks, for requests and answers. What cannot be carried is reported by its path."""

from __future__ import annotations

import re
from typing import Any

import orjson
from msgspec import Struct

from wire.dialect import Quirks
from wire.dialects.anthropic_messages import foreign
from wire.dialects.anthropic_messages.foreign import OWN
from wire.dialects.anthropic_messages.media import render_cache, render_document, render_image
from wire.neutral import (
    Audio,
    Citation,
    Document,
    Image,
    Native,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from wire.reading import WrongType

_ID_FORBIDS = re.compile(r"[^a-zA-Z0-9_-]")

Block = dict[str, Any]


class PartRenderer(Struct, frozen=True, kw_only=True):
    """`own`: what is rendered was said in this dialect. `seal`: for a client, which keeps foreign signatures for us;
    otherwise for Anthropic's models, which take none but their own. `dropped` is added to."""

    own: bool
    seal: bool
    quirks: Quirks
    dropped: list[str]

    def in_user_turn(self, part: Part) -> list[Block]:
        """Blocks of a user message. Raises BadRequest for media that the upstream cannot take."""
        if isinstance(part, ToolResult):
            return [self._tool_result(part)]
        if isinstance(part, Text):
            return self._text(part)
        if isinstance(part, Image):
            return [self._image(part)]
        if isinstance(part, Document):
            return [render_document(part, self.quirks, own=self.own)]
        if isinstance(part, Native):
            return self._native(part)
        if isinstance(part, Audio):
            raise WrongType(part.path, "this model takes no audio")
        if isinstance(part, Refusal):
            return self._plain(part.text)
        raise WrongType(part.path, "cannot stand in a user message")

    def in_assistant_turn(self, part: Part) -> list[Block]:
        """Blocks of an assistant message: of a request's history or of an answer."""
        if isinstance(part, Text):
            return self._text(part)
        if isinstance(part, ToolCall):
            return self._tool_call(part)
        if isinstance(part, Thinking):
            return self._thinking(part)
        if isinstance(part, Native):
            return self._native(part)
        if isinstance(part, Refusal):
            return self._plain(part.text)
        if isinstance(part, Audio):
            self._drop(part.path, "audio")
            return self._plain(part.transcript or "")
        if isinstance(part, Image | Document) and self.own:
            return self.in_user_turn(part)
        self._drop(part.path, type(part).__name__.lower())  # assistant turns hold no media
        return []

    def _drop(self, path: str, name: str) -> None:
        self.dropped.append(path or name)

    def _plain(self, text: str) -> list[Block]:
        return [{"type": "text", "text": text}] if text else []

    def _text(self, part: Text) -> list[Block]:
        """Anthropic refuses empty text; another dialect's empty text says nothing and is left out."""
        blocks: list[Block] = []
        if part.text or self.own:
            citations = self._citations(part)
            block: Block = {"type": "text", "text": part.text, **render_cache(part.cache)}
            if citations:
                block["citations"] = citations
            blocks.append({**block, **(part.extra or {} if self.own else {})})
        if part.signature is not None:
            blocks += self._carried(part.signature, None, part.path)
        return blocks

    def _citations(self, part: Text) -> list[Block]:
        kept = [citation_block(item) for item in part.citations if self.seal or item.origin == OWN]
        if len(kept) < len(part.citations):
            self.dropped.append(f"{part.path}.citations")
        return kept

    def _carried(self, signature: str, call_id: str | None, path: str) -> list[Block]:
        if self.seal:
            return [foreign.signature_block(signature, call_id)]
        self.dropped.append(f"{path}.signature")
        return []

    def _thinking(self, part: Thinking) -> list[Block]:
        if part.origin == OWN and part.redacted:
            return [{"type": "redacted_thinking", "data": part.opaque or "", **(part.extra or {})}]
        if part.origin == OWN and (part.signature is not None or self.seal):
            block = {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}
            return [{**block, **(part.extra or {})}]
        if not self.seal:
            self._drop(part.path, "thinking")
            return []
        if part.text:
            return [{"type": "thinking", "thinking": part.text, "signature": foreign.seal_thinking(part)}]
        if part.signature is None and part.opaque is None and part.item_id is None and part.details is None:
            return []
        return [{"type": "redacted_thinking", "data": foreign.seal_thinking(part)}]

    def _tool_call(self, part: ToolCall) -> list[Block]:
        arguments, whole = tool_input(part)
        if not whole:
            self.dropped.append(f"{part.path or part.id}.arguments")
        block: Block = {
            "type": "tool_use",
            "id": part.id if self.seal or self.own else acceptable_id(part.id),
            "name": part.name,
            "input": arguments,
            **render_cache(part.cache),
            **(part.extra or {} if self.own else {}),
        }
        if part.signature is None:
            return [block]
        return [*self._carried(part.signature, part.id, part.path), block]

    def _tool_result(self, part: ToolResult) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": part.call_id if self.own else acceptable_id(part.call_id)}
        content = [block for inner in part.parts for block in self._in_result(inner)]
        if content:
            block["content"] = as_said(content, part.parts[0].path)
        if part.is_error is not None:
            block["is_error"] = part.is_error
        return {**block, **render_cache(part.cache), **(part.extra or {} if self.own else {})}

    def _in_result(self, part: Part) -> list[Block]:
        if isinstance(part, Image | Document) and not self.quirks.tool_result_images:
            raise WrongType(part.path, "this model takes no files in tool results")
        return self.in_user_turn(part)

    def _image(self, part: Image) -> Block:
        if part.detail not in (None, "auto"):
            self.dropped.append(f"{part.path}.detail")
        if part.signature is not None:
            self.dropped.append(f"{part.path}.signature")
        return render_image(part, self.quirks, own=self.own)

    def _native(self, part: Native) -> list[Block]:
        if part.dialect == OWN:
            return [part.value]
        self._drop(part.path, part.type)
        return []


def as_said(blocks: list[Block], path: str) -> str | list[Block]:
    """Content is a string where the caller wrote one: the path of its part is then no place in a list."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"} and not path.endswith("]"):
        text: str = blocks[0]["text"]
        return text
    return blocks


def tool_input(call: ToolCall) -> tuple[dict[str, Any], bool]:
    """The object that `input` must be, and whether it says the same as the arguments.

    A custom tool's free text is {"input": text}. Arguments that are not a JSON object (a model's mistake, or an answer
    that was cut) are {"_raw": text}, so that nothing is lost and the conversation can go on.
    """
    if call.kind == "custom":
        return {"input": call.arguments}, True
    if call.arguments.strip() in ("", "null"):
        return {}, True
    try:
        parsed = orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        parsed = None
    if isinstance(parsed, dict):
        return parsed, True
    return {"_raw": call.arguments}, False


def acceptable_id(call_id: str) -> str:
    """Anthropic takes letters, digits, `_` and `-` in ids; every other character becomes its code, so none collide."""
    return _ID_FORBIDS.sub(lambda found: f"_{ord(found[0]):x}_", call_id) or "_"


def citation_block(citation: Citation) -> Block:
    """For a client: Anthropic's own as it was, another's sealed."""
    if citation.native is not None and citation.origin == OWN:
        return citation.native
    return foreign.seal_citation(citation)
