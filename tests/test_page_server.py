"""nginx in front of the page, and the gateway that serves it alone, must agree."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from gateway.app import create_app
from gateway.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
NGINX = (ROOT / "ui" / "nginx.conf").read_text(encoding="utf-8")


async def served(
    tmp_path: Path, path: str, method: str = "GET", page: Path | None = ROOT / "ui" / "public"
) -> httpx.Response:
    """What the gateway alone answers, with the page of the repository."""
    settings = Settings(data_dir=tmp_path, secrets_dir=tmp_path, page_dir=page)
    transport = httpx.ASGITransport(app=create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.request(method, path)


@pytest.mark.parametrize("name", ["content-security-policy", "cache-control"])
async def test_the_page_comes_with_the_same_headers_from_both(tmp_path: Path, name: str) -> None:
    said = re.search(rf'add_header {name} "([^"]*)"', NGINX, re.IGNORECASE)
    assert said
    assert (await served(tmp_path, "/")).headers[name] == said.group(1)


async def test_nginx_passes_on_every_path_of_the_api_but_metrics(tmp_path: Path) -> None:
    pattern = re.search(r"location ~ (\S+) \{", NGINX)
    assert pattern
    paths = (await served(tmp_path, "/openapi.json")).json()["paths"]
    assert "/v1/chat/completions" in paths
    assert [path for path in paths if not re.search(pattern.group(1), path)] == ["/metrics"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing.js", 404),
        ("GET", "/v1/images/edits", 404),
        ("POST", "/v1/images/edits", 404),
        ("GET", "/v1/chat/completions", 405),
        ("PUT", "/v1/messages", 405),
        ("POST", "/v1/chat/completions/", 307),
        ("DELETE", "/health", 405),
    ],
)
async def test_the_page_changes_nothing_of_what_the_api_answers(
    tmp_path: Path, method: str, path: str, status: int
) -> None:
    """`make up` serves the page itself, the stack's gateway does not."""
    with_page, without = [await served(tmp_path, path, method, page) for page in (ROOT / "ui" / "public", None)]
    assert (with_page.status_code, with_page.content) == (status, without.content)
    for name in ("content-type", "allow", "location", "content-security-policy"):
        assert with_page.headers.get(name) == without.headers.get(name)
    assert status == 307 or with_page.json()["error"]["message"]


def test_nginx_writes_no_request_line_down() -> None:
    """It may hold a key: `$uri` is the path alone, and error lines below crit quote the whole line."""
    server = NGINX[NGINX.index("server {") :]
    assert re.findall(r"error_log \S+ (\w+);", server) == ["crit"]
    (lines,) = re.findall(r"log_format tollgate '([^']*)'", NGINX)
    assert not {"$request", "$request_uri", "$args", "$query_string", "$http_referer"} & set(lines.split())
