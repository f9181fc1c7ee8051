"""Form uploads (RFC 7578): read plain fields, and give one another value, all other bytes untouched."""

from __future__ import annotations

import re

from wire.errors import BadRequest

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(rb'^content-disposition:[^\r\n]*?\bname=(?:"([^"\r\n]*)"|([^\s;"]*))', re.IGNORECASE | re.MULTILINE)
_MOST_PARTS = 400
_LONGEST_HEAD = 8192  # bytes of a part's own headers


def boundary_of(content_type: str) -> bytes:
    """Raises BadRequest when the content type is not a form upload's."""
    match = _BOUNDARY.search(content_type)
    if match is None or not content_type.lower().startswith("multipart/form-data"):
        raise BadRequest("Content-Type must be multipart/form-data with a boundary")
    return (match[1] or match[2]).encode("latin-1")


class Form:
    """The parts of an upload by their names; of several of a name, the first. Raises BadRequest for too many parts."""

    def __init__(self, body: bytes, boundary: bytes) -> None:
        self._body = body
        self._places: dict[bytes, tuple[int, int]] = {}
        mark = b"--" + boundary
        at = body.find(mark)
        for _ in range(_MOST_PARTS + 1):
            following = -1 if at < 0 else body.find(b"\r\n" + mark, at + len(mark))
            if following < 0:
                return
            self._note(at + len(mark), following)
            at = following + 2
        raise BadRequest(f"The form has more than {_MOST_PARTS} parts")

    def _note(self, begin: int, end: int) -> None:
        """Looks at the part alone: a search beyond it would be made again for every part."""
        head_end = self._body.find(b"\r\n\r\n", begin, min(end, begin + _LONGEST_HEAD))
        if head_end >= 0 and (match := _NAME.search(self._body, begin, head_end)):
            name: bytes = match[2] if match[1] is None else match[1]
            self._places.setdefault(name.lower(), (head_end + 4, end))

    def __contains__(self, name: str) -> bool:
        return name.encode() in self._places

    def text(self, name: str) -> str | None:
        """The text of a field, None when it is not there. Raises BadRequest if not UTF-8."""
        place = self._places.get(name.encode())
        if place is None:
            return None
        try:
            return self._body[place[0] : place[1]].decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadRequest(f"'{name}' is not UTF-8 text", param=name) from error

    def replaced(self, name: str, value: str) -> bytes:
        """The form with that field's text replaced; as it was when the field is not there."""
        place = self._places.get(name.encode())
        return self._body if place is None else self._body[: place[0]] + value.encode() + self._body[place[1] :]
