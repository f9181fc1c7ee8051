"""Real inference on a tiny model: every surface of the service, its line, and what must never end it."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.local_llm import tiny_gguf
from tests.local_llm.serving import Service, serving
from tests.services import wait_until

SLOTS, CONTEXT, QUEUE = 2, 512, 2
ENDLESS = 1 << 16
FLAGS = ("--slots", str(SLOTS), "--context", str(ENDLESS), "--queue", str(QUEUE), "--threads", "1")
HELLO: list[dict[str, str]] = [{"role": "user", "content": "hello world"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny` holds few tokens and answers in about 40; `endless` writes until it is told to stop, or for a minute."""
    place = tmp_path_factory.mktemp("inference") / "models"
    place.mkdir()
    tiny_gguf.write(place / "tiny.gguf", context=CONTEXT)
    tiny_gguf.write(place / "endless.gguf", mean_tokens=0, context=ENDLESS)
    return place


@pytest.fixture(scope="module")
def service(folder: Path, llama_server: str) -> Iterator[Service]:
    with serving(folder, llama_server, *FLAGS, "--model", "tiny") as running:
        running.await_ready("tiny")
        yield running


def events(got: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in got.iter_lines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def hold(service: Service, model: str, **more: Any) -> tuple[threading.Thread, threading.Event, threading.Event]:
    """A caller who listens to an endless answer until told to hang up: the thread, begun, and hang up."""
    begun, leave = threading.Event(), threading.Event()

    def listen() -> None:
        body = {"model": model, "prompt": "hello", "stream": True, "n_predict": -1, **more}
        with (
            httpx.Client(timeout=60) as client,
            client.stream("POST", f"{service.url}/completion", json=body) as got,
        ):
            for line in got.iter_lines():
                if line.startswith("data: "):
                    begun.set()
                if leave.is_set():
                    return

    thread = threading.Thread(target=listen)
    thread.start()
    return thread, begun, leave


def test_chat_completion_and_stream_count_as_the_tokenizer_does(service: Service) -> None:
    counted = service.post("/v1/chat/completions/input_tokens", messages=HELLO).json()["input_tokens"]
    whole = service.post("/v1/chat/completions", messages=HELLO, max_tokens=12, seed=1).json()
    assert whole["usage"]["prompt_tokens"] == counted
    text = whole["choices"][0]["message"]["content"]
    body = {"messages": HELLO, "max_tokens": 12, "seed": 1, "stream": True, "stream_options": {"include_usage": True}}
    with service.http.stream("POST", "/v1/chat/completions", json=body) as got:
        assert got.headers["content-type"].startswith("text/event-stream")
        seen = events(got)
    pieces = [event["choices"][0]["delta"].get("content") or "" for event in seen if event["choices"]]
    assert "".join(pieces) == text
    usage = seen[-1]["usage"]
    assert usage["prompt_tokens"] == counted
    assert usage["completion_tokens"] == sum(piece != "" for piece in pieces)


def test_native_completion_says_why_it_stopped_and_how_long_it_took(service: Service) -> None:
    got = service.post("/completion", prompt="hello", n_predict=4).json()
    assert got["stop_type"] == "limit"
    assert got["tokens_predicted"] == got["timings"]["predicted_n"] == 4
    old = service.post("/v1/completions", prompt="hello", max_tokens=4).json()
    assert old["usage"]["completion_tokens"] == 4


def test_embeddings_schema_and_tokens(service: Service) -> None:
    vectors = service.post("/v1/embeddings", input=["hello world", "one two"]).json()["data"]
    assert [len(row["embedding"]) for row in vectors] == [tiny_gguf.WIDTH] * 2
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    got = service.post("/v1/chat/completions", messages=HELLO, max_tokens=200, response_format=wanted).json()
    assert isinstance(json.loads(got["choices"][0]["message"]["content"])["ok"], bool)
    tokens = service.post("/tokenize", content="hello world").json()["tokens"]
    assert service.post("/detokenize", tokens=tokens).json()["content"].strip() == "hello world"


def test_a_prompt_that_does_not_fit_is_a_400_with_the_numbers(service: Service) -> None:
    long = "hello " * 2 * CONTEXT
    for path, body in (
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": long}], "stream": True}),
        ("/completion", {"prompt": long, "stream": True}),
        ("/completion", {"prompt": list(range(300, 300 + CONTEXT))}),
        ("/v1/completions", {"prompt": long}),
    ):
        got = service.http.post(path, json=body)
        assert got.status_code == 400
        assert got.json()["error"]["type"] == "exceed_context_size_error"
        assert f"a slot holds {CONTEXT} (local.context)" in got.json()["error"]["message"]
    # A chat model embeds by its last token, and so in several batches of 128.
    for words, code in ((200, 200), (2 * CONTEXT, 400)):
        got = service.post("/v1/embeddings", input="hello " * words)
        assert got.status_code == code, got.text
    assert f"a slot holds {CONTEXT} (local.context)" in got.json()["error"]["message"]


def test_a_second_model_is_loaded_when_it_is_asked_for(service: Service) -> None:
    names = [row["id"] for row in service.http.get("/v1/models").json()["data"]]
    assert names == ["tiny", "endless"]
    got = service.post("/completion", model="endless", prompt="hello", n_predict=3)
    assert got.json()["model"] == "endless"
    assert service.model("endless")["state"] == "ready"
    assert service.model("endless")["memory_bytes"] > 1_000_000
    missing = service.post("/completion", model="gpt-9", prompt="hello")
    assert missing.status_code == 404
    assert "there are: tiny, endless" in missing.json()["error"]["message"]


def test_who_hangs_up_frees_the_slot(service: Service) -> None:
    thread, begun, leave = hold(service, "endless")
    assert begun.wait(30)
    assert service.busy_slots("endless") == 1
    assert service.model("endless")["busy"] == 1
    leave.set()
    thread.join(30)
    wait_until(lambda: service.busy_slots("endless") == 0, what="the slot is free")
    wait_until(lambda: service.model("endless")["busy"] == 0, what="the line knows")


def test_more_callers_than_slots_wait_in_order_and_too_many_are_refused(service: Service) -> None:
    holders = [hold(service, "endless", n_predict=100_000) for _ in range(SLOTS)]
    for _, begun, _ in holders:
        assert begun.wait(30)
    ask = {"model": "endless", "prompt": "hello", "n_predict": 2}
    signs: list[str] = []

    def patient() -> None:
        body = {**ask, "stream": True}
        with (
            httpx.Client(timeout=60) as client,
            client.stream("POST", f"{service.url}/completion", json=body) as got,
        ):
            signs.extend(got.iter_lines())

    with ThreadPoolExecutor(QUEUE) as pool:
        waiting = pool.submit(patient)
        whole = pool.submit(lambda: httpx.post(f"{service.url}/completion", json=ask, timeout=60))
        wait_until(lambda: service.model("endless")["queue"] == QUEUE, what="both wait")
        refused = service.http.post("/completion", json=ask)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "5"
        assert f"and {QUEUE} wait" in refused.json()["error"]["message"]
        wait_until(lambda: ": waiting" in signs, what="a sign of life")
        for thread, _, leave in holders:
            leave.set()
            thread.join(30)
        waiting.result(60)
        assert whole.result(60).json()["tokens_predicted"] == 2
    assert json.loads(signs[-2].removeprefix("data: "))["stop"] is True


def test_llama_server_killed_in_a_stream_is_told_in_it_and_started_again(folder: Path, llama_server: str) -> None:
    with serving(folder, llama_server, *FLAGS, "--model", "endless") as service:
        service.await_ready("endless")
        body = {"messages": HELLO, "stream": True}
        with service.http.stream("POST", "/v1/chat/completions", json=body) as got:
            seen = []
            for line in got.iter_lines():
                if line.startswith("data: "):
                    seen.append(line)
                    if len(seen) == 2:
                        os.kill(service.engine_pid(), signal.SIGKILL)
        error = json.loads(seen[-1].removeprefix("data: "))["error"]
        assert (error["code"], error["type"]) == (502, "server_error")
        assert "llama-server ended before its answer was whole" in error["message"]
        again = service.post("/completion", prompt="hello", n_predict=2)
        assert again.json().get("tokens_predicted") == 2, (again.text, service.log())
        assert service.model("endless")["restarts"] == 1


def test_a_model_swapped_while_it_runs_is_served_anew(tmp_path: Path, llama_server: str) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    tiny_gguf.write(folder / "m.gguf", context=256)
    with serving(folder, llama_server, *FLAGS) as service:
        service.await_ready("m")
        assert service.model("m")["context"] == 256
        tiny_gguf.write(tmp_path / "new.gguf", context=400, seed=1)
        (tmp_path / "new.gguf").replace(folder / "m.gguf")
        wait_until(lambda: service.model("m").get("context") == 400, what="the new file is seen")
        assert service.post("/completion", prompt="hello", n_predict=2).status_code == 200
        assert service.http.get("/props").json()["default_generation_settings"]["n_ctx"] == 400
        (folder / "m.gguf").unlink()
        wait_until(lambda: service.health()["status"] == "no model", what="the file is missed")
        assert service.post("/completion", prompt="hello").status_code == 503


def test_an_idle_model_is_unloaded_and_comes_back(folder: Path, llama_server: str) -> None:
    with serving(folder, llama_server, *FLAGS, "--model", "tiny", "--idle-seconds", "0.5") as service:
        wait_until(lambda: "has been idle" in service.log(), what="it is unloaded")
        assert service.health()["status"] == "ok"
        assert service.post("/completion", prompt="hello", n_predict=2).json()["tokens_predicted"] == 2


def test_what_does_not_fit_into_memory_is_refused_with_the_numbers(folder: Path, llama_server: str) -> None:
    with serving(folder, llama_server, *FLAGS, "--model", "tiny", "--memory-mib", "8") as service:
        reason = service.await_status("failed")["reason"]
        assert reason.startswith("tiny needs about 0.1 GB of memory, and 0.0 GB are free: take a smaller model")
        got = service.post("/completion", prompt="hello")
        assert (got.status_code, got.json()["error"]["message"]) == (503, reason)


def test_memory_for_one_holds_one_at_a_time(folder: Path, llama_server: str) -> None:
    with serving(folder, llama_server, *FLAGS, "--model", "tiny", "--memory-mib", "90") as service:
        service.await_ready("tiny")
        assert service.post("/completion", model="endless", prompt="hello", n_predict=2).status_code == 200
        assert (service.model("tiny")["state"], service.model("endless")["state"]) == ("unloaded", "ready")
        thread, begun, leave = hold(service, "endless")
        assert begun.wait(30)
        busy = service.post("/completion", model="tiny", prompt="hello", n_predict=2)
        assert busy.status_code == 503
        assert "while endless is at work" in busy.json()["error"]["message"]
        leave.set()
        thread.join(30)


def test_metrics_tell_tokens_slots_line_and_memory(service: Service) -> None:
    service.post("/completion", prompt="hello", n_predict=20)
    wait_until(lambda: 'tokens_total{model="tiny",type="generated"} 0' not in service.http.get("/metrics").text,
               what="counters are read")  # fmt: skip
    text = service.http.get("/metrics").text
    for name in ("slots", "slots_busy", "queue", "load_seconds", "memory_bytes", "tokens_per_second", "restarts_total"):
        assert f"# TYPE local_llm_{name} " in text
        assert f'local_llm_{name}{{model="tiny"' in text


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "hello", "grammar": "root ::= " + "(" * 300_000},
        {"prompt": "hello", "grammar": "root ::= " + "(" * 400 + '"a"' + ")" * 400},
        {"prompt": "hello", "grammar": "root ::= [["},
        {"prompt": "hello", "grammar": "root ::= root"},
        {"prompt": "hello", "grammar": 5},
        {"prompt": "hello", "json_schema": {"type": "array", "items": {"pattern": "(" * 5000}}},
        {"prompt": "hello", "json_schema": {"type": "nothing"}},
        {"prompt": "hello", "n_cmpl": 99},
        {"prompt": {"a": 1}},
        {"messages": HELLO, "reasoning_format": "aloud"},
        {"messages": HELLO, "tools": {"a": 1}},
        {"messages": HELLO, "json_schema": {}, "grammar": 'root ::= "a"'},
        {"input": 0},
    ],
)
def test_what_is_no_grammar_schema_or_body_is_a_400(service: Service, body: dict[str, Any]) -> None:
    path = {"messages": "/v1/chat/completions", "input": "/v1/embeddings"}.get(next(iter(body)), "/completion")
    got = service.http.post(path, json={"n_predict": 2, **body})
    assert got.status_code == 400
    assert got.json()["error"]["type"] == "invalid_request_error"


