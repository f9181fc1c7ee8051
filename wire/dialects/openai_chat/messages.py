"""Messages of a request, and the message of an answer, to neutral parts. https://platform.openai.com/docs/api-reference/chat/create

Every function raises WrongType for what the format does not allow; the caller says whose fault that is.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, structs

from wire.dialects.openai_chat import media
from wire.dialects.openai_chat.thinking import read_reasoning
from wire.neutral import (
    Audio,
    CacheMark,
    Media,
    Message,
    Native,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from wire.reading import (
    WrongType,
    as_list,
    as_object,
    as_text,
    at,
    beyond,
    integer_or_none,
    json_text,
    list_or_empty,
    object_or_none,
    text,
    text_or_none,
)

# Parts of answers that only their server understands; a request may hand them back.
_NATIVE_PARTS = frozenset({"reference", "tool_reference"})
_PLAIN_ROLES: dict[str, Role] = {"system": "system", "developer": "developer", "user": "user"}
_MESSAGE_FIELDS = frozenset({"role", "content", "name"})
_TOOL_FIELDS = _MESSAGE_FIELDS | {"tool_call_id"}
ANSWER_FIELDS = _MESSAGE_FIELDS | {
    "refusal",
    "audio",
    "tool_calls",
    "function_call",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "extra_content",
    "thought_signature",
}


class _Call(Struct, frozen=True):
    name: str
    kind: Literal["function", "custom"]


# ----------------------------------------------------------------------------------------------------------- messages
def read_messages(items: list[Any], path: str) -> tuple[Message, ...]:
    """Raises WrongType, for a tool result that answers no earlier call too."""
    calls: dict[str, _Call] = {}
    messages: list[Message] = []
    for index, item in enumerate(items):
        where = f"{path}[{index}]"
        source = as_object(item, where)
        role = text(source, "role", where)
        if role in _PLAIN_ROLES:
            messages.append(_read_plain(source, _PLAIN_ROLES[role], where))
        elif role == "assistant":
            message = _read_assistant(source, where)
            calls |= {part.id: _Call(part.name, part.kind) for part in message.parts if isinstance(part, ToolCall)}
            messages.append(message)
        elif role in ("tool", "function"):
            messages.append(_read_tool(source, where, calls))
        else:
            raise WrongType(at(where, "role"), "must be system, developer, user, assistant or tool")
    return tuple(messages)


def _read_plain(source: dict[str, Any], role: Role, path: str) -> Message:
    content = source.get("content")
    if content is None:
        raise WrongType(at(path, "content"), "must be a string or a list of parts")
    parts = read_content(content, at(path, "content")) or (Text(text="", path=at(path, "content")),)
    return Message(
        role=role, parts=parts, name=text_or_none(source, "name", path), extra=beyond(source, _MESSAGE_FIELDS)
    )


def _read_assistant(source: dict[str, Any], path: str) -> Message:
    source = _unwrapped(source)
    parts = read_answer(source, path, strict=True)
    audio = object_or_none(source, "audio", path)
    if audio is not None:
        audio_id = text(audio, "id", at(path, "audio"))
        parts = (*parts, Audio(media=Media(file_id=audio_id), id=audio_id, path=at(path, "audio")))
    return Message(
        role="assistant",
        parts=parts,
        name=text_or_none(source, "name", path),
        extra=beyond(source, ANSWER_FIELDS),
    )


def _unwrapped(source: dict[str, Any]) -> dict[str, Any]:
    """LiteLLM's client puts the fields that OpenAI does not have under one name, and hands them back there."""
    fields = source.get("provider_specific_fields")
    if not isinstance(fields, dict) or not fields.get("reasoning_details") or source.get("reasoning_details"):
        return source
    rest = {name: value for name, value in source.items() if name != "provider_specific_fields"}
    return {**rest, "reasoning_details": fields["reasoning_details"]}


