"""Neutral parts to the wire's output items: what an answer is made of, whole or streamed."""

from __future__ import annotations

from typing import Any

from wire.dialects.openai_responses import carried
from wire.dialects.openai_responses.parts import join_paragraphs
from wire.dialects.openai_responses.tools import split_name
from wire.neutral import Citation, Image, Stamp, Thinking, ToolCall

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "image_generation_call": "ig",
}


def item_id(stamp: Stamp, kind: str, index: int) -> str:
    """Unique within the answer and the same each time it is rendered."""
    return f"{_PREFIXES[kind]}_{stamp.id}_{index}"


def reasoning_id(part: Thinking, ours: str) -> str:
    """Encrypted reasoning is tied to the id of its item: OpenAI refuses it under another one."""
    return part.item_id if part.origin == "openai_responses" and part.item_id else ours


def text_part(text: str, annotations: list[dict[str, Any]], logprobs: list[Any]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs}


def message_item(ident: str, status: str, content: list[dict[str, Any]], phase: str | None) -> dict[str, Any]:
    item = {"id": ident, "type": "message", "status": status, "role": "assistant", "content": content}
    return item if phase is None else {**item, "phase": phase}


def call_item(ident: str, part: ToolCall, status: str) -> dict[str, Any]:
    name, namespace = split_name(part.name, part.namespace)
    custom = part.kind == "custom"
    item = {
        "id": ident,
        "type": "custom_tool_call" if custom else "function_call",
        "status": status,
        "input" if custom else "arguments": part.arguments,
        "call_id": part.id,
        "name": name,
    }
    return item if namespace is None else {**item, "namespace": namespace}


def reasoning_item(ident: str, part: Thinking) -> dict[str, Any]:
    """Foreign reasoning is shown as a summary, the one thing that every client displays and gives back."""
    item: dict[str, Any] = {"id": ident, "type": "reasoning", "summary": []}
    if part.origin != "openai_responses":
        item["summary"] = [summary_part(part.text)] if part.text else []
        item["encrypted_content"] = carried.of_thinking(part)
        return item
    summary = (part.text,) if part.summary is None and part.text else part.summary or ()
    item["summary"] = [summary_part(text) for text in summary]
    if part.text and part.text != join_paragraphs(summary):
        item["content"] = [{"type": "reasoning_text", "text": part.text}]
    if part.opaque is not None:
        item["encrypted_content"] = part.opaque
    return item


def proof_item(ident: str, blob: str) -> dict[str, Any]:
    """A reasoning item that carries nothing but a foreign signature; see `carried`."""
    return {"id": ident, "type": "reasoning", "summary": [], "encrypted_content": blob}


def summary_part(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}


def image_item(ident: str, part: Image, dropped: list[str]) -> dict[str, Any] | None:
    """An image that the model made, as the one item of this dialect that holds image bytes."""
    if part.media.data is None:
        dropped.append("image")
        return None
    kind = (part.media.mime or "image/png").partition("/")[2]
    return {
        "id": ident,
        "type": "image_generation_call",
        "status": "completed",
        "result": part.media.data,
        "output_format": kind,
    }


def annotation(citation: Citation, text_length: int, dropped: list[str]) -> dict[str, Any] | None:
    """A source without a span rests under the whole text so far. Sources that are neither page nor file are lost."""
    if citation.native is not None and citation.origin == "openai_responses":
        return citation.native
    if citation.cited_text is not None:
        dropped.append("citations.cited_text")
    if citation.url is not None:
        return {
            "type": "url_citation",
            "url": citation.url,
            "title": citation.title or "",
            "start_index": citation.start or 0,
            "end_index": text_length if citation.end is None else citation.end,
        }
    if citation.file_id is not None:
        return {
            "type": "file_citation",
            "file_id": citation.file_id,
            "filename": citation.title or "",
            "index": text_length if citation.end is None else citation.end,
        }
    dropped.append("citations")
    return None
