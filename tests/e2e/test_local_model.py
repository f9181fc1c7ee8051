"""Real inference on a tiny model through the gateway: every surface and dialect, metered; its line and its death."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_llm.installed import find_server
from tests.deployment import Deployment, until
from tests.local_llm import tiny_gguf
from tests.local_llm.serving import Service, serving
from tests.replay import Upstream
from tests.replay.answers import FIXTURES, answer_of

SLOTS, CONTEXT, ENDLESS = 2, 512, 1 << 16
FLAGS = ("--slots", str(SLOTS), "--context", str(ENDLESS), "--queue", "1", "--wait-seconds", "6", "--threads", "1")
HELLO = "hello world"
CHAT = {"messages": [{"role": "user", "content": HELLO}]}


@dataclass(frozen=True)
class Place:
    deployment: Deployment
    service: Service
    upstream: Upstream


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    server = find_server(os.environ)
    if server is None or shutil.which(server) is None:
        pytest.skip("there is no llama-server here: run `make local`")
    folder = tmp_path_factory.mktemp("local")
    models = folder / "gguf"
    models.mkdir()
    tiny_gguf.write(models / "tiny.gguf", context=CONTEXT)
    tiny_gguf.write(models / "endless.gguf", mean_tokens=0, context=ENDLESS)
    tiny_gguf.write(models / "thinker.gguf", mean_tokens=0, context=CONTEXT, shape=tiny_gguf.Shape(thinks=True))
    tiny_gguf.write(models / "caller.gguf", context=CONTEXT, shape=tiny_gguf.Shape(calls=True))
    (models / "broken.gguf").write_bytes((models / "tiny.gguf").read_bytes()[:-1])
    (models / "huge.gguf").write_bytes(b"GGUF" + (3).to_bytes(4, "little") + bytes(16))
    os.truncate(models / "huge.gguf", 1 << 42)  # of nothing: it only says to need it
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream())
        service = stack.enter_context(serving(models, server, *FLAGS, "--model", "tiny"))
        service.await_ready("tiny")
        for name in ("endless", "thinker", "caller"):  # loading counts as waiting, and the machine may be busy
            until(partial(_loads, service, name), f"{name} is loaded")
        misspelt = stack.enter_context(serving(models, server, *FLAGS, "--model", "tinny"))
        misspelt.await_status("no model")
        hosted = [{"provider": "openai", "model": "gpt-4o-mini"}]
        config = {
            "providers": {
                "misspelt": {"type": "local", "api_base": f"{misspelt.url}/v1"},
                "local": {"api_base": f"{service.url}/v1"},
                "openai": {"api_key": "sk-test", "api_base": f"{upstream.url}/v1"},
            },
            "models": {"house": {"provider": "local", "model": "endless", "fallbacks": hosted}},
        }
        deployment = stack.enter_context(Deployment(folder / "gateway", upstream.url, config=config))
        until(lambda: "local:endless" in _listed(deployment), "the gateway sees the models")
        yield Place(deployment, service, upstream)


def _listed(deployment: Deployment) -> dict[str, Any]:
    return {row["id"]: row for row in deployment.get("/v1/models").json()["data"]}


def _loads(service: Service, model: str) -> bool:
    return service.post("/completion", model=model, prompt="hello", n_predict=1).status_code == 200


def _row(place: Place, response: httpx.Response) -> dict[str, Any]:
    [row] = place.deployment.rows(1, request_id=response.headers["x-request-id"])
    return row


def _tokens(place: Place) -> int:
    """Of the greeting as a conversation, by the model's own tokenizer."""
    count: int = place.service.post("/v1/chat/completions/input_tokens", **CHAT).json()["input_tokens"]
    return count


