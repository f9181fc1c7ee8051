"""OpenAI's chat upstream, and OpenRouter's, which shows reasoning and wants it back."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.clients.conversation import (
    ANSWER,
    CHART_ARGUMENTS,
    CHART_TEXT,
    QUESTION,
    SAID,
    SYSTEM,
    THOUGHT,
    TIDE_ARGUMENTS,
    TIDE_ERROR,
    TOOLS,
    Abilities,
)
from tests.e2e.clients.script import (
    DATA_URL,
    SIGNATURE,
    Script,
    compact,
    halves,
    streamed,
    whole,
)
from tests.replay import Answer

CHAT_IDS = ("call_tide7", "call_chart8")
_CHAT_USAGE = {
    "prompt_tokens": 61,
    "completion_tokens": 23,
    "total_tokens": 84,
    "prompt_tokens_details": {"cached_tokens": 16},
    "completion_tokens_details": {"reasoning_tokens": 9},
}
_DETAILS = [
    {"type": "reasoning.text", "text": THOUGHT, "signature": SIGNATURE, "format": "anthropic-claude-v1", "index": 0},
]


def _chat(message: dict[str, Any], finish: str) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", "refusal": None, **message}, "finish_reason": finish}
    head = {"id": "chatcmpl-written", "object": "chat.completion", "created": 1763600000, "model": "written"}
    return whole({**head, "choices": [choice], "usage": _CHAT_USAGE})


def _chat_stream(deltas: list[dict[str, Any]], finish: str) -> Answer:
    head = {"id": "chatcmpl-written", "object": "chat.completion.chunk", "created": 1763600000, "model": "written"}
    chunks = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}], "usage": None} for delta in deltas
    ]
    end = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "usage": None}
    return streamed(*chunks, end, {**head, "choices": [], "usage": _CHAT_USAGE}, done=True)


def _chat_call(at: int, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"id": CHAT_IDS[at], "type": "function", "function": {"name": name, "arguments": compact(arguments)}}


def chat_call(name: str) -> Answer:
    """An answer that calls this tool."""
    return _chat({"content": None, "tool_calls": [_chat_call(0, name, {})]}, "tool_calls")


_CHAT_CALLS = [_chat_call(0, "get_tide", TIDE_ARGUMENTS), _chat_call(1, "get_chart", CHART_ARGUMENTS)]


def _call_deltas() -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = []
    for index, call in enumerate(_CHAT_CALLS):
        function = call["function"]
        deltas.append(
            {"tool_calls": [{**call, "index": index, "function": {"name": function["name"], "arguments": ""}}]}
        )
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            for piece in halves(function["arguments"])
        ]
    return deltas


def _chat_text(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": ""}, *({"content": piece} for piece in halves(text))]


def _detail_deltas() -> list[dict[str, Any]]:
    head = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
    texts = [{"reasoning": piece, "reasoning_details": [{**head, "text": piece}]} for piece in halves(THOUGHT)]
    return [{"role": "assistant", "content": ""}, *texts, {"reasoning_details": [{**head, "signature": SIGNATURE}]}]


def _check_chat(body: dict[str, Any], abilities: Abilities, ids: tuple[str, str]) -> None:
    system, user, assistant, tide, chart, *rest = body["messages"]
    assert system["role"] in ("system", "developer")
    assert system["content"] == SYSTEM
    assert user == {"role": "user", "content": QUESTION}
    assert assistant["role"] == "assistant"
    assert assistant["content"] == SAID
    assert [(call["id"], call["type"], call["function"]["name"]) for call in assistant["tool_calls"]] == [
        (ids[0], "function", "get_tide"),
        (ids[1], "function", "get_chart"),
    ]
    sent = [json.loads(call["function"]["arguments"]) for call in assistant["tool_calls"]]
    assert sent == [TIDE_ARGUMENTS, CHART_ARGUMENTS]
    assert (tide["role"], tide["tool_call_id"], tide["content"]) == ("tool", ids[0], TIDE_ERROR)
    assert (chart["role"], chart["tool_call_id"], chart["content"]) == ("tool", ids[1], CHART_TEXT)
    (picture,) = rest  # chat takes text only in tool messages: the image follows as the user's
    assert picture["role"] == "user"
    assert [part["image_url"]["url"] for part in picture["content"] if part["type"] == "image_url"] == [DATA_URL]
    tools = [(tool["function"]["name"], tool["function"]["description"]) for tool in body["tools"]]
    assert tools == [(name, description) for name, description, _ in TOOLS]
    assert [tool["function"]["parameters"] for tool in body["tools"]] == [schema for *_, schema in TOOLS]


def _check_openai(body: dict[str, Any], abilities: Abilities, ids: tuple[str, str]) -> None:
    _check_chat(body, abilities, ids)
    assert not {"reasoning_content", "reasoning_details"} & body["messages"][2].keys()


def _check_openrouter(body: dict[str, Any], abilities: Abilities, ids: tuple[str, str]) -> None:
    _check_chat(body, abilities, ids)
    if not abilities.reasoning:
        return
    details = body["messages"][2]["reasoning_details"]
    assert "".join(entry.get("text", "") for entry in details) == THOUGHT
    assert [entry["signature"] for entry in details if entry.get("signature")] == [SIGNATURE]
    assert {entry["format"] for entry in details} == {"anthropic-claude-v1"}
    assert {entry["index"] for entry in details} == {0}


OPENAI = Script(
    name="openai",
    dialect="openai_chat",
    model="gpt-5-mini",
    settings={"api_base": "/v1", "dialects": ["openai_chat"]},
    path="/v1/chat/completions",
    stream_path="/v1/chat/completions",
    first=_chat({"content": SAID, "tool_calls": _CHAT_CALLS}, "tool_calls"),
    first_streamed=_chat_stream([*_chat_text(SAID), *_call_deltas()], "tool_calls"),
    second=_chat({"content": ANSWER}, "stop"),
    second_streamed=_chat_stream(_chat_text(ANSWER), "stop"),
    shows_thinking=False,
    call_ids=CHAT_IDS,
    check=_check_openai,
)

OPENROUTER = Script(
    name="openrouter",
    dialect="openai_chat",
    model="anthropic/claude-sonnet-4.5",
    settings={"api_base": "/openrouter/v1", "dialects": ["openai_chat"]},
    path="/openrouter/v1/chat/completions",
    stream_path="/openrouter/v1/chat/completions",
    first=_chat(
        {"content": SAID, "reasoning": THOUGHT, "reasoning_details": _DETAILS, "tool_calls": _CHAT_CALLS},
        "tool_calls",
    ),
    first_streamed=_chat_stream([*_detail_deltas(), *_chat_text(SAID), *_call_deltas()], "tool_calls"),
    second=_chat({"content": ANSWER}, "stop"),
    second_streamed=_chat_stream(_chat_text(ANSWER), "stop"),
    shows_thinking=True,
    call_ids=CHAT_IDS,
    check=_check_openrouter,
)
