"""Wire items and content parts to neutral parts: the same for a request's history and for an answer's output."""

from __future__ import annotations

from typing import Any

from wire.dialects.openai_responses.media import read_audio, read_file, read_image
from wire.neutral import CacheMark, Citation, Native, Part, Refusal, Text, Thinking, ToolCall
from wire.reading import (
    WrongType,
    as_object,
    as_text,
    at,
    beyond,
    integer_or_none,
    list_or_empty,
    text,
    text_or_none,
)

TEXT_TYPES = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})
CALL_TYPES = frozenset({"function_call", "custom_tool_call"})

# Parts that the dialect alone knows; any other unknown type is refused, so that nothing is lost in silence.
_NATIVE_CONTENT = frozenset({"computer_screenshot", "encrypted_content", "input_video"})

_TEXT_FIELDS = frozenset({"type", "text", "annotations", "logprobs"})
_IMAGE_FIELDS = frozenset({"type", "image_url", "file_id", "detail"})
_FILE_FIELDS = frozenset({"type", "file_data", "file_url", "file_id", "filename"})
_CALL_FIELDS = frozenset({"type", "id", "call_id", "name", "arguments", "input", "namespace", "status"})
_REASONING_FIELDS = frozenset({"type", "id", "summary", "content", "encrypted_content", "status"})
_MESSAGE_FIELDS = frozenset({"type", "id", "role", "content", "phase", "status"})

_PARAGRAPH = "\n\n"


def read_content(value: Any, path: str, *, item_id: str | None = None, phase: str | None = None) -> tuple[Part, ...]:
    """The `content` of a message or the `output` of a tool call: a string or a list of parts."""
    if isinstance(value, str):
        return (Text(text=value, item_id=item_id, phase=phase, path=path),)
    if not isinstance(value, list):
        raise WrongType(path, "must be a string or a list of content parts")
    return tuple(read_part(part, f"{path}[{index}]", item_id=item_id, phase=phase) for index, part in enumerate(value))


def read_part(value: Any, path: str, *, item_id: str | None = None, phase: str | None = None) -> Part:
    part = as_object(value, path)
    kind = text(part, "type", path)
    if kind in TEXT_TYPES:
        annotations = list_or_empty(part, "annotations", path)
        return Text(
            text=text(part, "text", path),
            citations=tuple(
                read_citation(entry, f"{path}.annotations[{index}]") for index, entry in enumerate(annotations)
            ),
            item_id=item_id,
            phase=phase,
            cache=_cache_mark(part),
            extra=beyond(part, _TEXT_FIELDS),
            path=path,
        )
    if kind == "refusal":
        return Refusal(text=text(part, "refusal", path), path=path)
    if kind == "input_image":
        return read_image(part, path, beyond(part, _IMAGE_FIELDS))
    if kind == "input_file":
        return read_file(part, path, beyond(part, _FILE_FIELDS))
    if kind == "input_audio":
        return read_audio(part, path)
    if kind in _NATIVE_CONTENT:
        return Native(dialect="openai_responses", type=kind, value=part, path=path)
    raise WrongType(at(path, "type"), "is not a content part that is known here")


def _cache_mark(part: dict[str, Any]) -> CacheMark | None:
    """OpenAI's explicit breakpoint. Its own object stays in `extra`: the lifetimes differ from Anthropic's."""
    return CacheMark() if isinstance(part.get("prompt_cache_breakpoint"), dict) else None


def read_citation(value: Any, path: str) -> Citation:
    annotation = as_object(value, path)
    return Citation(
        url=text_or_none(annotation, "url", path),
        title=text_or_none(annotation, "title", path) or text_or_none(annotation, "filename", path),
        start=integer_or_none(annotation, "start_index", path),
        end=integer_or_none(annotation, "end_index", path),
        file_id=text_or_none(annotation, "file_id", path),
        native=annotation,
        origin="openai_responses",
    )


def message_extra(item: dict[str, Any]) -> dict[str, Any] | None:
    return beyond(item, _MESSAGE_FIELDS)


def read_call(item: dict[str, Any], path: str) -> ToolCall:
    custom = item.get("type") == "custom_tool_call"
    return ToolCall(
        id=text(item, "call_id", path),
        name=text(item, "name", path),
        arguments=text(item, "input" if custom else "arguments", path),
        kind="custom" if custom else "function",
        item_id=text_or_none(item, "id", path),
        namespace=text_or_none(item, "namespace", path),
        extra=beyond(item, _CALL_FIELDS),
        path=path,
    )


def read_reasoning(item: dict[str, Any], path: str) -> Thinking:
    """`text` is the full reasoning where the provider shows it, else the summary; the summary is kept apart then."""
    summary = _texts(item, "summary", path)
    content = _texts(item, "content", path)
    return Thinking(
        text=_PARAGRAPH.join(content or summary),
        opaque=text_or_none(item, "encrypted_content", path),
        summary=summary,
        item_id=text_or_none(item, "id", path),
        origin="openai_responses",
        extra=beyond(item, _REASONING_FIELDS),
        path=path,
    )


def _texts(item: dict[str, Any], key: str, path: str) -> tuple[str, ...]:
    where = at(path, key)
    return tuple(
        as_text(as_object(entry, f"{where}[{index}]").get("text"), f"{where}[{index}].text")
        for index, entry in enumerate(list_or_empty(item, key, path))
    )


def join_paragraphs(parts: tuple[str, ...]) -> str:
    return _PARAGRAPH.join(parts)


def read_output_item(value: Any, path: str) -> tuple[Part, ...]:
    """One item of an answer's output."""
    item = as_object(value, path)
    kind = text(item, "type", path)
    if kind == "message":
        return read_content(
            item.get("content"),
            at(path, "content"),
            item_id=text_or_none(item, "id", path),
            phase=text_or_none(item, "phase", path),
        )
    if kind == "reasoning":
        return (read_reasoning(item, path),)
    if kind in CALL_TYPES:
        return (read_call(item, path),)
    return (Native(dialect="openai_responses", type=kind, value=item, path=path),)
