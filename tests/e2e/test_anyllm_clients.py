"""Clients and guides of the any-llm gateway against ours, unchanged: its SDK's provider, and lines of curl."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.deployment import MASTER_KEY, Deployment
from tests.replay import Answer, Upstream

ROOT = Path(__file__).resolve().parents[2]
CHAT = "/v1/chat/completions"
MODEL = "openai:gpt-4o-mini"
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "hello from Claude"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 5},
}
EMBEDDING: dict[str, Any] = {
    "object": "list",
    "model": "text-embedding-3-small",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}


def whole(body: dict[str, Any]) -> Answer:
    return Answer(pieces=(json.dumps(body).encode(),))


def streamed(*words: str) -> Answer:
    base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    chunks: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}]}
        for word in words
    ]
    chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({**base, "choices": [], "usage": ANSWER["usage"]})
    pieces = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
    return Answer(headers={"content-type": "text/event-stream"}, pieces=(*pieces, b"data: [DONE]\n\n"), length=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with Upstream() as upstream, Deployment(tmp_path_factory.mktemp("anyllm"), upstream.url) as deployment:
        upstream.on(CHAT, whole(ANSWER))
        upstream.on(CHAT, streamed("hello ", "again"), stream=True)
        upstream.on("/v1/messages", whole(MESSAGE))
        upstream.on("/v1/embeddings", whole(EMBEDDING))
        yield deployment


def new_user(place: Deployment, name: str) -> str:
    made = place.post("/v1/users", {"user_id": name}, key=MASTER_KEY)
    assert made.status_code == 200, made.text
    return name


@pytest.fixture(scope="module")
def told(place: Deployment) -> dict[str, Any]:
    """What any-llm's own provider for its gateway saw, in the environment of the client libraries."""
    made = subprocess.run(["sh", "scripts/setup-clients"], cwd=ROOT, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"the client libraries cannot be installed: {made.stderr.strip()[-300:]}")
    key = place.post("/v1/keys", {"key_name": "sdk", "user_id": "sdk-owner"}, key=MASTER_KEY).json()["key"]
    new_user(place, "sdk-user")
    python = str(ROOT / ".venv-clients" / "bin" / "python")
    done = subprocess.run(
        [python, "-m", "tests.e2e.clients.programs.any_llm_gateway", place.url, key, MASTER_KEY, "sdk-user"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


class TestTheSDK:
    """any-llm-sdk's provider for its gateway. What it asks for stands below `/api/v1`."""

    def test_it_chats_with_a_key(self, told: dict[str, Any]) -> None:
        assert (told["plain"], told["tokens"], told["bearer"]) == ("hello", 1100, "hello")
        assert told["streamed"] == "hello again"

    def test_it_speaks_messages_and_embeds(self, told: dict[str, Any]) -> None:
        assert told["messages"] == "hello from Claude"
        assert told["embedding"] == [0.25, -0.5]

    def test_it_lists_models(self, told: dict[str, Any]) -> None:
        assert {"openai:gpt-4o-mini", "anthropic:claude-sonnet-4-5"} <= set(told["models"])

    def test_it_chats_with_the_master_key_for_a_user(self, told: dict[str, Any]) -> None:
        assert told["for_user"] == "hello"
        assert "'user' field is required" in told["without_user"]
        assert "'nobody-at-all' not found" in told["unknown_user"]

    def test_a_wrong_key_is_a_wrong_key_to_it(self, told: dict[str, Any]) -> None:
        assert told["wrong_key"].startswith("AuthenticationError")

    def test_its_calls_are_rows_as_any_others(self, told: dict[str, Any], place: Deployment) -> None:
        assert told
        rows = place.rows(5, user_id="sdk-owner")
        assert {row["endpoint"] for row in rows} == {CHAT, "/v1/messages", "/v1/embeddings"}
        (row,) = place.rows(1, user_id="sdk-user")
        assert (row["api_key_id"], row["cost"]) == (None, 0.00021)


def test_the_sdks_provider_of_the_gateways_own_days(place: Deployment) -> None:
    """Until 1.14 it was OpenAI's client with the key in a header of the gateway's own as well."""
    key = place.post("/v1/keys", {"key_name": "old sdk"}, key=MASTER_KEY).json()["key"]
    headers = {"X-AnyLLM-Key": f"Bearer {key}"}
    with openai.OpenAI(base_url=f"{place.url}/v1", api_key=key, default_headers=headers, max_retries=0) as client:
        answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
        assert answer.choices[0].message.content == "hello"
        chunks = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}], stream=True)
        said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        assert said == "hello again"


class TestTheOtherRoot:
    """What is below `/v1` is below `/api/v1` too, and only that."""

    def test_it_is_the_same_api(self, place: Deployment) -> None:
        headers = {"Authorization": f"Bearer {MASTER_KEY}"}
        made = httpx.post(f"{place.url}/api/v1/keys", json={"key_name": "there"}, headers=headers)
        assert made.status_code == 200
        assert httpx.get(f"{place.url}/v1/keys/{made.json()['id']}", headers=headers).json()["key_name"] == "there"
        for path in (
            "users",
            "budgets",
            "limits",
            "pricing",
            "audit",
            "usage",
            "usage/count",
            "models/openai:gpt-4o-mini",
        ):
            assert httpx.get(f"{place.url}/api/v1/{path}", headers=headers).status_code == 200, path

    def test_it_is_as_closed(self, place: Deployment) -> None:
        for path in ("keys", "users", "pricing", "models", "usage"):
            assert httpx.get(f"{place.url}/api/v1/{path}").status_code == 401, path
        assert httpx.post(f"{place.url}/api{CHAT}", json={}).status_code == 401

    @pytest.mark.parametrize("path", ["/api/keys", "/api/v1/keysmith", "/api/v1/health", "/api/api/v1/keys"])
    def test_nothing_else_moves(self, place: Deployment, path: str) -> None:
        headers = {"Authorization": f"Bearer {MASTER_KEY}"}
        assert httpx.get(place.url + path, headers=headers).status_code == 404


