"""Images, audio and files of chat messages: data URLs, bare base64 and addresses to `Media` and back.

https://platform.openai.com/docs/api-reference/chat/create (image_url, input_audio, file), with what compatible servers
add: Mistral's `document_url`, `video_url` of OpenRouter and vLLM.
"""

from __future__ import annotations

from typing import Any

from wire.dialect import Quirks
from wire.errors import BadRequest
from wire.inline_media import ADDRESSES, MIME_BY_SUFFIX, SUFFIX_BY_MIME, WEB, base64_text, read_address
from wire.neutral import Audio, Document, Image, Media
from wire.reading import as_object, as_text, at, beyond, text, text_or_none

_MIME_BY_AUDIO_FORMAT = {"mp3": "audio/mpeg", "m4a": "audio/mp4"}
_AUDIO_FORMAT_BY_MIME = {
    "audio/mpeg": "mp3",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/mp4": "m4a",
    "audio/x-m4a": "m4a",
    "audio/x-flac": "flac",
}


# ------------------------------------------------------------------------------------------------------------ reading
def read_image(part: dict[str, Any], path: str) -> Image:
    """`image_url` is an object with `url`, or for Mistral and Ollama a plain string."""
    where = at(path, "image_url")
    image = part.get("image_url")
    if isinstance(image, str):
        return Image(media=read_address(image, where), path=path)
    image = as_object(image, where)
    return Image(
        media=read_address(text(image, "url", where), at(where, "url")),
        detail=text_or_none(image, "detail", where),
        extra=_beyond(part, image, "image_url", {"url", "detail"}),
        path=path,
    )


def _beyond(part: dict[str, Any], inner: dict[str, Any], key: str, known: set[str]) -> dict[str, Any] | None:
    """What neither the part nor its object says in known fields; the object's under dotted names."""
    outer = beyond(part, {"type", key, "cache_control", "prompt_cache_breakpoint"}) or {}
    dotted = {f"{key}.{name}": value for name, value in (beyond(inner, known) or {}).items()}
    return {**outer, **dotted} or None


def read_audio(part: dict[str, Any], path: str) -> Audio:
    """`input_audio` is an object with `data` and `format`, or for Mistral a plain string, address or base64."""
    where = at(path, "input_audio")
    audio = part.get("input_audio")
    if isinstance(audio, str):
        if audio.startswith(ADDRESSES):
            return Audio(media=read_address(audio, where), path=path)
        return Audio(media=Media(data=base64_text(audio, where)), path=path)
    audio = as_object(audio, where)
    kind = text_or_none(audio, "format", where)
    mime = None if kind is None else _MIME_BY_AUDIO_FORMAT.get(kind, f"audio/{kind}")
    data = text(audio, "data", where)
    if data.startswith(ADDRESSES):
        return Audio(media=read_address(data, at(where, "data")), path=path)
    return Audio(media=Media(mime=mime, data=base64_text(data, at(where, "data"))), path=path)


def read_file(part: dict[str, Any], path: str) -> Document:
    """`file` holds a `file_id`, or `file_data` as a data URL, bare base64 or (OpenRouter) an address."""
    where = at(path, "file")
    file = as_object(part.get("file"), where)
    filename = text_or_none(file, "filename", where)
    file_id = text_or_none(file, "file_id", where)
    extra = _beyond(part, file, "file", {"filename", "file_id", "file_data"})
    if file_id is not None:
        return Document(media=Media(file_id=file_id), filename=filename, extra=extra, path=path)
    data = text(file, "file_data", where)
    where = at(where, "file_data")
    if data.startswith(ADDRESSES):
        media = read_address(data, where)
    else:
        suffix = (filename or "").rpartition(".")[2].lower()
        media = Media(data=base64_text(data, where), mime=MIME_BY_SUFFIX.get(suffix, "application/pdf"))
    return Document(media=media, filename=filename, extra=extra, path=path)


def read_document_url(part: dict[str, Any], path: str) -> Document:
    """Mistral. https://docs.mistral.ai/api/#tag/chat"""
    media = read_address(text(part, "document_url", path), at(path, "document_url"))
    return Document(media=media, filename=text_or_none(part, "document_name", path), path=path)


def read_video(part: dict[str, Any], path: str) -> Document:
    """`video_url` of OpenRouter and vLLM: a document of a video type, as Gemini has it."""
    where = at(path, "video_url")
    video = part.get("video_url")
    url = video if isinstance(video, str) else text(as_object(video, where), "url", where)
    media = read_address(as_text(url, where), where if isinstance(video, str) else at(where, "url"))
    return Document(media=Media(mime=media.mime or "video/mp4", data=media.data, url=media.url), path=path)


# ---------------------------------------------------------------------------------------------------------- rendering
def unsupported(path: str, what: str) -> BadRequest:
    return BadRequest(f"The chosen model's API takes no {what} here", code="unsupported_content", param=path)


def render_image(part: Image, quirks: Quirks) -> dict[str, Any]:
    """Raises BadRequest naming the part when the upstream cannot take it. Nothing is ever fetched."""
    media = part.media
    if media.data is not None:
        url = data_url(media, "image/png")
    elif media.url is not None and quirks.image_urls and media.url.startswith(WEB):
        url = media.url
    else:
        raise unsupported(part.path, "image by address" if media.url else "image of this kind")
    image: dict[str, Any] = {"url": url}
    if part.detail is not None:
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def render_audio(part: Audio) -> dict[str, Any]:
    media = part.media
    if media.data is None:
        raise unsupported(part.path, "audio by address")
    mime = media.mime or "audio/wav"
    kind = _AUDIO_FORMAT_BY_MIME.get(mime) or mime.partition("/")[2]
    return {"type": "input_audio", "input_audio": {"data": media.data, "format": kind}}


def render_document(part: Document, quirks: Quirks) -> dict[str, Any]:
    """A document given as plain text becomes a text part: every model takes that. Raises BadRequest."""
    media = part.media
    if media.text is not None:
        title = part.title or part.filename
        return {"type": "text", "text": f"{title}\n\n{media.text}" if title else media.text}
    mime = media.mime or "application/pdf"
    if mime.startswith("video/"):
        return _render_video(part, quirks)
    if mime.startswith("audio/"):
        return render_audio(Audio(media=media, path=part.path))
    if media.url is not None and not media.url.startswith(WEB):
        raise unsupported(part.path, "file by this kind of address")
    filename = part.filename or part.title
    if quirks.documents == "document_url" and media.file_id is None:
        named = {"document_name": filename} if filename else {}
        return {"type": "document_url", "document_url": media.url or data_url(media, mime), **named}
    if media.file_id is not None:
        return {"type": "file", "file": {"file_id": media.file_id}}
    named = {"filename": filename or f"document.{SUFFIX_BY_MIME.get(mime, 'pdf')}"}
    if media.data is not None:
        return {"type": "file", "file": {**named, "file_data": data_url(media, mime)}}
    if quirks.documents != "file_or_url":
        raise unsupported(part.path, "file by address")
    return {"type": "file", "file": {**named, "file_data": media.url}}


def _render_video(part: Document, quirks: Quirks) -> dict[str, Any]:
    address = part.media.url
    if "video" not in quirks.accepts or not (part.media.data or (address and address.startswith(WEB))):
        raise unsupported(part.path, "video")
    return {"type": "video_url", "video_url": {"url": part.media.url or data_url(part.media, "video/mp4")}}


def data_url(media: Media, mime: str) -> str:
    return f"data:{media.mime or mime};base64,{media.data}"
