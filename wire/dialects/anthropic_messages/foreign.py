"""What another provider's model needs back on the next turn, carried in fields that Anthropic clients return unchanged.

Anthropic's SDKs and Claude Code keep the content blocks of an answer and send them back as they came: `thinking` with
its `signature`, `redacted_thinking` with its `data`, citations with their `encrypted_index`. They drop fields that
their types do not have, and they must keep a `tool_use` id as it is, which is why nothing is put there. So a foreign
signature, encrypted reasoning or reasoning id travels sealed: a prefix that no Anthropic value can have (theirs are
plain base64) and base64url of a small JSON object. It is not a secret and not proof of anything; the provider that
made what is inside checks it itself.

* reasoning with text: a `thinking` block, the seal as its `signature`;
* reasoning without text: a `redacted_thinking` block, the seal as its `data`;
* the signature of a tool call: a `redacted_thinking` block before its `tool_use` (after it where a stream brings the
  signature late), found again by the call's id;
* the signature of a text: a `redacted_thinking` block after it;
* where a citation stood: its `encrypted_index`.

Sealed blocks mean nothing to Anthropic's own models, which refuse them: they are taken out before a request goes there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeGuard

import orjson
from msgspec import Struct, structs

from wire.neutral import Citation, DialectName, Part, Text, Thinking, ToolCall
from wire.reading import WrongType, json_text

PREFIX = "tollgate.1."
OWN: DialectName = "anthropic_messages"
_ORIGINS: frozenset[str] = frozenset({"openai_chat", "openai_responses", "gemini", "anthropic_messages"})


class CarriedSignature(Struct, frozen=True):
    """A signature that belongs to another block: the tool call of this id, or the text just before (None)."""

    signature: str
    call_id: str | None


def is_sealed(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value.startswith(PREFIX)


def seal_thinking(part: Thinking) -> str:
    """For `signature` or `data` of the block that stands for this part."""
    return _seal(
        {
            "at": "thinking",
            "origin": part.origin,
            "signature": part.signature,
            "opaque": part.opaque,
            "redacted": part.redacted or None,
            "item": part.item_id,
            "details": part.details,
        }
    )


def unseal_thinking(seal: str, text: str, path: str) -> Thinking:
    """Raises BadRequest when the seal is broken."""
    inside = _unseal(seal, path)
    origin = inside.get("origin")
    details = inside.get("details")
    return Thinking(
        text=text,
        signature=_string(inside, "signature"),
        opaque=_string(inside, "opaque"),
        redacted=inside.get("redacted") is True,
        item_id=_string(inside, "item"),
        origin=origin if origin in _ORIGINS else None,
        details=tuple(item for item in details if isinstance(item, dict)) if isinstance(details, list) else None,
        path=path,
    )


def signature_block(signature: str, call_id: str | None) -> dict[str, Any]:
    """The block that carries the signature of a tool call (by id) or of the text before it (None)."""
    kind = "text" if call_id is None else "call"
    return {"type": "redacted_thinking", "data": _seal({"at": kind, "signature": signature, "call": call_id})}


def read_redacted(data: str, path: str) -> Thinking | CarriedSignature:
    """A sealed `redacted_thinking` block. Raises BadRequest when the seal is broken."""
    inside = _unseal(data, path)
    if inside.get("at") == "thinking":
        return unseal_thinking(data, "", path)
    return CarriedSignature(_string(inside, "signature") or "", _string(inside, "call"))


def seal_citation(citation: Citation) -> dict[str, Any]:
    """A citation of another provider as the nearest thing that Anthropic clients know."""
    return {
        "type": "web_search_result_location",
        "url": citation.url or "",
        "title": citation.title,
        "cited_text": citation.cited_text or "",
        "encrypted_index": _seal({"start": citation.start, "end": citation.end, "file": citation.file_id}),
    }


def unseal_citation(seal: str, url: str | None, title: str | None, cited_text: str | None, path: str) -> Citation:
    """Raises BadRequest when the seal is broken."""
    inside = _unseal(seal, path)
    return Citation(
        url=url or None,
        title=title,
        cited_text=cited_text or None,
        start=_integer(inside, "start"),
        end=_integer(inside, "end"),
        file_id=_string(inside, "file"),
    )


def attach_signatures(parts: Sequence[Part | CarriedSignature]) -> tuple[Part, ...]:
    """Give carried signatures back to their tool calls and texts. One whose part the client removed is left out."""
    by_call = {
        item.call_id: item.signature
        for item in parts
        if isinstance(item, CarriedSignature) and item.call_id is not None
    }
    attached: list[Part] = []
    for item in parts:
        if isinstance(item, CarriedSignature):
            if item.call_id is not None:
                continue
            previous = attached[-1] if attached else None
            if isinstance(previous, Text) and previous.signature is None:
                attached[-1] = structs.replace(previous, signature=item.signature)
            else:
                attached.append(Text(text="", signature=item.signature))
        elif isinstance(item, ToolCall) and item.id in by_call:
            attached.append(structs.replace(item, signature=by_call[item.id]))
        else:
            attached.append(item)
    return tuple(attached)


def without_seals(messages: bytes) -> bytes:
    """`messages` of a request as Anthropic takes them: sealed blocks and citations left out, the rest as it is.

    Raises BadRequest for what is not UTF-8 or is nested too deeply.
    """
    try:
        parsed = orjson.loads(messages)
    except orjson.JSONDecodeError:
        raise WrongType("messages", "is not valid JSON") from None
    if not isinstance(parsed, list):
        return messages
    kept = [_clean_message(message) for message in parsed]
    kept = [message for message in kept if not (isinstance(message, dict) and message.get("content") == [])]
    return json_text(kept, "messages").encode()


def _clean_message(message: Any) -> Any:
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return message
    return {**message, "content": [_clean_block(block) for block in content if not _is_sealed_block(block)]}


def _is_sealed_block(block: Any) -> bool:
    return isinstance(block, dict) and (
        (block.get("type") == "thinking" and is_sealed(block.get("signature")))
        or (block.get("type") == "redacted_thinking" and is_sealed(block.get("data")))
    )


def _clean_block(block: Any) -> Any:
    citations = block.get("citations") if isinstance(block, dict) else None
    if not isinstance(citations, list):
        return block
    kept = [item for item in citations if not (isinstance(item, dict) and is_sealed(item.get("encrypted_index")))]
    if len(kept) == len(citations):
        return block
    rest = {key: value for key, value in block.items() if key != "citations"}
    return {**rest, "citations": kept} if kept else rest


def _seal(inside: dict[str, Any]) -> str:
    plain = orjson.dumps({key: value for key, value in inside.items() if value is not None})
    return PREFIX + base64.urlsafe_b64encode(plain).decode().rstrip("=")


def _unseal(seal: str, path: str) -> dict[str, Any]:
    text = seal.removeprefix(PREFIX)
    try:
        inside = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        raise WrongType(path, "holds a value of this gateway that was altered") from None
    if not isinstance(inside, dict):
        raise WrongType(path, "holds a value of this gateway that was altered")
    return inside


def _string(inside: dict[str, Any], key: str) -> str | None:
    value = inside.get(key)
    return value if isinstance(value, str) else None


def _integer(inside: dict[str, Any], key: str) -> int | None:
    value = inside.get(key)
    return value if isinstance(value, int) else None
