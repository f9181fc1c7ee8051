"""Form uploads (RFC 7578): find one plain field, and give it another value, all other bytes untouched."""

from __future__ import annotations

import re

from wire.errors import BadRequest

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)


def boundary_of(content_type: str) -> bytes:
    """Raises BadRequest when the content type is not a form upload's."""
    match = _BOUNDARY.search(content_type)
    if match is None or not content_type.lower().startswith("multipart/form-data"):
        raise BadRequest("Content-Type must be multipart/form-data with a boundary")
    return (match[1] or match[2]).encode("latin-1")


def read_field(body: bytes, boundary: bytes, name: str) -> str | None:
    """The text of the first field of that name, None when there is none. Raises BadRequest if not UTF-8."""
    place = _find(body, boundary, name)
    if place is None:
        return None
    try:
        return body[place[0] : place[1]].decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(f"'{name}' is not UTF-8 text", param=name) from error


def has_field(body: bytes, boundary: bytes, name: str) -> bool:
    """Whether the form has a field or file of that name."""
    return _find(body, boundary, name) is not None


def replace_field(body: bytes, boundary: bytes, name: str, value: str) -> bytes:
    """The form with that field's text replaced; as it was when the field is not there."""
    place = _find(body, boundary, name)
    return body if place is None else body[: place[0]] + value.encode() + body[place[1] :]


def _find(body: bytes, boundary: bytes, name: str) -> tuple[int, int] | None:
    """Where the content of the field begins and ends."""
    mark = b"--" + boundary
    wanted = re.compile(rb'\bname="?' + re.escape(name.encode()) + rb'"?(?:;|\s|$)', re.IGNORECASE)
    at = body.find(mark)
    while at >= 0:
        head_end = body.find(b"\r\n\r\n", at)
        following = body.find(b"\r\n" + mark, at + len(mark))
        if head_end < 0 or following < 0:
            return None
        if head_end < following and wanted.search(body[at + len(mark) : head_end]):
            return head_end + 4, following
        at = following + 2
    return None
