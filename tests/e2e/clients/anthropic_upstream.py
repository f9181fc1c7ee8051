"""Anthropic's upstream: thinking with a signature, and redacted thinking."""

from __future__ import annotations

from typing import Any

from tests.e2e.clients.conversation import (
    ANSWER,
    CHART_ARGUMENTS,
    CHART_TEXT,
    PNG,
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
    REDACTED,
    SIGNATURE,
    Script,
    compact,
    halves,
    joined_text,
    streamed,
    whole,
)
from tests.replay import Answer

ANTHROPIC_IDS = ("toolu_01Tide", "toolu_02Chart")
_BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE},
    {"type": "redacted_thinking", "data": REDACTED},
    {"type": "text", "text": SAID},
    {"type": "tool_use", "id": ANTHROPIC_IDS[0], "name": "get_tide", "input": TIDE_ARGUMENTS},
    {"type": "tool_use", "id": ANTHROPIC_IDS[1], "name": "get_chart", "input": CHART_ARGUMENTS},
]
_ANTHROPIC_USAGE = {
    "input_tokens": 45,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 16,
    "output_tokens": 23,
}


def _message(content: list[dict[str, Any]], stop: str | None) -> dict[str, Any]:
    return {
        "id": "msg_written",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": _ANTHROPIC_USAGE,
    }


def message_stream(content: list[dict[str, Any]], stop: str) -> Answer:
    events: list[dict[str, Any]] = [{"type": "message_start", "message": _message([], None)}, {"type": "ping"}]
    for index, block in enumerate(content):
        events += _block_events(index, block)
    delta = {"stop_reason": stop, "stop_sequence": None}
    events += [{"type": "message_delta", "delta": delta, "usage": _ANTHROPIC_USAGE}, {"type": "message_stop"}]
    return streamed(*events, named=True)


def _block_events(index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = []
    started = block
    if block["type"] == "thinking":
        started = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in halves(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif block["type"] == "text":
        started = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in halves(block["text"])]
    elif block["type"] == "tool_use":
        started = {**block, "input": {}}
        deltas = [
            {"type": "input_json_delta", "partial_json": piece} for piece in ("", *halves(compact(block["input"])))
        ]
    return [
        {"type": "content_block_start", "index": index, "content_block": started},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def _check_anthropic(body: dict[str, Any], abilities: Abilities, ids: tuple[str, str]) -> None:
    system = body["system"]
    assert (system if isinstance(system, str) else "".join(block["text"] for block in system)) == SYSTEM
    user, assistant, *results = body["messages"]
    assert (user["role"], joined_text(user)) == ("user", QUESTION)
    kept = assistant["content"]
    if not abilities.reasoning:
        kept = [block for block in kept if not block["type"].endswith("thinking")]
    assert (assistant["role"], kept) == ("assistant", _BLOCKS if abilities.reasoning else _BLOCKS[2:])
    assert {message["role"] for message in results} == {"user"}
    tide, chart, *rest = (block for message in results for block in message["content"])
    assert (tide["type"], tide["tool_use_id"]) == ("tool_result", ids[0])
    assert tide["content"] in (TIDE_ERROR, [{"type": "text", "text": TIDE_ERROR}])
    assert tide.get("is_error", False) is abilities.error_flag
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    text = {"type": "text", "text": CHART_TEXT}
    assert (chart["type"], chart["tool_use_id"], chart.get("is_error", False)) == ("tool_result", ids[1], False)
    if abilities.image_in_result:
        assert chart["content"] == [text, picture]
        assert rest == []
    else:
        assert chart["content"] in (CHART_TEXT, [text])
        assert rest == [picture]
    if abilities.reasoning:  # without it Anthropic takes no thinking in the middle of a turn
        assert body["thinking"]["type"] == "enabled"
        assert body["max_tokens"] > body["thinking"]["budget_tokens"] >= 1024
    assert [(tool["name"], tool["description"], tool["input_schema"]) for tool in body["tools"]] == list(TOOLS)


ANTHROPIC = Script(
    name="anthropic",
    dialect="anthropic_messages",
    model="claude-sonnet-4-5",
    settings={"api_base": ""},
    path="/v1/messages",
    stream_path="/v1/messages",
    first=whole(_message(_BLOCKS, "tool_use")),
    first_streamed=message_stream(_BLOCKS, "tool_use"),
    second=whole(_message([{"type": "text", "text": ANSWER}], "end_turn")),
    second_streamed=message_stream([{"type": "text", "text": ANSWER}], "end_turn"),
    shows_thinking=True,
    call_ids=ANTHROPIC_IDS,
    check=_check_anthropic,
)
