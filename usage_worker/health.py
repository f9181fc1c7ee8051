"""`/metrics` and `/health` on a port of their own, served by a thread so that a long commit does not silence them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from usage_worker.metrics import Meters


class HealthServer:
    """Serves from `start` until `close`. Raises OSError when the port is taken."""

    def __init__(self, host: str, port: int, meters: Meters, clock: Callable[[], datetime]) -> None:
        self._server = ThreadingHTTPServer((host, port), _handler(meters, clock))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(meters: Meters, clock: Callable[[], datetime]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(meters.registry))
            elif path == "/health":
                alive = meters.alive(clock())
                body = {"status": "healthy" if alive else "stalled", "waiting_for": meters.waiting_for}
                self._answer(200 if alive else 503, "application/json", json.dumps(body).encode())
            else:
                self._answer(404, "application/json", b'{"error": "not found"}')

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Probes every few seconds are no news."""

    return Handler
