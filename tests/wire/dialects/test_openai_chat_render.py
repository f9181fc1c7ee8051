"""Neutral requests to chat: what another dialect's caller gets through, what is said to be lost, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from wire.dialect import Quirks, Rendered
from wire.dialects.openai_chat import DIALECT
from wire.errors import BadRequest
from wire.neutral import (
    Audio,
    CacheMark,
    Citation,
    DialectName,
    Document,
    Image,
    Media,
    Message,
    Native,
    NativeTool,
    Part,
    Reasoning,
    Refusal,
    Request,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from wire.providers import ROWS

OWN: DialectName = "openai_chat"
FOREIGN: DialectName = "anthropic_messages"
PATH = "messages[0].content[0]"
HI = Message(role="user", parts=(Text(text="hi"),))
TOOL = Tool(name="f", parameters={"type": "object"}, path="tools[0]")
PNG = Image(media=Media(mime="image/png", data="aGVsbG8="), path=PATH)


def render(*messages: Message, quirks: Quirks | None = None, dialect: DialectName = FOREIGN, **fields: Any) -> Rendered:
    request = Request(dialect=dialect, model="m", messages=messages or (HI,), **fields)
    return DIALECT.render_request(request, quirks=quirks or Quirks())


def body(*messages: Message, **fields: Any) -> dict[str, Any]:
    """The rendered body; nothing may be dropped on the way."""
    rendered = render(*messages, **fields)
    assert rendered.dropped == ()
    return rendered.body


def turn(*parts: Part, role: Role = "user") -> Message:
    return Message(role=role, parts=parts)


def content(*parts: Part, quirks: Quirks | None = None, dialect: DialectName = FOREIGN) -> Any:
    return body(turn(*parts), quirks=quirks, dialect=dialect)["messages"][0]["content"]


# ------------------------------------------------------------------------------------------------------ messages
def test_roles_and_texts() -> None:
    two = turn(Text(text="a"), Text(text="b"), Text(text=""), role="system")
    assert body(two, Message(role="developer", parts=(Text(text="d"),), name="ops"))["messages"] == [
        {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "developer", "content": "d", "name": "ops"},
    ]
    plain = body(turn(Text(text="d"), role="developer"), quirks=Quirks(developer_role=False))
    assert plain["messages"] == [{"role": "system", "content": "d"}]
    assert content(Text(text="")) == ""


def test_a_name_that_the_upstream_refuses_is_said_to_be_lost() -> None:
    named = Message(role="assistant", parts=(Text(text="a"),), name="bot")
    rendered = render(named, quirks=Quirks(drop=frozenset({"name"})))
    assert rendered.body["messages"] == [{"role": "assistant", "content": "a"}]
    assert rendered.dropped == ("name",)


@pytest.mark.parametrize(
    ("part", "quirks", "expected"),
    [
        (
            Image(media=Media(url="https://e/a.png"), detail="high"),
            Quirks(),
            {"type": "image_url", "image_url": {"url": "https://e/a.png", "detail": "high"}},
        ),
        (PNG, Quirks(), {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}),
        (
            Image(media=Media(data="eA==")),
            Quirks(),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}},
        ),
        (
            Audio(media=Media(mime="audio/x-wav", data="eA==")),
            Quirks(),
            {"type": "input_audio", "input_audio": {"data": "eA==", "format": "wav"}},
        ),
        (
            Audio(media=Media(mime="audio/ogg", data="eA==")),
            Quirks(),
            {"type": "input_audio", "input_audio": {"data": "eA==", "format": "ogg"}},
        ),
        (
            Document(media=Media(mime="audio/mpeg", data="eA==")),
            Quirks(),
            {"type": "input_audio", "input_audio": {"data": "eA==", "format": "mp3"}},
        ),
        (
            Document(media=Media(mime="application/pdf", data="eA=="), title="t"),
            Quirks(),
            {"type": "file", "file": {"filename": "t", "file_data": "data:application/pdf;base64,eA=="}},
        ),
        (
            Document(media=Media(data="eA==")),
            Quirks(),
            {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,eA=="}},
        ),
        (Document(media=Media(file_id="f1")), Quirks(), {"type": "file", "file": {"file_id": "f1"}}),
        (
            Document(media=Media(url="https://e/a.pdf"), filename="a.pdf"),
            Quirks(documents="file_or_url"),
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "https://e/a.pdf"}},
        ),
        (
            Document(media=Media(url="https://e/a.pdf"), filename="a.pdf"),
            Quirks(documents="document_url"),
            {"type": "document_url", "document_url": "https://e/a.pdf", "document_name": "a.pdf"},
        ),
        (
            Document(media=Media(mime="text/csv", data="eA==")),
            Quirks(documents="document_url"),
            {"type": "document_url", "document_url": "data:text/csv;base64,eA=="},
        ),
        (
            Document(media=Media(mime="video/mp4", url="https://e/a.mp4")),
            Quirks(accepts=frozenset({"video"})),
            {"type": "video_url", "video_url": {"url": "https://e/a.mp4"}},
        ),
        (
            Document(media=Media(mime="video/webm", data="eA==")),
            Quirks(accepts=frozenset({"video"})),
            {"type": "video_url", "video_url": {"url": "data:video/webm;base64,eA=="}},
        ),
    ],
)
def test_media(part: Part, quirks: Quirks, expected: dict[str, Any]) -> None:
    assert content(part, quirks=quirks) == [expected]


def test_a_document_of_plain_text_is_text() -> None:
    assert content(Document(media=Media(text="body"))) == "body"
    assert content(Document(media=Media(text="body"), title="Title")) == "Title\n\nbody"


@pytest.mark.parametrize(
    ("part", "quirks"),
    [
        (Image(media=Media(url="https://e/a.png"), path=PATH), Quirks(image_urls=False)),
        (Image(media=Media(url="gs://b/a.png"), path=PATH), Quirks()),
        (Image(media=Media(file_id="f1"), path=PATH), Quirks()),
        (Audio(media=Media(url="https://e/a.wav"), path=PATH), Quirks()),
        (Document(media=Media(url="https://e/a.pdf"), path=PATH), Quirks()),
        (Document(media=Media(mime="video/mp4", data="eA=="), path=PATH), Quirks()),
        (ToolCall(id="c", name="f", arguments="", path=PATH), Quirks()),
    ],
)
def test_what_must_not_be_lost_is_refused_by_its_path(part: Part, quirks: Quirks) -> None:
    with pytest.raises(BadRequest) as refused:
        render(turn(part), quirks=quirks)
    assert refused.value.param == PATH


def test_what_has_no_place_is_reported() -> None:
    rendered = render(
        Message(
            role="user",
            parts=(
                Text(text="a", citations=(Citation(url="https://e"),), cache=CacheMark(), extra={"odd": 1}, path=PATH),
                Document(
                    media=Media(data="eA=="), filename="f", title="t", context="c", citations=True, path="messages[0].x"
                ),
                Native(dialect=FOREIGN, type="container", value={}, path="messages[0].y"),
                Thinking(text="why", path="messages[0].z"),
                Refusal(text="r"),
            ),
            extra={"whole": 1},
        )
    )
    assert rendered.dropped == (
        f"{PATH}.citations",
        f"{PATH}.odd",
        "cache",
        "messages[0].x.title",
        "messages[0].x.context",
        "messages[0].x.citations",
        "messages[0].y",
        "messages[0].z",
        "messages[0].whole",
    )
    assert [part["type"] for part in rendered.body["messages"][0]["content"]] == ["text", "file", "text"]
    nameless = render(Message(role="assistant", parts=(), extra={"odd": 1}))
    assert nameless.dropped == ("assistant.odd",)
    assert nameless.body["messages"] == []


def test_marks_and_unknown_fields_go_where_they_are_known() -> None:
    mark = Quirks(accepts=frozenset({"cache"}))
    assert content(Text(text="a", cache=CacheMark(ttl="1h")), quirks=mark) == [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ]
    image = Image(media=Media(url="https://e"), extra={"image_url.format": "x", "odd": 1})
    assert content(image, dialect=OWN) == [
        {"type": "image_url", "image_url": {"url": "https://e", "format": "x"}, "odd": 1}
    ]
    reference = {"type": "reference", "reference_ids": [1]}
    assert content(Native(dialect=OWN, type="reference", value=reference), dialect=OWN) == [reference]
    own = Message(role="user", parts=(Text(text="a"),), extra={"weight": 1})
    assert body(own, dialect=OWN)["messages"] == [{"role": "user", "content": "a", "weight": 1}]


# ----------------------------------------------------------------------------------------------------- assistant
def assistant(*parts: Part, quirks: Quirks | None = None, dialect: DialectName = FOREIGN) -> dict[str, Any]:
    message: dict[str, Any] = body(turn(*parts, role="assistant"), quirks=quirks, dialect=dialect)["messages"][0]
    return message


def test_an_assistant_turn() -> None:
    custom = ToolCall(id="c2", name="g", arguments="x", kind="custom")
    call = ToolCall(id="c1", name="f", arguments="", signature="sig")
    assert assistant(Text(text="a"), call, custom, Refusal(text="no"), Refusal(text="!")) == {
        "role": "assistant",
        "content": "a",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "x"}},
        ],
        "refusal": "no!",
    }
    assert assistant(call)["content"] is None
    signed = assistant(call, quirks=Quirks(accepts=frozenset({"thought_signatures"})))
    assert signed["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "sig"}}
    odd = assistant(structs.replace(call, extra={"odd": 1}), dialect=OWN)
    assert odd["tool_calls"][0]["odd"] == 1
    marked = render(turn(structs.replace(call, cache=CacheMark(), extra={"odd": 1}, path="p"), role="assistant"))
    assert marked.dropped == ("cache", "p.odd")


def test_long_call_ids_are_shortened_alike_in_call_and_result() -> None:
    long = "toolu_" + "x" * 60
    messages = body(
        turn(ToolCall(id=long, name="f", arguments="{}"), role="assistant"),
        turn(ToolResult(call_id=long, parts=(Text(text="r"),)), role="tool"),
        quirks=ROWS["mistral"].quirks,
    )["messages"]
    short = messages[0]["tool_calls"][0]["id"]
    assert messages[1]["tool_call_id"] == short
    assert len(short) == 9
    assert short.isalnum()


def test_media_that_a_model_made_earlier() -> None:
    spoken = Audio(media=Media(file_id="audio_1"), id="audio_1", transcript="said", path=PATH)
    assert assistant(spoken, dialect=OWN) == {"role": "assistant", "content": None, "audio": {"id": "audio_1"}}
    rendered = render(turn(spoken, role="assistant"))
    assert (rendered.body["messages"][0]["content"], rendered.dropped) == ("said", (PATH,))
    drawn = assistant(PNG, quirks=Quirks(accepts=frozenset({"assistant_images"})))
    assert drawn["images"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}]
    with pytest.raises(BadRequest) as refused:
        render(turn(PNG, role="assistant"))
    assert refused.value.param == PATH


SIGNED = Thinking(text="why", signature="s", origin="anthropic_messages", path=PATH)
HIDDEN = Thinking(opaque="blob", redacted=True, origin="anthropic_messages", path="messages[0].content[1]")


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ("reasoning_content", {"reasoning_content": "why", "content": "a"}),
        ("reasoning", {"reasoning": "why", "content": "a"}),
        (
            "thinking_parts",
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "why"}]},
                    {"type": "text", "text": "a"},
                ]
            },
        ),
        (None, {"content": "a"}),
    ],
)
def test_earlier_reasoning_goes_where_the_upstream_takes_it(history: Any, expected: dict[str, Any]) -> None:
    rendered = render(turn(SIGNED, HIDDEN, Text(text="a"), role="assistant"), quirks=Quirks(reasoning_history=history))
    assert rendered.body["messages"] == [{"role": "assistant", **expected}]
    assert rendered.dropped == ((PATH, HIDDEN.path) if history is None else (HIDDEN.path,))


def test_reasoning_details_take_proofs_along() -> None:
    quirks = Quirks(reasoning_history="reasoning_details")
    whole = Thinking(text="x", details=({"type": "reasoning.text", "text": "x"},), origin=OWN)
    summary = Thinking(text="s", summary=("s",), opaque="b", item_id="rs_1", origin="openai_responses")
    unknown = Thinking(item_id="rs_2", origin="openai_responses")
    google = Thinking(signature="g", origin="gemini")
    sent = assistant(SIGNED, HIDDEN, whole, summary, unknown, google, Text(text="a"), quirks=quirks)
    claude, openai = {"format": "anthropic-claude-v1"}, {"format": "openai-responses-v1"}
    assert sent["reasoning_details"] == [
        {"type": "reasoning.text", "text": "why", "signature": "s", **claude, "index": 0},
        {"type": "reasoning.encrypted", "data": "blob", **claude, "index": 1},
        {"type": "reasoning.text", "text": "x"},
        {"type": "reasoning.summary", "summary": "s", **openai, "index": 3, "id": "rs_1"},
        {"type": "reasoning.encrypted", "data": "b", **openai, "index": 3, "id": "rs_1"},
        {"type": "reasoning.summary", "summary": "", **openai, "index": 4, "id": "rs_2"},
        {"type": "reasoning.text", "text": "", "signature": "g", "format": "google-gemini-v1", "index": 5},
    ]
    again = DIALECT.parse_request({"model": "m", "messages": [sent]}).messages[0].parts
    proofs = [(part.text, part.signature, part.opaque, part.origin) for part in again if isinstance(part, Thinking)]
    given = [SIGNED, HIDDEN, whole, summary, unknown, google]
    assert proofs == [(part.text, part.signature, part.opaque, part.origin) for part in given]
    plain = assistant(Thinking(text="why", origin=OWN), Text(text="a"), quirks=quirks)
    assert plain["reasoning"] == "why"


def test_deepseek_is_told_that_there_was_no_reasoning() -> None:
    call = ToolCall(id="c1", name="f", arguments="{}")
    assert assistant(call, quirks=ROWS["deepseek"].quirks)["reasoning_content"] == ""


# -------------------------------------------------------------------------------------------------- tool results
def test_media_of_tool_results_follow_in_a_user_message() -> None:
    results = turn(
        ToolResult(call_id="c1", parts=(Text(text="see"), PNG)),
        ToolResult(call_id="c2", parts=(PNG,)),
        ToolResult(call_id="c3", parts=(Document(media=Media(text="doc")),)),
        ToolResult(call_id="c4"),
        Text(text="and more"),
        role="tool",
    )
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}
    messages = body(results, turn(Text(text="b"), role="assistant"))["messages"]
    assert [message["role"] for message in messages] == ["tool", "tool", "tool", "tool", "user", "user", "assistant"]
    assert [message["content"] for message in messages[:4]] == [
        "see",
        "See the next user message for the content.",
        "doc",
        "",
    ]
    assert messages[4]["content"] == [
        {"type": "text", "text": "Content of the tool result c1:"},
        image,
        {"type": "text", "text": "Content of the tool result c2:"},
        image,
    ]
    assert messages[5]["content"] == "and more"
    last = body(turn(ToolResult(call_id="c1", parts=(PNG,)), role="tool"))["messages"]
    assert last[-1]["content"][1] == image


def test_media_of_tool_results_stay_where_they_are_taken_and_are_refused_where_not() -> None:
    results = turn(ToolResult(call_id="c1", parts=(PNG,), path=PATH), role="tool")
    (only,) = body(results, quirks=Quirks(accepts=frozenset({"tool_images"})))["messages"]
    assert only["content"][0]["type"] == "image_url"
    with pytest.raises(BadRequest) as refused:
        render(results, quirks=Quirks(tool_result_images=False))
    assert refused.value.param == PATH


def test_the_error_flag_of_a_tool_result_is_reported() -> None:
    failed = ToolResult(call_id="c1", parts=(Text(text="boom"),), is_error=True, cache=CacheMark(), path=PATH)
    assert render(turn(failed, role="tool")).dropped == ("cache", f"{PATH}.is_error")


# --------------------------------------------------------------------------------------------- tools and choices
def test_tools() -> None:
    custom = Tool(name="c", kind="custom", format={"type": "text"}, path="tools[1]")
    web = NativeTool(dialect=OWN, type="web", value={"type": "web"})
    full = Tool(name="g", description="d", parameters={}, strict=True, cache=CacheMark(), extra={"odd": 1})
    rendered = body(dialect=OWN, tools=(TOOL, custom, web, full), quirks=Quirks(accepts=frozenset({"cache"})))
    assert rendered["tools"] == [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
        {"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}},
        {"type": "web"},
        {
            "type": "function",
            "function": {"name": "g", "description": "d", "odd": 1, "parameters": {}, "strict": True},
            "cache_control": {"type": "ephemeral"},
        },
    ]
    foreign = NativeTool(dialect=FOREIGN, type="bash", value={}, path="tools[4]")
    lost = render(
        tools=(structs.replace(full, path="tools[3]"), custom, foreign, Tool(name="bare", kind="custom")),
        quirks=Quirks(drop=frozenset({"custom_tools"})),
    )
    assert lost.dropped == ("tools[3].odd", "cache", "tools[1]", "tools[4]", "bare")
    assert len(lost.body["tools"]) == 1
    used = render(
        Message(role="assistant", parts=(ToolCall(id="c", name="c", arguments='a "b"', kind="custom"),)),
        quirks=Quirks(drop=frozenset({"custom_tools"})),
    )
    (call,) = used.body["messages"][0]["tool_calls"]
    assert call == {"id": "c", "type": "function", "function": {"name": "c", "arguments": '{"input":"a \\"b\\""}'}}
    bare = body(tools=(Tool(name="bare", kind="custom"),))
    assert bare["tools"] == [{"type": "custom", "custom": {"name": "bare"}}]


@pytest.mark.parametrize(
    ("choice", "tools", "drop", "expected", "dropped"),
    [
        (ToolChoice(mode="required"), (TOOL,), (), "required", ()),
        (
            ToolChoice(mode="tool", name="f"),
            (TOOL,),
            (),
            {"type": "function", "function": {"name": "f"}},
            (),
        ),
        (ToolChoice(mode="tool", name="gone"), (TOOL,), (), None, ("tool_choice",)),
        (ToolChoice(mode="auto"), (), (), None, ()),
        (ToolChoice(mode="required"), (), (), None, ("tool_choice",)),
        (
            ToolChoice(mode="auto", allowed=("f",)),
            (TOOL,),
            (),
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
            (),
        ),
        (ToolChoice(mode="auto", allowed=("gone",)), (TOOL,), (), None, ("tool_choice",)),
        (ToolChoice(mode="required", allowed=("f",)), (TOOL, Tool(name="g")), ("allowed_tools",), "required", ()),
        (ToolChoice(mode="required", native={"type": "w"}, native_dialect=OWN), (TOOL,), (), {"type": "w"}, ()),
        (ToolChoice(mode="required", native={}, native_dialect=FOREIGN), (TOOL,), (), None, ("tool_choice",)),
    ],
)
def test_tool_choice(
    choice: ToolChoice, tools: tuple[Tool, ...], drop: tuple[str, ...], expected: Any, dropped: tuple[str, ...]
) -> None:
    rendered = render(tools=tools, tool_choice=choice, quirks=Quirks(drop=frozenset(drop)))
    assert rendered.body.get("tool_choice") == expected
    assert rendered.dropped == dropped
    if "allowed_tools" in drop:
        assert [tool["function"]["name"] for tool in rendered.body["tools"]] == ["f"]


def test_parallel_calls_are_spoken_of_only_beside_tools() -> None:
    assert "parallel_tool_calls" not in body(parallel_tool_calls=False)
    assert body(parallel_tool_calls=False, tools=(TOOL,))["parallel_tool_calls"] is False


# ------------------------------------------------------------------------------------------------------ settings
def test_settings_under_the_upstreams_names() -> None:
    rendered = body(
        max_tokens=5,
        seed=1,
        stop=("a",),
        modalities=("text",),
        temperature=0.0,
        n=1,
        logprobs=False,
        store=False,
        quirks=Quirks(max_tokens_field="max_tokens", seed_field="random_seed"),
    )
    assert rendered == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 5,
        "stop": ["a"],
        "random_seed": 1,
        "modalities": ["text"],
        "temperature": 0.0,
    }
    assert body(max_tokens=5)["max_completion_tokens"] == 5


def test_a_stream_asks_for_its_usage() -> None:
    assert body(stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in body(stream=True, quirks=Quirks(stream_options=False))
    own = body(stream=True, dialect=OWN, extra={"stream_options": {"include_obfuscation": False}})
    assert own["stream_options"] == {"include_usage": True, "include_obfuscation": False}


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        ({"top_k": 5}, ("top_k",)),
        ({"user": "u" * 65}, ("user",)),
        ({"metadata": {"k": 1}}, ("metadata",)),
        ({"metadata": {str(n): "" for n in range(17)}}, ("metadata",)),
        ({"service_tier": "priority_plus"}, ("service_tier",)),
        ({"extra": {"context_management": {}}}, ("extra.context_management",)),
        ({"response_format": ResponseFormat(kind="text", mime="text/x.enum")}, ("response_format",)),
    ],
)
def test_settings_that_openai_is_known_to_refuse_are_reported(fields: dict[str, Any], dropped: tuple[str, ...]) -> None:
    assert render(**fields).dropped == dropped


def test_settings_that_have_a_counterpart() -> None:
    assert body(service_tier="standard_only")["service_tier"] == "default"
    assert body(metadata={"k": "v"}, user="u")["metadata"] == {"k": "v"}
    assert body(top_k=5, quirks=Quirks(accepts=frozenset({"top_k"})))["top_k"] == 5
    assert body(extra={"safety_identifier": "s"})["safety_identifier"] == "s"
    own = body(dialect=OWN, extra={"reasoning.odd": 1, "audio": {}}, top_k=5, user="u" * 99)
    assert (own["reasoning"], own["audio"], own["top_k"], own["user"]) == ({"odd": 1}, {}, 5, "u" * 99)


def test_fields_that_an_upstream_refuses_are_left_out_and_reported() -> None:
    rendered = render(
        seed=1,
        n=1,
        store=True,
        reasoning=Reasoning(effort="low"),
        max_tokens=5,
        quirks=Quirks(
            drop=frozenset({"seed", "n", "store", "reasoning", "user", "max_tokens", "odd"}),
            reasoning_control="thinking",
            max_tokens_field="max_tokens",
        ),
    )
    assert rendered.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "reasoning_effort": "low",
    }
    assert rendered.dropped == ("max_tokens", "reasoning", "seed", "store")
    unknown = render(dialect=OWN, extra={"odd": 1}, quirks=Quirks(drop=frozenset({"odd"})))
    assert unknown.dropped == ("extra.odd",)


@pytest.mark.parametrize(
    ("wanted", "json_schema", "expected", "dropped"),
    [
        (ResponseFormat(kind="text"), True, {"type": "text"}, ()),
        (ResponseFormat(kind="json_object"), True, {"type": "json_object"}, ()),
        (ResponseFormat(kind="json_schema"), True, {"type": "json_object"}, ()),
        (
            ResponseFormat(kind="json_schema", schema={}, strict=True),
            True,
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}, "strict": True}},
            (),
        ),
        (ResponseFormat(kind="json_schema", schema={}), False, {"type": "json_object"}, ("response_format",)),
    ],
)
def test_response_format(wanted: ResponseFormat, json_schema: bool, expected: Any, dropped: tuple[str, ...]) -> None:
    rendered = render(response_format=wanted, quirks=Quirks(json_schema=json_schema))
    assert (rendered.body["response_format"], rendered.dropped) == (expected, dropped)


BUDGET = ("reasoning.budget_tokens",)


@pytest.mark.parametrize(
    ("wanted", "control", "expected", "dropped"),
    [
        (Reasoning(effort="high"), "reasoning_effort", {"reasoning_effort": "high"}, ()),
        (Reasoning(effort="none"), "reasoning_effort", {"reasoning_effort": "none"}, ()),
        (Reasoning(budget_tokens=2048), "reasoning_effort", {"reasoning_effort": "low"}, BUDGET),
        (Reasoning(budget_tokens=10_000), "reasoning_effort", {"reasoning_effort": "medium"}, BUDGET),
        (Reasoning(budget_tokens=32_000), "reasoning_effort", {"reasoning_effort": "high"}, BUDGET),
        (Reasoning(enabled=False), "reasoning_effort", {}, ("reasoning.enabled",)),
        (Reasoning(budget_tokens=-1), "reasoning_effort", {}, ()),
        (
            Reasoning(effort="low", summary="detailed"),
            "reasoning_effort",
            {"reasoning_effort": "low"},
            ("reasoning.summary",),
        ),
        (Reasoning(enabled=True), "thinking", {"thinking": {"type": "enabled"}}, ()),
        (Reasoning(enabled=False), "thinking", {"thinking": {"type": "disabled"}}, ()),
        (Reasoning(effort="high"), "thinking", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}, ()),
        (Reasoning(include=True), "thinking", {}, ()),
        (Reasoning(effort="low", include=False), "reasoning", {"reasoning": {"effort": "low", "exclude": True}}, ()),
        (Reasoning(effort="low", budget_tokens=9), "reasoning", {"reasoning": {"max_tokens": 9}}, ()),
        (Reasoning(budget_tokens=0), "reasoning", {"reasoning": {"enabled": False}}, ()),
        (Reasoning(enabled=True, summary="auto"), "reasoning", {"reasoning": {"enabled": True, "summary": "auto"}}, ()),
    ],
)
def test_reasoning(wanted: Reasoning, control: Any, expected: dict[str, Any], dropped: tuple[str, ...]) -> None:
    rendered = render(reasoning=wanted, quirks=Quirks(reasoning_control=control))
    found = {
        name: rendered.body[name] for name in ("reasoning_effort", "reasoning", "thinking") if name in rendered.body
    }
    assert (found, rendered.dropped) == (expected, dropped)


# ---------------------------------------------------------------------------------------------------- round trip
TEXTS = st.text(min_size=1, max_size=8)
PARTS = st.one_of(
    st.builds(Text, text=TEXTS),
    st.builds(
        lambda url, detail: Image(media=Media(url=f"https://{url}"), detail=detail),
        TEXTS,
        st.sampled_from([None, "low"]),
    ),
    st.builds(lambda name: Document(media=Media(mime="application/pdf", data="eA=="), filename=name), TEXTS),
)
CALLS = st.builds(
    lambda name, arguments: (name, json.dumps(arguments)), TEXTS, st.dictionaries(TEXTS, st.integers(), max_size=2)
)
OPTIONAL_NUMBER = st.none() | st.floats(0, 2)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    messages = [
        Message(role="system", parts=(Text(text=draw(TEXTS)),)),
        turn(*draw(st.lists(PARTS, min_size=1, max_size=3))),
    ]
    for number, (name, arguments) in enumerate(draw(st.lists(CALLS, max_size=3))):
        thought = Thinking(text=draw(TEXTS), signature=draw(TEXTS), origin=FOREIGN)
        messages.append(turn(thought, ToolCall(id=f"c{number}", name=name, arguments=arguments), role="assistant"))
        messages.append(turn(ToolResult(call_id=f"c{number}", name=name, parts=(Text(text=draw(TEXTS)),)), role="tool"))
    return Request(
        dialect=OWN,
        model=draw(TEXTS),
        messages=tuple(messages),
        tools=tuple(
            Tool(name=name, strict=draw(st.none() | st.booleans())) for name in draw(st.lists(TEXTS, max_size=2))
        ),
        max_tokens=draw(st.none() | st.integers(1, 99)),
        temperature=draw(OPTIONAL_NUMBER),
        top_p=draw(OPTIONAL_NUMBER),
        stop=tuple(draw(st.lists(TEXTS, max_size=2))),
        n=draw(st.none() | st.integers(1, 3)),
        reasoning=draw(st.none() | st.builds(Reasoning, effort=st.sampled_from(["none", "low", "high"]))),
        stream=draw(st.booleans()),
        extra=draw(st.dictionaries(st.sampled_from(["audio", "prediction"]), st.integers(), max_size=2)),
    )


def bare(value: Any) -> Any:
    """Without what only says where something stood or in which form it came."""
    if isinstance(value, tuple):
        return tuple(bare(item) for item in value)
    if hasattr(value, "__struct_fields__"):
        hidden = {"path", "details", "include_usage"}
        return (
            type(value),
            *((name, bare(getattr(value, name))) for name in value.__struct_fields__ if name not in hidden),
        )
    return value


@settings(deadline=None, max_examples=150)
@given(requests())
def test_a_request_survives_rendering_and_parsing(request: Request) -> None:
    rendered = DIALECT.render_request(request, quirks=Quirks(reasoning_history="reasoning_details"))
    again = DIALECT.parse_request(json.loads(json.dumps(rendered.body)))
    assert rendered.dropped == ()
    assert bare(again) == bare(request)


# ----------------------------------------------------------------------------------------------------- rewriting
def rewrite(
    text: str, quirks: Quirks | None = None, *, model: str | None = None, usage: bool = False
) -> tuple[str, bool]:
    rewritten, added = DIALECT.rewrite_request(
        text.encode(), model=model, quirks=quirks or Quirks(), include_usage=usage
    )
    return rewritten.decode(), added


COMPATIBLE = ROWS["openai_compatible"].quirks


def test_nothing_changes_that_need_not() -> None:
    text = '{ "model": "m", "temperature": 1.0, "messages": [ ] }'
    assert rewrite(text) == (text, False)
    assert rewrite(text, model="m") == (text, False)
    assert rewrite(text, COMPATIBLE) == (text, False)
    assert rewrite('{"model":"a","x": 1.50}', model='b"') == ('{"model":"b\\"","x":1.50}', False)


@pytest.mark.parametrize(
    ("before", "quirks", "after"),
    [
        ('{"max_completion_tokens": 5}', COMPATIBLE, '{"max_tokens":5}'),
        ('{"max_completion_tokens": null}', COMPATIBLE, '{"max_completion_tokens": null}'),
        ('{"max_tokens": 5}', Quirks(), '{"max_tokens": 5}'),
        (
            '{"messages": [{"role": "developer", "content": "\\u00e9 1.0"}, {"role":"user"}]}',
            COMPATIBLE,
            '{"messages":[{"role":"system","content":"\\u00e9 1.0"},{"role":"user"}]}',
        ),
        ('{"messages": ["developer"]}', COMPATIBLE, '{"messages": ["developer"]}'),
        ('{"user": "developer"}', COMPATIBLE, '{"user": "developer"}'),
        ('{"store": true, "user": "u", "n": 2}', ROWS["mistral"].quirks, '{"n":2}'),
    ],
)
def test_what_a_server_would_misread_or_refuse_changes(before: str, quirks: Quirks, after: str) -> None:
    assert rewrite(before, quirks) == (after, False)


@pytest.mark.parametrize(
    ("before", "after", "added"),
    [
        ('{"stream": true}', '{"stream":true,"stream_options":{"include_usage":true}}', True),
        ('{"stream":true,"stream_options": null}', '{"stream":true,"stream_options":{"include_usage":true}}', True),
        (
            '{"stream":true,"stream_options":{"include_usage":false,"x": 1.0}}',
            '{"stream":true,"stream_options":{"include_usage":true,"x":1.0}}',
            True,
        ),
        (
            '{"stream":true,"stream_options":{"include_usage":true}}',
            '{"stream":true,"stream_options":{"include_usage":true}}',
            False,
        ),
        ('{"stream": false}', '{"stream": false}', False),
        ("{}", "{}", False),
    ],
)
def test_the_usage_of_a_stream_is_asked_for(before: str, after: str, added: bool) -> None:
    assert rewrite(before, usage=True) == (after, added)
    assert rewrite(before, Quirks(stream_options=False), usage=True) == (before, False)
    assert rewrite(before, usage=False) == (before, False)


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"stream":true,"stream_options":[1]}', '{"stream":true,"stream_options":"x"}']
)
def test_a_body_that_cannot_be_rewritten_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        rewrite(text, usage=True)
