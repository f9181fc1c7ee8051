"""Server-sent events: bytes to events, incremental and bounded. https://html.spec.whatwg.org/multipage/server-sent-events.html

Also the two other ways that providers cut a stream into JSON documents: Gemini's JSON array (no `alt=sse`) and one
document per line. Both splitters give `SseEvent`s, so that a parser need not know which one it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from wire.errors import UpstreamMalformed

MAX_EVENT_BYTES = 32 * 1024 * 1024  # images arrive as one event; more than this is not an answer

_BOM = b"\xef\xbb\xbf"
# Two line ends in a row, each of them LF, CRLF or CR. Whether CR is one of its own is known from the byte after it.
_BLANK_LINE = re.compile(rb"\n\r?\n|\r\r|\n\r(?=[^\n])")
_OBJECT_MARK = re.compile(rb'["{}]')
_STRING_MARK = re.compile(rb'"|\\.', re.DOTALL)
_JSON = msgspec.json.Decoder(msgspec.Raw)


class SseEvent(Struct, frozen=True):
    """One event. `raw` is every byte it came in, its blank line included, so that it can be passed on as it is.

    `data` is None for blocks without a data line (comments, keep-alives, a lone `event:`).
    """

    event: str | None
    data: bytes | None
    raw: bytes


class SseSplitter:
    """Cut a byte stream at blank lines. LF, CRLF and CR line ends, mixed too; a BOM at the start is skipped."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._buffer = bytearray()
        self._scan_from = 0
        self._max = max_event_bytes
        self._started = False
        self._has_cr = False

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Events completed by this chunk. Raises UpstreamMalformed when one grows past the bound."""
        buffer = self._buffer
        buffer += chunk
        if not self._started and not self._start():
            return []
        self._has_cr = self._has_cr or b"\r" in chunk
        events: list[SseEvent] = []
        start = 0
        position = self._scan_from
        while (end := self._blank_line_end(position)) > 0:
            event = _parse_block(bytes(buffer[start:end]))
            start = position = end
            if event is not None:
                events.append(event)
        del buffer[:start]
        # A blank line is at most three bytes long, and one more tells whether it was: no need to look further back.
        self._scan_from = max(0, len(buffer) - 3)
        if len(buffer) > self._max:
            raise UpstreamMalformed("The upstream sent an event that is too large")
        return events

    def _start(self) -> bool:
        """Whether enough has come to know that there is no BOM, or that it is gone now."""
        if len(self._buffer) < len(_BOM) and _BOM.startswith(self._buffer):
            return False
        self._started = True
        if self._buffer.startswith(_BOM):
            del self._buffer[: len(_BOM)]
        return True

    def _blank_line_end(self, position: int) -> int:
        """Index just past the first blank line at or after `position`, or -1."""
        if not self._has_cr:
            at = self._buffer.find(b"\n\n", position)
            return at + 2 if at >= 0 else -1
        found = _BLANK_LINE.search(self._buffer, position)
        return found.end() if found else -1

    def close(self) -> list[SseEvent]:
        """At end of input: a last event whose blank line never came still counts when its data is whole."""
        raw, self._buffer = bytes(self._buffer), bytearray()
        event = _parse_block(raw)
        return [event] if event is not None and event.data is not None and _is_whole(event.data) else []


def _is_whole(data: bytes) -> bool:
    """A stream may be cut inside an event. Every provider's data is JSON or the word that ends the stream."""
    if data == b"[DONE]":
        return True
    try:
        _JSON.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _parse_block(raw: bytes) -> SseEvent | None:
    if raw.startswith(b"data: ") and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
        return SseEvent(None, raw[6:-2], raw)
    event: str | None = None
    data: list[bytes] = []
    seen = False
    for line in raw.splitlines():
        if not line:
            continue
        seen = True
        name, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value.decode("utf-8", "replace")
    if not seen:
        return None
    return SseEvent(event, b"\n".join(data) if data else None, raw)


class JsonArraySplitter:
    """Cut one JSON array into its elements while it arrives (Gemini without `alt=sse`), or documents that stand one
    after another (one per line): whatever lies between the objects of the highest level is skipped."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._buffer = bytearray()
        self._depth = 0
        self._in_string = False
        self._at = 0
        self._max = max_event_bytes

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Elements completed by this chunk. Raises UpstreamMalformed past the bound and on a stray closing brace."""
        self._buffer += chunk
        events: list[SseEvent] = []
        while (found := self._next_mark()) is not None:
            mark, self._at = found
            if mark == b'"':
                self._in_string = not self._in_string
            elif mark == b"{":
                if self._depth == 0:
                    del self._buffer[: self._at - 1]
                    self._at = 1
                self._depth += 1
            elif mark == b"}":
                events += self._close_object()
        if len(self._buffer) > self._max:
            raise UpstreamMalformed("The upstream sent an event that is too large")
        return events

    def _next_mark(self) -> tuple[bytes, int] | None:
        """The next byte that matters and where it ends. An escape counts as one mark with the byte after it."""
        found = (_STRING_MARK if self._in_string else _OBJECT_MARK).search(self._buffer, self._at)
        if found is not None:
            return found.group(), found.end()
        # A backslash at the end that nothing has consumed waits for what it escapes.
        waits = self._in_string and self._buffer.endswith(b"\\")
        self._at = max(self._at, len(self._buffer) - waits)
        return None

    def _close_object(self) -> list[SseEvent]:
        self._depth -= 1
        if self._depth < 0:
            raise UpstreamMalformed("The upstream sent a stream that is not JSON")
        if self._depth > 0:
            return []
        document = bytes(self._buffer[: self._at])
        del self._buffer[: self._at]
        self._at = 0
        return [SseEvent(None, document, document)]

    def close(self) -> list[SseEvent]:
        """An element that was cut is not given: the parser then finds its terminal event missing."""
        return []


def encode_event(data: bytes, event: str | None = None) -> bytes:
    """One SSE block. `data` must hold no line ends (JSON as orjson writes it never does)."""
    if event is None:
        return b"data: " + data + b"\n\n"
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"


def encode_comment(text: str) -> bytes:
    """A comment block, which every client skips."""
    return b": " + text.replace("\r", " ").replace("\n", " ").encode() + b"\n\n"


def split_all(chunks: Iterable[bytes]) -> list[SseEvent]:
    """All events of a recorded stream."""
    splitter = SseSplitter()
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    return events + splitter.close()
