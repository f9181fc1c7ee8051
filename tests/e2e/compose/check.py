"""What `make compose-test` asks of a running stack, from outside: page, keys, models, calls, rows, faults, logs.

It is a program, not a pytest module: the stack it needs is started by `tests/e2e/compose/run`, which also says where.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from local_llm.library import DEMO
from scripts.demo_model.phrases import LANGUAGES, load
from tests.local_llm import tiny_gguf
from tests.replay import written

PAGE = f"http://127.0.0.1:{os.environ['TOLLGATE_UI_PORT']}"
API = f"http://127.0.0.1:{os.environ['TOLLGATE_API_PORT']}"
SENTINELS = ("sk-sentinel-openai", "sk-sentinel-anthropic", "sk-sentinel-gemini", "sentinel-in-the-query")
QUESTION = "What does a tollgate do?"
PATIENCE_SECONDS = 60.0
MODELS = Path(os.environ["TOLLGATE_TEST_MODELS"])
DEMO_LABEL = "demo, knows only Tollgate"
# Asked inside the container: nothing of it is published.
READY = "import urllib.request as r; r.urlopen('http://127.0.0.1:11434/health/readiness', timeout=4)"
# Model, written answer, and the tokens of its row: input with what was cached, output with what was thought.
CALLS = (
    ("openai:gpt-4o-mini", "openai-chat", 1213, 9),
    ("anthropic:claude-sonnet-4-5", "anthropic-messages", 31 + 128 + 2048, 12),
    ("gemini:gemini-2.5-flash", "gemini-generate", 1500, 11 + 40),
)


def docker(*arguments: str) -> str:
    command = ["docker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def compose(*arguments: str) -> str:
    return docker("compose", *arguments)


def inside(service: str, *command: str) -> str:
    return compose("exec", "-T", service, *command).strip()


def eventually(look: Callable[[], Any], what: str) -> Any:
    """What `look` returns once it is true. Its failures count as not yet."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    last: object = None
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except (AssertionError, httpx.HTTPError) as problem:
            last = problem
        time.sleep(0.25)
    raise AssertionError(f"not within {PATIENCE_SECONDS:g} s: {what} ({last})")


@dataclass(frozen=True)
class Client:
    """Calls through the page's nginx, as a browser does."""

    key: str

    def http(self, path: str, body: Any = None, *, base: str = PAGE) -> httpx.Response:
        method = "GET" if body is None else "POST"
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.request(method, base + path, json=body, headers=headers, timeout=60)

    def chat(self, model: str, question: str = QUESTION, *, stream: bool = False) -> tuple[str, dict[str, Any]]:
        """The answer's text and its usage."""
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": question}]}
        if not stream:
            got = self.http("/v1/chat/completions", {**body, "max_tokens": 64})
            assert got.status_code == 200, f"{model}: {got.status_code} {got.text}"
            return str(got.json()["choices"][0]["message"]["content"]), got.json()["usage"]
        body |= {"max_tokens": 64, "stream": True, "stream_options": {"include_usage": True}}
        got = self.http("/v1/chat/completions", body)
        assert got.status_code == 200, f"{model}: {got.status_code} {got.text}"
        lines = [line.removeprefix("data: ") for line in got.text.splitlines() if line.startswith("data: ")]
        assert lines[-1] == "[DONE]", got.text
        chunks = [json.loads(line) for line in lines[:-1]]
        text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
        return text, next(chunk["usage"] for chunk in chunks if chunk.get("usage"))

    def models(self) -> dict[str, dict[str, Any]]:
        got = self.http("/v1/models")
        assert got.status_code == 200, got.text
        return {row["id"]: row for row in got.json()["data"]}

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.http("/v1/usage?limit=1000").json()
        return rows


def healthy() -> bool:
    got = httpx.get(f"{PAGE}/health/readiness")
    return got.status_code == 200 and got.json()["status"] == "healthy"


def step(text: str) -> None:
    print(f"-- {text}", flush=True)  # noqa: T201


