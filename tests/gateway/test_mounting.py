"""The gateway inside somebody else's FastAPI application: mounted whole below a path, or some of its routers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from gateway.__main__ import migrate
from gateway.app import create_app, include
from gateway.express import Express
from gateway.routes import keys, models, ops, usage
from gateway.settings import Overrides, load
from tests.deployment import MASTER_KEY, providers_at
from tests.replay import Upstream, written

CHAT = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "hi"}]}
MASTER = {"authorization": f"Bearer {MASTER_KEY}"}


@pytest.fixture
def gateway(tmp_path: Path, upstream: Upstream) -> Express:
    upstream.add(written("anthropic-messages"), stream=False)
    upstream.add(written("anthropic-messages-stream"), stream=True)
    config = tmp_path / "config.yaml"
    folder = str(tmp_path)
    providers = {"anthropic": providers_at(upstream.url)["anthropic"]}
    config.write_text(
        json.dumps({"data_dir": folder, "secrets_dir": folder, "master_key": MASTER_KEY, "providers": providers})
    )
    settings = load(Overrides(config=config), environ={})
    migrate(settings)
    return create_app(settings)


def host_of(gateway: Express) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with gateway.running():
            yield

    host = FastAPI(lifespan=lifespan)

    @host.get("/hello")
    async def hello() -> str:
        return "mine"

    return host


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as entered:
        yield entered


async def serve(host: FastAPI, stack: AsyncExitStack) -> httpx.AsyncClient:
    await stack.enter_async_context(host.router.lifespan_context(host))
    transport = httpx.ASGITransport(host)
    return await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://mine"))


async def test_a_mounted_gateway_serves_below_its_path(gateway: Express, stack: AsyncExitStack, tmp_path: Path) -> None:
    host = host_of(gateway)
    host.mount("/llm", gateway)
    client = await serve(host, stack)
    key = (tmp_path / "bootstrap_key").read_text(encoding="utf-8").strip()
    asked = {"authorization": f"Bearer {key}"}
    answer = await client.post("/llm/v1/chat/completions", json=CHAT, headers=asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-tollgate-provider"] == "anthropic"
    streamed = await client.post("/llm/v1/chat/completions", json={**CHAT, "stream": True}, headers=asked)
    assert streamed.text.endswith("data: [DONE]\n\n")
    named = await client.post(
        "/llm/v1beta/models/claude-sonnet-4-5:generateContent",
        json={"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        headers=asked,
    )
    assert named.json()["candidates"]
    listed = await client.get("/llm/v1/models", headers=asked)
    assert any(model["id"] == "anthropic:claude-sonnet-4-5" for model in listed.json()["data"])
    assert (await client.get("/llm/health")).json()["status"] == "healthy"
    assert (await client.post("/llm/v1/chat/completions", json=CHAT)).status_code == 401
    # What stands outside is the host's own.
    assert (await client.get("/hello")).json() == "mine"
    assert (await client.post("/v1/chat/completions", json=CHAT, headers=asked)).status_code == 404
    documented = (await client.get("/llm/openapi.json")).json()
    assert "/v1/chat/completions" in documented["paths"]
    assert documented["servers"] == [{"url": "/llm"}]


async def test_routers_are_taken_one_by_one(gateway: Express, stack: AsyncExitStack) -> None:
    host = host_of(gateway)
    include(host, gateway, models.router, usage.router, keys.router, ops.router)
    client = await serve(host, stack)
    assert (await client.get("/v1/models")).status_code == 401
    assert (await client.get("/v1/models", headers=MASTER)).json()["data"]
    assert (await client.get("/v1/usage", headers=MASTER)).json() == []
    made = await client.post("/v1/keys", json={"key_name": "mine"}, headers=MASTER)
    assert made.json()["key"].startswith("gw-")
    refused = await client.get("/v1/usage", headers={"authorization": "Bearer gw-wrong"})
    assert refused.json()["error"]["type"] == "authentication_error"
    assert refused.json()["detail"]
    assert (await client.get("/health")).status_code == 200
    assert (await client.get("/hello")).json() == "mine"
