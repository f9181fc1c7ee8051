"""Command-line agents over every upstream: what they send must never fail, and what is not carried must be said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.clients.agents import (
    AGENTS,
    BROKEN,
    CHAT_AGENT,
    CLAUDE_CODE,
    CLAUDE_CODE_ADAPTIVE,
    CLAUDE_CODE_PROBE,
    CODEX,
    GEMINI_CLI,
    RESULT,
    Agent,
)
from tests.e2e.clients.anthropic_upstream import message_stream
from tests.e2e.clients.chat_upstreams import chat_call
from tests.e2e.clients.conftest import Place
from tests.e2e.clients.conversation import SAID
from tests.e2e.clients.script import Script, whole
from tests.e2e.clients.upstreams import SCRIPTS

_CLAUDE_LOST = {"context_management", "metadata.user_id", "tools[35].defer_loading", "tools[36]"}
_CODEX_LOST = {"client_metadata", "input[9]", "tools[37]", "tools[38]"}
_GEMINI_LOST = {"labels", "tools[1]", "tools[2]"}
_CHAT_LOST = {"messages[2].reasoning_content", "transforms", "usage"}
# What each agent's requests lose over the upstreams of another dialect: server tools and bookkeeping of its vendor,
# and what the upstream's format has no place for.
LOST: dict[tuple[str, str], set[str]] = {
    (CLAUDE_CODE.name, "openai"): _CLAUDE_LOST | {"cache", "messages[2].content[1].is_error", "thinking.budget_tokens"},
    (CLAUDE_CODE.name, "openrouter"): _CLAUDE_LOST | {"cache", "messages[2].content[1].is_error"},
    (CLAUDE_CODE.name, "responses"): _CLAUDE_LOST | {"cache", "messages[2].content[1].is_error"},
    (CLAUDE_CODE.name, "gemini"): _CLAUDE_LOST | {"cache", "thinking.budget_tokens"},
    (CLAUDE_CODE_ADAPTIVE.name, "openai"): _CLAUDE_LOST | {"cache", "messages[2].content[1].is_error"},
    (CLAUDE_CODE_ADAPTIVE.name, "openrouter"): _CLAUDE_LOST | {"cache", "messages[2].content[1].is_error"},
    (CLAUDE_CODE_ADAPTIVE.name, "responses"): _CLAUDE_LOST | {"cache", "messages[2].content[1].is_error"},
    (CLAUDE_CODE_ADAPTIVE.name, "gemini"): _CLAUDE_LOST | {"cache"},
    **{
        (CLAUDE_CODE_PROBE.name, name): {"metadata.user_id"} for name in ("openai", "openrouter", "responses", "gemini")
    },
    (CODEX.name, "openai"): _CODEX_LOST | {"input[3]"},
    (CODEX.name, "openrouter"): _CODEX_LOST | {"tools[36].format"},
    (CODEX.name, "anthropic"): _CODEX_LOST
    | {"input[3]", "tools[36].format", "service_tier", "text.verbosity", "prompt_cache_key"},
    (CODEX.name, "gemini"): _CODEX_LOST | {"input[3]", "tools[36].format", "text.verbosity", "prompt_cache_key"},
    (GEMINI_CLI.name, "openai"): _GEMINI_LOST
    | {"contents[3].parts[1].is_error", "generationConfig.topK", "generationConfig.thinkingConfig.thinkingBudget"},
    (GEMINI_CLI.name, "openrouter"): _GEMINI_LOST | {"contents[3].parts[1].is_error"},
    (GEMINI_CLI.name, "responses"): _GEMINI_LOST | {"contents[3].parts[1].is_error", "generationConfig.topK"},
    (GEMINI_CLI.name, "anthropic"): _GEMINI_LOST
    | {"contents[2].parts[1].signature", "generationConfig.thinkingConfig", "generationConfig.topP"},
    (CHAT_AGENT.name, "responses"): _CHAT_LOST | {"cache_control"},
    (CHAT_AGENT.name, "anthropic"): _CHAT_LOST | {"reasoning_effort", "verbosity", "metadata", "prompt_cache_key"},
    (CHAT_AGENT.name, "gemini"): _CHAT_LOST | {"cache_control", "verbosity", "metadata", "prompt_cache_key", "user"},
}


def _post(place: Place, agent: Agent, script: Script) -> httpx.Response:
    headers = {"content-type": "application/json", "authorization": f"Bearer {place.key}", **agent.headers}
    return httpx.post(
        place.url + agent.url(script.asked), content=agent.content(script.asked), headers=headers, timeout=60
    )


def _events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    for line in answer.text.splitlines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_an_agent_is_served_by_every_upstream(place: Place, agent: Agent, script: Script) -> None:
    place.play(script, stream=True)
    answer = _post(place, agent, script)
    assert answer.status_code == 200, answer.text
    written = answer.text.encode().decode("unicode_escape", "ignore")
    assert SAID.split()[0] in written
    assert "get_tide" in written
    assert "get_chart" in written
    assert list(_events(answer))
    dropped = {name for name in answer.headers.get("x-tollgate-dropped", "").split(", ") if name}
    assert dropped == LOST.get((agent.name, script.name), set())
    (call,) = place.upstream.calls
    if script.dialect == SPEAKS[agent.path.partition("?")[0]]:
        return
    _ACCEPTS[script.dialect](call.json)
    if agent is not CLAUDE_CODE_PROBE:
        assert _tool_count(call.json) in (agent.tools, agent.tools + 1, agent.tools + 2)
        assert json.dumps(RESULT)[1:-1] in call.body.decode()
        assert BROKEN in call.body.decode()
    assert not {"anthropic-beta", "openai-beta", "originator", "x-app", "session_id"} & call.headers.keys()


SPEAKS = {
    "/v1/messages": "anthropic_messages",
    "/v1/responses": "openai_responses",
    "/v1beta/models/{model}:streamGenerateContent": "gemini",
    "/v1/chat/completions": "openai_chat",
}


def _tool_count(body: dict[str, Any]) -> int:
    return sum(len(tool.get("functionDeclarations", [tool])) for tool in body["tools"])


# ----------------------------------------------------------------- what providers are known to refuse, by their errors
def _accepts_chat(body: dict[str, Any]) -> None:
    open_calls: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            open_calls.remove(message["tool_call_id"])
            continue
        assert open_calls == []  # "tool_call_ids did not have response messages"
        open_calls = [call["id"] for call in message.get("tool_calls", ())]
        assert message.get("content") or open_calls
        assert all(len(call_id) <= 40 for call_id in open_calls)
        for call in message.get("tool_calls", ()):
            if call["type"] == "function":
                json.loads(call["function"]["arguments"])
    assert open_calls == []
    for tool in body.get("tools", ()):
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", tool[tool["type"]]["name"])
        if tool["type"] == "function":
            assert tool["function"]["parameters"]["type"] == "object"
    assert len(body.get("user", "")) <= 64
    assert body.keys().isdisjoint({"metadata", "context_management", "labels", "client_metadata", "include"})


def _accepts_responses(body: dict[str, Any]) -> None:
    calls = {item["call_id"] for item in body["input"] if item["type"] == "function_call"}
    assert calls == {item["call_id"] for item in body["input"] if item["type"] == "function_call_output"}
    for tool in body.get("tools", ()):
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", tool["name"])
        assert tool["parameters"]["type"] == "object"
        assert tool["strict"] is False  # it is the default there, and these schemas do not keep its rules
    assert len(body.get("user", "")) <= 64
    assert len(body.get("prompt_cache_key", "")) <= 64
    assert body["store"] is False
    assert body.keys().isdisjoint({"messages", "stream_options", "stop", "top_k", "context_management", "labels"})


def _accepts_messages(body: dict[str, Any]) -> None:
    waiting: set[str] = set()
    for message in body["messages"]:
        assert message["content"]
        blocks = message["content"] if isinstance(message["content"], list) else []
        if waiting:  # results come first in the message that follows
            answered = [block["tool_use_id"] for block in blocks[: len(waiting)] if block["type"] == "tool_result"]
            assert set(answered) == waiting
        waiting = {block["id"] for block in blocks if block["type"] == "tool_use"}
        for block in blocks:
            assert block["type"] != "text" or block["text"]
    assert not waiting
    for tool in body.get("tools", ()):
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool["name"])
        assert tool["input_schema"]["type"] == "object"
    thinking = body.get("thinking", {})
    if thinking.get("type") == "enabled":
        assert 1024 <= thinking["budget_tokens"] < body["max_tokens"]
        assert body.get("temperature", 1) == 1
        assert "top_k" not in body
    assert not {"temperature", "top_p"} <= body.keys()
    assert body.keys() <= _MESSAGES_FIELDS


_MESSAGES_FIELDS = {
    *("model", "messages", "system", "max_tokens", "tools", "tool_choice", "thinking", "stream", "metadata"),
    *("temperature", "top_p", "top_k", "stop_sequences", "output_config", "service_tier"),
}


def _accepts_gemini(body: dict[str, Any]) -> None:
    for content in body["contents"]:
        assert content["parts"]
        calls = [part for part in content["parts"] if "functionCall" in part]
        assert not calls or calls[0]["thoughtSignature"]  # Gemini 3 refuses the first call of a step without
    for tool in body.get("tools", ()):
        for declared in tool["functionDeclarations"]:
            assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}", declared["name"])
            text = json.dumps(declared["parametersJsonSchema"])
            assert not any(f'"{word}"' in text for word in ("$schema", "const", "exclusiveMinimum"))
    assert body.keys() <= {
        *("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier", "store"),
    }


_ACCEPTS = {
    "openai_chat": _accepts_chat,
    "openai_responses": _accepts_responses,
    "anthropic_messages": _accepts_messages,
    "gemini": _accepts_gemini,
}


# --------------------------------------------------------------------------------------------------- the same dialect
@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_an_agents_own_upstream_gets_what_it_sent(place: Place, agent: Agent) -> None:
    script = SCRIPTS[agent.native]
    place.play(script, stream=True)
    answer = _post(place, agent, script)
    assert "x-tollgate-dropped" not in answer.headers
    (call,) = place.upstream.calls
    sent = json.loads(agent.content(script.model))
    assert call.json == sent
    assert list(call.json) == list(sent)
    for name in ("anthropic-beta", "anthropic-version", "openai-beta"):
        assert call.headers.get(name) == agent.headers.get(name)
    assert answer.text.encode() == script.first_streamed.body


@pytest.mark.parametrize("agent", [CLAUDE_CODE, GEMINI_CLI], ids=lambda agent: agent.name)
def test_tokens_are_counted_for_every_upstream(place: Place, agent: Agent, script: Script) -> None:
    place.upstream.forget()
    place.upstream.on("/v1/messages/count_tokens", whole({"input_tokens": 4321}))
    place.upstream.on(f"/v1beta/models/{script.model}:countTokens", whole({"totalTokens": 4321}))
    body = {name: value for name, value in agent.body.items() if name not in ("max_tokens", "stream", "temperature")}
    if agent is GEMINI_CLI:
        path, field = f"/v1beta/models/{script.asked}:countTokens", "totalTokens"
        body = {"contents": body["contents"]}
    else:
        path, field = "/v1/messages/count_tokens?beta=true", "input_tokens"
        body["model"] = script.asked
    counted = place.deployment.post(path, body, **agent.headers)
    assert counted.status_code == 200, counted.text
    native = script.name == agent.native
    assert (counted.json()[field] == 4321) is native
    assert counted.json()[field] > 20
    assert counted.headers.get("x-tollgate-estimated") == (None if native else "1")


def test_codex_patches_files_by_a_tool_of_free_text_anywhere(place: Place) -> None:
    patch = '*** Begin Patch\n*** Update File: a.py\n+print("부산")\n*** End Patch'
    call = {"type": "tool_use", "id": "toolu_01P", "name": "apply_patch", "input": {"input": patch}}
    place.upstream.forget()
    place.upstream.on("/v1/messages", message_stream([call], "tool_use"))
    events = list(_events(_post(place, CODEX, SCRIPTS["anthropic"])))
    (item,) = (event["item"] for event in events if event["type"] == "response.output_item.done")
    assert (item["type"], item["name"], item["call_id"]) == ("custom_tool_call", "apply_patch", "toolu_01P")
    assert item["input"] == patch
    assert "".join(event["delta"] for event in events if event["type"].endswith("tool_call_input.delta")) == patch
    (offered,) = (tool for tool in place.upstream.calls[0].json["tools"] if tool["name"] == "apply_patch")
    assert offered["input_schema"]["required"] == ["input"]


def test_a_name_that_is_too_long_for_the_upstream_comes_back_whole(place: Place) -> None:
    name = "mcp__plugin_" + "x" * 80
    body = {
        "model": SCRIPTS["openai"].asked,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "go"}],
        "tools": [{"name": name, "input_schema": {"type": "object"}}],
    }
    place.play(SCRIPTS["openai"], stream=False)
    place.deployment.post("/v1/messages", body)
    (offered,) = place.upstream.calls[0].json["tools"]
    sent = offered["function"]["name"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", sent)
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", chat_call(sent))
    (block,) = place.deployment.post("/v1/messages", body).json()["content"]
    assert (block["type"], block["name"]) == ("tool_use", name)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/models?limit=1000", {"anthropic-version": "2023-06-01", "anthropic-beta": "x"}),
        ("/v1/models?client_version=0.80.0", {"originator": "codex_cli_rs"}),
        ("/v1beta/models?pageSize=50", {"x-goog-api-client": "google-genai-sdk/1.30.0 gl-node/v22"}),
        ("/v1/models/claude-sonnet-4-5?beta=true", {"anthropic-version": "2023-06-01"}),
        ("/v1beta/models/gemini-2.5-flash", {}),
    ],
)
def test_what_agents_ask_before_they_start(place: Place, path: str, headers: dict[str, str]) -> None:
    for credential in ("authorization", "x-api-key", "x-goog-api-key"):
        value = f"Bearer {place.key}" if credential == "authorization" else place.key
        answer = httpx.get(place.url + path, headers={**headers, credential: value})
        assert answer.status_code == 200, (credential, answer.text)
        assert answer.json()


def test_strict_names_what_an_agent_would_lose(place: Place) -> None:
    script = SCRIPTS["gemini"]
    place.play(script, stream=True)
    headers = {"content-type": "application/json", "x-api-key": place.key, "x-tollgate-strict": "1"}
    refused = httpx.post(
        place.url + CLAUDE_CODE.url(""), content=CLAUDE_CODE.content(script.asked), headers=headers, timeout=60
    )
    assert refused.status_code == 400
    assert refused.json()["error"]["type"] == "invalid_request_error"
    assert "tools[35].defer_loading" in refused.json()["error"]["message"]
    assert place.upstream.calls == []
