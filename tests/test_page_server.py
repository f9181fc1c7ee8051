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


async def served(tmp_path: Path, path: str) -> httpx.Response:
    """What the gateway alone answers, with the page of the repository."""
    settings = Settings(data_dir=tmp_path, secrets_dir=tmp_path, page_dir=ROOT / "ui" / "public")
    transport = httpx.ASGITransport(app=create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.get(path)


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
