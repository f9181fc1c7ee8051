"""Gemini's grounding and citation metadata to citations of text spans, and citations of others back.

`groundingSupports[].segment` counts bytes of UTF-8 over the answer's text and quotes it; where the two disagree (text
that was trimmed after it was counted, recorded) the quote decides. `citationMetadata` counts alike, without a quote.
https://ai.google.dev/api/generate-content#GroundingMetadata
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from msgspec import Struct

from wire.neutral import Citation


class PlacedCitation(Struct, frozen=True):
    """A citation and which of the answer's texts, by ordinal, it belongs to; its offsets count in that text."""

    text: int
    citation: Citation


class _Texts:
    """The answer's texts as one, with places in bytes turned into places in one of them."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._joined = "".join(texts)
        self._bytes = self._joined.encode()
        self._starts = [0, *accumulate(len(text) for text in texts[:-1])]

    def place(self, start: int, end: int, quote: str | None) -> tuple[int, int, int] | None:
        """(ordinal of the text, first character, character after the last); None where there is no such place."""
        found = self._bytes[start:end].decode(errors="ignore")
        first = len(self._bytes[:start].decode(errors="ignore"))
        if quote is not None and found != quote:
            first, found = self._joined.find(quote), quote
        if first < 0 or not found:
            return None
        ordinal = bisect_right(self._starts, first) - 1
        first -= self._starts[ordinal]
        return ordinal, first, min(first + len(found), len(self._texts[ordinal]))


def place_citations(grounding: Any, sources: Any, texts: Sequence[str]) -> list[PlacedCitation]:
    """Citations of `groundingMetadata` and `citationMetadata` of a candidate with these texts. What is of another
    shape than documented gives none: both are also kept whole."""
    if not texts or (grounding is None and sources is None):
        return []
    index = _Texts(texts)
    return [*_grounded(grounding, index), *_quoted(sources, index)]


def _grounded(grounding: Any, index: _Texts) -> Iterable[PlacedCitation]:
    chunks = [_chunk(chunk) for chunk in _objects(grounding, "groundingChunks")]
    for support in _objects(grounding, "groundingSupports"):
        segment = support.get("segment")
        if not isinstance(segment, dict):
            continue
        place = index.place(_count(segment, "startIndex"), _count(segment, "endIndex"), _text(segment, "text"))
        numbers = support.get("groundingChunkIndices")
        for number in numbers if place is not None and isinstance(numbers, list) else []:
            if place is not None and isinstance(number, int) and 0 <= number < len(chunks):
                url, title, quote = chunks[number]
                yield PlacedCitation(
                    place[0],
                    Citation(url=url, title=title, cited_text=quote, start=place[1], end=place[2], origin="gemini"),
                )


def _quoted(sources: Any, index: _Texts) -> Iterable[PlacedCitation]:
    """`citationSources` on the Gemini API, `citations` on Vertex."""
    for source in [*_objects(sources, "citationSources"), *_objects(sources, "citations")]:
        place = index.place(_count(source, "startIndex"), _count(source, "endIndex"), None)
        if place is not None:
            citation = Citation(
                url=_text(source, "uri"), title=_text(source, "title"), start=place[1], end=place[2], origin="gemini"
            )
            yield PlacedCitation(place[0], citation)


def _chunk(chunk: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Address, title and quoted source text of a web page, a retrieved document or a place on the map."""
    for kind in ("web", "retrievedContext", "maps"):
        source = chunk.get(kind)
        if isinstance(source, dict):
            return _text(source, "uri"), _text(source, "title"), _text(source, "text")
    return None, None, None


def _objects(holder: Any, name: str) -> list[dict[str, Any]]:
    found = holder.get(name) if isinstance(holder, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _count(holder: dict[str, Any], name: str) -> int:
    value = holder.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _text(holder: dict[str, Any], name: str) -> str | None:
    value = holder.get(name)
    return value if isinstance(value, str) else None


def loses_quote(citation: Citation) -> bool:
    """Whether the words quoted have no place: a web chunk takes an address and a title only."""
    return citation.url is not None and citation.cited_text is not None


def render_grounding(texts: Sequence[str], placed: Sequence[PlacedCitation]) -> dict[str, Any]:
    """`groundingMetadata` for citations of another provider. One without offsets covers its whole text."""
    chunks: dict[tuple[str | None, str | None, str | None], int] = {}
    supports: list[dict[str, Any]] = []
    starts = [0]
    for text in texts:
        starts.append(starts[-1] + len(text.encode()))
    for item in placed:
        citation, text = item.citation, texts[item.text]
        quote = None if citation.url is not None else citation.cited_text
        number = chunks.setdefault((citation.url, citation.title, quote), len(chunks))
        start = citation.start or 0
        end = len(text) if citation.end is None else citation.end
        offset = starts[item.text]
        segment: dict[str, Any] = {
            "startIndex": offset + len(text[:start].encode()),
            "endIndex": offset + len(text[:end].encode()),
            "text": text[start:end],
        }
        supports.append({"segment": segment, "groundingChunkIndices": [number]})
    return {"groundingChunks": [_render_chunk(*chunk) for chunk in chunks], "groundingSupports": supports}


def _render_chunk(url: str | None, title: str | None, quote: str | None) -> dict[str, Any]:
    if url is not None:
        return {"web": {"uri": url, "title": title or ""}}
    return {"retrievedContext": {"title": title or "", "text": quote or ""}}
