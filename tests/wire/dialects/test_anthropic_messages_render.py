"""Requests of other dialects as Anthropic gets them, and what is said to be lost."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from wire.dialect import Quirks, Rendered
from wire.dialects.anthropic_messages import DIALECT
from wire.errors import BadRequest
from wire.neutral import (
    Audio,
    CacheMark,
    Citation,
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
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()
PDF = base64.b64encode(b"%PDF-1.7").decode()
WEATHER = Tool(name="weather", parameters={"type": "object", "properties": {}})
HI = Message(role="user", parts=(Text(text="hi", path="messages[0].content"),))


def ask(*messages: Message, **fields: Any) -> Request:
    given = {"dialect": "openai_chat", "model": "claude-sonnet-4-5", "messages": messages or (HI,), **fields}
    return Request(**given)


def render(request: Request, **quirks: Any) -> Rendered:
    return DIALECT.render_request(request, quirks=Quirks(**quirks))


def user(*parts: Part) -> Message:
    return Message(role="user", parts=parts)


def test_the_least_request_gets_a_cap() -> None:
    out = render(ask(), default_max_tokens=99)
    assert out == Rendered(
        body={"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}
    )


# ------------------------------------------------------------------------------------------------------- conversation
def test_system_and_developer_messages_move_to_the_top() -> None:
    out = render(
        ask(
            Message(role="system", parts=(Text(text="one", path="messages[0].content"),)),
            Message(role="developer", parts=(Text(text="two", path="messages[1].content"),)),
            HI,
            Message(role="developer", parts=(Text(text="three", path="messages[3].content"),)),
        )
    )
    assert out.body["system"] == [{"type": "text", "text": text} for text in ("one", "two", "three")]
    assert out.body["messages"] == [{"role": "user", "content": "hi"}]
    assert out.dropped == ("messages[3].role",)


def test_a_conversation_of_system_messages_alone_asks_as_the_user() -> None:
    system = [
        Message(role="system", parts=(Text(text=text, path=f"messages[{at}].content"),)) for at, text in enumerate("ab")
    ]
    out = render(ask(*system))
    assert (out.body["system"], out.body["messages"]) == ("a", [{"role": "user", "content": "b"}])
    assert out.dropped == ("messages[1].role",)


def test_messages_of_one_side_become_one_and_results_come_first() -> None:
    out = render(
        ask(
            HI,
            Message(role="assistant", parts=(Text(text="", path="m"), ToolCall(id="a", name="f", arguments='{"x":1}'))),
            Message(role="assistant", parts=(ToolCall(id="b", name="f", arguments=""),)),
            user(Text(text="hurry", path="messages[3].content[0]")),
            Message(role="tool", parts=(ToolResult(call_id="a", parts=(Text(text="1", path="messages[4].content"),)),)),
            Message(role="tool", parts=(ToolResult(call_id="b", is_error=True),)),
            Message(role="assistant", parts=()),
        )
    )
    assert out.body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                {"type": "tool_result", "tool_use_id": "b", "is_error": True},
                {"type": "text", "text": "hurry"},
            ],
        },
    ]


def test_ids_that_anthropic_refuses_are_spelt_out_on_both_sides() -> None:
    out = render(
        ask(
            HI,
            Message(role="assistant", parts=(ToolCall(id="functions.f:0", name="f", arguments="{}"),)),
            Message(role="tool", parts=(ToolResult(call_id="functions.f:0"),)),
        )
    )
    call, result = out.body["messages"][1]["content"][0], out.body["messages"][2]["content"][0]
    assert call["id"] == result["tool_use_id"] == "functions_2e_f_3a_0"


@pytest.mark.parametrize(
    ("call", "expected", "dropped"),
    [
        (ToolCall(id="c", name="f", arguments="[1]", path="p"), {"_raw": "[1]"}, ("p.arguments",)),
        (ToolCall(id="c", name="f", arguments='{"cut": "of', path=""), {"_raw": '{"cut": "of'}, ("c.arguments",)),
        (ToolCall(id="c", name="f", arguments="free text", kind="custom"), {"input": "free text"}, ()),
    ],
)
def test_arguments_that_are_no_object(call: ToolCall, expected: dict[str, Any], dropped: tuple[str, ...]) -> None:
    out = render(ask(HI, Message(role="assistant", parts=(call,)), tools=(WEATHER,)))
    assert out.body["messages"][1]["content"][0]["input"] == expected
    assert out.dropped == dropped


def test_what_other_providers_signed_is_left_out_and_reported() -> None:
    out = render(
        ask(
            HI,
            Message(
                role="assistant",
                parts=(
                    Thinking(text="foreign", origin="gemini", signature="g", path="messages[1].content[0]"),
                    Thinking(text="unsigned", origin="anthropic_messages", path="messages[1].content[1]"),
                    Thinking(text="own", signature="s", origin="anthropic_messages"),
                    Thinking(opaque="blob", redacted=True, origin="anthropic_messages"),
                    Text(
                        text="t", signature="g", citations=(Citation(url="https://e.x"),), path="messages[1].content[4]"
                    ),
                    ToolCall(id="c", name="f", arguments="{}", signature="g", path="messages[1].tool_calls[0]"),
                    Native(dialect="openai_responses", type="web_search_call", value={}, path="messages[1].content[6]"),
                    Native(dialect="openai_responses", type="web_search_call", value={}),
                    Refusal(text="no"),
                    Audio(media=Media(data="AAAA"), transcript="spoken", path="messages[1].audio"),
                    Image(media=Media(mime="image/png", data=PNG), path="messages[1].content[9]"),
                ),
            ),
            tools=(WEATHER,),
        )
    )
    assert out.body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "own", "signature": "s"},
        {"type": "redacted_thinking", "data": "blob"},
        {"type": "text", "text": "t"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {}},
        {"type": "text", "text": "no"},
        {"type": "text", "text": "spoken"},
    ]
    assert out.dropped == (
        "messages[1].content[0]",
        "messages[1].content[1]",
        "messages[1].content[4].citations",
        "messages[1].content[4].signature",
        "messages[1].tool_calls[0].signature",
        "messages[1].content[6]",
        "web_search_call",
        "messages[1].audio",
        "messages[1].content[9]",
    )


def test_names_and_unknown_fields_of_messages_are_reported() -> None:
    named = Message(role="user", name="bob", extra={"mood": 1}, parts=(Text(text="x", path="messages[0].content"),))
    assert render(ask(named, Message(role="user", name="eve", parts=()))).dropped == (
        "messages[0].name",
        "messages[0].mood",
        "messages[1].name",
    )


# -------------------------------------------------------------------------------------------------------------- media
@pytest.mark.parametrize(
    ("part", "source"),
    [
        (Image(media=Media(mime="image/jpg", data=PNG)), {"type": "base64", "media_type": "image/jpeg", "data": PNG}),
        (Image(media=Media(data=PNG)), {"type": "base64", "media_type": "image/png", "data": PNG}),
        (Image(media=Media(url="https://e.x/a.png")), {"type": "url", "url": "https://e.x/a.png"}),
        (Document(media=Media(data=PDF)), {"type": "base64", "media_type": "application/pdf", "data": PDF}),
        (Document(media=Media(text="plain")), {"type": "text", "media_type": "text/plain", "data": "plain"}),
        (
            Document(media=Media(mime="text/csv; charset=utf-8", data=base64.b64encode("가,b".encode()).decode())),
            {"type": "text", "media_type": "text/plain", "data": "가,b"},
        ),
    ],
)
def test_media_that_anthropic_takes(part: Part, source: dict[str, Any]) -> None:
    assert render(ask(user(part))).body["messages"][0]["content"][0]["source"] == source


@pytest.mark.parametrize(
    ("part", "quirks"),
    [
        (Image(media=Media(mime="image/tiff", data="AAAA"), path="p"), {}),
        (Image(media=Media(data="AAAA"), path="p"), {}),
        (Image(media=Media(text="x"), path="p"), {}),
        (Image(media=Media(file_id="file-1"), path="p"), {}),
        (Image(media=Media(url="gs://bucket/a.png"), path="p"), {}),
        (Image(media=Media(url="https://e.x/a.png"), path="p"), {"image_urls": False}),
        (Document(media=Media(mime="application/msword", data="AAAA"), path="p"), {}),
        (Document(media=Media(mime="text/plain", data="/w=="), path="p"), {}),
        (Audio(media=Media(data="AAAA"), path="p"), {}),
        (Thinking(text="x", path="p"), {}),
        (ToolResult(call_id="c", parts=(Audio(media=Media(data="AAAA"), path="p"),)), {}),
        (ToolResult(call_id="c", parts=(Image(media=Media(data=PNG), path="p"),)), {"tool_result_images": False}),
    ],
)
def test_media_that_anthropic_does_not_take_are_refused_by_their_path(part: Part, quirks: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as refusal:
        render(ask(user(part)), **quirks)
    assert refusal.value.param == "p"


def test_a_system_message_holds_text_only() -> None:
    with pytest.raises(BadRequest) as refusal:
        render(ask(Message(role="system", parts=(Image(media=Media(data=PNG), path="messages[0].content[0]"),)), HI))
    assert refusal.value.param == "messages[0].content[0]"


def test_what_media_say_beside_their_bytes() -> None:
    out = render(
        ask(
            user(
                Image(media=Media(data=PNG), detail="high", signature="g", cache=CacheMark(ttl="1h"), path="p"),
                Image(media=Media(data=PNG), detail="auto", extra={"other": 1}),
                Document(media=Media(text="x"), filename="a.txt", context="c", citations=False),
                Refusal(text="once"),
            )
        )
    )
    image, second, document, refusal = out.body["messages"][0]["content"]
    assert image["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert second.keys() == {"type", "source"}
    assert (document["title"], document["context"], document["citations"]) == ("a.txt", "c", {"enabled": False})
    assert refusal == {"type": "text", "text": "once"}
    assert out.dropped == ("p.detail", "p.signature")


# -------------------------------------------------------------------------------------------------------------- tools
def test_tools_are_declared_as_anthropic_wants_them() -> None:
    out = render(
        ask(
            tools=(
                Tool(name="bare"),
                Tool(name="loose", description="d", parameters={"properties": {"a": {}}}, strict=False, extra={"x": 1}),
                Tool(name="strict", parameters={"type": "object"}, strict=True, cache=CacheMark()),
                Tool(name="grammar", kind="custom"),
                NativeTool(
                    dialect="openai_responses", type="web_search", value={"type": "web_search"}, path="tools[4]"
                ),
                NativeTool(dialect="anthropic_messages", type="bash_20250124", value={"type": "bash_20250124"}),
            )
        )
    )
    assert out.body["tools"] == [
        {"name": "bare", "input_schema": {"type": "object", "properties": {}}},
        {"name": "loose", "description": "d", "input_schema": {"type": "object", "properties": {"a": {}}}},
        {
            "name": "strict",
            "input_schema": {"type": "object", "properties": {}},
            "strict": True,
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "bash_20250124"},
    ]
    assert out.dropped == ("tools[1].x", "tools[3]", "tools[4]")


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice(mode="auto"), None, {"type": "auto"}),
        (ToolChoice(mode="required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice(mode="none"), False, {"type": "none"}),
        (ToolChoice(mode="tool", name="weather"), None, {"type": "tool", "name": "weather"}),
    ],
)
def test_tool_choice(choice: ToolChoice | None, parallel: bool | None, expected: Any) -> None:
    out = render(ask(tools=(WEATHER,), tool_choice=choice, parallel_tool_calls=parallel))
    assert out.body.get("tool_choice") == expected


def test_a_choice_that_only_another_dialect_knows_is_reported() -> None:
    choice = ToolChoice(mode="auto", native={"type": "web_search"}, native_dialect="openai_responses")
    out = render(ask(tools=(WEATHER,), tool_choice=choice))
    assert "tool_choice" not in out.body
    assert out.dropped == ("tool_choice",)


def test_a_narrowed_choice_sends_only_the_tools_it_allows() -> None:
    choice = ToolChoice(mode="required", allowed=("weather",))
    out = render(ask(tools=(WEATHER, Tool(name="other")), tool_choice=choice))
    assert [tool["name"] for tool in out.body["tools"]] == ["weather"]
    assert out.body["tool_choice"] == {"type": "any"}


def test_tools_that_only_history_knows_are_declared_and_not_offered() -> None:
    call = Message(role="assistant", parts=(ToolCall(id="c", name="f", arguments="{}"),))
    out = render(ask(HI, call))
    assert out.body["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    assert out.body["tool_choice"] == {"type": "none"}


# ------------------------------------------------------------------------------------------------------ answer's form
def test_a_schema_is_closed_as_anthropic_demands() -> None:
    schema = {
        "type": "object",
        "properties": {
            "enum": {"type": "object", "properties": {}},
            "open": {"type": "object", "additionalProperties": True},
            "many": {"type": "array", "items": [{"type": "object"}, True]},
            "pick": {"enum": [{"type": "object"}]},
        },
    }
    wanted = ResponseFormat(kind="json_schema", schema=schema, name="n", description="d", strict=True)
    out = render(ask(response_format=wanted))
    assert out.body["output_config"] == {
        "format": {
            "type": "json_schema",
            "schema": {
                "description": "d",
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "enum": {"type": "object", "properties": {}, "additionalProperties": False},
                    "open": {"type": "object", "additionalProperties": True},
                    "many": {"type": "array", "items": [{"type": "object", "additionalProperties": False}, True]},
                    "pick": {"enum": [{"type": "object"}]},
                },
            },
        }
    }
    assert out.dropped == ()
    assert "additionalProperties" not in schema, "the caller's schema is left as it is"


@pytest.mark.parametrize(
    ("wanted", "quirks", "dropped"),
    [
        (ResponseFormat(kind="text"), {}, ()),
        (ResponseFormat(kind="json_object"), {}, ("response_format",)),
        (ResponseFormat(kind="text", mime="text/x.enum"), {}, ("response_format",)),
        (ResponseFormat(kind="json_schema", schema={}), {"json_schema": False}, ("response_format",)),
    ],
)
def test_forms_that_cannot_be_asked_for(
    wanted: ResponseFormat, quirks: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    out = render(ask(response_format=wanted), **quirks)
    assert "output_config" not in out.body
    assert out.dropped == dropped


def test_a_schema_of_absurd_depth_is_refused() -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(300):
        schema = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(BadRequest, match="nested too deeply"):
        render(ask(response_format=ResponseFormat(kind="json_schema", schema=schema)))


# ---------------------------------------------------------------------------------------------------------- reasoning
@pytest.mark.parametrize(
    ("model", "reasoning", "thinking", "effort", "dropped"),
    [
        ("claude-sonnet-4-5", Reasoning(effort="low"), {"type": "enabled", "budget_tokens": 2048}, None, ()),
        ("claude-sonnet-4-5", Reasoning(effort="minimal"), {"type": "enabled", "budget_tokens": 1024}, None, ()),
        ("claude-3-7-sonnet-latest", Reasoning(effort="max"), {"type": "enabled", "budget_tokens": 27904}, None, ()),
        ("claude-sonnet-4-20250514", Reasoning(enabled=True), {"type": "enabled", "budget_tokens": 8192}, None, ()),
        ("kimi-k2", Reasoning(effort="unheard"), {"type": "enabled", "budget_tokens": 8192}, None, ()),
        ("claude-haiku-4-5", Reasoning(budget_tokens=-1), {"type": "enabled", "budget_tokens": 8192}, None, ()),
        ("claude-haiku-4-5", Reasoning(budget_tokens=5000), {"type": "enabled", "budget_tokens": 5000}, None, ()),
        (
            "claude-haiku-4-5",
            Reasoning(budget_tokens=512),
            {"type": "enabled", "budget_tokens": 1024},
            None,
            ("reasoning.budget_tokens",),
        ),
        ("claude-sonnet-4-5", Reasoning(effort="none"), {"type": "disabled"}, None, ()),
        ("claude-sonnet-4-5", Reasoning(budget_tokens=0), {"type": "disabled"}, None, ()),
        ("claude-opus-4-7", Reasoning(enabled=False), {"type": "disabled"}, None, ()),
        ("claude-opus-4-7", Reasoning(summary="auto"), None, None, ()),
        ("claude-opus-4-6", Reasoning(effort="minimal"), {"type": "adaptive"}, "low", ()),
        ("claude-opus-4-6", Reasoning(effort="xhigh"), {"type": "adaptive"}, "max", ()),
        ("claude-opus-4-8", Reasoning(effort="xhigh"), {"type": "adaptive"}, "xhigh", ()),
        ("claude-mythos-preview", Reasoning(effort="high"), {"type": "adaptive"}, "high", ()),
        ("anthropic/claude-fable-5", Reasoning(budget_tokens=-1), {"type": "adaptive"}, None, ()),
        (
            "claude-sonnet-5",
            Reasoning(budget_tokens=8000, include=True),
            {"type": "adaptive", "display": "summarized"},
            "medium",
            ("reasoning.budget_tokens",),
        ),
        ("claude-opus-5", Reasoning(budget_tokens=90_000), {"type": "adaptive"}, "max", ("reasoning.budget_tokens",)),
        (
            "claude-opus-4-6",
            Reasoning(effort="medium", summary="detailed"),
            {"type": "adaptive", "display": "summarized"},
            "medium",
            (),
        ),
    ],
)
def test_effort_and_budget(
    model: str, reasoning: Reasoning, thinking: Any, effort: str | None, dropped: tuple[str, ...]
) -> None:
    out = render(ask(model=model, reasoning=reasoning))
    assert out.body.get("thinking") == thinking
    assert out.body.get("output_config", {}).get("effort") == effort
    assert out.dropped == dropped
    assert out.body["max_tokens"] > out.body.get("thinking", {}).get("budget_tokens", 0)


def test_a_budget_of_ours_leaves_room_below_the_callers_cap() -> None:
    out = render(ask(max_tokens=4000, reasoning=Reasoning(effort="high")))
    assert (out.body["max_tokens"], out.body["thinking"]["budget_tokens"]) == (4000, 2000)
    tight = render(ask(max_tokens=1500, reasoning=Reasoning(effort="high")))
    assert "thinking" not in tight.body
    assert tight.dropped == ("reasoning",)


def test_thinking_gives_way_to_what_anthropic_refuses_beside_it() -> None:
    forced = render(ask(tools=(WEATHER,), tool_choice=ToolChoice(mode="required"), reasoning=Reasoning(effort="low")))
    assert ("thinking" in forced.body, forced.dropped) == (False, ("reasoning",))

    call = Message(role="assistant", parts=(ToolCall(id="c", name="f", arguments="{}"),))
    result = Message(role="tool", parts=(ToolResult(call_id="c"),))
    loop = (HI, call, result)
    assert render(ask(*loop, reasoning=Reasoning(effort="low"))).dropped == ("reasoning",)
    assert render(ask(*loop, model="claude-opus-4-6", reasoning=Reasoning(effort="low"))).dropped == ()

    signed = Thinking(text="t", signature="s", origin="anthropic_messages")
    thought = Message(role="assistant", parts=(signed, *call.parts))
    assert render(ask(HI, thought, result, reasoning=Reasoning(effort="low"))).dropped == ()
    assert render(ask(*loop, HI, reasoning=Reasoning(effort="low"))).dropped == ()
    assert render(ask(result, reasoning=Reasoning(effort="low"))).dropped == ()


# ----------------------------------------------------------------------------------------------------------- settings
@pytest.mark.parametrize(
    ("model", "fields", "sent", "dropped"),
    [
        ("claude-3-haiku-20240307", {"temperature": 0.3, "top_p": 0.5}, {"temperature": 0.3, "top_p": 0.5}, ()),
        ("claude-sonnet-4-5", {"temperature": 1.8}, {"temperature": 1.8}, ()),
        ("claude-sonnet-4-5", {"temperature": 0.3, "top_p": 0.5}, {"temperature": 0.3}, ("top_p",)),
        ("claude-sonnet-4-5", {"temperature": 0.3, "top_p": 1.0}, {"temperature": 0.3}, ()),
        ("claude-sonnet-4-5", {"top_p": 0.5, "top_k": 3}, {"top_p": 0.5, "top_k": 3}, ()),
        ("claude-opus-4-7", {"temperature": 1.0}, {}, ()),
        ("claude-opus-4-7", {"temperature": 0.0, "top_p": 0.5, "top_k": 3}, {}, ("temperature", "top_p", "top_k")),
    ],
)
def test_sampling(model: str, fields: dict[str, Any], sent: dict[str, Any], dropped: tuple[str, ...]) -> None:
    out = render(ask(model=model, **fields))
    assert {name: out.body[name] for name in ("temperature", "top_p", "top_k") if name in out.body} == sent
    assert out.dropped == dropped


def test_sampling_beside_thinking() -> None:
    out = render(ask(reasoning=Reasoning(effort="low"), temperature=0.2, top_p=0.5, top_k=3))
    assert out.dropped == ("temperature", "top_p", "top_k")
    near = render(ask(reasoning=Reasoning(effort="low"), temperature=1, top_p=0.97))
    assert (near.body["top_p"], near.dropped) == (0.97, ())


def test_small_settings() -> None:
    out = render(ask(stop=("\n", "END"), user="u-1", service_tier="default", stream=True))
    assert out.body["stop_sequences"] == ["END"]
    assert out.body["metadata"] == {"user_id": "u-1"}
    assert out.body["service_tier"] == "standard_only"
    assert out.body["stream"] is True
    assert out.dropped == ("stop",)
    other = render(ask(user="someone@example.org", service_tier="flex", stop=(" ",)))
    assert not {"metadata", "service_tier", "stop_sequences"} & other.body.keys()
    assert other.dropped == ("stop", "user", "service_tier")


def test_settings_that_ask_for_what_happens_anyway_are_no_loss() -> None:
    assert render(ask(presence_penalty=0, frequency_penalty=0.0, logit_bias={}, n=1, store=False)).dropped == ()


def test_what_stood_around_a_turn_that_is_left_out_is_one_turn() -> None:
    search = Native(dialect="openai_responses", type="web_search_call", value={}, path="input[1]")
    out = render(
        ask(
            messages=(
                Message(role="user", parts=(Text(text="a", path="input[0]"),)),
                Message(role="assistant", parts=(search,)),
                Message(role="user", parts=(Text(text="b", path="input[2]"),)),
            )
        )
    )
    assert out.dropped == ("input[1]",)
    assert out.body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    ]


def test_settings_that_have_no_place_are_reported_by_their_neutral_names() -> None:
    out = render(
        ask(
            seed=1,
            presence_penalty=0.1,
            frequency_penalty=0.2,
            logit_bias={"1": 2},
            n=2,
            logprobs=True,
            top_logprobs=3,
            verbosity="low",
            modalities=("text", "audio"),
            metadata={"k": "v"},
            store=True,
            prompt_cache_key="k",
            extra={"prediction": {}},
        )
    )
    assert out.dropped == (
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "n",
        "logprobs",
        "top_logprobs",
        "verbosity",
        "modalities",
        "metadata",
        "store",
        "prompt_cache_key",
        "extra.prediction",
    )


def test_settings_that_ask_for_what_happens_anyway_are_not_reported() -> None:
    assert render(ask(n=1, logprobs=False, store=False, modalities=("text",))).dropped == ()


def test_what_an_upstream_refuses_is_left_out() -> None:
    out = render(ask(top_k=3, temperature=0.1), drop=frozenset({"top_k", "seed", "no such field"}))
    assert "top_k" not in out.body
    assert out.dropped == ("top_k",)


# -------------------------------------------------------------------------------------------------------- passed on
def test_passing_on_changes_only_what_must_change() -> None:
    body = b'{"model": "a", "max_tokens":1e1, "top_k":3, "messages":[{"role":"user","content":"\\u00e9"}]}'
    assert DIALECT.rewrite_request(body, model=None, quirks=Quirks(), include_usage=True) == (body, False)
    changed, added = DIALECT.rewrite_request(
        body, model="b", quirks=Quirks(drop=frozenset({"top_k", "user", "seed"})), include_usage=True
    )
    assert changed == b'{"model":"b","max_tokens":1e1,"messages":[{"role":"user","content":"\\u00e9"}]}'
    assert not added
    with pytest.raises(BadRequest):
        DIALECT.rewrite_request(b"[]", model="b", quirks=Quirks(), include_usage=False)
