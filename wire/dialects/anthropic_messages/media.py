"""Images and documents: Anthropic's `source` objects to neutral media and back.

https://platform.claude.com/docs/en/build-with-claude/vision and .../pdf-support
"""

from __future__ import annotations

import base64
from typing import Any

from wire import reading
from wire.dialect import Quirks
from wire.inline_media import base64_text
from wire.neutral import CacheMark, Document, Image, Media, Native
from wire.reading import WrongType, at

_IMAGE_MIMES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_MIME_SPELLINGS = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
# What base64 of a file's first bytes looks like, for callers who do not say what they send.
_MAGIC = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi": "application/pdf",
}
_PDF = "application/pdf"
_TEXT_LIKE = frozenset({"application/json", "application/xml", "application/x-yaml", "application/yaml"})
_CACHE_FIELDS = frozenset({"type", "ttl"})
_IMAGE_FIELDS = frozenset({"type", "source", "cache_control"})
_DOCUMENT_FIELDS = frozenset({"type", "source", "cache_control", "title", "context", "citations"})


def parse_image(block: dict[str, Any], path: str) -> Image:
    """Raises BadRequest naming the field at fault."""
    media = _parse_source(reading.as_object(block.get("source"), at(path, "source")), at(path, "source"))
    cache, extra = parse_cache(block, _IMAGE_FIELDS, path)
    return Image(media=media, cache=cache, extra=extra, path=path)


def parse_document(block: dict[str, Any], path: str) -> Document | Native:
    """A document made of content blocks has no neutral form and stays Native. Raises BadRequest."""
    source = reading.as_object(block.get("source"), at(path, "source"))
    if source.get("type") == "content":
        return Native(dialect="anthropic_messages", type="document", value=block, path=path)
    media = _parse_source(source, at(path, "source"))
    cache, extra = parse_cache(block, _DOCUMENT_FIELDS, path)
    citations = reading.object_or_none(block, "citations", path)
    return Document(
        media=media,
        title=reading.text_or_none(block, "title", path),
        context=reading.text_or_none(block, "context", path),
        citations=None if citations is None else reading.flag_or_none(citations, "enabled", at(path, "citations")),
        cache=cache,
        extra=extra,
        path=path,
    )


def parse_cache(
    block: dict[str, Any], known: frozenset[str], path: str
) -> tuple[CacheMark | None, dict[str, Any] | None]:
    """The cache breakpoint, and the fields of the block that are not `known`.

    A breakpoint that says more than the neutral one can (`scope`) is kept whole among those fields as well.
    """
    extra = reading.unknown_fields(block, known) or None
    mark = reading.object_or_none(block, "cache_control", path)
    if mark is None:
        return None, extra
    ttl = mark.get("ttl")
    if ttl not in (None, "5m", "1h"):
        raise WrongType(at(path, "cache_control.ttl"), 'must be "5m" or "1h"')
    if not _CACHE_FIELDS.issuperset(mark):
        extra = {**(extra or {}), "cache_control": mark}
    return CacheMark(ttl=ttl), extra


def render_cache(cache: CacheMark | None) -> dict[str, Any]:
    """The `cache_control` member, or nothing."""
    if cache is None:
        return {}
    return {"cache_control": {"type": "ephemeral"} if cache.ttl is None else {"type": "ephemeral", "ttl": cache.ttl}}


def render_image(part: Image, quirks: Quirks, *, own: bool) -> dict[str, Any]:
    """`own`: the request was in this dialect. Raises BadRequest for an image that the upstream cannot take."""
    source = _render_reference(part.media, part.path, quirks, own=own)
    if source is None:
        source = _inline(part.media, part.path, _IMAGE_MIMES, "an image must be JPEG, PNG, GIF or WebP", own=own)
    return {"type": "image", "source": source, **render_cache(part.cache), **(part.extra or {} if own else {})}


def render_document(part: Document, quirks: Quirks, *, own: bool) -> dict[str, Any]:
    """Raises BadRequest for a document that the upstream cannot take."""
    block: dict[str, Any] = {"type": "document", "source": _document_source(part, quirks, own=own)}
    title = part.title or part.filename
    if title is not None:
        block["title"] = title
    if part.context is not None:
        block["context"] = part.context
    if part.citations is not None:
        block["citations"] = {"enabled": part.citations}
    return {**block, **render_cache(part.cache), **(part.extra or {} if own else {})}


def _parse_source(source: dict[str, Any], path: str) -> Media:
    kind = reading.text(source, "type", path)
    if kind == "base64":
        mime = reading.text(source, "media_type", path)
        return Media(mime=mime, data=base64_text(source.get("data"), at(path, "data")))
    if kind == "url":
        address = reading.text(source, "url", path)
        if not address.startswith(("http://", "https://")):
            raise WrongType(at(path, "url"), "must be an http or https address")
        return Media(url=address)
    if kind == "file":
        return Media(file_id=reading.text(source, "file_id", path))
    if kind == "text":
        return Media(mime=reading.text_or_none(source, "media_type", path), text=reading.text(source, "data", path))
    raise WrongType(at(path, "type"), f'unknown source type "{kind}"')


def _render_reference(media: Media, path: str, quirks: Quirks, *, own: bool) -> dict[str, Any] | None:
    """The source of media that are not in the request itself; None when they are."""
    if media.file_id is not None:
        if not own:
            raise WrongType(path, "a file stored at another provider cannot be used with this model")
        return {"type": "file", "file_id": media.file_id}
    if media.url is None:
        return None
    if not media.url.startswith(("http://", "https://")):
        raise WrongType(path, "only http and https addresses can be used with this model")
    if not quirks.image_urls:
        raise WrongType(path, "this model takes inline data only, not an address")
    return {"type": "url", "url": media.url}


def _inline(media: Media, path: str, allowed: frozenset[str], refusal: str, *, own: bool) -> dict[str, Any]:
    if media.data is None:
        raise WrongType(path, "holds no data")
    mime = _mime(media)
    if mime not in allowed and not (own and mime):
        raise WrongType(path, refusal)
    return {"type": "base64", "media_type": mime, "data": media.data}


def _document_source(part: Document, quirks: Quirks, *, own: bool) -> dict[str, Any]:
    media = part.media
    if not own and (media.mime or "").startswith(("audio/", "video/")):
        raise WrongType(part.path, "a document must be a PDF or plain text")
    reference = _render_reference(media, part.path, quirks, own=own)
    if reference is not None:
        return reference
    if media.text is not None:
        return {"type": "text", "media_type": "text/plain", "data": media.text}
    mime = _mime(media)
    if not own and media.data is not None and mime and (mime.startswith("text/") or mime in _TEXT_LIKE):
        return {"type": "text", "media_type": "text/plain", "data": _decoded(media.data, part.path)}
    return _inline(media, part.path, frozenset({_PDF}), "a document must be a PDF or plain text", own=own)


def _decoded(data: str, path: str) -> str:
    try:
        return base64.b64decode(data).decode()
    except ValueError:
        raise WrongType(path, "is not UTF-8 text") from None


def _mime(media: Media) -> str | None:
    if media.mime:
        plain = media.mime.partition(";")[0].strip().lower()
        return _MIME_SPELLINGS.get(plain, plain)
    return next((mime for start, mime in _MAGIC.items() if media.data and media.data.startswith(start)), None)
