"""Annotations of an answer's text. https://platform.openai.com/docs/guides/tools-web-search?api-mode=chat"""

from __future__ import annotations

from typing import Any

from wire.neutral import Citation
from wire.reading import as_object, integer_or_none, object_or_none, text_or_none


def read_annotations(items: list[Any], path: str) -> tuple[Citation, ...]:
    """Raises WrongType. Kinds other than `url_citation` (OpenRouter's parsed `file`) are kept whole."""
    return tuple(_read(as_object(item, f"{path}[{index}]"), f"{path}[{index}]") for index, item in enumerate(items))


def _read(annotation: dict[str, Any], path: str) -> Citation:
    source = object_or_none(annotation, "url_citation", path) or {}
    where = f"{path}.url_citation"
    return Citation(
        url=text_or_none(source, "url", where),
        title=text_or_none(source, "title", where),
        cited_text=text_or_none(source, "content", where),
        start=integer_or_none(source, "start_index", where),
        end=integer_or_none(source, "end_index", where),
        native=annotation,
        origin="openai_chat",
    )


def write_annotation(citation: Citation, offset: int, length: int, dropped: list[str]) -> dict[str, Any] | None:
    """None, and `citations` in the dropped list, for a source without an address: chat has no other kind.

    `offset` is where the cited part begins in the whole content, `length` is its own: a citation without a span of its
    own stands for all of it.
    """
    if citation.origin == "openai_chat" and citation.native is not None:
        return citation.native
    if citation.url is None:
        dropped.append("citations")
        return None
    start = 0 if citation.start is None else citation.start
    end = length if citation.end is None else citation.end
    source: dict[str, Any] = {
        "url": citation.url,
        "title": citation.title or citation.url,
        "start_index": offset + start,
        "end_index": offset + end,
    }
    if citation.cited_text is not None:
        source["content"] = citation.cited_text
    return {"type": "url_citation", "url_citation": source}
