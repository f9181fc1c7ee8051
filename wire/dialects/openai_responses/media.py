"""Images, files and audio: data URLs and addresses to `Media` and back."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from wire.errors import BadRequest
from wire.neutral import Audio, Document, Image, Media
from wire.reading import WrongType, as_object, at, text, text_or_none

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.ASCII)
_NOT_BASE64 = "is not valid base64"
_ADDRESSES = ("http://", "https://", "gs://")
_WEB = ("http://", "https://")  # what an upstream may be asked to fetch; `file:` would be read from its own disk

# The file kinds that a name tells apart; anything else is left to the upstream to look into.
_MIME_BY_SUFFIX = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
}
_SUFFIX_BY_MIME = {mime: suffix for suffix, mime in _MIME_BY_SUFFIX.items()}


def read_base64(value: str, path: str) -> str:
    """Standard alphabet, padded. Raises WrongType for anything that does not decode."""
    data = value.replace("-", "+").replace("_", "/")
    if any(mark in data for mark in "\r\n"):
        data = "".join(data.split())
    data += "=" * (-len(data) % 4)
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WrongType(path, _NOT_BASE64) from error
    return data


def read_url(value: str, path: str) -> Media:
    """An address or a data URL."""
    if value.startswith("data:"):
        match = _DATA_URL.match(value)
        if match is None or ";base64" not in match.group(2):
            raise WrongType(path, "must be a base64 data URL")
        return Media(mime=match.group(1) or None, data=read_base64(value[match.end() :], path))
    if not value.startswith(_ADDRESSES):
        raise WrongType(path, "must be an http(s) address or a base64 data URL")
    return Media(url=value)


def read_image(part: dict[str, Any], path: str, extra: dict[str, Any] | None) -> Image:
    detail = text_or_none(part, "detail", path)
    url = part.get("image_url")
    if isinstance(url, dict):  # chat's way of writing it, which compatible servers take here too
        url = as_object(url, at(path, "image_url")).get("url")
    file_id = text_or_none(part, "file_id", path)
    if file_id is not None:
        return Image(media=Media(file_id=file_id), detail=detail, extra=extra, path=path)
    if not isinstance(url, str):
        raise WrongType(at(path, "image_url"), "must be a string")
    return Image(media=read_url(url, at(path, "image_url")), detail=detail, extra=extra, path=path)


def read_file(part: dict[str, Any], path: str, extra: dict[str, Any] | None) -> Document:
    filename = text_or_none(part, "filename", path)
    file_id = text_or_none(part, "file_id", path)
    url = text_or_none(part, "file_url", path)
    if file_id is not None:
        media = Media(file_id=file_id)
    elif url is not None:
        media = read_url(url, at(path, "file_url"))
    else:
        data = text(part, "file_data", path)
        where = at(path, "file_data")
        # A bare base64 text is taken too; its kind is then known by the file's name alone.
        media = read_url(data, where) if data.startswith("data:") else Media(data=read_base64(data, where))
    if media.data is not None and media.mime is None:
        suffix = (filename or "").rpartition(".")[2].lower()
        media = Media(data=media.data, mime=_MIME_BY_SUFFIX.get(suffix, "application/pdf"))
    return Document(media=media, filename=filename, extra=extra, path=path)


def read_audio(part: dict[str, Any], path: str) -> Audio:
    where = at(path, "input_audio")
    audio = as_object(part.get("input_audio"), where)
    kind = text(audio, "format", where)
    return Audio(
        media=Media(mime=f"audio/{kind}", data=read_base64(text(audio, "data", where), at(where, "data"))), path=path
    )


def unsupported(path: str, what: str) -> BadRequest:
    return BadRequest(f"The chosen model's API takes no {what} here", code="unsupported_content", param=path)


def render_image(part: Image, *, urls: bool) -> dict[str, Any]:
    """Raises BadRequest naming the part when the upstream cannot take it."""
    media = part.media
    if media.file_id is not None:
        return {"type": "input_image", "file_id": media.file_id, "detail": part.detail or "auto"}
    if media.data is not None:
        url = f"data:{media.mime or 'image/png'};base64,{media.data}"
    elif media.url is not None and urls and media.url.startswith(_WEB):
        url = media.url
    else:
        raise unsupported(part.path, "image by address" if media.url else "image of this kind")
    return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}


def render_document(part: Document, *, own: bool) -> dict[str, Any]:
    """A document given as plain text becomes a text part: every model takes that. Raises BadRequest."""
    media = part.media
    if media.text is not None:
        return {"type": "input_text", "text": media.text}
    name = part.filename or part.title
    named = {"filename": name} if name else {}
    if media.file_id is not None:
        return {"type": "input_file", "file_id": media.file_id, **named}
    if media.url is not None:
        if not media.url.startswith(_WEB):
            raise unsupported(part.path, "file by this kind of address")
        if not own and (media.mime or "").startswith("video/"):
            raise unsupported(part.path, "video")
        return {"type": "input_file", "file_url": media.url, **named}
    mime = media.mime or "application/pdf"
    if not own and mime.startswith(("audio/", "video/")):
        raise unsupported(part.path, f"file of type {mime}")
    named = named or {"filename": f"document.{_SUFFIX_BY_MIME.get(mime, 'pdf')}"}
    return {"type": "input_file", "file_data": f"data:{mime};base64,{media.data}", **named}


def render_audio(part: Audio, *, own: bool) -> dict[str, Any]:
    """The format has the part, OpenAI's own models refuse it: only who speaks this dialect may ask for it."""
    media = part.media
    if not own or media.data is None:
        raise unsupported(part.path, "audio")
    return {
        "type": "input_audio",
        "input_audio": {"data": media.data, "format": (media.mime or "audio/wav").partition("/")[2]},
    }
