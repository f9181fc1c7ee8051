"""`tollgate up`: everything on this machine by one command, and nothing left behind when it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from tests.deployment import MASTER_KEY, providers_at, until
from tests.replay import Upstream
from tests.replay.answers import FIXTURES
from tests.services import free_port

_ROOT = str(Path(__file__).resolve().parents[2])


@contextmanager
def _up(folder: Path, upstream: Upstream, out: int, *flags: str) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    (folder / "config.yaml").write_text(yaml.safe_dump({"providers": providers_at(upstream.url)}), encoding="utf-8")
    port, page = free_port(), free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tollgate", "up", "--port", str(port), "--ui-port", str(page), *flags],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": _ROOT},
            stdout=out,
            stderr=log,
        )
    try:
        yield process, port, page
    finally:
        process.kill()
        process.wait()


def _read(terminal: int, until_text: bytes) -> str:
    seen = b""
    while until_text not in seen:
        seen += os.read(terminal, 4096)
    return seen.decode()


def test_up_shows_a_link_on_a_terminal_serves_and_ends_clean(tmp_path: Path) -> None:
    terminal, inner = pty.openpty()
    with Upstream() as upstream, _up(tmp_path, upstream, inner) as (process, port, page):
        shown = _read(terminal, b"Ctrl-C")
        link = re.search(r"http://127\.0\.0\.1:(\d+)/#key=(gw-[\w-]{64})", shown)
        assert link is not None, shown
        assert int(link[1]) == page
        assert "curl" in shown

        html = httpx.get(f"http://127.0.0.1:{page}/")
        assert html.status_code == 200
        assert "Tollgate" in html.text
        assert "default-src 'self'" in html.headers["content-security-policy"]
        headers = {"Authorization": f"Bearer {link[2]}"}
        assert httpx.get(f"http://127.0.0.1:{page}/v1/models", headers=headers).status_code == 200

        upstream.add(json.loads((FIXTURES / "openai-chat.json").read_text(encoding="utf-8")))
        ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=ask, headers=headers)
        assert answer.status_code == 200, answer.text
        count = f"http://127.0.0.1:{port}/v1/usage/count"
        until(lambda: httpx.get(count, headers=headers).json() == {"count": 1}, "the row is in the ledger")

        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0
    for taken in (port, page):
        try:
            httpx.get(f"http://127.0.0.1:{taken}/health")
        except httpx.ConnectError:
            continue
        raise AssertionError(f"port {taken} is still served")
    again = subprocess.run(
        [sys.executable, "-m", "tollgate", "link"],
        cwd=tmp_path, env={"PATH": os.environ["PATH"], "PYTHONPATH": _ROOT}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert again.stdout.strip() == link[0]
    assert oct((tmp_path / "secrets" / "master_key").stat().st_mode & 0o777) == "0o600"
    assert oct((tmp_path / "secrets" / "bootstrap_key").stat().st_mode & 0o777) == "0o600"


def _check_master_and_dotenv(port: int) -> None:
    """The flag's master key is the gateway's, and `.env` may hold providers' keys."""
    url, headers = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {MASTER_KEY}"}
    assert httpx.get(f"{url}/v1/users", headers=headers).status_code == 200
    assert httpx.get(f"{url}/health").json()["providers"]["groq"] == {"key": True}


def test_a_child_that_dies_is_started_again_and_no_key_is_told_to_a_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GROQ_API_KEY=sentinel-of-dotenv\n", encoding="utf-8")
    with (
        Upstream() as upstream,
        (tmp_path / "out").open("wb") as out,
        _up(tmp_path, upstream, out.fileno(), "--master-key", MASTER_KEY) as parts,
    ):
        process, port, _ = parts
        health = f"http://127.0.0.1:{port}/health/readiness"

        def ready() -> bool:
            try:
                return httpx.get(health).status_code == 200
            except httpx.TransportError:
                return False

        def children() -> set[int]:
            found = subprocess.run(
                ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False
            ).stdout.split()
            return {int(pid) for pid in found}

        until(ready, "the gateway serves", 60)
        _check_master_and_dotenv(port)
        before = until(lambda: len(found := children()) >= 2 and found, "gateway and worker run")
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(found := children()) >= 2 and not found & before, "both are there again", 60)
        until(ready, "the gateway serves again", 60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    assert (tmp_path / "out").read_bytes() == b""
    key = (tmp_path / "secrets" / "bootstrap_key").read_text(encoding="utf-8").strip()
    assert key not in (tmp_path / "log").read_text(encoding="utf-8")
