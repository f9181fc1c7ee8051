"""Content blocks of requests and answers to neutral parts. https://platform.claude.com/docs/en/api/messages"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from wire import reading
from wire.dialects.anthropic_messages import foreign
from wire.dialects.anthropic_messages.foreign import OWN, CarriedSignature
from wire.dialects.anthropic_messages.media import parse_cache, parse_document, parse_image
from wire.neutral import Citation, Native, Part, Text, Thinking, ToolCall, ToolResult
from wire.reading import WrongType, at

# Blocks that only Anthropic has. Those of server tools are known by their endings, so that new ones pass.
_NATIVE_TYPES = frozenset(
    {
        "server_tool_use",
        "mcp_tool_use",
        "mcp_tool_listing",
        "container_upload",
        "search_result",
        "compaction",
        "fallback",
        "connector_text",
        "tool_reference",
        "tool_addition",
        "tool_removal",
        "browser_state",
    }
)
_TEXT_FIELDS = frozenset({"type", "text", "citations", "cache_control"})
_CALL_FIELDS = frozenset({"type", "id", "name", "input", "cache_control"})
_RESULT_FIELDS = frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"})


def parse_content(content: Any, path: str, *, answer: bool = False) -> tuple[Part, ...]:
    """A string or a list of blocks. Raises BadRequest naming the field at fault.

    `answer`: from an upstream, not from a client. A block type that is not known is Native then, and what looks sealed
    by us was sealed by another gateway there, so it stays as it is.
    """
    if isinstance(content, str):
        return (Text(text=content, path=path),)
    blocks = reading.as_list(content, path)
    return foreign.attach_signatures(
        [_parse_block(block, f"{path}[{index}]", answer) for index, block in enumerate(blocks)]
    )


def _parse_block(value: Any, path: str, answer: bool) -> Part | CarriedSignature:
    block = reading.as_object(value, path)
    kind = reading.text(block, "type", path)
    read = _READERS.get(kind)
    if read is not None:
        return read(block, path, answer)
    if answer or kind in _NATIVE_TYPES or kind.endswith("_tool_result"):
        return Native(dialect=OWN, type=kind, value=block, path=path)
    raise WrongType(at(path, "type"), f'unknown content block type "{kind}"')


def parse_citation(value: Any, path: str, *, answer: bool = False) -> Citation:
    """Anthropic's own stay whole in `native`; what other dialects know of one is read from it."""
    native = reading.as_object(value, path)
    url = reading.text_or_none(native, "url", path)
    title = native.get("title") or native.get("document_title")
    title = title if isinstance(title, str) else None
    cited_text = reading.text_or_none(native, "cited_text", path)
    seal = native.get("encrypted_index")
    if not answer and foreign.is_sealed(seal):
        return foreign.unseal_citation(seal, url, title, cited_text, at(path, "encrypted_index"))
    return Citation(
        url=url,
        title=title,
        cited_text=cited_text,
        file_id=reading.text_or_none(native, "file_id", path),
        native=native,
        origin=OWN,
    )


def _text(block: dict[str, Any], path: str, answer: bool) -> Text:
    cache, extra = parse_cache(block, _TEXT_FIELDS, path)
    citations = reading.list_or_empty(block, "citations", path)
    return Text(
        text=reading.text(block, "text", path),
        citations=tuple(
            parse_citation(item, f"{path}.citations[{index}]", answer=answer) for index, item in enumerate(citations)
        ),
        cache=cache,
        extra=extra,
        path=path,
    )


def _thinking(block: dict[str, Any], path: str, answer: bool) -> Thinking:
    text = reading.text(block, "thinking", path)
    signature = reading.text_or_none(block, "signature", path)
    if not answer and foreign.is_sealed(signature):
        return foreign.unseal_thinking(signature, text, path)
    extra = reading.unknown_fields(block, ("type", "thinking", "signature")) or None
    return Thinking(text=text, signature=signature, origin=OWN, extra=extra, path=path)


def _redacted(block: dict[str, Any], path: str, answer: bool) -> Thinking | CarriedSignature:
    data = reading.text(block, "data", path)
    if not answer and foreign.is_sealed(data):
        return foreign.read_redacted(data, path)
    extra = reading.unknown_fields(block, ("type", "data")) or None
    return Thinking(opaque=data, redacted=True, origin=OWN, extra=extra, path=path)


def _tool_use(block: dict[str, Any], path: str, _answer: bool) -> ToolCall:
    cache, extra = parse_cache(block, _CALL_FIELDS, path)
    arguments = reading.as_object(block.get("input"), at(path, "input"))
    return ToolCall(
        id=reading.text(block, "id", path),
        name=reading.text(block, "name", path),
        arguments=reading.json_text(arguments, at(path, "input")),
        cache=cache,
        extra=extra,
        path=path,
    )


def _tool_result(block: dict[str, Any], path: str, _answer: bool) -> ToolResult:
    cache, extra = parse_cache(block, _RESULT_FIELDS, path)
    content = block.get("content")
    return ToolResult(
        call_id=reading.text(block, "tool_use_id", path),
        parts=() if content is None else _result_parts(parse_content(content, at(path, "content"))),
        is_error=reading.flag_or_none(block, "is_error", path),
        cache=cache,
        extra=extra,
        path=path,
    )


def _result_parts(parts: Iterable[Part]) -> tuple[Part, ...]:
    """A result inside a result is refused, or nesting would have no end."""
    for part in parts:
        if isinstance(part, ToolResult | ToolCall | Thinking):
            raise WrongType(at(part.path, "type"), "cannot stand in a tool result")
    return tuple(parts)


_READERS: dict[str, Callable[[dict[str, Any], str, bool], Part | CarriedSignature]] = {
    "text": _text,
    "image": lambda block, path, _answer: parse_image(block, path),
    "document": lambda block, path, _answer: parse_document(block, path),
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}