def _read_tool(source: dict[str, Any], path: str, calls: dict[str, _Call]) -> Message:
    """In the legacy form (role `function`) the name says which call it answers: the last of that name."""
    name = text_or_none(source, "name", path)
    if source["role"] == "function":
        key = "name"
        call_id = next((known for known, call in reversed(calls.items()) if call.name == text(source, key, path)), None)
    else:
        key = "tool_call_id"
        call_id = text(source, key, path)
    call = calls.get(call_id) if call_id is not None else None
    if call_id is None or call is None:
        raise WrongType(at(path, key), "answers no tool call of an earlier assistant message")
    result = ToolResult(
        call_id=call_id,
        name=name or call.name,
        parts=read_content(source.get("content") or "", at(path, "content")),
        kind=call.kind,
        path=path,
    )
    return Message(role="tool", parts=(result,), extra=beyond(source, _TOOL_FIELDS))


# ------------------------------------------------------------------------------------------------------------ content
def read_content(content: Any, path: str, *, strict: bool = True) -> tuple[Part, ...]:
    """A string or a list of parts. An empty string is no part. Not strict: an upstream may have types of its own."""
    if isinstance(content, str):
        return (Text(text=content, path=path),) if content else ()
    if not isinstance(content, list):
        raise WrongType(path, "must be a string or a list of parts")
    return tuple(_read_part(item, f"{path}[{index}]", strict=strict) for index, item in enumerate(content))


def _read_part(item: Any, path: str, *, strict: bool) -> Part:
    part = as_object(item, path)
    kind = text(part, "type", path)
    cache = read_cache(part, path)
    match kind:
        case "text":
            known = {"type", "text", "cache_control", "prompt_cache_breakpoint"}
            return Text(text=text(part, "text", path), cache=cache, extra=beyond(part, known), path=path)
        case "image_url":
            return structs.replace(media.read_image(part, path), cache=cache)
        case "input_audio":
            return media.read_audio(part, path)
        case "file":
            return structs.replace(media.read_file(part, path), cache=cache)
        case "document_url":
            return structs.replace(media.read_document_url(part, path), cache=cache)
        case "video_url":
            return media.read_video(part, path)
        case "refusal":
            return Refusal(text=text(part, "refusal", path), path=path)
        case "thinking":
            return _read_thinking(part, path)
        case _ if kind in _NATIVE_PARTS or not strict:
            return Native(dialect="openai_chat", type=kind, value=part, path=path)
        case _:
            raise WrongType(at(path, "type"), f"{kind!r} is not a content part that can be translated")


def _read_thinking(part: dict[str, Any], path: str) -> Thinking:
    """Mistral: a list of text parts, or a string. https://docs.mistral.ai/capabilities/reasoning/"""
    where = at(path, "thinking")
    inner = part.get("thinking")
    if not isinstance(inner, str):
        pieces = [as_object(item, f"{where}[{index}]") for index, item in enumerate(as_list(inner, where))]
        inner = "".join(text_or_none(piece, "text", f"{where}[{index}]") or "" for index, piece in enumerate(pieces))
    return Thinking(
        text=inner,
        signature=text_or_none(part, "signature", path),
        origin="openai_chat",
        extra=beyond(part, {"type", "thinking", "signature"}),
        path=path,
    )


def read_cache(part: dict[str, Any], path: str) -> CacheMark | None:
    """`cache_control` as OpenRouter and others take it for Anthropic's models; OpenAI's own explicit breakpoint."""
    mark = object_or_none(part, "cache_control", path)
    if mark is None:
        return None if object_or_none(part, "prompt_cache_breakpoint", path) is None else CacheMark()
    ttl = mark.get("ttl")
    if ttl is not None and ttl not in ("5m", "1h"):
        raise WrongType(at(path, "cache_control.ttl"), "must be 5m or 1h")
    return CacheMark(ttl=ttl)


