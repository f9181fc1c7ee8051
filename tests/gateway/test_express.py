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
from wire.errors import GatewayError

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


async def _broken() -> AsyncIterator[bytes]:
    yield b"{"
    raise RuntimeError("sentinel of an internal detail")


async def test_what_nobody_foresaw_is_told_in_the_shape_of_the_path(tmp_path: Path) -> None:
    """A server whose connection breaks in a way of its own, in the lane and behind FastAPI's router."""
    internal = GatewayError("Internal error", code="internal_error")
    with Upstream() as upstream:
        async with _running(tmp_path, upstream) as (app, key):
            lanes = app.lanes
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                for surface in SURFACES:
                    path = surface.path.replace("{model}", "openai:gpt-4o-mini")
                    for app.lanes in (lanes, Lanes(())):
                        answer = await client.post(
                            path, content=_broken(), headers=_with_key({"authorization": "Bearer KEY"}, key)
                        )
                        assert answer.status_code == 500, path
                        assert answer.json() == surface.dialect.render_error(internal), path
                        assert answer.headers["content-type"] == "application/json"
                        assert answer.headers["x-request-id"]


# Method, path, headers, status, and the word that Google's, Anthropic's or a front door's shape has; None: OpenAI's.
_REFUSED: tuple[tuple[str, str, dict[str, str], int, str | None], ...] = (
    ("GET", "/v1beta/models?pageToken=" + "9" * 5000, {}, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1beta/models?pageSize=-1", {}, 400, "INVALID_ARGUMENT"),
    ("GET", "/v1beta/models/none:such", {}, 404, "NOT_FOUND"),
    ("GET", "/v1beta/models", {"authorization": "Bearer wrong"}, 401, "UNAUTHENTICATED"),
    ("GET", "/v1beta/nothing", {}, 404, "NOT_FOUND"),
    ("POST", "/v1/models/gemini-2.5-flash:nothing", {}, 405, "INVALID_ARGUMENT"),
    ("GET", "/v1/models/none:such", {"x-goog-api-client": "genai"}, 404, "NOT_FOUND"),
    ("GET", "/v1/models/none:such", {"anthropic-version": "2023-06-01"}, 404, "not_found_error"),
    ("GET", "/v1/models?limit=0", {"anthropic-version": "2023-06-01"}, 400, "invalid_request_error"),
    ("GET", "/v1/models", {"anthropic-version": "1", "authorization": "Bearer x"}, 401, "authentication_error"),
    ("POST", "/v1/messages/batches", {}, 404, "not_found_error"),
    ("GET", "/v1/models/none:such", {}, 404, None),
    ("GET", "/api/nothing", {}, 404, "not_found_error"),
)


async def test_errors_off_the_lane_have_the_shape_of_the_path_too(tmp_path: Path) -> None:
    with Upstream() as upstream:
        async with _running(tmp_path, upstream) as (app, key):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                for method, path, headers, status, word in _REFUSED:
                    answer = await client.request(method, path, headers={"authorization": f"Bearer {key}", **headers})
                    assert answer.status_code == status, path
                    _check_shape(answer, word)


def _check_shape(answer: httpx.Response, word: str | None) -> None:
    error = answer.json()["error"]
    if word is None:
        assert set(error) == {"message", "type", "param", "code"}
    elif word.isupper():
        assert (error["code"], error["status"]) == (answer.status_code, word)
    else:
        assert word in (error.get("type"), error.get("code"))
        assert "param" not in error
