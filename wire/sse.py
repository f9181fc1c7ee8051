"""Server-sent events: bytes to events, incremental and bounded. https://html.spec.whatwg.org/multipage/server-sent-events.html

Also the two other ways that providers cut a stream into JSON documents: Gemini's JSON array (no `alt=sse`) and one
document per line. All splitters give `SseEvent`s, so that a parser need not know which one it was.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from wire.errors import UpstreamMalformed

MAX_EVENT_BYTES = 32 * 1024 * 1024  # images arrive as one event; more than this is not an answer


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

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Events completed by this chunk. Raises UpstreamMalformed when one grows past the bound."""
        buffer = self._buffer
        buffer += chunk
        if not self._started and len(buffer) >= 3:
            self._started = True
            if buffer.startswith(b"\xef\xbb\xbf"):
                del buffer[:3]
        events: list[SseEvent] = []
        start = 0
        position = self._scan_from
        while (end := _blank_line_end(buffer, position)) > 0:
            raw = bytes(buffer[start:end])
            start = position = end
            if event := _parse_block(raw):
                events.append(event)
        del buffer[:start]
        # A blank line is at most four bytes long: the next search need not look further back than that.
        self._scan_from = max(0, len(buffer) - 4)
        if len(buffer) > self._max:
            raise UpstreamMalformed("The upstream sent an event that is too large")
        return events

    def close(self) -> list[SseEvent]:
        """At end of input: a last event whose blank line never came still counts when it holds a data line."""
        raw, self._buffer = bytes(self._buffer), bytearray()
        event = _parse_block(raw)
        return [event] if event is not None and event.data is not None else []


def _blank_line_end(buffer: bytearray, position: int) -> int:
    """Index just past the first blank line at or after `position`, or -1."""
    best = -1
    for mark in (b"\n\n", b"\r\n\r\n", b"\n\r\n", b"\r\r"):
        at = buffer.find(mark, position)
        if at >= 0 and (best < 0 or at + len(mark) < best):
            best = at + len(mark)
    return best


def _parse_block(raw: bytes) -> SseEvent | None:
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
    """Cut one JSON array into its elements while it arrives (Gemini without `alt=sse`)."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._buffer = bytearray()
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._at = 0
        self._start = -1
        self._max = max_event_bytes

    def feed(self, chunk: bytes) -> list[SseEvent]:
        self._buffer += chunk
        events: list[SseEvent] = []
        buffer = self._buffer
        while self._at < len(buffer):
            byte = buffer[self._at]
            if self._in_string:
                self._step_string(byte)
            elif byte == 0x22:
                self._in_string = True
            elif byte == 0x7B:
                if self._depth == 0:
                    self._start = self._at
                self._depth += 1
            elif byte == 0x7D:
                self._depth -= 1
                if self._depth == 0:
                    document = bytes(buffer[self._start : self._at + 1])
                    events.append(SseEvent(None, document, document))
                    del buffer[: self._at + 1]
                    self._at, self._start = -1, -1
            self._at += 1
        if len(buffer) > self._max:
            raise UpstreamMalformed("The upstream sent an event that is too large")
        return events

    def _step_string(self, byte: int) -> None:
        if self._escaped:
            self._escaped = False
        elif byte == 0x5C:
            self._escaped = True
        elif byte == 0x22:
            self._in_string = False

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