# ------------------------------------------------------------------------------------------------------------- answer
def read_answer(source: dict[str, Any], path: str, *, strict: bool, id_stem: str = "") -> tuple[Part, ...]:
    """What an assistant message says: reasoning, content, refusal, calls, in this order.

    `strict`: a caller's message, whose calls must have ids and text arguments. An upstream's may lack them: missing ids
    are made of `id_stem`.
    """
    calls = _read_calls(source, path, strict=strict, id_stem=id_stem)
    reasoned = read_reasoning(source, path, (call.id for call in calls))
    content = source.get("content")
    parts: list[Part] = list(reasoned.parts)
    parts += () if content is None else read_content(content, at(path, "content"), strict=strict)
    refusal = text_or_none(source, "refusal", path)
    if refusal:
        parts.append(Refusal(text=refusal, path=at(path, "refusal")))
    parts += [
        structs.replace(call, signature=call.signature or reasoned.call_signatures.get(call.id)) for call in calls
    ]
    signature = read_signature(source) or text_or_none(source, "thought_signature", path)
    return tuple(_sign(parts, signature, path) if signature else parts)


def _sign(parts: list[Part], signature: str, path: str) -> list[Part]:
    """Gemini's proof at message level belongs to the first call, else to the last text."""
    for index, part in enumerate(parts):
        if isinstance(part, ToolCall):
            if part.signature is None:
                parts[index] = structs.replace(part, signature=signature)
            return parts
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if isinstance(part, Text):
            parts[index] = structs.replace(part, signature=signature)
            return parts
    return [*parts, Text(text="", signature=signature, path=at(path, "extra_content"))]


def read_signature(source: dict[str, Any]) -> str | None:
    """`extra_content.google.thought_signature`. https://ai.google.dev/gemini-api/docs/thought-signatures"""
    extra = source.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) and signature else None


def _read_calls(source: dict[str, Any], path: str, *, strict: bool, id_stem: str) -> list[ToolCall]:
    calls: list[ToolCall] = []
    for index, item in enumerate(list_or_empty(source, "tool_calls", path)):
        where = f"{path}.tool_calls[{index}]"
        call = as_object(item, where)
        integer_or_none(call, "index", where)
        call_id = text(call, "id", where) if strict else text_or_none(call, "id", where)
        calls.append(_read_call(call, call_id or f"{id_stem}{index}", where, strict=strict))
    legacy = object_or_none(source, "function_call", path)
    # Snowflake sends the empty object of its own client library where there is no call.
    if legacy is not None and legacy.get("name") != "":
        where = at(path, "function_call")
        stem = id_stem or f"call_{path.translate(_NOT_IN_IDS)}"
        calls.append(_function_call(legacy, f"{stem}{len(calls)}", where, strict=strict))
    return calls


_NOT_IN_IDS = {ord("["): "_", ord("]"): "_", ord("."): "_"}


def _read_call(call: dict[str, Any], call_id: str, path: str, *, strict: bool) -> ToolCall:
    kind = text_or_none(call, "type", path) or "function"
    extra = beyond(call, {"id", "type", "index", "function", "custom", "extra_content", "cache_control"})
    if kind == "custom":
        where = at(path, "custom")
        custom = as_object(call.get("custom"), where)
        return ToolCall(
            id=call_id,
            name=text(custom, "name", where),
            arguments=text(custom, "input", where),
            kind="custom",
            extra=extra,
            path=path,
        )
    if kind != "function":
        raise WrongType(at(path, "type"), "must be function or custom")
    where = at(path, "function")
    plain = _function_call(as_object(call.get("function"), where), call_id, where, strict=strict)
    return structs.replace(plain, signature=read_signature(call), cache=read_cache(call, path), extra=extra, path=path)


def _function_call(function: dict[str, Any], call_id: str, path: str, *, strict: bool) -> ToolCall:
    arguments = function.get("arguments")
    if not strict and not isinstance(arguments, str):
        # Some servers forget that arguments are text: no arguments at all, or the object itself.
        arguments = "" if arguments is None else json_text(arguments, at(path, "arguments"))
    return ToolCall(
        id=call_id, name=text(function, "name", path), arguments=as_text(arguments, at(path, "arguments")), path=path
    )