def test_nothing_that_is_sent_ends_llama_server(service: Service) -> None:
    """Random bodies, fields and grammars: any answer is right but a broken connection or an engine that ended."""
    dice = random.Random(7)
    engines = service.engine_pids()
    odd: list[Any] = [None, True, -1, 0, 1e308, 2**63, "", "x" * 500, [], {}, [[]], {"a": {"b": []}}, "\x00", "\ud800"]
    names = [
        *("prompt", "messages", "input", "model", "stream", "n", "n_predict", "max_tokens", "stop", "cache_prompt"),
        *("temperature", "top_k", "top_p", "seed", "logit_bias", "n_probs", "samplers", "id_slot", "reasoning_format"),
        *("grammar", "json_schema", "response_format", "tools", "tool_choice"),
    ]
    signs = '()[]{}|*+?"\\::=rot abc\n'
    for _ in range(250):
        path = dice.choice(["/completion", "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/tokenize"])
        body = {"prompt": "hi", "messages": HELLO, "n_predict": 2, "max_tokens": 2}
        body |= {dice.choice(names): dice.choice(odd) for _ in range(dice.randint(1, 4))}
        if dice.random() < 0.4:
            body["grammar"] = "root ::= " + "".join(dice.choice(signs) for _ in range(dice.randint(1, 60)))
        raw = json.dumps(body).encode()
        if dice.random() < 0.2:
            raw = raw[: dice.randrange(len(raw))]
        got = service.http.post(path, content=raw)
        assert got.status_code in (200, 400, 404, 501), (raw, got.text)
    assert service.engine_pids() == engines
    assert [row.get("restarts", 0) for row in service.status()["models"]] == [0, 0]
    assert service.post("/completion", prompt="hello", n_predict=2).json()["tokens_predicted"] == 2
