"""The examples, run as they say: against a gateway, and straight at a provider."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.deployment import MASTER_KEY, Deployment, providers_at, until
from tests.replay import Answer, Gate, Upstream, error, written

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ROOT = EXAMPLES.parent
CHAT = "/v1/chat/completions"
SSE = {"content-type": "text/event-stream"}
TURNS = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, server: Upstream) -> Iterator[Deployment]:
    with Deployment(tmp_path_factory.mktemp("examples"), server.url) as running:
        yield running


@pytest.fixture
def place(deployment: Deployment, server: Upstream) -> tuple[Deployment, Upstream]:
    server.forget()
    for name in ("openai-chat", "anthropic-messages", "gemini-generate"):
        server.add(written(name), stream=False)
        server.add(written(f"{name}-stream"), stream=True)
    return deployment, server


def environment(**more: str) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **more}


def through(deployment: Deployment) -> dict[str, str]:
    return environment(TOLLGATE_KEY=deployment.key, TOLLGATE_API_BASE=f"{deployment.url}/v1")


def run(name: str, *arguments: str, env: dict[str, str]) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def serving(name: str, folder: Path, env: dict[str, str]) -> Iterator[str]:
    """The address of the example's application, served by uvicorn."""
    log = folder / f"{name}.log"
    command = [sys.executable, "-m", "uvicorn", f"{name}:app", "--port", "0", "--app-dir", str(EXAMPLES)]
    with log.open("wb") as file:
        child = subprocess.Popen(command, env=env, cwd=folder, stdout=file, stderr=file)
        try:
            port = until(lambda: re.search(r"running on http://127\.0\.0\.1:(\d+)", log.read_text()), f"{name} listens")
            yield f"http://127.0.0.1:{port[1]}"
        finally:
            child.terminate()
            child.wait(30)
    assert "Application shutdown complete." in log.read_text()


