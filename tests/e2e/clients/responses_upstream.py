"""OpenAI's Responses upstream: encrypted reasoning."""

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
    ENCRYPTED,
    Script,
    compact,
    halves,
    joined_text,
    streamed,
    whole,
)
from tests.replay import Answer

RESPONSES_IDS = ("call_Tide5", "call_Chart6")
_REASONING = {
    "id": "rs_written1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": THOUGHT}],
    "encrypted_content": ENCRYPTED,
}


def _response_message(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    return {"id": "msg_written1", "type": "message", "status": "completed", "role": "assistant", "content": content}


def _response_call(at: int, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"fc_written{at}",
        "type": "function_call",
        "status": "completed",
        "call_id": RESPONSES_IDS[at],
        "name": name,
        "arguments": compact(arguments),
    }


_RESPONSE_FIRST = [
    _REASONING,
    _response_message(SAID),
    _response_call(0, "get_tide", TIDE_ARGUMENTS),
    _response_call(1, "get_chart", CHART_ARGUMENTS),
]
_RESPONSE_SECOND = [_response_message(ANSWER)]


def _response(output: list[dict[str, Any]], status: str = "completed") -> dict[str, Any]:
    usage = {
        "input_tokens": 61,
        "input_tokens_details": {"cached_tokens": 16},
        "output_tokens": 23,
        "output_tokens_details": {"reasoning_tokens": 9},
        "total_tokens": 84,
    }
    return {
        "id": "resp_written",
        "object": "response",
        "created_at": 1763600000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": "gpt-5-mini",
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage if status == "completed" else None,
        "user": None,
        "metadata": {},
    }


def _response_stream(output: list[dict[str, Any]]) -> Answer:
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response([], "in_progress")},
        {"type": "response.in_progress", "response": _response([], "in_progress")},
    ]
    for index, item in enumerate(output):
        events += _item_events(index, item)
    events.append({"type": "response.completed", "response": _response(output)})
    return streamed(*({**event, "sequence_number": number} for number, event in enumerate(events)), named=True)


def _item_events(index: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    where = {"item_id": item["id"], "output_index": index}
    inner: list[dict[str, Any]] = []
    started = {**item, "status": "in_progress"}
    if item["type"] == "reasoning":
        started = {**item, "summary": [], "encrypted_content": ""}
        part = {**where, "summary_index": 0}
        kind = "response.reasoning_summary"
        text = item["summary"][0]["text"]
        inner.append({"type": f"{kind}_part.added", **part, "part": {"type": "summary_text", "text": ""}})
        inner += [{"type": f"{kind}_text.delta", **part, "delta": piece} for piece in halves(text)]
        inner.append({"type": f"{kind}_text.done", **part, "text": text})
        inner.append({"type": f"{kind}_part.done", **part, "part": item["summary"][0]})
    elif item["type"] == "message":
        started["content"] = []
        part = {**where, "content_index": 0}
        text = item["content"][0]["text"]
        inner.append({"type": "response.content_part.added", **part, "part": {**item["content"][0], "text": ""}})
        inner += [
            {"type": "response.output_text.delta", **part, "delta": piece, "logprobs": []} for piece in halves(text)
        ]
        inner.append({"type": "response.output_text.done", **part, "text": text, "logprobs": []})
        inner.append({"type": "response.content_part.done", **part, "part": item["content"][0]})
    else:
        started["arguments"] = ""
        kind = "response.function_call_arguments"
        inner += [{"type": f"{kind}.delta", **where, "delta": piece} for piece in halves(item["arguments"])]
        inner.append({"type": f"{kind}.done", **where, "name": item["name"], "arguments": item["arguments"]})
    return [
        {"type": "response.output_item.added", "output_index": index, "item": started},
        *inner,
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _check_responses(body: dict[str, Any], abilities: Abilities, ids: tuple[str, str]) -> None:
    items = body["input"]
    if body.get("instructions") is not None:
        assert body["instructions"] == SYSTEM
    else:
        system, *items = items
        assert joined_text(system) == SYSTEM
    user, *items = items
    assert (user["role"], joined_text(user)) == ("user", QUESTION)
    if abilities.reasoning:
        reasoning, *items = items
        assert {key: reasoning[key] for key in _REASONING} == _REASONING
        assert body["reasoning"]["effort"] in ("low", "medium")
    else:
        items = [item for item in items if item["type"] != "reasoning"]
    said, *calls_and_results = items
    assert (said["role"], joined_text(said)) == ("assistant", SAID)
    tide, chart, tide_result, chart_result, *rest = calls_and_results
    assert [(call["type"], call["call_id"], call["name"]) for call in (tide, chart)] == [
        ("function_call", ids[0], "get_tide"),
        ("function_call", ids[1], "get_chart"),
    ]
    assert [json.loads(call["arguments"]) for call in (tide, chart)] == [TIDE_ARGUMENTS, CHART_ARGUMENTS]
    assert (tide_result["type"], tide_result["call_id"]) == ("function_call_output", ids[0])
    assert _output(tide_result) == [{"type": "input_text", "text": TIDE_ERROR}]
    assert (chart_result["type"], chart_result["call_id"]) == ("function_call_output", ids[1])
    images = [part for part in _output(chart_result) if part["type"] == "input_image"]
    assert _output(chart_result)[0] == {"type": "input_text", "text": CHART_TEXT}
    if not abilities.image_in_result:
        (picture,) = rest
        assert picture["role"] == "user"
        images = [part for part in picture["content"] if part["type"] == "input_image"]
    assert [image["image_url"] for image in images] == [DATA_URL]
    assert "reasoning.encrypted_content" in body["include"]
    assert body["store"] is False
    tools = [(tool["type"], tool["name"], tool["description"], tool["parameters"]) for tool in body["tools"]]
    assert tools == [("function", *tool) for tool in TOOLS]


def _output(item: dict[str, Any]) -> list[dict[str, Any]]:
    output = item["output"]
    return [{"type": "input_text", "text": output}] if isinstance(output, str) else output


RESPONSES = Script(
    name="responses",
    dialect="openai_responses",
    model="gpt-5-mini",
    settings={"type": "openai", "api_base": "/v1", "dialects": ["openai_responses"]},
    path="/v1/responses",
    stream_path="/v1/responses",
    first=whole(_response(_RESPONSE_FIRST)),
    first_streamed=_response_stream(_RESPONSE_FIRST),
    second=whole(_response(_RESPONSE_SECOND)),
    second_streamed=_response_stream(_RESPONSE_SECOND),
    shows_thinking=True,
    call_ids=RESPONSES_IDS,
    check=_check_responses,
)
