"""Images, files and audio: data URLs and addresses to `Media` and back."""

from __future__ import annotations

from typing import Any

from wire.errors import BadRequest
from wire.inline_media import MIME_BY_SUFFIX, SUFFIX_BY_MIME, WEB, base64_text, read_address
from wire.neutral import Audio, Document, Image, Media
from wire.reading import WrongType, as_object, at, text, text_or_none


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
    return Image(media=read_address(url, at(path, "image_url")), detail=detail, extra=extra, path=path)


def read_file(part: dict[str, Any], path: str, extra: dict[str, Any] | None) -> Document:
    filename = text_or_none(part, "filename", path)
    file_id = text_or_none(part, "file_id", path)
    url = text_or_none(part, "file_url", path)
    if file_id is not None:
        media = Media(file_id=file_id)
    elif url is not None:
        media = read_address(url, at(path, "file_url"))
    else:
        data = text(part, "file_data", path)
        where = at(path, "file_data")
        # A bare base64 text is taken too; its kind is then known by the file's name alone.
        media = read_address(data, where) if data.startswith("data:") else Media(data=base64_text(data, where))
    if media.data is not None and media.mime is None:
        suffix = (filename or "").rpartition(".")[2].lower()
        media = Media(data=media.data, mime=MIME_BY_SUFFIX.get(suffix, "application/pdf"))
    return Document(media=media, filename=filename, extra=extra, path=path)


def read_audio(part: dict[str, Any], path: str) -> Audio:
    where = at(path, "input_audio")
    audio = as_object(part.get("input_audio"), where)
    kind = text(audio, "format", where)
    return Audio(
        media=Media(mime=f"audio/{kind}", data=base64_text(text(audio, "data", where), at(where, "data"))), path=path
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
    elif media.url is not None and urls and media.url.startswith(WEB):
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
        if not media.url.startswith(WEB):
            raise unsupported(part.path, "file by this kind of address")
        if not own and (media.mime or "").startswith("video/"):
            raise unsupported(part.path, "video")
        return {"type": "input_file", "file_url": media.url, **named}
    mime = media.mime or "application/pdf"
    if not own and mime.startswith(("audio/", "video/")):
        raise unsupported(part.path, f"file of type {mime}")
    named = named or {"filename": f"document.{SUFFIX_BY_MIME.get(mime, 'pdf')}"}
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
