"""Media inside JSON: base64 text, data URLs and addresses, as the dialects write them."""

from __future__ import annotations

import binascii
import re
from typing import Any

from wire.neutral import Media
from wire.reading import WrongType, as_text

# What an upstream may be asked to fetch; `file:` would be read from its own disk.
WEB = ("http://", "https://")
MIME_BY_SUFFIX = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
}
SUFFIX_BY_MIME = {mime: suffix for suffix, mime in MIME_BY_SUFFIX.items()}
ADDRESSES = ("data:", *WEB, "gs://")  # what is no bare base64
_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.ASCII)
TO_STANDARD = str.maketrans("-_", "+/")  # of base64: from its URL-safe alphabet


def base64_text(value: Any, path: str) -> str:
    """Either alphabet, padded or not, with line ends or without; given back in the standard one, padded, in one line.

    Raises WrongType for anything that does not decode, or decodes to nothing.
    """
    data = as_text(value, path)
    if "-" in data or "_" in data:
        data = data.translate(TO_STANDARD)
    if "\n" in data or "\r" in data:
        data = "".join(data.split())
    data += "=" * (-len(data) % 4)
    try:
        empty = not binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:
        raise WrongType(path, "is not valid base64") from error
    if empty:
        raise WrongType(path, "is empty")
    return data


def read_address(value: str, path: str) -> Media:
    """An address or a base64 data URL. Raises WrongType."""
    if value.startswith("data:"):
        match = _DATA_URL.match(value)
        if match is None or ";base64" not in match.group(2):
            raise WrongType(path, "must be a base64 data URL")
        return Media(mime=match.group(1) or None, data=base64_text(value[match.end() :], path))
    if not value.startswith(ADDRESSES):
        raise WrongType(path, "must be an http(s) address or a base64 data URL")
    return Media(url=value)
