"""One part of a Gemini content to the neutral model, and media parts back. https://ai.google.dev/api/caching#Part

The data of a part is one of text, inlineData, fileData, functionCall, functionResponse. All else (code execution,
server tool calls, video, kinds added later) is kept whole as `Native`. Fields beside the data, for which the neutral
part has no place, are told in `extra` by their path.
"""

from __future__ import annotations

import base64
from typing import Any

import orjson
from msgspec import structs

from wire.dialects.gemini.call_ids import CallIds
from wire.dialects.gemini.foreign import is_sealed, unseal
from wire.dialects.gemini.shape import fields, items
from wire.errors import BadRequest
from wire.inline_media import base64_text
from wire.neutral import Audio, Document, Image, Media, Native, Part, Text, Thinking, ToolCall, ToolResult
from wire.reading import WrongType, as_object, as_text, flag_or_none, json_text, text_or_none, unknown_fields

_BESIDE_DATA = frozenset(
    {
        "thought",
        "thoughtSignature",
        "videoMetadata",
        "mediaResolution",
        "mediaProcessing",
        "partMetadata",
        "speechMetadata",
        "documentMetadata",
        "spreadsheetMetadata",
        "audioMetadata",
    }
)
_KEPT = frozenset({"thought", "thoughtSignature"})
_FILE_STORE = "https://generativelanguage.googleapis.com/"

# First bytes of media whose type the caller did not say; RIFF files name theirs behind their length.
_MAGIC = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"%PDF": "application/pdf",
    b"ID3": "audio/mpeg",
    b"\xff\xfb": "audio/mpeg",
    b"\xff\xf3": "audio/mpeg",
    b"\xff\xf2": "audio/mpeg",
    b"OggS": "audio/ogg",
    b"fLaC": "audio/flac",
}
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_SUFFIXES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".heic": "image/heic",
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".html": "text/html",
    ".csv": "text/csv",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".mp4": "video/mp4",
}


class PartReader:
    """Parts of one request or answer, in order: function calls without an id are numbered through all of them."""

    def __init__(self, ids: CallIds, *, unseal: bool = True, calls_elsewhere: bool = False) -> None:
        """`unseal`: take foreign thinking out of signatures (not in answers: a seal there is another gateway's).
        `calls_elsewhere`: results may answer calls that are not here, but in cached content."""
        self.ids = ids
        self._unseal = unseal
        self._calls_elsewhere = calls_elsewhere
        self.extra: dict[str, Any] = {}  # path -> value of what has no place in the neutral model

    def read(self, raw: Any, path: str) -> list[Part]:
        """One part, after the foreign thinking that its signature carries. Raises BadRequest."""
        part = fields(raw, path)
        signature = text_or_none(part, "thoughtSignature", path)
        carried: list[Part] = []
        if signature is not None and self._unseal and is_sealed(signature):
            carried = list(unseal(signature, f"{path}.thoughtSignature"))
            signature = None
            if part.get("text") == "" and not part.get("thought"):
                return carried
        return [*carried, self._read_data(part, signature, raw, path)]

    def _read_data(self, part: dict[str, Any], signature: str | None, raw: dict[str, Any], path: str) -> Part:
        thought = flag_or_none(part, "thought", path)
        kinds = [name for name in part if name not in _BESIDE_DATA]
        if len(kinds) > 1:
            raise WrongType(path, f"holds more than one kind of data ({', '.join(kinds)})")
        kind = kinds[0] if kinds else "text"
        if not kinds and thought is None and signature is None:
            raise WrongType(path, "holds no data")
        if kind == "text":
            self._note_extra(part, kind, path)
            text = as_text(part.get("text", ""), f"{path}.text")
            if thought:
                return Thinking(text=text, signature=signature, origin="gemini", path=path)
            return Text(text=text, signature=signature, path=path)
        if thought or kind not in ("inlineData", "fileData", "functionCall", "functionResponse"):
            # Among them thoughts that are images (the drafts of image models).
            as_object(part[kind], f"{path}.{kind}")
            return Native(dialect="gemini", type=kind, value=raw, path=path)
        self._note_extra(part, kind, path)
        data = fields(part[kind], f"{path}.{kind}")
        if kind == "functionCall":
            return self._read_call(data, signature, path)
        if kind == "functionResponse":
            return self._read_result(data, path)
        return self._read_media(kind, data, signature, path)

    def _note_extra(self, part: dict[str, Any], kind: str, path: str) -> None:
        for name, value in part.items():
            if name != kind and name not in _KEPT:
                self.extra[f"{path}.{name}"] = value

    def _read_call(self, data: dict[str, Any], signature: str | None, path: str) -> ToolCall:
        where = f"{path}.functionCall"
        name = as_text(data.get("name"), f"{where}.name")
        arguments = as_object(data.get("args", {}), f"{where}.args")
        return ToolCall(
            id=self.ids.called(text_or_none(data, "id", where), name),
            name=name,
            arguments=json_text(arguments, f"{where}.args"),
            signature=signature,
            path=path,
        )

    def _read_result(self, data: dict[str, Any], path: str) -> ToolResult:
        where = f"{path}.functionResponse"
        name = as_text(data.get("name"), f"{where}.name")
        response = as_object(data.get("response", {}), f"{where}.response")
        given = text_or_none(data, "id", where)
        call_id = self.ids.answered(given, name)
        if call_id is None and self._calls_elsewhere:
            call_id = given or name
        if call_id is None:
            raise WrongType(where, f"answers no function call of {name!r} before it")
        for field, value in unknown_fields(data, ("id", "name", "response", "parts")).items():
            self.extra[f"{where}.{field}"] = value
        text, is_error = _result_text(response, f"{where}.response")
        media = [
            part
            for place, raw in enumerate(items(data.get("parts")))
            for part in self.read(raw, f"{where}.parts[{place}]")
        ]
        return ToolResult(
            call_id=call_id,
            name=name,
            parts=(Text(text=text, path=path), *media),
            value=response,
            is_error=is_error,
            path=path,
        )

    def _read_media(self, kind: str, data: dict[str, Any], signature: str | None, path: str) -> Part:
        where = f"{path}.{kind}"
        mime = text_or_none(data, "mimeType", where)
        if kind == "inlineData":
            media = Media(mime=mime, data=base64_text(data.get("data"), f"{where}.data"))
        else:
            uri = as_text(data.get("fileUri"), f"{where}.fileUri")
            mime = mime or mime_of_address(uri)
            stored = uri.startswith(_FILE_STORE)
            media = Media(mime=mime, file_id=uri if stored else None, url=None if stored else uri)
        filename = text_or_none(data, "displayName", where)
        # What has no known type is most often the address of a video.
        mime = mime or "video/mp4"
        media = structs.replace(media, mime=mime)
        family = mime.partition("/")[0]
        if family == "image":
            return Image(media=media, signature=signature, path=path)
        if family == "audio":
            return Audio(media=media, path=path)
        return Document(media=media, filename=filename, path=path)


