from __future__ import annotations

import json
import statistics
import time
from typing import Any

import pytest

from tests.traffic import interactions, needs_traffic
from wire.dialect import Dialect
from wire.dialects import anthropic_messages, gemini, openai_chat, openai_responses
from wire.estimate import estimate_bytes, estimate_request_tokens, estimate_tokens
from wire.neutral import (
    Audio,
    Document,
    Image,
    Media,
    Message,
    Native,
    NativeTool,
    Part,
    Refusal,
    Request,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)

DIALECTS: dict[str, Dialect] = {
    "chat/completions": openai_chat.DIALECT,
    "responses": openai_responses.DIALECT,
    "messages": anthropic_messages.DIALECT,
    "generateContent": gemini.DIALECT,
}
# What the request does not show: the provider's own prompts and files, earlier turns, stored prefixes.
HIDDEN = {
    "server-tools",
    "vision",
    "audio",
    "document",
    "web-search",
    "code-execution",
    "mcp",
    "previous-response-id",
    "citations",
    "cache-control",
    "cache-read",
}


def asked(*parts: Part, **more: Any) -> Request:
    return Request(dialect="openai_chat", model="m", messages=(Message(role="user", parts=parts),), **more)


# Counts of the o200k vocabulary (gpt-4o), by hand.
@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The quick brown fox jumps over the lazy dog.", 10),
        ("def add(a, b):\n    return a + b\n", 12),
        ('{"name": "get_weather", "arguments": {"city": "Paris"}}', 15),
        ("안녕하세요. 무엇을 도와드릴까요?", 11),
        ("今天天气很好,我们去公园散步吧。", 12),
        ("Привет, как дела? Сегодня хорошая погода.", 11),
        ("2024-11-20 14:30:00", 11),
    ],
)
def test_scripts_are_within_a_factor_of_two(text: str, tokens: int) -> None:
    assert tokens / 2 <= estimate_tokens(text) <= tokens * 2
    assert estimate_tokens(text.encode()) == estimate_tokens(text)


def test_nothing_is_nothing_and_anything_is_something() -> None:
    assert estimate_tokens("") == estimate_bytes(0) == 0
    assert estimate_tokens(" ") == estimate_tokens("é") == estimate_bytes(1) == 1


def test_more_text_is_never_fewer_tokens() -> None:
    for text in ("word ", "한국어 ", "😀", "ابجد ", "1,"):
        counts = [estimate_tokens(text * times) for times in range(1, 40)]
        assert counts == sorted(counts)


def test_half_of_a_surrogate_pair_is_counted_not_refused() -> None:
    assert estimate_tokens("\ud83d") >= 1


def test_megabytes_take_milliseconds() -> None:
    for text in ("The quick brown fox. " * 100_000, "안녕하세요 세계, 오늘 " * 60_000):
        data = text.encode()
        begun = time.process_time()
        estimate_tokens(data)
        assert time.process_time() - begun < 0.2  # 4 ms on a quiet machine


def test_every_part_counts() -> None:
    empty = estimate_request_tokens(asked())
    text = "word " * 100
    every: list[Part] = [
        Text(text=text),
        Refusal(text=text),
        Thinking(text=text),
        ToolCall(id="c", name="f", arguments=json.dumps({"text": text})),
        ToolResult(call_id="c", parts=(Text(text=text),)),
        Image(media=Media(url="https://example.org/a.png")),
        Audio(media=Media(data="A" * 200_000)),
        Document(media=Media(text=text)),
        Document(media=Media(data="A" * 20_000)),
        Document(media=Media(file_id="f")),
        Native(dialect="gemini", type="x", value={"text": text}),
    ]
    for part in every:
        assert 90 < estimate_request_tokens(asked(part)) - empty < 1_500, part
    both = estimate_request_tokens(asked(*every))
    assert both == sum(estimate_request_tokens(asked(part)) - empty for part in every) + empty


def test_a_picture_of_low_detail_is_cheap() -> None:
    low, high = (Image(media=Media(url="https://example.org/a.png"), detail=detail) for detail in ("low", None))
    assert estimate_request_tokens(asked(low)) * 3 < estimate_request_tokens(asked(high))


def test_tools_and_schemas_count_by_the_dialect_they_are_sent_in() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string", "description": "name of a city " * 20}}}
    tool = Tool(name="get_weather", description="The weather now", parameters=schema)
    plain = estimate_request_tokens(asked(Text(text="hi")))
    with_tool = estimate_request_tokens(asked(Text(text="hi"), tools=(tool,)))
    assert with_tool > plain + 40
    assert estimate_request_tokens(asked(Text(text="hi"), tools=(tool,)), "anthropic_messages") > with_tool + 300
    server = NativeTool(dialect="gemini", type="google_search", value={"google_search": {}})
    assert estimate_request_tokens(asked(Text(text="hi"), tools=(server,))) > plain
    formatted = ResponseFormat(kind="json_schema", schema=schema)
    assert estimate_request_tokens(asked(Text(text="hi"), response_format=formatted)) > plain + 30
    assert estimate_request_tokens(asked(), "gemini") == 1


def ratios() -> list[float]:
    """Estimate over reported input, of recorded requests that show all that the model was given."""
    found = []
    for row in interactions(
        lambda row: (
            row["status"] == 200
            and row["provider"] in ("openai", "anthropic", "gemini")
            and row["endpoint"] in DIALECTS
            and not HIDDEN & {*row["kind"]}
            and not {"stream", "response-only"} & {*row["kind"]}
        )
    ):
        dialect = DIALECTS[row["endpoint"]]
        request = row.get("request") or {}
        if not isinstance(request.get("body"), dict) or "prompt" in request["body"]:  # a prompt stored there
            continue
        answer = dialect.parse_response(json.loads(row["response"]["body_text"]))
        if answer.usage is not None and answer.usage.input >= 20:
            parsed = dialect.parse_request(request["body"], model=row["model"])
            found.append(estimate_request_tokens(parsed) / answer.usage.input)
    return sorted(found)


@needs_traffic
def test_recorded_requests() -> None:
    found = ratios()
    count = len(found)
    assert count > 200
    assert 0.9 < statistics.median(found) < 1.1
    assert found[int(count * 0.95)] < 2.0
    assert statistics.median(abs(ratio - 1) for ratio in found) < 0.15