def check_page() -> None:
    step("nginx serves the page and passes the API on, without /metrics")
    got = httpx.get(PAGE)
    assert got.status_code == 200
    assert "text/html" in got.headers["content-type"]
    assert "default-src 'self'" in got.headers["content-security-policy"]
    assert healthy()
    assert httpx.get(f"{PAGE}/metrics").status_code == 404
    assert httpx.get(f"{API}/metrics").status_code == 200
    assert httpx.get(f"{PAGE}/v1/models").status_code == 401


def sign_in() -> Client:
    step("`tollgate link` signs in; the master key makes another key")
    link = inside("gateway", "tollgate", "link")
    address, _, first = link.partition("#key=")
    assert address.rstrip("/") == PAGE, link
    assert Client(first).models()
    master = inside("gateway", "cat", "/run/tollgate/keys/master_key")
    made = Client(master).http("/v1/keys", {"key_name": "compose-test"})
    assert made.status_code == 200, made.text
    assert made.json()["key"].startswith("gw-")
    return Client(made.json()["key"])


def check_models(client: Client) -> None:
    step("every model is listed, those that cannot be asked with the reason")
    models = client.models()
    assert any(row["available"] for row in models.values())
    unavailable = {name: row["unavailable_reason"] for name, row in models.items() if not row["available"]}
    solar = [reason for name, reason in unavailable.items() if "solar" in name]
    assert solar, sorted(models)
    assert all("api_keys.yaml" in reason for reason in solar), solar


def check_calls(client: Client) -> int:
    step("three dialects, plain and streamed, answer with the upstream's text and usage")
    made = 0
    for model, fixture, given, generated in CALLS:
        for stream in (False, True):
            text, usage = client.chat(model, stream=stream)
            said = json.dumps(written(fixture)["response"]["body_text"], ensure_ascii=False)
            assert text, f"{model}: no text; the upstream said {said}"
            assert (usage["prompt_tokens"], usage["completion_tokens"]) == (given, generated), (model, usage)
            made += 1
    return made


def check_rows(client: Client, wanted: int) -> None:
    step(f"{wanted} calls are {wanted} rows in Postgres, in the API and in the rollups")
    count = "SELECT count(*) FROM usage_events"
    eventually(lambda: int(query(count)) >= wanted, f"{wanted} rows in Postgres")
    assert int(query(count)) == wanted
    assert int(query("SELECT count(*) FROM usage_events WHERE cost_pico > 0")) == wanted
    assert int(query("SELECT sum(events) FROM daily_usage")) == wanted
    rows = client.rows()
    assert len(rows) == wanted
    tokens = sorted((row["prompt_tokens"], row["completion_tokens"]) for row in rows)
    assert set(tokens) == {(given, generated) for _, _, given, generated in CALLS}


def query(statement: str) -> str:
    return inside(
        "postgres", "psql", "-h", "/var/run/postgresql", "-U", "tollgate", "-d", "tollgate", "-Atc", statement
    )


def check_faults(client: Client, made: int) -> int:
    step("with Redis stopped and the worker killed, calls are served; afterwards each is one row")
    compose("stop", "redis")
    client.chat(CALLS[0][0])
    client.chat(CALLS[1][0], stream=True)
    compose("kill", "usage_worker")
    compose("start", "redis")
    client.chat(CALLS[2][0])
    compose("start", "usage_worker")
    check_rows(client, made + 3)
    step("a gateway that is killed in mid-life leaves no call without a row")
    client.chat(CALLS[0][0])
    compose("kill", "gateway")
    assert httpx.get(f"{PAGE}/v1/models", timeout=20).json()["error"]["code"] == "gateway_away"
    compose("start", "gateway")
    eventually(healthy, "the gateway is back")
    check_rows(client, made + 4)
    return made + 4


def local_models(client: Client) -> dict[str, dict[str, Any]]:
    return {name: row for name, row in client.models().items() if name.startswith("local:")}


