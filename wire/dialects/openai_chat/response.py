"""Whole answers: chat completions to the neutral model and back, and what metering needs of one.

https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

from typing import Any

import orjson
from msgspec import structs

from wire.dialect import Facts, Rendered
from wire.dialects.openai_chat.citations import read_annotations, write_annotation
from wire.dialects.openai_chat.conversation import thought_signature
from wire.dialects.openai_chat.errors import in_band_error
from wire.dialects.openai_chat.finish import read_finish, write_finish
from wire.dialects.openai_chat.measure import calls_tools, text_bytes
from wire.dialects.openai_chat.media import data_url, read_image
from wire.dialects.openai_chat.messages import ANSWER_FIELDS, read_answer
from wire.dialects.openai_chat.thinking import needs_details, to_details
from wire.dialects.openai_chat.usage import read_usage, render_usage, usage_of_chunk
from wire.errors import UpstreamMalformed
from wire.neutral import (
    Audio,
    Choice,
    Image,
    Media,
    Native,
    Part,
    Refusal,
    Response,
    Stamp,
    Text,
    Thinking,
    ToolCall,
)
from wire.reading import (
    WrongType,
    as_list,
    as_object,
    beyond,
    integer_or_none,
    list_or_empty,
    object_or_none,
    text_or_none,
)

_KNOWN = frozenset({"id", "object", "created", "model", "choices", "usage", "service_tier"})
_CHOICE_FIELDS = frozenset(
    {"index", "message", "delta", "finish_reason", "finish_details", "stop_reason", "logprobs", "native_finish_reason"}
)
_READ_FIELDS = ANSWER_FIELDS | {"annotations", "images"}
_NOT_IN_IDS = str.maketrans(dict.fromkeys(".:/ ", "_"))


# ------------------------------------------------------------------------------------------------------------ reading
def parse_response(body: dict[str, Any]) -> Response:
    """Raises UpstreamMalformed; an error object inside a 200 is raised as the error that it is."""
    try:
        return _read(as_object(body, "body"))
    except WrongType as error:
        raise UpstreamMalformed(f"The upstream's answer cannot be read: {error}") from error


def _read(body: dict[str, Any]) -> Response:
    if body.get("error") and not body.get("choices"):
        raise in_band_error(body)
    answer_id = text_or_none(body, "id", "") or None
    choices = [
        _read_choice(as_object(item, f"choices[{index}]"), index, call_id_stem(answer_id))
        for index, item in enumerate(as_list(body.get("choices"), "choices"))
    ]
    tier = text_or_none(body, "service_tier", "") or None
    return Response(
        dialect="openai_chat",
        id=answer_id,
        model=text_or_none(body, "model", "") or None,
        choices=tuple(choices),
        usage=read_usage(usage_of_chunk(body), service_tier=tier),
        created=integer_or_none(body, "created", ""),
        service_tier=tier,
        extra=beyond(body, _KNOWN) or {},
    )


def call_id_stem(answer_id: str | None) -> str:
    """Tool calls without an id are told apart by the answer they are in and their ordinal."""
    return f"call_{answer_id.translate(_NOT_IN_IDS)}_" if answer_id else "call_"


def _read_choice(choice: dict[str, Any], ordinal: int, id_stem: str) -> Choice:
    where = f"choices[{ordinal}]"
    message = object_or_none(choice, "message", where) or {}
    where = f"{where}.message"
    parts = list(read_answer(message, where, strict=False, id_stem=id_stem if ordinal == 0 else f"{id_stem}{ordinal}_"))
    parts = _with_citations(parts, message, where)
    for place, item in enumerate(list_or_empty(message, "images", where)):
        parts.append(read_image(as_object(item, f"{where}.images[{place}]"), f"{where}.images[{place}]"))
    audio = object_or_none(message, "audio", where)
    if audio is not None and audio.get("data"):  # Snowflake sends an object of empty fields
        parts.append(_read_audio(audio, f"{where}.audio"))
    extra = beyond(choice, _CHOICE_FIELDS) or {}
    message_extra = beyond(message, _READ_FIELDS)
    if message_extra:
        extra["message"] = message_extra
    index = integer_or_none(choice, "index", f"choices[{ordinal}]")
    called = any(isinstance(part, ToolCall) for part in parts)
    return Choice(
        parts=tuple(parts),
        finish=read_finish(choice, ordinal if index is None else index, calls_tools=called),
        logprobs=choice.get("logprobs"),
        extra=extra or None,
    )


def _with_citations(parts: list[Part], message: dict[str, Any], path: str) -> list[Part]:
    """Offsets count in the whole content, which is one text here, so that they need no shifting."""
    citations = read_annotations(list_or_empty(message, "annotations", path), f"{path}.annotations")
    if not citations:
        return parts
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if isinstance(part, Text):
            parts[index] = structs.replace(part, citations=citations)
            return parts
    return [*parts, Text(text="", citations=citations, path=f"{path}.annotations")]


def _read_audio(audio: dict[str, Any], path: str) -> Audio:
    return Audio(
        media=Media(data=text_or_none(audio, "data", path)),
        id=text_or_none(audio, "id", path),
        transcript=text_or_none(audio, "transcript", path),
        expires_at=integer_or_none(audio, "expires_at", path),
        path=path,
    )


# ---------------------------------------------------------------------------------------------------------- rendering
def render_response(response: Response, stamp: Stamp) -> Rendered:
    own = response.dialect == "openai_chat"
    dropped: list[str] = []
    body: dict[str, Any] = {
        "id": f"chatcmpl-{stamp.id}",
        "object": "chat.completion",
        "created": stamp.created,
        "model": stamp.model,
        "choices": [_render_choice(choice, index, own, dropped) for index, choice in enumerate(response.choices)],
    }
    usage = response.usage
    if usage is not None:
        body["usage"] = usage.native if own and usage.native is not None else render_usage(usage)
    if response.service_tier is not None:
        body["service_tier"] = response.service_tier
    if own:
        body |= response.extra
    else:
        dropped += [f"extra.{name}" for name, value in response.extra.items() if value is not None]
    return Rendered(body=body, dropped=tuple(dict.fromkeys(dropped)))


def _render_choice(choice: Choice, ordinal: int, own: bool, dropped: list[str]) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "index": ordinal,
        "message": _render_message(choice.parts, dropped),
        "logprobs": choice.logprobs,
        **write_finish(choice.finish),
    }
    extra = dict(choice.extra or {})
    if own:
        rendered["message"] |= extra.pop("message", {})
        rendered |= extra
    else:
        dropped += [f"extra.{name}" for name in extra]
    return rendered


def _render_message(parts: tuple[Part, ...], dropped: list[str]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    text = ""
    annotations: list[dict[str, Any]] = []
    for part in parts:
        match part:
            case Text():
                annotations += [
                    note
                    for item in part.citations
                    if (note := write_annotation(item, len(text), len(part.text), dropped))
                ]
                text += part.text
                message["content"] = text
                if part.signature is not None:
                    message["extra_content"] = thought_signature(part.signature)
            case Refusal():
                message["refusal"] = (message["refusal"] or "") + part.text
            case ToolCall():
                message.setdefault("tool_calls", []).append(render_call(part))
            case Image():
                message.setdefault("images", []).append(render_answered_image(part))
            case Audio():
                message["audio"] = render_answered_audio(part)
            case Thinking():
                pass
            case _:
                dropped.append(part.type if isinstance(part, Native) else part.path)
    if annotations:
        message["annotations"] = annotations
    return message | _render_thinking([part for part in parts if isinstance(part, Thinking)])


def _render_thinking(thoughts: list[Thinking]) -> dict[str, Any]:
    """The text for people, and `reasoning_details` where the model's maker needs something back on the next turn."""
    rendered: dict[str, Any] = {}
    text = "".join(part.text for part in thoughts)
    if text:
        rendered["reasoning_content"] = text
    if any(needs_details(part) for part in thoughts):
        rendered["reasoning_details"] = [
            entry for index, part in enumerate(thoughts) for entry in to_details(part, index)
        ]
    return rendered


