"""What an answer says about itself, in its headers (DESIGN §3.6)."""

from __future__ import annotations

from gateway.routing.resolve import Target

Headers = list[tuple[bytes, bytes]]

JSON_HEADERS: Headers = [(b"content-type", b"application/json")]
STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the stream back otherwise
]


def answer_headers(target: Target, attempts: int, overhead_ms: float, dropped: tuple[str, ...]) -> Headers:
    """Who answered, after how many attempts, what was dropped."""
    headers: Headers = [
        (b"x-tollgate-provider", _line(target.provider.name)),
        (b"x-tollgate-model", _line(target.model)),
        (b"x-tollgate-route", str(attempts).encode()),
        (b"x-tollgate-overhead-ms", b"%.2f" % overhead_ms),
    ]
    if dropped:
        headers.append((b"x-tollgate-dropped", _line(", ".join(dropped))))
    return headers


def _line(text: str) -> bytes:
    """Names may come from a caller: a header value is one line of printable ASCII."""
    text = text[:1000]
    if not (text.isascii() and text.isprintable()):
        text = "".join(char if " " <= char <= "~" else "?" for char in text)
    return text.encode("ascii")