def check_demo(client: Client) -> None:
    step(
        "the demo model is listed as one and answers its FAQ through nginx as the page asks it; the page sees its state"
    )
    row = eventually(lambda: local_models(client).get(f"local:{DEMO}"), "the demo model is listed")
    assert (row["available"], row["label"]) == (True, DEMO_LABEL), row
    for language in LANGUAGES:
        [first, *_] = load(language).questions
        text, usage = client.chat(f"local:{DEMO}", first.question, stream=True)
        assert first.key in text, text
        assert min(usage["prompt_tokens"], usage["completion_tokens"]) > 0, usage
    told = client.http("/status").json()["local_model"]["services"]["local"]["models"]
    [state] = [model for model in told if model["name"] == DEMO]
    assert state["state"] == "ready", state
    assert min(state["slots"], state["memory_bytes"], state["load_seconds"]) > 0, state


def check_local(client: Client) -> None:
    step("without a model the local provider says what it lacks; a GGUF that is put there answers by real inference")
    (MODELS / f"{DEMO}.gguf").unlink()

    def lacking() -> bool:
        rows = local_models(client).values()
        return bool(rows) and all(not row["available"] and row["unavailable_reason"] for row in rows)

    eventually(lacking, "the local provider has no model")
    tiny_gguf.write(MODELS / "tiny.gguf", mean_tokens=20)
    eventually(lambda: local_models(client).get("local:tiny", {}).get("available"), "the local model is available")
    for stream in (False, True):
        text, usage = client.chat("local:tiny", stream=stream)
        assert text
        assert usage["prompt_tokens"] > 0
        assert 0 < usage["completion_tokens"] <= 64


def measure() -> None:
    step("sizes of the images, and seconds from `docker compose start` until a service is ready")
    names = [f"tollgate-{name}" for name in ("gateway", "usage-worker", "local-llm", "ui")]
    sizes = docker("image", "inspect", "--format", "{{.Size}}", *names).split()
    for name, size in zip(names, sizes, strict=True):
        step(f"   {name}: {int(size) / 1e6:.0f} MB")
    for service, ready in (
        ("local_llm", lambda: inside("local_llm", "python", "-c", READY) == ""),
        ("gateway", healthy),
    ):
        compose("stop", service)
        began = time.monotonic()
        compose("start", service)
        eventually(ready, f"{service} is ready")
        step(f"   {service}: {time.monotonic() - began:.1f} s")


def check_images() -> None:
    step("images run as a user of their own and hold neither compiler, key nor model")
    for service in ("gateway", "usage_worker", "local_llm", "ui"):
        assert inside(service, "id", "-u") != "0", service
        compilers = "command -v gcc cc g++ c++ clang || true"
        assert inside(service, "sh", "-c", compilers) == "", service
        # -xdev stays out of what is mounted
        held = r"find / -xdev \( -name 'api_keys.yaml*' -o -name master_key -o -name '*.gguf' \) 2>/dev/null || true"
        assert inside(service, "sh", "-c", held) == "", service


def check_logs(client: Client) -> None:
    step("no log holds a key, a query or a prompt")
    asked = {"contents": [{"role": "user", "parts": [{"text": "sentinel-in-the-prompt"}]}]}
    path = "/v1beta/models/gemini-2.5-flash:generateContent?key=sentinel-in-the-query"
    assert httpx.post(PAGE + path, json=asked, timeout=60).status_code == 401
    master = inside("gateway", "cat", "/run/tollgate/keys/master_key")
    logs = compose("logs", "--no-color")
    assert "/v1/chat/completions" in logs
    for secret in (*SENTINELS, "sentinel-in-the-prompt", QUESTION, client.key, master):
        assert secret not in logs, f"a log holds {secret[:24]}..."


def main() -> int:
    check_page()
    client = sign_in()
    check_models(client)
    made = check_calls(client)
    check_rows(client, made)
    check_faults(client, made)
    check_demo(client)
    measure()
    check_local(client)
    check_images()
    check_logs(client)
    step("all well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