def render_call(part: ToolCall) -> dict[str, Any]:
    """A call with the arguments known so far."""
    if part.kind == "custom":
        return {"id": part.id, "type": "custom", "custom": {"name": part.name, "input": part.arguments}}
    call: dict[str, Any] = {
        "id": part.id,
        "type": "function",
        "function": {"name": part.name, "arguments": part.arguments},
    }
    if part.signature is not None:
        call["extra_content"] = thought_signature(part.signature)
    return call


def render_answered_image(part: Image) -> dict[str, Any]:
    """OpenRouter's way. https://openrouter.ai/docs/features/multimodal/image-generation"""
    return {"type": "image_url", "image_url": {"url": part.media.url or data_url(part.media, "image/png")}}


def render_answered_audio(part: Audio) -> dict[str, Any]:
    return {
        "id": part.id or "",
        "data": part.media.data or "",
        "expires_at": part.expires_at or 0,
        "transcript": part.transcript or "",
    }


# ----------------------------------------------------------------------------------------------------------- metering
def read_response(body: bytes) -> Facts:
    """Raises UpstreamMalformed when it is not a chat completion, or the error that an error object inside a 200 is.

    Oddities beside the counts are passed on to the caller as they are, so they do not matter here.
    """
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UpstreamMalformed("The upstream's answer is not JSON") from error
    if isinstance(answer, dict) and answer.get("error") and not answer.get("choices"):
        raise in_band_error(answer)
    if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list):
        raise UpstreamMalformed("The upstream's answer is not a chat completion")
    choices = [choice for choice in answer["choices"] if isinstance(choice, dict)]
    first = choices[0] if choices else None
    answer_id, tier = answer.get("id"), answer.get("service_tier")
    return Facts(
        usage=read_usage(usage_of_chunk(answer), service_tier=tier),
        finish=None if first is None else _reason_of(first),
        response_id=answer_id if isinstance(answer_id, str) and answer_id else None,
        text_bytes=sum(text_bytes(choice.get("message")) for choice in choices),
        service_tier=tier if isinstance(tier, str) and tier else None,
    )


def _reason_of(choice: dict[str, Any]) -> str:
    return read_finish(choice, 0, calls_tools=calls_tools(choice.get("message"))).reason
