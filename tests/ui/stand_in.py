"""A loopback stand-in of the gateway: it serves the page and answers with what a test has prepared."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PUBLIC = Path(__file__).parents[2] / "ui" / "public"
KEY = "gw-" + "Tollgate-stand-in_" * 3 + "0123456789"

MIME = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

OPENAI_PRICE = {"input_price_per_million": 0.15, "output_price_per_million": 0.6, "cache_read_price_per_million": 0.075}
NO_KEY = "No API key. Add it to secrets/api_keys.yaml or set ANTHROPIC_API_KEY."


def model(name: str, owner: str, **more: Any) -> dict[str, Any]:
    """A row of `GET /v1/models`."""
    row = {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": owner, "available": True}
    defaults = {"unavailable_reason": None, "context_window": 128_000, "max_output_tokens": 16_384, "pricing": None}
    return row | defaults | more


CATALOGUE = [
    model("openai:gpt-4o-mini", "openai", pricing=OPENAI_PRICE),
    model("openai:gpt-4.1", "openai", context_window=1_047_576, pricing=OPENAI_PRICE | {"input_price_per_million": 2}),
    model("openai:unpriced-preview", "openai"),
    model("openai:whisper-1", "openai", context_window=None, pricing={"price_per_audio_hour": 0.36}),
    model("anthropic:claude-sonnet-4-5", "anthropic", available=False, unavailable_reason=NO_KEY),
    model("anthropic:claude-haiku-4-5", "anthropic", available=False, unavailable_reason=NO_KEY),
    model(
        "gemini:gemini-2.5-flash",
        "gemini",
        context_window=1_000_000,
        pricing={"input_price_per_million": 0.3, "output_price_per_million": "2.5"},
    ),
    model("solar:solar-pro2", "solar", available=False, unavailable_reason="The upstream refused the key."),
    model("solar:solar-mini", "solar", pricing={"input_price_per_million": 0.15, "output_price_per_million": 0.15}),
    model(
        "local:tiny",
        "local",
        label="demo, knows little",
        context_window=4096,
        pricing={"input_price_per_million": 0, "output_price_per_million": 0},
    ),
]

# What a loaded model tells of itself in `GET /status`.
LOADED = {
    "name": "tiny",
    "label": "demo, knows little",
    "state": "ready",
    "reason": None,
    "context": 4096,
    "slots": 4,
    "busy": 2,
    "queue": 3,
    "restarts": 0,
    "load_seconds": 0.4321,
    "memory_bytes": 86_400_000,
    "tokens_per_second": 1234.5,
    "prompt_tokens_per_second": 96.0,
}
ASLEEP = {"name": "other", "label": None, "state": "unloaded", "reason": None, "context": 2048}


def delta(text: str = "", **more: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text} | more, "finish_reason": None}]})


def finish(reason: str = "stop") -> bytes:
    return event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


def usage(prompt: int, completion: int, cached: int = 0) -> bytes:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return event({"choices": [], "usage": counts | {"prompt_tokens_details": {"cached_tokens": cached}}})


def event(body: object) -> bytes:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n".encode()


DONE = b"data: [DONE]\n\n"


@dataclass
class Reply:
    """One prepared answer. `parts` are written one by one; a `threading.Event` among them is waited for."""

    parts: Sequence[bytes | threading.Event]
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/event-stream"})


def streamed(*parts: bytes | threading.Event, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(parts, headers={"Content-Type": "text/event-stream", **named})


def refused(status: int, message: str, **headers: str) -> Reply:
    body = {"error": {"message": message, "type": "error", "code": None, "param": None}, "detail": message}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply([json.dumps(body).encode()], status, {"Content-Type": "application/json", **named})


class StandIn:
    """What the stand-in says (`models`, `local`: its service, `replies`, in order), and heard (`chats`, `hung_up`)."""

    def __init__(self) -> None:
        self.models: list[dict[str, Any]] = CATALOGUE
        self.local: dict[str, Any] | None = {"status": "ok", "engine": True, "reason": None, "models": [LOADED, ASLEEP]}
        self.replies: list[Reply] = []
        self.chats: list[dict[str, Any]] = []
        self.hung_up = threading.Event()
        self.sent_bytes = 0
        self.url = ""


@contextmanager
def serving(stand_in: StandIn) -> Iterator[StandIn]:
    class Handler(_Handler):
        world = stand_in

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    world: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the page's own console is what a failing test shows."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == "/v1/models":
            self._models()
        elif path == "/status":
            self._status()
        else:
            self._file(PUBLIC / (path.lstrip("/") or "index.html"))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._is_signed_in():
            return
        self.world.chats.append(body)
        reply = self.world.replies.pop(0)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for part in reply.parts:
                if isinstance(part, threading.Event):
                    self._wait(part)
                else:
                    self.wfile.write(part)
        except (BrokenPipeError, ConnectionResetError):
            self.world.hung_up.set()

    def _wait(self, gate: threading.Event) -> None:
        """Wait for the gate, writing SSE comments so that a client that hangs up is noticed."""
        while not gate.wait(0.02):
            self.wfile.write(b": waiting\n\n")

    def _is_signed_in(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {KEY}":
            return True
        reply = refused(401, "Invalid API key")
        self._send(401, b"".join(part for part in reply.parts if isinstance(part, bytes)), "application/json")
        return False

    def _models(self) -> None:
        if self._is_signed_in():
            body = json.dumps({"object": "list", "data": self.world.models}).encode()
            self._send(200, body, "application/json")

    def _status(self) -> None:
        if self._is_signed_in():
            services = {} if self.world.local is None else {"services": {"local": self.world.local}}
            body = {"status": "up", "local_model": {"available": bool(services), "models": [], **services}}
            self._send(200, json.dumps(body).encode(), "application/json")

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self._send(404, b"", "text/plain")
            return
        body = gzip.compress(path.read_bytes(), 6)
        self.world.sent_bytes += len(body)
        self._send(200, body, MIME[path.suffix], {"Content-Encoding": "gzip"})

    def _send(self, status: int, body: bytes, mime: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", mime)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
