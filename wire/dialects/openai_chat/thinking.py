"""Reasoning in chat messages: plain text fields of compatible servers, and `reasoning_details` with its proofs.

OpenAI's own dialect shows no reasoning. Compatible servers show it as `reasoning_content` (DeepSeek, Z.ai, vLLM) or
`reasoning` (OpenRouter, Groq, Ollama). OpenRouter's `reasoning_details` also carries what the model's maker needs back:
https://openrouter.ai/docs/use-cases/reasoning-tokens#preserving-reasoning-blocks. The same list takes Anthropic's
signatures, Gemini's and the encrypted reasoning of the Responses API to a chat caller and back on its next turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from wire.neutral import DialectName, Thinking
from wire.reading import as_object, as_text, at, list_or_empty, text_or_none

TEXT_FIELDS = ("reasoning_content", "reasoning")
_ORIGIN_BY_FORMAT: Mapping[str, DialectName] = {
    "anthropic-claude-v1": "anthropic_messages",
    "google-gemini-v1": "gemini",
    "openai-responses-v1": "openai_responses",
    "azure-openai-responses-v1": "openai_responses",
    "xai-responses-v1": "openai_responses",
}
_FORMAT_BY_ORIGIN: Mapping[str | None, str] = {
    "anthropic_messages": "anthropic-claude-v1",
    "gemini": "google-gemini-v1",
    "openai_responses": "openai-responses-v1",
}


class Reasoned(Struct, frozen=True):
    """The reasoning of one message. `call_signatures`: Gemini's proofs that belong to tool calls, by call id."""

    parts: tuple[Thinking, ...]
    call_signatures: Mapping[str, str]


def read_reasoning(message: dict[str, Any], path: str, call_ids: Iterable[str]) -> Reasoned:
    """Raises WrongType. The text fields repeat the details' text, so they count only where the details have none."""
    where = at(path, "reasoning_details")
    groups: list[list[dict[str, Any]]] = []
    call_signatures: dict[str, str] = {}
    known_calls = frozenset(call_ids)
    for index, item in enumerate(list_or_empty(message, "reasoning_details", path)):
        entry = _checked_entry(item, f"{where}[{index}]")
        if _is_call_signature(entry, known_calls):
            call_signatures[entry["id"]] = entry["data"]
        elif groups and same_block(groups[-1][-1], entry):
            groups[-1].append(entry)
        else:
            groups.append([entry])
    parts = [of_details(group, where) for group in groups]
    text, field = plain_text(message, path)
    if text and not any(part.text for part in parts):
        parts.insert(0, Thinking(text=text, origin="openai_chat", path=at(path, field)))
    return Reasoned(tuple(parts), call_signatures)


def plain_text(message: dict[str, Any], path: str) -> tuple[str, str]:
    """The reasoning text and the field it stood in; any-llm writes `reasoning` as an object with `content`."""
    for field in TEXT_FIELDS:
        value = message.get(field)
        if isinstance(value, dict):
            value = value.get("content")
        if value is not None and as_text(value, at(path, field)):
            return value, field
    return "", ""


def _checked_entry(item: Any, path: str) -> dict[str, Any]:
    entry = as_object(item, path)
    for key in ("type", "text", "summary", "data", "signature", "format", "id"):
        text_or_none(entry, key, path)
    return entry


def same_block(previous: dict[str, Any], entry: dict[str, Any]) -> bool:
    """Entries of one reasoning block share its id or its index: text and signature, or summary and encrypted data.

    What one of them does not say (`format`, `id`) the other says for both.
    """
    if previous.get("format") and entry.get("format") and previous["format"] != entry["format"]:
        return False
    if previous.get("id") is not None and entry.get("id") is not None:
        return bool(previous["id"] == entry["id"])
    if previous.get("index") != entry.get("index"):
        return False
    # Where nothing numbers them they are pieces of one text until its proof has come.
    return previous.get("index") is not None or not (previous.get("signature") or previous.get("data"))


def origin_of(entry: dict[str, Any]) -> DialectName:
    return _ORIGIN_BY_FORMAT.get(entry.get("format") or "", "openai_chat")


def _is_call_signature(entry: dict[str, Any], call_ids: frozenset[str]) -> bool:
    """OpenRouter ties Gemini's signature to a tool call by giving the entry the call's id."""
    return (
        entry.get("type") == "reasoning.encrypted"
        and entry.get("id") in call_ids
        and entry.get("data") is not None
        and origin_of(entry) == "gemini"
    )


def of_details(entries: list[dict[str, Any]], path: str) -> Thinking:
    """The part that the entries of one block stand for."""
    origin = origin_of(entries[0])
    text = "".join(detail_text(entry) for entry in entries)
    signature = _last(entries, "signature")
    opaque = _last(entries, "data")
    if origin == "gemini" and signature is None:
        signature, opaque = opaque, None
    return Thinking(
        text=text,
        signature=signature,
        opaque=opaque,
        redacted=origin == "anthropic_messages" and opaque is not None and not text,
        summary=((text,) if text else ()) if origin == "openai_responses" else None,
        item_id=_last(entries, "id") if origin == "openai_responses" else None,
        origin=origin,
        details=tuple(entries),
        path=path,
    )


def detail_text(entry: dict[str, Any]) -> Any:
    """Shown text or summary. Entries of a stream are pieces, so that the text of a block is their plain join."""
    return entry.get("text") or entry.get("summary") or ""


def _last(entries: list[dict[str, Any]], key: str) -> Any:
    return next((entry[key] for entry in reversed(entries) if entry.get(key)), None)


def needs_details(part: Thinking) -> bool:
    """Something of it must come back that plain text cannot carry, be it whose reasoning it is."""
    return bool(part.signature or part.opaque or part.item_id or part.details or has_format(part))


def to_details(part: Thinking, index: int) -> list[dict[str, Any]]:
    """One reasoning block as `reasoning_details` entries. Given back as it came where it came so."""
    if part.details is not None:
        return list(part.details)
    shared = detail_head(part, index)
    entries: list[dict[str, Any]] = []
    if part.text or part.signature or part.opaque is None:
        signed = {"signature": part.signature} if part.signature else {}
        entries.append({**text_detail(part, part.text), **signed, **shared})
    if part.opaque is not None:
        entries.append({"type": "reasoning.encrypted", "data": part.opaque, **shared})
    return entries


def has_format(part: Thinking) -> bool:
    """Whether it came from a dialect whose reasoning must go back whole, proof and text together."""
    return part.origin in _FORMAT_BY_ORIGIN


def detail_head(part: Thinking, index: int) -> dict[str, Any]:
    """What every entry of a block says: whose it is and which block."""
    head: dict[str, Any] = {"format": _FORMAT_BY_ORIGIN.get(part.origin, "unknown"), "index": index}
    return head if part.item_id is None else {**head, "id": part.item_id}


def text_detail(part: Thinking, text: str) -> dict[str, Any]:
    """OpenAI shows summaries of its reasoning only."""
    if part.origin == "openai_responses":
        return {"type": "reasoning.summary", "summary": text}
    return {"type": "reasoning.text", "text": text}