class Shell:
    """Types lines of a guide as they stand, the guide's address replaced by ours."""

    def __init__(self, place: Deployment) -> None:
        self._place = place
        self.variables = {"GATEWAY_MASTER_KEY": MASTER_KEY}

    def types(self, line: str) -> Any:
        """The JSON that is printed, else the text."""
        line = line.replace("http://localhost:8000", self._place.url)
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in self.variables.items())
        done = subprocess.run(["sh", "-c", exports + line], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 127:
            pytest.skip("no curl here")
        assert done.returncode == 0, done.stderr
        try:
            return json.loads(done.stdout)
        except ValueError:
            return done.stdout


@pytest.fixture
def shell(place: Deployment) -> Shell:
    return Shell(place)


AS_JSON = '-H "Content-Type: application/json"'
AS_MASTER = '-H "X-AnyLLM-Key: Bearer ${GATEWAY_MASTER_KEY}"'
AS_CALLER = '-H "X-AnyLLM-Key: Bearer ${API_KEY}"'
ASK = '"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}]'


class TestGuides:
    """Step by step as the any-llm gateway's quick start goes, with its own words on the command line."""

    def test_from_the_first_key_to_the_bill(self, shell: Shell, place: Deployment) -> None:
        assert shell.types("curl -s http://localhost:8000/health")["status"] == "healthy"
        budget = shell.types(
            f"curl -s -X POST http://localhost:8000/v1/budgets {AS_MASTER} {AS_JSON} "
            """-d '{"max_budget": 10.0, "budget_duration_sec": 86400}'"""
        )
        shell.variables["BUDGET_ID"] = budget["budget_id"]
        user = shell.types(
            f"curl -s -X POST http://localhost:8000/v1/users {AS_MASTER} {AS_JSON} "
            """-d "{\\"user_id\\": \\"user-123\\", \\"alias\\": \\"Bob\\", \\"budget_id\\": \\"${BUDGET_ID}\\"}" """
        )
        assert (user["user_id"], user["budget_id"]) == ("user-123", budget["budget_id"])
        made = shell.types(
            f"curl -s -X POST http://localhost:8000/v1/keys {AS_MASTER} {AS_JSON} "
            """-d '{"key_name": "mobile-app", "user_id": "user-123"}'"""
        )
        shell.variables["API_KEY"] = made["key"]
        answer = shell.types(
            f"curl -s -X POST http://localhost:8000/v1/chat/completions {AS_CALLER} {AS_JSON} -d '{{{ASK}}}'"
        )
        assert answer["choices"][0]["message"]["content"] == "hello"
        place.rows(1, user_id="user-123")
        (row,) = shell.types(f"curl -s http://localhost:8000/v1/users/user-123/usage {AS_MASTER}")
        assert (row["api_key_id"], row["total_tokens"], row["cost"]) == (made["id"], 1100, 0.00021)
        assert shell.types(f"curl -s http://localhost:8000/v1/users/user-123 {AS_MASTER}")["spend"] == 0.00021

    def test_a_stream(self, shell: Shell, place: Deployment) -> None:
        shell.variables["API_KEY"] = place.key
        text = shell.types(
            f"curl -s -N -X POST http://localhost:8000/v1/chat/completions {AS_CALLER} {AS_JSON} "
            f"""-d '{{{ASK}, "stream": true}}'"""
        )
        assert text.rstrip().endswith("data: [DONE]")

    def test_the_master_key_and_a_user(self, shell: Shell, place: Deployment) -> None:
        new_user(place, "user-456")
        line = f"curl -s -X POST http://localhost:8000/v1/chat/completions {AS_MASTER} {AS_JSON} -d "
        told = shell.types(f"{line} '{{{ASK}}}'")
        assert told["detail"] == "When using master key, 'user' field is required in request body"
        status = shell.types(line.replace("-s ", "-s -o /dev/null -w '%{http_code}' ") + f"'{{{ASK}}}'")
        assert status == 400
        answer = shell.types(f"""{line} '{{{ASK}, "user": "user-456"}}'""")
        assert answer["choices"][0]["message"]["content"] == "hello"

    def test_a_price_and_a_key_that_is_turned_off(self, shell: Shell) -> None:
        price = shell.types(
            f"curl -s -X POST http://localhost:8000/v1/pricing {AS_MASTER} {AS_JSON} "
            """-d '{"model_key": "openai:my-model", "input_price_per_million": 0.15, """
            """"output_price_per_million": 0.60}'"""
        )
        assert (price["model_key"], price["output_price_per_million"]) == ("openai:my-model", 0.6)
        made = shell.types(
            f"""curl -s -X POST http://localhost:8000/v1/keys {AS_MASTER} {AS_JSON} -d '{{"key_name": "temporary"}}'"""
        )
        shell.variables |= {"API_KEY": made["key"], "KEY_ID": made["id"]}
        off = shell.types(
            f"curl -s -X PATCH http://localhost:8000/v1/keys/${{KEY_ID}} {AS_MASTER} {AS_JSON} "
            """-d '{"is_active": false}'"""
        )
        assert off["is_active"] is False
        told = shell.types(
            f"curl -s -X POST http://localhost:8000/v1/chat/completions {AS_CALLER} {AS_JSON} -d '{{{ASK}}}'"
        )
        assert told["detail"] == "API key is inactive"
        assert shell.types(f"curl -s -X DELETE http://localhost:8000/v1/keys/${{KEY_ID}} {AS_MASTER}") == ""