def test_every_example_is_in_the_list() -> None:
    listed = set(re.findall(r"`examples/(\w+\.py)`", (EXAMPLES / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize("direct", [False, True], ids=["gateway", "direct"])
def test_the_chat_backend_answers_whole_and_streamed(
    place: tuple[Deployment, Upstream], tmp_path: Path, direct: bool
) -> None:
    deployment, upstream = place
    env = through(deployment)
    if direct:
        env = environment(OPENAI_API_KEY="sk-direct", OPENAI_BASE_URL=f"{upstream.url}/v1")
    with serving("chat_backend", tmp_path, env) as url, httpx.Client(base_url=url, timeout=30) as client:
        text = "A tollgate counts every passing, once."
        assert client.post("/chat", json=TURNS).json() == {"text": text, "total_tokens": 1222}
        streamed = client.post("/chat/stream", json=TURNS)
        assert streamed.headers["content-type"].startswith("text/event-stream")
        pieces = re.findall(r"event: text\ndata: (.*)\n", streamed.text)
        assert "".join(map(json.loads, pieces)) == text
        assert len(pieces) > 1
        assert streamed.text.endswith("event: done\ndata: null\n\n")
        assert client.post("/chat", json={"messages": []}).status_code == 422

        upstream.forget()
        upstream.on(CHAT, error(400, {"error": {"message": "too long", "code": "context_length_exceeded"}}))
        refused = client.post("/chat/stream", json=TURNS)
        assert (refused.status_code, refused.json()) == (400, {"error": "too long"})
        upstream.forget()
        upstream.on(CHAT, error(401, {"error": {"message": "Incorrect API key provided: sk-direct"}}))
        broken = client.post("/chat", json=TURNS)
        assert (broken.status_code, broken.json()) == (502, {"error": "The model cannot be reached just now"})
        if direct:
            who_leaves_ends_the_providers_stream(client, upstream)


def who_leaves_ends_the_providers_stream(client: httpx.Client, upstream: Upstream) -> None:
    upstream.forget()
    chunk = b'data: {"id":"c","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"first"}}]}\n\n'
    upstream.on(CHAT, Answer(headers=SSE, pieces=(chunk, chunk), length=False, gates={1: Gate()}))
    with client.stream("POST", "/chat/stream", json=TURNS) as response:
        assert '"first"' in next(response.iter_text())
    upstream.wait(broken=1)


@pytest.mark.parametrize("direct", [False, True], ids=["gateway", "direct"])
def test_tools_are_called_until_there_is_an_answer(place: tuple[Deployment, Upstream], direct: bool) -> None:
    deployment, upstream = place
    upstream.forget()
    rounds: tuple[list[tuple[str, str]], ...] = (
        [("weather", '{"city":"Seoul","day":"tomorrow"}'), ("add", '{"numbers":[1,2]}')],
        [("weather", '{"town":"Seoul"}'), ("fly", "{}")],
        [],
    )
    upstream.on(CHAT, *(Answer(pieces=(json.dumps(calling(calls)).encode(),)) for calls in rounds))
    env = environment(OPENAI_API_KEY="sk-1", OPENAI_BASE_URL=f"{upstream.url}/v1") if direct else through(deployment)
    printed = run("tool_calling.py", "openai:gpt-4o-mini", "Umbrella?", env=env).splitlines()
    assert printed[0].endswith("-> Seoul, tomorrow: rain in the afternoon, 14 degrees")
    assert printed[1] == 'add({"numbers":[1,2]}) -> 3'
    assert "This call failed: TypeError" in printed[2]
    assert "This call failed: KeyError('fly')" in printed[3]
    assert printed[4] == "Take one."
    turns = upstream.calls[-1].json["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "tool", "tool", "assistant", "tool", "tool"]


def calling(calls: list[tuple[str, str]]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None if calls else "Take one."}
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for number, (name, arguments) in enumerate(calls)
        ]
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}  # fmt: skip


def test_providers_are_compared(place: tuple[Deployment, Upstream]) -> None:
    deployment, _ = place
    models = ["openai:gpt-4o-mini", "claude-sonnet-4-5", "gemini:gemini-2.5-flash", "nobody"]
    printed = run("compare_providers.py", "What is a tollgate?", *models, env=through(deployment))
    for model in models[:3]:
        said = (
            r"\(\d+\.\d s, \d+ tokens, \$0\.\d+(, could not take [\w., ]+)?\): A tollgate counts every passing, once\."
        )
        assert re.search(rf"^{re.escape(model)} {said}$", printed, re.M), printed
    assert re.search(r"^nobody: ModelNotFoundError: .*nobody", printed, re.M)


def test_providers_are_compared_directly(place: tuple[Deployment, Upstream]) -> None:
    _, upstream = place
    env = environment(
        OPENAI_API_KEY="sk-1", OPENAI_BASE_URL=f"{upstream.url}/v1", ANTHROPIC_API_KEY="sk-2",
        ANTHROPIC_BASE_URL=upstream.url,
    )  # fmt: skip
    printed = run("compare_providers.py", "Hm?", "openai:gpt-4o-mini", "anthropic:claude-sonnet-4-5", env=env)
    assert printed.count("A tollgate counts every passing, once.") == 2
    assert "$" not in printed


def test_the_gateway_is_mounted(place: tuple[Deployment, Upstream], tmp_path: Path) -> None:
    _, upstream = place
    folder = str(tmp_path)
    settings = {"data_dir": folder, "secrets_dir": folder, "master_key": MASTER_KEY}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings | {"providers": providers_at(upstream.url)}))
    with serving("mounted_gateway", tmp_path, environment(TOLLGATE_CONFIG="config.yaml")) as url:
        key = (tmp_path / "bootstrap_key").read_text(encoding="utf-8").strip()
        env = environment(TOLLGATE_KEY=key, TOLLGATE_API_BASE=f"{url}/llm/v1")
        assert "A tollgate counts" in run("compare_providers.py", "Hm?", "openai:gpt-4o-mini", env=env)
        assert httpx.get(url).json()["models"] == "/llm/v1/models"
        assert httpx.get(f"{url}/v1/usage", headers={"authorization": f"Bearer {key}"}).status_code == 200
        assert httpx.get(f"{url}/v1/usage").status_code == 401
