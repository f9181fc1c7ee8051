"""Neutral messages to chat messages.

What the format has no place for is either said so in the dropped list (reasoning, citations, the error flag of a tool
result) or refused by name (media): nothing of it goes in silence.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from wire.dialect import Quirks
from wire.dialects.openai_chat.media import render_audio, render_document, render_image, unsupported
from wire.dialects.openai_chat.thinking import needs_details, to_details
from wire.dialects.openai_chat.tools import cache_control
from wire.neutral import (
    Audio,
    CacheMark,
    Document,
    Image,
    Message,
    Native,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from wire.reading import at


class Conversation:
    """Writes the messages of one request. Images and files of tool results go into a user message of their own, after
    all results of the turn, because OpenAI takes only text in tool messages."""

    def __init__(self, request: Request, quirks: Quirks, dropped: list[str]) -> None:
        self._request = request
        self._quirks = quirks
        self._dropped = dropped
        self._own = request.dialect == "openai_chat"
        self._rendered: list[dict[str, Any]] = []
        self._moved: list[dict[str, Any]] = []

    def render(self) -> list[dict[str, Any]]:
        """Raises BadRequest naming a part that the upstream cannot take."""
        for message in self._request.messages:
            if message.role == "assistant":
                self._flush_moved()
                rendered = self._assistant(message)
                # A foreign turn of which nothing can be said here: compatible servers refuse an empty one.
                if self._own or rendered != {"role": "assistant", "content": ""}:
                    self._rendered.append(rendered)
            else:
                self._turn(message)
        self._flush_moved()
        return self._rendered

    # ------------------------------------------------------------------------------------- system, user, tool
    def _turn(self, message: Message) -> None:
        content: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                self._rendered.append(self._result(part, message))
            else:
                content += self._content_part(part)
        if not content:
            return
        self._flush_moved()
        role = "user" if message.role == "tool" else message.role
        if role == "developer" and not self._quirks.developer_role:
            role = "system"
        self._rendered.append(
            {"role": role, "content": _plain(content), **self._named(message), **self._extra(message)}
        )

    def _result(self, part: ToolResult, message: Message) -> dict[str, Any]:
        self._losses(part)
        if part.is_error:
            self._dropped.append(f"{part.path}.is_error")
        content: list[dict[str, Any]] = []
        media: list[dict[str, Any]] = []
        for inner in part.parts:
            rendered = self._content_part(inner)
            stays = "tool_images" in self._quirks.accepts or all(entry.get("type") == "text" for entry in rendered)
            (content if stays else media).extend(rendered)
        if media and not self._quirks.tool_result_images:
            raise unsupported(part.path, "image or file in a tool result")
        call_id = self._call_id(part.call_id)
        if media:
            self._moved += [{"type": "text", "text": f"Content of the tool result {call_id}:"}, *media]
            content = content or [{"type": "text", "text": "See the next user message for the content."}]
        return {
            "role": "tool",
            "tool_call_id": call_id,
            "content": _plain(content) if content else "",
            **self._extra(message),
        }

    def _flush_moved(self) -> None:
        if self._moved:
            self._rendered.append({"role": "user", "content": self._moved})
            self._moved = []

    # --------------------------------------------------------------------------------------------- assistant
    def _assistant(self, message: Message) -> dict[str, Any]:
        rendered: dict[str, Any] = {"role": "assistant", "content": None, **self._named(message)}
        content = self._reasoning(message, rendered)
        for part in message.parts:
            match part:
                case ToolCall():
                    rendered.setdefault("tool_calls", []).append(self._call(part))
                case Refusal():
                    rendered["refusal"] = rendered.get("refusal", "") + part.text
                case Audio() | Image():
                    content += self._answered_media(part, rendered)
                case Thinking():
                    pass
                case _:
                    content += self._content_part(part)
        if "tool_calls" in rendered and self._quirks.reasoning_control == "thinking":
            # DeepSeek refuses a turn with tool calls that says nothing about its reasoning, be it that there was none.
            rendered.setdefault("reasoning_content", "")
        if content:
            rendered["content"] = _plain(content)
        elif not rendered.keys() & {"tool_calls", "refusal", "audio"}:
            rendered["content"] = ""
        return {**rendered, **self._extra(message)}

    def _reasoning(self, message: Message, rendered: dict[str, Any]) -> list[dict[str, Any]]:
        """Hands earlier reasoning back where this upstream takes it. Returns content parts to begin with."""
        thoughts = [part for part in message.parts if isinstance(part, Thinking)]
        history = self._quirks.reasoning_history
        if history == "reasoning_details" and any(needs_details(part) for part in thoughts):
            rendered["reasoning_details"] = [
                entry for index, part in enumerate(thoughts) for entry in to_details(part, index)
            ]
            return []
        kept = [part for part in thoughts if part.text] if history is not None else []
        self._dropped += [part.path or "thinking" for part in thoughts if part not in kept]
        if not kept:
            return []
        if history == "thinking_parts":
            return [{"type": "thinking", "thinking": [{"type": "text", "text": part.text}]} for part in kept]
        field = "reasoning_content" if history == "reasoning_content" else "reasoning"
        rendered[field] = "".join(part.text for part in kept)
        return []

    def _call(self, part: ToolCall) -> dict[str, Any]:
        self._losses(part)
        call: dict[str, Any] = {"id": self._call_id(part.id), "type": part.kind}
        if part.kind == "custom" and "custom_tools" in self._quirks.drop:
            # The tool itself is left out of what is offered; what was said with it stays a call.
            arguments = orjson.dumps({"input": part.arguments}).decode()
            call |= {"type": "function", "function": {"name": part.name, "arguments": arguments}}
        elif part.kind == "custom":
            call["custom"] = {"name": part.name, "input": part.arguments}
        else:
            call["function"] = {"name": part.name, "arguments": part.arguments or "{}"}
        if part.signature is not None and "thought_signatures" in self._quirks.accepts:
            call["extra_content"] = thought_signature(part.signature)
        if part.extra and self._own:
            call |= part.extra
        return call

    def _call_id(self, call_id: str) -> str:
        """The same short id for a call and its result where the foreign one is longer than the upstream takes."""
        longest = self._quirks.call_id_characters
        if self._own or len(call_id) <= longest:
            return call_id
        return hashlib.sha256(call_id.encode()).hexdigest()[:longest]

    def _answered_media(self, part: Audio | Image, rendered: dict[str, Any]) -> list[dict[str, Any]]:
        """An image or audio that a model made earlier. Audio goes back by OpenAI's id, else as its transcript."""
        if isinstance(part, Audio) and part.id is not None and self._own:
            rendered["audio"] = {"id": part.id}
            return []
        if isinstance(part, Audio) and part.transcript is not None:
            self._dropped.append(part.path or "audio")
            return [{"type": "text", "text": part.transcript}]
        if isinstance(part, Image) and "assistant_images" in self._quirks.accepts:
            rendered.setdefault("images", []).append(render_image(part, self._quirks))
            return []
        raise unsupported(part.path, f"{type(part).__name__.lower()} in an assistant message")

    # ------------------------------------------------------------------------------------------------- parts
    def _content_part(self, part: Part) -> list[dict[str, Any]]:
        """The part as chat has it, in a list: empty where only its loss is reported."""
        self._losses(part)
        match part:
            case Text():
                rendered = {"type": "text", "text": part.text}
            case Image():
                rendered = render_image(part, self._quirks)
            case Audio():
                rendered = render_audio(part)
            case Document():
                rendered = render_document(part, self._quirks)
            case Refusal():
                rendered = {"type": "text", "text": part.text}
            case Native() if part.dialect == "openai_chat":
                rendered = part.value
            case Native() | Thinking():
                self._dropped.append(part.path or part.__class__.__name__.lower())
                return []
            case _:
                raise unsupported(part.path, "tool call or result")
        if isinstance(part, Text | Image | Document):
            rendered = {**rendered, **self._mark(part.cache)}
            if self._own and part.extra:
                rendered = _with_extra(rendered, part.extra)
        return [rendered]

    def _mark(self, cache: CacheMark | None) -> dict[str, Any]:
        if cache is None:
            return {}
        if "cache" in self._quirks.accepts:
            return {"cache_control": cache_control(cache.ttl)}
        self._dropped.append("cache")
        return {}

    def _losses(self, part: Part) -> None:
        """Notes what the part says that chat has no place for, whatever the upstream."""
        if isinstance(part, Text) and part.citations:
            self._dropped.append(f"{part.path}.citations")
        if isinstance(part, ToolCall | ToolResult) and part.cache is not None:
            self._dropped.append("cache")
        if isinstance(part, Document):
            told = {"title": part.title if part.filename else None, "context": part.context}
            told["citations"] = "asked for" if part.citations else None
            self._dropped += [at(part.path, key) for key, value in told.items() if value is not None]
        if not self._own and isinstance(part, Text | Image | Document | ToolCall | ToolResult) and part.extra:
            self._dropped += [at(part.path, key) for key in part.extra]

    def _named(self, message: Message) -> dict[str, Any]:
        if message.name is None:
            return {}
        if "name" in self._quirks.drop:
            self._dropped.append("name")
            return {}
        return {"name": message.name}

    def _extra(self, message: Message) -> dict[str, Any]:
        if not message.extra:
            return {}
        if self._own:
            return message.extra
        path = message.parts[0].path.partition(".content")[0] if message.parts else message.role
        self._dropped += [at(path, key) for key in message.extra]
        return {}


def thought_signature(signature: str) -> dict[str, Any]:
    """`extra_content` as Google's compatible endpoint has it. https://ai.google.dev/gemini-api/docs/thought-signatures"""
    return {"google": {"thought_signature": signature}}


def _with_extra(rendered: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Unknown fields back where they stood: `image_url.format` belongs into the object of that name."""
    for name, value in extra.items():
        group, _, inner = name.partition(".")
        rendered = rendered | (
            {group: {**rendered[group], inner: value}} if inner and group in rendered else {name: value}
        )
    return rendered


def _plain(content: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """One text without marks is a plain string: some compatible servers take nothing else."""
    # An empty text beside other parts says nothing (Gemini hangs signatures on such), and some servers refuse it.
    kept = [part for part in content if part.get("type") != "text" or part["text"]]
    if len(kept) == 1 and kept[0].keys() == {"type", "text"}:
        text: str = kept[0]["text"]
        return text
    return kept or ""