def _data(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


DIALECTS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai_chat": ("/v1/chat/completions", {"model": "local:tiny", **CHAT, "max_tokens": 9}),
    "openai_responses": ("/v1/responses", {"model": "local:tiny", "input": HELLO, "max_output_tokens": 9}),
    "anthropic_messages": ("/v1/messages", {"model": "local:tiny", **CHAT, "max_tokens": 9}),
    "gemini": (
        "/v1beta/models/local:tiny:generateContent",
        {
            "contents": [{"role": "user", "parts": [{"text": HELLO}]}],
            "generationConfig": {"maxOutputTokens": 9},
        },
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_is_answered_and_its_usage_is_what_the_tokenizer_counts(
    place: Place, dialect: str, stream: bool
) -> None:
    path, body = DIALECTS[dialect]
    if dialect == "gemini" and stream:
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
    elif stream:
        body = {**body, "stream": True}
    response = place.deployment.post(path, body)
    assert response.status_code == 200, response.text
    assert response.headers["x-tollgate-provider"] == "local"
    row = _row(place, response)
    assert (row["status"], row["provider"], row["model"]) == ("success", "local", "tiny")
    assert row["prompt_tokens"] == _tokens(place)
    assert 1 <= row["completion_tokens"] <= 9
    assert row["cost"] == 0
    if stream:
        assert len(_data(response.text)) > 2


def test_native_completions_have_content_reason_times_and_usage(place: Place) -> None:
    body = {"model": "local:tiny", "prompt": HELLO, "n_predict": 5}
    whole = place.deployment.post("/completion", body)
    answer = whole.json()
    counted = len(place.service.post("/tokenize", content=HELLO, add_special=True).json()["tokens"])
    assert answer["usage"]["prompt_tokens"] == counted
    assert answer["usage"]["completion_tokens"] == 5
    assert answer["stop_type"] == "limit"
    assert answer["timings"]["predicted_n"] == 5
    assert answer["content"]
    assert _row(place, whole)["completion_tokens"] == 5

    streamed = place.deployment.post("/completion", {**body, "stream": True})
    events = _data(streamed.text)
    assert [event["stop"] for event in events] == [False] * (len(events) - 1) + [True]
    assert events[-1]["usage"]["completion_tokens"] == events[-1]["timings"]["predicted_n"] == 5
    assert _row(place, streamed)["prompt_tokens"] == counted
    # Without a model it is the default local one.
    assert place.deployment.post("/completion", {"prompt": HELLO, "n_predict": 2}).json()["model"] == "tiny"


def test_completions_and_embeddings(place: Place) -> None:
    old = place.deployment.post("/v1/completions", {"model": "local:tiny", "prompt": HELLO, "max_tokens": 4})
    assert old.json()["usage"]["completion_tokens"] == _row(place, old)["completion_tokens"] == 4
    made = place.deployment.post("/v1/embeddings", {"model": "local:tiny", "input": [HELLO, "one two"]})
    assert [len(item["embedding"]) for item in made.json()["data"]] == [tiny_gguf.WIDTH] * 2
    assert _row(place, made)["prompt_tokens"] == made.json()["usage"]["prompt_tokens"] > 0


def test_tokens_are_counted_by_the_models_own_tokenizer_in_every_dialect(place: Place) -> None:
    for path, body, field in (
        ("/v1/messages/count_tokens", {"model": "local:tiny", **CHAT}, "input_tokens"),
        ("/v1/responses/input_tokens", {"model": "local:tiny", "input": HELLO}, "input_tokens"),
        (
            "/v1beta/models/local:tiny:countTokens",
            {"contents": [{"role": "user", "parts": [{"text": HELLO}]}]},
            "totalTokens",
        ),
    ):
        response = place.deployment.post(path, body)
        assert response.json()[field] == _tokens(place)
        assert "x-tollgate-estimated" not in response.headers


def _text(dialect: str, answer: dict[str, Any]) -> str:
    text: str
    if dialect == "openai_chat":
        text = answer["choices"][0]["message"]["content"]
    elif dialect == "openai_responses":
        text = answer["output"][-1]["content"][0]["text"]
    elif dialect == "anthropic_messages":
        text = answer["content"][-1]["text"]
    else:
        text = answer["candidates"][0]["content"]["parts"][0]["text"]
    return text


def test_a_schema_binds_the_answer_in_every_dialect_and_all_of_it_is_counted(place: Place) -> None:
    """The likeliest answer is the same in all of them, whole and streamed, and ends by itself."""
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    form = {"type": "json_schema", "schema": schema}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    bare = place.service.post("/v1/chat/completions", **CHAT, temperature=0, max_tokens=300, response_format=wanted)
    written = bare.json()["timings"]["predicted_n"]
    assert 1 < written < 300
    in_gemini = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    bound: dict[str, dict[str, Any]] = {
        "openai_chat": {"max_tokens": 300, "response_format": wanted},
        "openai_responses": {"max_output_tokens": 300, "text": {"format": {**form, "name": "x"}}},
        "anthropic_messages": {"max_tokens": 300, "output_config": {"format": form}},
        "gemini": {"generationConfig": {"maxOutputTokens": 300, "temperature": 0, **in_gemini}},
    }
    for dialect, (path, body) in DIALECTS.items():
        body = {**body, **bound[dialect], **({} if dialect == "gemini" else {"temperature": 0})}
        whole = place.deployment.post(path, body)
        assert whole.status_code == 200, whole.text
        assert isinstance(json.loads(_text(dialect, whole.json()))["ok"], bool)
        if dialect == "gemini":
            path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
        else:
            body = {**body, "stream": True}
        streamed = place.deployment.post(path, body)
        assert [_row(place, response)["completion_tokens"] for response in (whole, streamed)] == [written] * 2


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_thoughts_are_thoughts_in_every_dialect(place: Place, dialect: str, stream: bool) -> None:
    path, body = DIALECTS[dialect]
    path, body = path.replace("tiny", "thinker"), {**body, "model": "local:thinker"}
    if dialect == "gemini":
        body["generationConfig"] = {**body["generationConfig"], "thinkingConfig": {"includeThoughts": True}}
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse") if stream else path
    elif stream:
        body["stream"] = True
    response = place.deployment.post(path, body)
    assert response.status_code == 200, response.text
    sign = {
        "openai_chat": "reasoning_content",
        "openai_responses": '"reasoning',
        "anthropic_messages": '"thinking"',
        "gemini": '"thought":true',
    }[dialect]
    assert sign in response.text.replace(": ", ":") if dialect == "gemini" else sign in response.text


CITY = {"type": "object", "properties": {"city": {"enum": ["Seoul", "Busan"]}}, "required": ["city"]}
TOOL = {"name": "weather", "description": "tells the weather", "parameters": CITY}
TOOLS: dict[str, list[dict[str, Any]]] = {
    "openai_chat": [{"type": "function", "function": TOOL}],
    "openai_responses": [{"type": "function", **TOOL}],
    "anthropic_messages": [{"name": "weather", "description": "tells the weather", "input_schema": CITY}],
    "gemini": [{"functionDeclarations": [TOOL]}],
}


def test_tools_reach_the_model_from_every_dialect(place: Place) -> None:
    """Random weights call none of themselves; that they read of it shows in the tokens."""
    for dialect, (path, body) in DIALECTS.items():
        path, body = path.replace("tiny", "thinker"), {**body, "model": "local:thinker"}
        plain = _row(place, place.deployment.post(path, body))["prompt_tokens"]
        response = place.deployment.post(path, {**body, "tools": TOOLS[dialect]})
        assert response.status_code == 200, response.text
        assert _row(place, response)["prompt_tokens"] > plain + 20


def _call(dialect: str, answer: dict[str, Any]) -> tuple[str, Any]:
    """The tool called, and its arguments."""
    if dialect == "openai_chat":
        function = answer["choices"][0]["message"]["tool_calls"][0]["function"]
        return function["name"], json.loads(function["arguments"])
    if dialect == "openai_responses":
        [item] = [item for item in answer["output"] if item["type"] == "function_call"]
        return item["name"], json.loads(item["arguments"])
    if dialect == "anthropic_messages":
        [block] = [block for block in answer["content"] if block["type"] == "tool_use"]
        return block["name"], block["input"]
    [call] = [part["functionCall"] for part in answer["candidates"][0]["content"]["parts"] if "functionCall" in part]
    return call["name"], call["args"]


def test_a_tool_that_must_be_called_is_called_in_every_dialect(place: Place) -> None:
    """The grammar binds a model that would rather end at once."""
    asked: dict[str, dict[str, Any]] = {
        "openai_chat": {"tool_choice": "required", "max_tokens": 300},
        "openai_responses": {"tool_choice": "required", "max_output_tokens": 300},
        "anthropic_messages": {"tool_choice": {"type": "any"}, "max_tokens": 300},
        "gemini": {
            "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
            "generationConfig": {"maxOutputTokens": 300},
        },
    }
    for dialect, (path, body) in DIALECTS.items():
        body = {**body, **asked[dialect], "model": "local:caller", "tools": TOOLS[dialect]}
        response = place.deployment.post(path.replace("tiny", "caller"), body)
        assert response.status_code == 200, response.text
        name, arguments = _call(dialect, response.json())
        assert (name, arguments["city"] in ("Seoul", "Busan")) == ("weather", True)


def test_grammars_and_odd_bodies_are_bound_or_a_400_through_the_gateway(place: Place) -> None:
    ask = {"model": "local:tiny", "prompt": HELLO, "n_predict": 9}
    bound = place.deployment.post("/completion", {**ask, "grammar": 'root ::= "yes" | "no"'})
    assert bound.json()["content"] in ("yes", "no")
    deep = "root ::= " + "(" * 300_000
    engines = place.service.engine_pids()
    for grammar in ("root ::= [[", deep, 5):
        assert place.deployment.post("/completion", {**ask, "grammar": grammar}).status_code == 400
    odd: list[Any] = [None, True, -1, 1e308, 2**63, "", "x" * 500, [], {}, [[]], {"a": {"b": []}}, "\x00", "\ud800"]
    names = ["prompt", "messages", "input", "stop", "temperature", "seed", "grammar", "json_schema", "samplers"]
    names += ["response_format", "reasoning_format", "tools", "tool_choice", "max_tokens", "n_predict"]
    dice = random.Random(7)
    for _ in range(30):
        path = dice.choice(["/completion", "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/messages"])
        body = {**ask, **CHAT, "input": HELLO, "max_tokens": 2, "n_predict": 2}
        body |= {dice.choice(names): dice.choice(odd) for _ in range(dice.randint(1, 3))}
        response = place.deployment.post(path, body)
        assert response.status_code in (200, 400), (path, body, response.text)
    assert place.service.engine_pids() == engines


def test_what_does_not_fit_is_a_400_in_the_callers_dialect(place: Place) -> None:
    long = "hello " * 2 * CONTEXT
    for path, body in (
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": long}], "stream": True}),
        ("/v1/messages", {"messages": [{"role": "user", "content": long}], "max_tokens": 9, "stream": True}),
        ("/completion", {"prompt": long, "stream": True}),
    ):
        response = place.deployment.post(path, {"model": "local:tiny", **body})
        assert response.status_code == 400
        assert f"a slot holds {CONTEXT}" in response.json()["error"]["message"]


HANGUL = "오늘 서울 날씨는 어떤가요 그리고 내일은요"


def test_a_dialogue_is_cut_to_the_window_of_a_slot_as_the_models_own_tokenizer_counts(place: Place) -> None:
    """The tokenizer splits Hangul into bytes, four times what is estimated: the window must hold all the same."""
    seen = []
    for _ in range(4):
        turn = {"user_prompt": HANGUL, "request_id": "grows", "model": "local:tiny", "max_tokens": 100}
        response = place.deployment.post("/api/v1/chat", turn)
        assert response.status_code == 200, response.text
        assert _row(place, response)["prompt_tokens"] <= CONTEXT - 100
        seen.append(response.json()["history"])
    assert seen[1] == {"messages": 2, "left_out": 0}
    assert seen[-1]["messages"] >= 2
    assert seen[-1]["left_out"] >= 2


def test_the_playground_holds_a_local_model_to_its_share_of_the_window(place: Place) -> None:
    body = {"model": "local:tiny", "messages": [{"role": "user", "content": "hello " * CONTEXT}]}
    response = place.deployment.post("/api/chat/completions", body)
    assert response.status_code == 400
    assert f"at most {CONTEXT * 85 // 100} for model 'local:tiny'" in response.json()["error"]["message"]
    assert response.json()["error"]["code"] == "context_length_exceeded"


def _listen(place: Place, model: str, begun: threading.Event, leave: threading.Event) -> None:
    headers = {"authorization": f"Bearer {place.deployment.key}"}
    body = {"model": model, "prompt": "hello", "stream": True}
    with (
        httpx.Client(base_url=place.deployment.url, timeout=60, headers=headers) as client,
        client.stream("POST", "/v1/completions", json=body) as response,
    ):
        for line in response.iter_lines():
            if line.startswith("data: "):
                begun.set()
            if leave.is_set():
                return


def test_who_hangs_up_frees_the_slot_and_a_full_line_is_a_503_or_the_next_target(place: Place) -> None:
    leave = threading.Event()
    begun = [threading.Event() for _ in range(SLOTS)]
    holders = [threading.Thread(target=_listen, args=(place, "local:endless", each, leave)) for each in begun]
    for holder in holders:
        holder.start()
    assert all(each.wait(30) for each in begun)
    assert place.service.busy_slots("endless") == SLOTS

    with ThreadPoolExecutor(1) as pool:
        place.upstream.forget()
        hosted = json.loads((FIXTURES / "openai-chat-stream.json").read_text(encoding="utf-8"))
        place.upstream.on("/v1/chat/completions", answer_of(hosted))
        streamed = {"model": "house", **CHAT, "max_tokens": 2, "stream": True}
        patient = pool.submit(place.deployment.post, "/v1/messages", streamed)
        until(lambda: place.service.model("endless")["queue"] == 1, "the patient one waits")
        refused = place.deployment.post("/v1/chat/completions", {"model": "local:endless", **CHAT, "max_tokens": 2})
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "local_busy"

        # It had signs of life, which are no answer: another target's follows, and says whose it is.
        signs = patient.result(60)
    assert (signs.status_code, "x-tollgate-provider" in signs.headers) == (200, False)
    assert signs.text.startswith(": waiting\n\n")
    assert ": x-tollgate-provider: openai\n" in signs.text
    assert _data(signs.text)[-1] == {"type": "message_stop"}
    rows = place.deployment.rows(2, request_id=signs.headers["x-request-id"])
    assert sorted((row["provider"], row["status"]) for row in rows) == [("local", "error"), ("openai", "success")]

    alone = place.deployment.post("/v1/messages", {**streamed, "model": "local:endless"})
    assert alone.text.startswith(": waiting\n\n")
    [error] = _data(alone.text)
    assert error["type"] == "error"
    assert "no slot of endless got free in 6 s" in error["error"]["message"]
    assert _row(place, alone)["status"] == "error"

    leave.set()
    for holder in holders:
        holder.join(30)
    until(lambda: place.service.busy_slots("endless") == 0, "the slots are free")
    again = place.deployment.post("/v1/chat/completions", {"model": "house", **CHAT, "max_tokens": 2})
    assert again.headers["x-tollgate-provider"] == "local"


def test_llama_server_killed_in_a_stream_is_told_in_band_and_is_a_row(place: Place) -> None:
    [victim] = [pid for pid in _children(place.service) if b"endless" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    headers = {"authorization": f"Bearer {place.deployment.key}"}
    body = {"model": "local:endless", **CHAT, "max_tokens": 60_000, "stream": True}
    lines = []
    with (
        httpx.Client(base_url=place.deployment.url, timeout=60, headers=headers) as client,
        client.stream("POST", "/v1/messages", json=body) as response,
    ):
        for line in response.iter_lines():
            lines.append(line)
            if len(lines) == 20:
                os.kill(victim, signal.SIGKILL)
    [error] = [event for event in _data("\n".join(lines)) if event["type"] == "error"]
    assert "llama-server ended before its answer was whole" in error["error"]["message"]
    row = _row(place, response)
    assert (row["status"], row["provider"]) == ("error", "local")
    again = place.deployment.post("/v1/messages", {"model": "local:endless", **CHAT, "max_tokens": 2})
    assert again.status_code == 200


def _children(service: Service) -> list[int]:
    text = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text()
    return [int(word) for word in text.split()]


def test_the_list_the_metrics_and_the_status_show_the_local_models(place: Place) -> None:
    def seen() -> bool:
        return "tollgate_local_slots{" in place.deployment.get("/metrics").text

    until(seen, "the gateway has asked the service")
    row = _listed(place.deployment)["local:tiny"]
    assert (row["available"], row["context_window"]) == (True, CONTEXT)
    broken, huge = (_listed(place.deployment)[f"local:{name}"] for name in ("broken", "huge"))
    assert (broken["available"], huge["available"]) == (False, False)
    assert broken["unavailable_reason"].startswith("broken.gguf is cut off after ")
    refused = place.deployment.post("/v1/chat/completions", {"model": "local:broken", **CHAT})
    assert (refused.status_code, refused.json()["error"]["message"]) == (503, broken["unavailable_reason"])
    too_large = place.deployment.post("/v1/chat/completions", {"model": "local:huge", **CHAT})
    assert too_large.status_code == 503
    assert "huge needs about 4398.1 GB of memory" in too_large.json()["error"]["message"]
    # Its LOCAL_MODEL names none, and no other answers in its place.
    unset = place.deployment.post("/v1/chat/completions", {"model": "misspelt", **CHAT})
    assert unset.status_code == 503
    assert unset.json()["error"]["message"].startswith("there is no tinny.gguf")
    text = place.deployment.get("/metrics").text
    for name in ("slots", "slots_busy", "queue", "load_seconds", "memory_bytes", "tokens_per_second"):
        assert f'tollgate_local_{name}{{model="tiny",provider="local"}}' in text
    told = place.deployment.get("/status").json()["local_model"]
    assert {"tiny", "endless", "thinker"} <= set(told["models"])
    service = told["services"]["local"]
    assert service["engine"] is True
    [tiny] = [row for row in service["models"] if row["name"] == "tiny"]
    assert (tiny["state"], tiny["slots"], tiny["busy"], tiny["queue"]) == ("ready", SLOTS, 0, 0)
    assert tiny["load_seconds"] > 0
    assert tiny["memory_bytes"] > 1024 * 1024
    assert {"tokens_per_second", "prompt_tokens_per_second"} <= tiny.keys()
    assert "local_model" not in httpx.get(f"{place.deployment.url}/status").json()