def _result_text(response: dict[str, Any], path: str) -> tuple[str, bool | None]:
    """The text that other models read, and whether it says an error. Google's convention is `output` or `error`."""
    if len(response) == 1:
        name, value = next(iter(response.items()))
        if name in ("output", "error"):
            text = value if isinstance(value, str) else json_text(value, path)
            return text, True if name == "error" else None
    return json_text(response, path), None


def read_arguments(call: ToolCall) -> dict[str, Any]:
    """`args` of a call: none where the model wrote nothing or null. Raises BadRequest when it wrote no JSON object."""
    if call.kind == "custom":
        return {"input": call.arguments}
    if not call.arguments.strip():
        return {}
    try:
        arguments = orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        arguments = None
    if arguments is None and call.arguments.strip() == "null":
        return {}
    if not isinstance(arguments, dict):
        raise WrongType(call.path or "tool call", "the arguments are not a JSON object, which Gemini needs")
    return arguments


def media_part(part: Image | Audio | Document) -> dict[str, Any]:
    """`inlineData` or `fileData`. Raises BadRequest for what Gemini cannot take, naming the part.

    Addresses go as `fileData.fileUri`: Google fetches public https addresses itself (not for the
    2.0 models), and `gs://` ones on Vertex. https://ai.google.dev/gemini-api/docs/file-input-methods
    """
    media = part.media
    if media.data is not None:
        mime = media.mime or _mime_of_data(media.data)
        if mime is None:
            raise WrongType(part.path, "the media type must be said")
        return {"inlineData": {"mimeType": mime, "data": media.data}}
    if media.text is not None:
        return {"text": media.text}
    uri = media.url or media.file_id
    if uri is None:
        raise WrongType(part.path, "holds no media that Gemini can take")
    if media.url is None and not uri.startswith((_FILE_STORE, "files/")):
        raise BadRequest(f"{part.path}: a file id of another provider cannot be used with Gemini", param=part.path)
    mime = media.mime or mime_of_address(uri)
    return {"fileData": {"mimeType": mime, "fileUri": uri} if mime else {"fileUri": uri}}


def _mime_of_data(data: str) -> str | None:
    head = base64.b64decode(data[:16])
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    return next((mime for start, mime in _MAGIC.items() if head.startswith(start)), None)


def mime_of_address(uri: str) -> str | None:
    path = uri.partition("?")[0].partition("#")[0].lower()
    return next((mime for suffix, mime in _SUFFIXES.items() if path.endswith(suffix)), None)


def signed(part: dict[str, Any], signature: str | None) -> dict[str, Any]:
    """The part with its thought signature where it has one."""
    return part if signature is None else {**part, "thoughtSignature": signature}
