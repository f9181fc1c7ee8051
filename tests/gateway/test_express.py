"""The express lane and FastAPI's router give the same answers: every inference path is run both ways, in process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway.__main__ import migrate
from gateway.app import create_app
from gateway.express import Express, Lanes
from gateway.settings import Overrides, load
from gateway.surfaces import SURFACES, Surface
from tests.deployment import MASTER_KEY, providers_at
from tests.replay import Upstream
from tests.replay.answers import Answer

_VARYING = ("x-request-id", "x-tollgate-overhead-ms", "date")


@asynccontextmanager
async def _running(folder: Path, upstream: Upstream) -> AsyncIterator[tuple[Express, str]]:
    """An app with its lifespan started, and its first key."""
    providers = {name: {**entry, "api_key": "k"} for name, entry in providers_at(upstream.url).items()}
    config = folder / "config.yaml"
    config.write_text(
        json.dumps(
            {"data_dir": str(folder), "secrets_dir": str(folder), "master_key": MASTER_KEY, "providers": providers}
        )
    )
    settings = load(Overrides(config=config), environ={})
    migrate(settings)
    app = create_app(settings)
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(message: Any) -> None:
        await told.put(message)

    life = asyncio.create_task(app({"type": "lifespan", "state": {}, "asgi": {"version": "3.0"}}, events.get, send))
    await events.put({"type": "lifespan.startup"})
    assert (await told.get())["type"] == "lifespan.startup.complete"
    yield app, (folder / "bootstrap_key").read_text(encoding="utf-8").strip()
    await events.put({"type": "lifespan.shutdown"})
    assert (await told.get())["type"] == "lifespan.shutdown.complete"
    await life


def _cases(surface: Surface) -> list[tuple[dict[str, str], bytes]]:
    """A missing key, a broken body, a body without its turns, an unknown model, a call that reaches the upstream."""
    turns: Any = [{"role": "user", "content": "hi", "parts": [{"text": "hi"}]}]
    turns = turns if surface.turns in ("messages", "contents") else "hi"
    good = {"model": "openai:gpt-4o-mini", surface.turns: turns, "max_tokens": 5}
    bodies = (b"{", b"{}", json.dumps({**good, "model": "nobody:x"}).encode(), json.dumps(good).encode())
    return [({}, b"{}"), *(({"authorization": "Bearer KEY"}, body) for body in bodies)]


async def test_every_path_answers_the_same_both_ways(tmp_path: Path) -> None:
    with Upstream() as upstream:
        for place in ("/v1/chat/completions", "/v1/responses", "/v1/embeddings"):
            upstream.on(place, Answer(status=418, pieces=(b'{"error":{"message":"a teapot"}}',)))
        async with _running(tmp_path, upstream) as (app, key):
            lanes = app.lanes
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                for surface in SURFACES:
                    app.lanes = lanes
                    express = await _ask_all(client, surface, key)
                    app.lanes = Lanes(())
                    _check(surface, express, await _ask_all(client, surface, key))


async def _ask_all(client: httpx.AsyncClient, surface: Surface, key: str) -> list[httpx.Response]:
    path = surface.path.replace("{model}", "openai:gpt-4o-mini")
    return [await client.post(path, content=body, headers=_with_key(headers, key)) for headers, body in _cases(surface)]


def _check(surface: Surface, express: list[httpx.Response], router: list[httpx.Response]) -> None:
    for one, other in zip(express, router, strict=True):
        assert one.status_code == other.status_code, surface.path
        assert one.content == other.content, surface.path
        assert _stable(one) == _stable(other), surface.path
    assert express[0].status_code == 401, surface.path


def _with_key(headers: dict[str, str], key: str) -> dict[str, str]:
    return {name: value.replace("KEY", key) for name, value in headers.items()} | {"content-type": "application/json"}


def _stable(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name not in _VARYING}


async def test_the_documentation_knows_every_path(tmp_path: Path) -> None:
    with Upstream() as upstream:
        async with _running(tmp_path, upstream) as (app, _):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                paths = (await client.get("/openapi.json")).json()["paths"]
                assert (await client.get("/docs")).status_code == 200
    assert {surface.path for surface in SURFACES} <= set(paths)
    assert {"/v1/models", "/v1/keys", "/v1/usage", "/v1/usage/count", "/health", "/metrics"} <= set(paths)
