"""Framing of spool segments: append-only files of checksummed lines, readable up to a torn tail.

`<root>/<producer uuid>/<segment number, 8 digits>.seg`; the folder's `lock` file is held with flock by its writer.
A line is `<kind><crc32 of the payload, 8 hex digits> <payload>\\n`, kind `I` for an intent, `E` for an event, `S` for
the seal (`{"events": n}`), the last line of a finished segment: the count that receipts must add up to.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SUFFIX = ".seg"
LOCK_NAME = "lock"
LineKind = Literal["I", "E", "S"]
_HEAD = 10  # kind, eight hex digits, space


@dataclass(frozen=True, slots=True)
class Line:
    """`end` is the offset just past the line. `kind` None: the line is damaged and its payload is not to be trusted."""

    kind: LineKind | None
    payload: bytes
    end: int


def frame(kind: LineKind, payload: bytes) -> bytes:
    """`payload` must hold no line end."""
    return b"%s%08x %s\n" % (kind.encode(), zlib.crc32(payload), payload)


def frame_seal(events: int) -> bytes:
    return frame("S", json.dumps({"events": events}, separators=(",", ":")).encode())


def sealed_count(line: Line) -> int:
    """The count that a seal line states."""
    return int(json.loads(line.payload)["events"])


def read_lines(path: Path, offset: int = 0) -> Iterator[Line]:
    """Whole lines from `offset`; a last line without its end is left for the next look (it is still being written, or
    its writer died in the middle of it)."""
    with path.open("rb") as file:
        file.seek(offset)
        for raw in file:
            if not raw.endswith(b"\n"):
                return
            offset += len(raw)
            yield _parse(raw, offset)


def _parse(raw: bytes, end: int) -> Line:
    kind, checksum, payload = raw[:1].decode("latin-1"), raw[1 : _HEAD - 1], raw[_HEAD:-1]
    try:
        whole = int(checksum, 16) == zlib.crc32(payload)
    except ValueError:
        whole = False
    if not whole or kind not in ("I", "E", "S"):
        return Line(None, payload, end)
    return Line(kind, payload, end)  # type: ignore[arg-type]


def segment_path(folder: Path, segment: int) -> Path:
    return folder / f"{segment:08d}{SUFFIX}"


def segments(folder: Path) -> list[int]:
    """Segment numbers in the folder, ascending. Other files are ignored."""
    return sorted(int(path.stem) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdigit())
