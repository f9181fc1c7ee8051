"""A stream as one JSON array, which is what Gemini's callers get who do not ask for `alt=sse`."""

from __future__ import annotations

from wire.sse import SseSplitter


class ArrayFraming:
    """Turns a rendered stream into `[doc,\\n doc]`. Comments have no place in JSON and are left out."""

    content_type = "application/json"

    def __init__(self) -> None:
        self._splitter = SseSplitter()
        self._first = True

    def feed(self, rendered: bytes) -> bytes:
        """The array's next bytes for some bytes of an SSE stream, cut anywhere."""
        return b"".join(self.document(event.data) for event in self._splitter.feed(rendered) if event.data is not None)

    def document(self, document: bytes) -> bytes:
        """The array's next bytes for one more element."""
        opening = b"[" if self._first else b",\n"
        self._first = False
        return opening + document

    def close(self) -> bytes:
        last = b"".join(self.document(event.data) for event in self._splitter.close() if event.data is not None)
        return last + (b"[]" if self._first else b"]")
