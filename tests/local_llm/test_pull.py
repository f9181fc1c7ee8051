from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local_llm.pull import Pulled, PullFailed, pull
from tests.local_llm import tiny_gguf


class Hub(ThreadingHTTPServer):
    """Gives `/tiny.gguf` in pieces of `cut` bytes at most, then breaks the connection. `asked` are the ranges."""

    def __init__(self, model: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.model = model
        self.cut = len(model)
        self.asked: list[str | None] = []
        self.claims: dict[str, str] = {}
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/tiny.gguf"


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        hub = self.server
        self.close_connection = True
        if self.path == "/moved.gguf":
            self.send_response(302)
            self.send_header("X-Linked-Etag", f'"{hub.claims.get("sha256", "")}"')
            self.send_header("Location", hub.url)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        hub.asked.append(self.headers["Range"])
        if hub.status != 200:
            self.send_error(hub.status)
            return
        start = int(found[1]) if (found := re.match(r"bytes=(\d+)-", self.headers["Range"] or "")) else 0
        body = hub.model[start:]
        self.send_response(206 if start else 200)
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", hub.claims.get("length", str(len(body))))
        self.end_headers()
        self.wfile.write(body[: hub.cut])

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("pull") / "tiny.gguf"
    tiny_gguf.write(path)
    return path.read_bytes()


@pytest.fixture
def hub(model: bytes) -> Iterator[Hub]:
    with Hub(model) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(url: str, folder: Path, **more: str) -> tuple[Pulled, list[tuple[int, int | None]]]:
    shown: list[tuple[int, int | None]] = []
    got = pull(url, folder, show=lambda done, total, _: shown.append((done, total)), pause=lambda _: None, **more)
    return got, shown


def test_a_model_is_fetched_checked_and_put_in_its_place(hub: Hub, tmp_path: Path, model: bytes) -> None:
    got, shown = fetch(hub.url, tmp_path / "models")
    assert got.path == tmp_path / "models" / "tiny.gguf"
    assert got.path.read_bytes() == model
    assert (got.sha256, got.checked) == (hashlib.sha256(model).hexdigest(), False)
    assert shown[-1] == (len(model), len(model))
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["tiny.gguf"]
    with pytest.raises(PullFailed, match="is there already"):
        fetch(hub.url, tmp_path / "models")


def test_a_broken_connection_is_taken_up_where_it_broke(hub: Hub, tmp_path: Path, model: bytes) -> None:
    hub.cut = 200_000
    got, _ = fetch(hub.url, tmp_path)
    assert got.path.read_bytes() == model
    assert hub.asked == [None, "bytes=200000-", "bytes=400000-"]


def test_what_an_earlier_run_has_fetched_is_used(hub: Hub, tmp_path: Path, model: bytes) -> None:
    hub.cut = 0
    with pytest.raises(PullFailed, match="run the same again to go on"):
        fetch(hub.url, tmp_path)
    (tmp_path / "tiny.gguf.part").write_bytes(model[:300_000])
    hub.cut, hub.asked = len(model), []
    assert fetch(hub.url, tmp_path)[0].path.read_bytes() == model
    assert hub.asked == ["bytes=300000-"]


def test_a_part_of_another_address_is_not_used(hub: Hub, tmp_path: Path, model: bytes) -> None:
    (tmp_path / "tiny.gguf.part").write_bytes(b"something else")
    assert fetch(hub.url, tmp_path)[0].path.read_bytes() == model
    assert hub.asked == [None]


def test_the_checksum_that_is_known_must_be_met(hub: Hub, tmp_path: Path, model: bytes) -> None:
    moved = hub.url.replace("tiny", "moved")
    hub.claims["sha256"] = "0" * 64
    with pytest.raises(PullFailed, match="and should be 0000"):
        fetch(moved, tmp_path)
    with pytest.raises(PullFailed, match="and should be 1111"):
        fetch(hub.url, tmp_path, sha256="1" * 64)
    assert list(tmp_path.iterdir()) == []
    hub.claims["sha256"] = hashlib.sha256(model).hexdigest()
    assert fetch(moved, tmp_path, name="mine")[0] == Pulled(tmp_path / "mine.gguf", hub.claims["sha256"], True)


def test_what_is_no_model_or_has_no_room_is_not_kept(hub: Hub, tmp_path: Path) -> None:
    hub.claims["length"] = str(10**18)
    with pytest.raises(PullFailed, match=r"1000000000\.0 GB are to be stored"):
        fetch(hub.url, tmp_path)
    hub.claims.clear()
    hub.model = b"<html>sign in first</html>"
    hub.cut = 100
    with pytest.raises(PullFailed, match="is not a GGUF file"):
        fetch(hub.url, tmp_path / "other")
    assert list((tmp_path / "other").iterdir()) == []


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (503, 5)])
def test_a_refusal_is_told(hub: Hub, tmp_path: Path, status: int, tries: int) -> None:
    hub.status = status
    with pytest.raises(PullFailed, match=f"HTTP {status}"):
        fetch(hub.url, tmp_path)
    assert len(hub.asked) == tries


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/a.gguf", "http://127.0.0.1/..%2f..%2fetc.gguf"])
def test_only_the_web_and_only_into_the_folder(tmp_path: Path, url: str) -> None:
    with pytest.raises(PullFailed):
        fetch(url, tmp_path)
