"""A process in llama-server's place: its flags, `/health`, and a chat stream that tests can steer.

A model file that is named `crashes.gguf` makes it end at once, `GET /slots` later; `slow.gguf` is loaded once there is
a file `open` beside it. `GET /props` tells how it was started.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gate: Path | None = None

    def _json(self, body: object, status: int = 200) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self) -> None:
        if self.path == "/health":
            loaded = self.gate is None or self.gate.exists()
            self._json({}, 200 if loaded else 503)
        elif self.path == "/props":
            self._json({"arguments": sys.argv[1:], "environment": dict(os.environ)})
        elif self.path == "/metrics":
            self._json({})
        else:
            os._exit(3)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        count = 0
        try:
            while count < asked["events"]:
                self._chunk(f"data: {count}\n\n".encode())
                count += 1
                time.sleep(asked.get("seconds", 0))
            self._chunk(b"")
        except OSError:
            Path(asked["gone"]).write_text(str(count), encoding="utf-8")

    def _chunk(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        return


def main() -> None:
    parser = argparse.ArgumentParser()
    for flag in ("--host", "--port", "--model", "--alias", "--parallel", "--ctx-size"):
        parser.add_argument(flag, required=True)
    chosen, _ = parser.parse_known_args()
    model = Path(chosen.model)
    if model.name == "crashes.gguf":
        sys.exit("error: this model makes the engine end")
    if model.name == "slow.gguf":
        Handler.gate = model.with_name("open")
    ThreadingHTTPServer((chosen.host, int(chosen.port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
