"""Responses requests: into the neutral model, out of it for callers of other dialects, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.dialect import Quirks, Rendered
from wire.dialects.openai_responses import DIALECT, carried
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

PNG = "aGVsbG8="


def parse(**body: Any) -> Request:
    return DIALECT.parse_request({"model": "m", "input": "hi", **body})


def parse_items(*items: Any) -> tuple[Message, ...]:
    return parse(input=list(items)).messages


def render(request: Request, **quirks: Any) -> Rendered:
    return DIALECT.render_request(request, quirks=Quirks(**quirks))


def again(**body: Any) -> dict[str, Any]:
    rendered = render(parse(**body))
    assert rendered.dropped == ()
    return rendered.body


def foreign(*messages: Message, **fields: Any) -> Request:
    given = messages or (Message(role="user", parts=(Text(text="hi", path="messages[0].content"),)),)
    return Request(dialect="anthropic_messages", model=fields.pop("model", "gpt-5"), messages=given, **fields)


def user(*parts: Part) -> Message:
    return Message(role="user", parts=parts)


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def call(call_id: Any = "c1", **fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}", **fields}


def result(call_id: str = "c1", output: Any = "ok", **fields: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output, **fields}


# ------------------------------------------------------------------------------------------------- wrong input
@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 3}, "model"),
        ({"input": 3}, "input"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["hi"]}, "input[0]"),
        ({"input": [{}]}, "input[0].type"),
        ({"input": [{"type": 1}]}, "input[0].type"),
        ({"input": [{"role": "pope", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": 1, "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [1]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"text": "x"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "smell"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "ftp://x"}]}]},
            "input[0].content[0].image_url",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png,x"}]}]},
            "input[0].content[0].image_url",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:a;base64,%%"}]}]},
            "input[0].content[0].image_url",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "é"}]}]},
            "input[0].content[0].file_data",
        ),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].file_data"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_audio", "input_audio": 1}]}]},
            "input[0].content[0].input_audio",
        ),
        (
            {
                "input": [
                    {
                        "role": "assistant",
                        "content": [{"type": "output_text", "text": "x", "annotations": [{"url": 1}]}],
                    }
                ]
            },
            "input[0].content[0].annotations[0].url",
        ),
        ({"input": [{"type": "reasoning", "summary": {}}]}, "input[0].summary"),
        ({"input": [{"type": "reasoning", "summary": [{"text": 1}]}]}, "input[0].summary[0].text"),
        ({"input": [{"type": "reasoning", "encrypted_content": 1}]}, "input[0].encrypted_content"),
        (
            {"input": [{"type": "reasoning", "encrypted_content": carried.PREFIX + "!"}]},
            "input[0].encrypted_content",
        ),
        (
            {"input": [{"type": "reasoning", "encrypted_content": carried.PREFIX + "e30x"}]},
            "input[0].encrypted_content",
        ),
        ({"input": [call(call_id=1)]}, "input[0].call_id"),
        ({"input": [call(arguments={})]}, "input[0].arguments"),
        ({"input": [result()]}, "input[0].call_id"),
        ({"input": [call(), result(output=1)]}, "input[1].output"),
        ({"instructions": []}, "instructions"),
        ({"tools": {}}, "tools"),
        ({"tools": [1]}, "tools[0]"),
        ({"tools": [{}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools[0].parameters"),
        ({"tools": [{"type": "function", "name": "f", "strict": 1}]}, "tools[0].strict"),
        ({"tools": [{"type": "namespace", "tools": []}]}, "tools[0].name"),
        ({"tools": [{"type": "namespace", "name": "n", "tools": [1]}]}, "tools[0].tools[0]"),
        ({"tool_choice": 1}, "tool_choice"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "none"}}, "tool_choice.mode"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [1]}}, "tool_choice.tools[0]"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
        ({"max_output_tokens": 1.5}, "max_output_tokens"),
        ({"max_output_tokens": True}, "max_output_tokens"),
        ({"temperature": "1"}, "temperature"),
        ({"text": 1}, "text"),
        ({"text": {"format": "json"}}, "text.format"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"text": {"verbosity": 1}}, "text.verbosity"),
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"effort": 1}}, "reasoning.effort"),
        ({"include": "x"}, "include"),
        ({"include": [1]}, "include[0]"),
        ({"stream": "yes"}, "stream"),
        ({"user": 1}, "user"),
        ({"metadata": []}, "metadata"),
        ({"store": 1}, "store"),
        ({"prompt_cache_key": 1}, "prompt_cache_key"),
        ({"service_tier": 1}, "service_tier"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(body: dict[str, Any], path: str) -> None:
    with pytest.raises(BadRequest) as caught:
        DIALECT.parse_request({"model": "m", "input": "hi", **body})
    assert caught.value.param == path
    assert path in caught.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.sampled_from(["", "x", "message"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "name", "call_id", "output", "tools", "id", "summary"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["input", "tools", "tool_choice", "text", "reasoning", "include", "instructions", "metadata"]),
        JSON,
    )
)
def test_no_body_raises_anything_but_bad_request(body: dict[str, Any]) -> None:
    named: str | None = "none"
    try:
        DIALECT.parse_request({"model": "m", **body})
    except BadRequest as error:
        named = error.param
    assert named


WORDS = st.text(max_size=8)
IDS = st.text("abc123_", min_size=1, max_size=8)
TEXT_PART = st.fixed_dictionaries({"type": st.just("input_text"), "text": WORDS})
IMAGE_PART = st.fixed_dictionaries(
    {
        "type": st.just("input_image"),
        "image_url": st.sampled_from(["https://x/y.png", f"data:image/webp;base64,{PNG}"]),
        "detail": st.sampled_from(["auto", "low"]),
    }
)
FILE_PART = st.fixed_dictionaries({"type": st.just("input_file"), "file_id": IDS, "filename": IDS})
ASKED = st.fixed_dictionaries(
    {
        "type": st.just("message"),
        "role": st.sampled_from(["user", "developer", "system"]),
        "content": st.lists(TEXT_PART | IMAGE_PART | FILE_PART, min_size=1, max_size=3),
    }
)
ANSWERED = st.fixed_dictionaries(
    {
        "type": st.just("message"),
        "role": st.just("assistant"),
        "id": IDS,
        "content": st.lists(
            st.fixed_dictionaries({"type": st.just("output_text"), "text": WORDS}), min_size=1, max_size=2
        ),
    },
    optional={"phase": st.just("commentary")},
)
REASONED = st.fixed_dictionaries(
    {
        "type": st.just("reasoning"),
        "id": IDS,
        "summary": st.lists(
            st.fixed_dictionaries({"type": st.just("summary_text"), "text": st.text(min_size=1, max_size=8)}),
            max_size=2,
        ),
        "encrypted_content": IDS,
    }
)
SEARCHED = st.fixed_dictionaries({"type": st.just("web_search_call"), "id": IDS, "status": st.just("completed")})
CALLED = st.builds(lambda ident, name, said: [call(ident, name=name), result(ident, said)], IDS, IDS, WORDS)
TURNS = st.lists(
    ASKED.map(lambda x: [x])
    | ANSWERED.map(lambda x: [x])
    | REASONED.map(lambda x: [x])
    | CALLED
    | SEARCHED.map(lambda x: [x]),
    min_size=1,
    max_size=6,
)


@given(
    TURNS.map(lambda turns: [item for turn in turns for item in turn]),
    st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.floats(0, 2),
            "max_output_tokens": st.integers(16, 99),
            "instructions": WORDS,
            "store": st.booleans(),
            "metadata": st.dictionaries(IDS, WORDS, min_size=1, max_size=2),
            "reasoning": st.fixed_dictionaries({"effort": st.sampled_from(["low", "high"])}),
            "new_field": st.integers(),
        },
    ),
)
def test_every_request_comes_back_as_it_was(items: list[Any], settings: dict[str, Any]) -> None:
    body = {"model": "m", "input": items, **settings}
    before = json.dumps(body)
    rendered = render(DIALECT.parse_request(body))
    assert rendered.dropped == ()
    assert together(rendered.body["input"]) == together(items)
    assert {**rendered.body, "input": items} == body
    assert json.dumps(body) == before


def together(items: list[Any]) -> list[Any]:
    """Messages of one id one after the other are one message said in two pieces."""
    out: list[Any] = []
    for item in items:
        last = out[-1] if out else {}
        if item.get("role") == "assistant" and {**last, "content": 0} == {**item, "content": 0}:
            out[-1] = {**last, "content": [*last["content"], *item["content"]]}
        else:
            out.append(item)
    return out


def test_a_body_that_is_not_an_object_is_refused() -> None:
    with pytest.raises(BadRequest):
        DIALECT.parse_request([])  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- reading
def test_settings_go_to_their_neutral_fields() -> None:
    request = parse(
        instructions="be kind",
        max_output_tokens=50,
        temperature=0.5,
        top_p=1,
        top_logprobs=2,
        parallel_tool_calls=False,
        stream=True,
        user="u",
        metadata={"a": "b"},
        service_tier="flex",
        store=False,
        prompt_cache_key="k",
        reasoning={"effort": "low", "summary": "auto", "mode": "pro"},
        text={"format": {"type": "text"}, "verbosity": "high", "new": 1},
        include=["reasoning.encrypted_content", "message.output_text.logprobs", "file_search_call.results"],
        safety_identifier="s",
        truncation="disabled",
        background=False,
        previous_response_id=None,
    )
    assert request.messages[0] == Message(role="system", parts=(Text(text="be kind", path="instructions"),))
    assert request.messages[1] == user(Text(text="hi", path="input"))
    assert (request.max_tokens, request.temperature, request.top_p, request.top_logprobs) == (50, 0.5, 1, 2)
    assert (request.parallel_tool_calls, request.stream, request.user, request.store) == (False, True, "u", False)
    assert (request.service_tier, request.prompt_cache_key, request.metadata) == ("flex", "k", {"a": "b"})
    assert request.reasoning == Reasoning(effort="low", summary="auto")
    assert request.response_format == ResponseFormat(kind="text")
    assert (request.verbosity, request.logprobs, request.encrypted_reasoning) == ("high", True, True)
    assert request.extra == {
        "reasoning.mode": "pro",
        "text.new": 1,
        "include": ["file_search_call.results"],
        "safety_identifier": "s",
    }


def test_settings_come_back_as_they_were() -> None:
    body = {
        "instructions": "be kind",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        "reasoning": {"effort": "low", "mode": "pro"},
        "text": {"verbosity": "high", "new": 1},
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs", "file_search_call.results"],
        "conversation": {"id": "conv_1"},
        "background": True,
        "max_tool_calls": 3,
        "client_metadata": {"x": "y"},
        "store": True,
        "stream": True,
    }
    assert again(**body) == {"model": "m", **body}
    assert again(text={"new": 1}, reasoning={"mode": "pro"})["text"] == {"new": 1}


def test_the_address_decides_model_and_stream_when_it_names_them() -> None:
    request = DIALECT.parse_request({"input": "hi", "stream": True}, model="m", stream=False)
    assert (request.model, request.stream) == ("m", False)


def test_instructions_alone_need_a_stored_turn() -> None:
    assert parse(input=None, instructions="x", previous_response_id="resp_1").messages[0].role == "system"
    assert parse(input=None, conversation="conv_1").messages == ()


def test_items_of_one_turn_are_one_message() -> None:
    items: list[dict[str, Any]] = [
        {"role": "user", "content": "weather?"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "status": "completed",
            "phase": "commentary",
            "content": [{"type": "output_text", "text": "I look"}],
        },
        call("c1", id="fc_1"),
        call("c2"),
        result("c1", "sun"),
        result("c2", [{"type": "input_text", "text": "rain"}]),
        {"role": "user", "content": "thanks"},
    ]
    messages = parse_items(*items)
    assert [message.role for message in messages] == ["user", "assistant", "tool", "user"]
    thinking, said, first, second = messages[1].parts
    assert isinstance(thinking, Thinking)
    assert (thinking.text, thinking.summary, thinking.item_id) == ("hm", ("hm",), "rs_1")
    assert isinstance(said, Text)
    assert (said.item_id, said.phase, said.path) == ("msg_1", "commentary", "input[2].content[0]")
    assert isinstance(first, ToolCall)
    assert (first.item_id, first.path) == ("fc_1", "input[3]")
    assert isinstance(second, ToolCall)
    outputs = messages[2].parts
    assert [part.name for part in outputs if isinstance(part, ToolResult)] == ["f", "f"]
    rendered = again(input=items)["input"]
    assert [item["type"] for item in rendered] == [item.get("type", "message") for item in items]
    assert rendered[6]["output"] == "rain"


def test_messages_that_nothing_tells_apart_stay_apart() -> None:
    said = [{"role": "assistant", "content": "one"}, {"role": "assistant", "content": "two"}]
    assert [message.parts[0] for message in parse_items(*said)] == [
        Text(text="one", path="input[0].content"),
        Text(text="two", path="input[1].content"),
    ]
    assert len(again(input=said)["input"]) == 2


def test_sources_in_the_history_come_back_as_they_were() -> None:
    notes = [
        {"type": "file_path", "file_id": "f", "index": 3},
        {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1},
    ]
    said = {"type": "output_text", "text": "x", "annotations": notes}
    items = [{"type": "message", "role": "assistant", "id": "msg_1", "content": [said]}]
    assert again(input=items)["input"] == items


def test_a_message_with_two_ids_is_two_items_again() -> None:
    said = [
        {"type": "message", "role": "assistant", "id": f"msg_{n}", "content": [{"type": "output_text", "text": "x"}]}
        for n in (1, 2)
    ]
    assert len(parse_items(*said)) == 1
    assert again(input=said)["input"] == said


def test_unknown_fields_are_kept_and_named_elsewhere() -> None:
    items = [
        {
            "type": "message",
            "role": "user",
            "from": "me",
            "content": [
                {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "input_image", "file_id": "f", "detail": "low", "zoom": 2},
                {"type": "input_file", "file_id": "g", "detail": "high"},
            ],
        },
        call(caller={"type": "direct"}),
        result(caller={"type": "direct"}),
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA", "format": "openai-responses-v1"},
    ]
    assert again(input=items)["input"] == items
    first = parse_items(*items)[0].parts[0]
    assert isinstance(first, Text)
    assert first.cache == CacheMark()


def test_items_of_the_providers_own_tools_stay_whole() -> None:
    items = [
        {"role": "user", "content": "x"},
        {"type": "additional_tools", "role": "developer", "tools": []},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
        {"type": "computer_call", "call_id": "cc", "id": "cu_1"},
        {"type": "computer_call_output", "call_id": "cc", "output": {"type": "computer_screenshot"}},
        {"type": "item_reference", "id": "msg_x"},
        {"id": "msg_y"},
        {"type": "function_call_output", "name": "later", "output": "x"},
        {"type": "shell_call_output", "call_id": "unseen", "output": []},
    ]
    messages = parse_items(*items)
    natives = [part for message in messages for part in message.parts if isinstance(part, Native)]
    assert [part.value for part in natives] == items[1:]
    assert natives[5].type == "item_reference"
    assert again(input=items)["input"][1:] == items[1:]


@pytest.mark.parametrize("before", ["item_reference", "compaction"])
def test_a_result_may_answer_a_call_that_is_not_shown(before: str) -> None:
    assert parse_items({"type": before, "id": "x"}, result("unseen"))[-1].role == "tool"
    assert parse(input=[result("unseen")], previous_response_id="resp_1").messages[0].role == "tool"


def test_a_screenshot_in_content_is_the_dialects_own() -> None:
    shot = {"type": "computer_screenshot", "image_url": "https://x/y.png"}
    items = [{"type": "message", "role": "user", "content": [shot]}]
    assert again(input=items)["input"] == items
    rendered = render(foreign(user(Native(dialect="gemini", type="executableCode", value={}, path="contents[0]"))))
    assert rendered.dropped == ("contents[0]",)


def test_media_is_read_in_every_form() -> None:
    content = [
        {"type": "input_image", "image_url": "https://x/y.png"},
        {"type": "input_image", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "input_image", "image_url": f"data:;name=x;base64,{PNG[:4]}\n{PNG[4:7]}"},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_file", "file_url": "https://x/y.pdf"},
        {"type": "input_file", "file_data": PNG, "filename": "notes.TXT"},
        {"type": "input_file", "file_data": f"data:;base64,{PNG}"},
        {"type": "input_file", "file_id": "file-2", "filename": "a.pdf"},
        {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
    ]
    parts = parse_items({"role": "user", "content": content})[0].parts
    media = [part.media for part in parts if isinstance(part, Image | Document | Audio)]
    assert media == [
        Media(url="https://x/y.png"),
        Media(mime="image/png", data=PNG),
        Media(data=PNG),
        Media(file_id="file-1"),
        Media(url="https://x/y.pdf"),
        Media(mime="text/plain", data=PNG),
        Media(mime="application/pdf", data=PNG),
        Media(file_id="file-2"),
        Media(mime="audio/wav", data=PNG),
    ]
    rendered = again(input=[{"role": "user", "content": content}])["input"][0]["content"]
    assert rendered[2]["image_url"] == f"data:image/png;base64,{PNG}"
    assert rendered[5] == {
        "type": "input_file",
        "file_data": f"data:text/plain;base64,{PNG}",
        "filename": "notes.TXT",
    }
    assert rendered[6]["filename"] == "document.pdf"
    assert rendered[8] == content[8]


# ------------------------------------------------------------------------------------------------- tools
def test_tools_and_choices_come_back_as_they_were() -> None:
    tools = [
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
        {"type": "function", "name": "g", "defer_loading": True},
        {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
        {"type": "custom", "name": "d"},
        {"type": "web_search", "search_context_size": "low"},
        {
            "type": "namespace",
            "name": "crm",
            "description": "customers",
            "tools": [
                {"type": "function", "name": "get", "parameters": {"type": "object"}},
                {"type": "custom", "name": "put"},
            ],
        },
        {"type": "namespace", "name": "ops", "tools": [{"type": "function", "name": "get"}]},
        {"type": "namespace", "name": "odd", "tools": [{"type": "web_search"}]},
        {"type": "namespace", "name": "empty", "tools": []},
    ]
    request = parse(tools=tools)
    assert [tool.name for tool in request.tools if isinstance(tool, Tool)] == [
        "f",
        "g",
        "c",
        "d",
        "crm__ns__get",
        "crm__ns__put",
        "ops__ns__get",
    ]
    assert again(tools=tools)["tools"] == tools
    for choice in (
        "auto",
        "none",
        "required",
        {"type": "function", "name": "f"},
        {"type": "custom", "name": "c"},
        {"type": "function", "name": "put"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "custom", "name": "c"}, {"type": "function", "name": "zzz"}],
        },
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]},
        {"type": "web_search_preview"},
    ):
        assert again(tools=tools, tool_choice=choice)["tool_choice"] == choice
    assert parse(tools=tools, tool_choice={"type": "function", "name": "put"}).tool_choice == ToolChoice(
        mode="tool", name="crm__ns__put"
    )
    nested = parse(tool_choice={"type": "function", "function": {"name": "f"}}).tool_choice
    assert nested == ToolChoice(mode="tool", name="f")


def test_a_call_into_a_namespace_has_the_flat_name_everywhere_else() -> None:
    items = [call(name="get", namespace="crm"), result()]
    messages = parse_items(*items)
    assert isinstance(part := messages[0].parts[0], ToolCall)
    assert (part.name, part.namespace) == ("crm__ns__get", "crm")
    assert isinstance(answer := messages[1].parts[0], ToolResult)
    assert answer.name == "crm__ns__get"
    assert again(input=items)["input"] == items


def test_custom_calls_carry_any_text() -> None:
    items = [
        {"type": "custom_tool_call", "call_id": "c", "name": "py", "input": "print(1)"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "1"},
    ]
    assert isinstance(part := parse_items(*items)[0].parts[0], ToolCall)
    assert (part.kind, part.arguments) == ("custom", "print(1)")
    assert again(input=items)["input"] == items


def test_foreign_tools_are_not_strict_unless_they_say_so() -> None:
    rendered = render(
        foreign(
            tools=(
                Tool(name="f", cache=CacheMark()),
                Tool(name="g", parameters={"type": "object", "x": 1}, strict=True, extra={"a": 1}, path="tools[1]"),
                NativeTool(dialect="gemini", type="googleSearch", value={}, path="tools[2]"),
                NativeTool(dialect="gemini", type="codeExecution", value={}),
            ),
            tool_choice=ToolChoice(mode="tool", name="f"),
        )
    )
    assert rendered.body["tools"] == [
        {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False},
        {"type": "function", "name": "g", "parameters": {"type": "object", "x": 1}, "strict": True},
    ]
    assert rendered.body["tool_choice"] == {"type": "function", "name": "f"}
    assert rendered.dropped == ("cache", "tools[1].a", "tools[2]", "tools.codeExecution")


@pytest.mark.parametrize(
    ("choice", "dropped"),
    [
        (ToolChoice(mode="auto"), ()),
        (ToolChoice(mode="required"), ("tool_choice",)),
        (ToolChoice(mode="tool", name="f"), ("tool_choice",)),
        (ToolChoice(mode="required", native={"x": 1}, native_dialect="anthropic_messages"), ("tool_choice",)),
    ],
)
def test_a_choice_among_no_tools_is_left_out(choice: ToolChoice, dropped: tuple[str, ...]) -> None:
    rendered = render(foreign(tool_choice=choice))
    assert "tool_choice" not in rendered.body
    assert rendered.dropped == dropped


# ------------------------------------------------------------------------------------------------- from other dialects
def test_a_foreign_request_is_stateless_and_keeps_its_reasoning() -> None:
    body = render(foreign(stream=True)).body
    assert body["store"] is False
    assert body["include"] == ["reasoning.encrypted_content"]
    assert body["stream"] is True
    assert "include" not in render(foreign(model="openai/gpt-4o-mini")).body
    assert "include" not in render(foreign(), drop=frozenset({"encrypted_reasoning"})).body
    assert render(foreign(store=True)).body["store"] is True


def test_fields_without_a_place_are_named() -> None:
    rendered = render(
        foreign(
            top_k=1,
            stop=("x",),
            seed=1,
            presence_penalty=0.1,
            frequency_penalty=0.1,
            logit_bias={"1": 1},
            n=2,
            modalities=("text", "audio"),
            user="u" * 65,
            metadata={"a": 1},
            service_tier="standard_only",
            extra={"safety_settings": [], "prompt_cache_retention": "24h"},
        )
    )
    assert set(rendered.dropped) == {
        "top_k",
        "stop",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "n",
        "modalities",
        "user",
        "metadata",
        "service_tier",
        "extra.safety_settings",
    }
    assert rendered.body["prompt_cache_retention"] == "24h"
    assert not {"user", "metadata", "service_tier"} & set(rendered.body)
    kept = render(foreign(n=1, modalities=("text",), user="u", metadata={"a": "b"}, service_tier="flex"))
    assert kept.dropped == ()
    assert (kept.body["user"], kept.body["metadata"], kept.body["service_tier"]) == ("u", {"a": "b"}, "flex")


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        (Reasoning(), None),
        (Reasoning(effort="high"), {"effort": "high"}),
        (Reasoning(budget_tokens=0), {"effort": "none"}),
        (Reasoning(budget_tokens=-1), None),
        (Reasoning(budget_tokens=1024, enabled=True), {"effort": "low", "summary": "auto"}),
        (Reasoning(budget_tokens=8192), {"effort": "medium"}),
        (Reasoning(budget_tokens=32000), {"effort": "high"}),
        (Reasoning(enabled=False), {"effort": "none"}),
        (Reasoning(enabled=True, adaptive=True), {"summary": "auto"}),
        (Reasoning(effort="low", include=True), {"effort": "low", "summary": "auto"}),
        (Reasoning(summary="detailed"), {"summary": "detailed"}),
    ],
)
def test_a_budget_becomes_an_effort(reasoning: Reasoning, expected: dict[str, Any] | None) -> None:
    assert render(foreign(reasoning=reasoning)).body.get("reasoning") == expected


def test_structured_output_is_carried() -> None:
    schema = {"type": "object"}
    wanted = ResponseFormat(kind="json_schema", schema=schema, name="n", description="d", strict=False)
    settings = {"type": "json_schema", "name": "n", "schema": schema, "description": "d", "strict": False}
    assert render(foreign(response_format=wanted)).body["text"] == {"format": settings}
    assert again(text={"format": settings})["text"] == {"format": settings}
    assert again(text={"format": {"type": "json_object"}})["text"] == {"format": {"type": "json_object"}}
    unnamed = render(foreign(response_format=ResponseFormat(kind="json_schema", schema=schema)))
    assert unnamed.body["text"]["format"]["name"] == "answer"
    weak = render(foreign(response_format=wanted), json_schema=False)
    assert (weak.body["text"], weak.dropped) == ({"format": {"type": "json_object"}}, ("response_format",))
    bare = render(foreign(response_format=ResponseFormat(kind="json_schema")))
    assert (bare.body["text"], bare.dropped) == ({"format": {"type": "json_object"}}, ())
    enum = render(foreign(response_format=ResponseFormat(kind="text", mime="text/x.enum"), logprobs=True))
    assert enum.dropped == ("response_format",)
    plain = render(foreign(response_format=ResponseFormat(kind="json_object", mime="application/json")))
    assert plain.dropped == ()
    assert enum.body["include"] == ["reasoning.encrypted_content", "message.output_text.logprobs"]


def test_the_first_plain_system_message_becomes_instructions() -> None:
    system = Message(role="system", parts=(Text(text="be kind", cache=CacheMark()),))
    rendered = render(foreign(system, user(Text(text="hi"))))
    assert rendered.body["instructions"] == "be kind"
    assert len(rendered.body["input"]) == 1
    assert rendered.dropped == ("cache",)
    blocks = Message(role="system", parts=(Text(text="a"), Text(text="b")))
    body = render(foreign(blocks, Message(role="developer", parts=(Text(text="c"),))), developer_role=False).body
    assert "instructions" not in body
    assert [(item["role"], len(item["content"])) for item in body["input"]] == [("system", 2), ("system", 1)]
    own = again(input=[{"role": "system", "content": "x"}])
    assert own["input"][0]["role"] == "system"
    assert "instructions" not in own


def test_a_foreign_conversation_becomes_items() -> None:
    long_id = "toolu_" + "x" * 80
    rendered = render(
        foreign(
            Message(role="user", parts=(Text(text="look"), Image(media=Media(data=PNG))), name="joe"),
            assistant(
                Thinking(text="hm", signature="s", origin="anthropic_messages", path="messages[1].content[0]"),
                Thinking(text="hm", origin="gemini"),
                Text(text="I will", citations=(Citation(url="https://a", title="A"), Citation(cited_text="q"))),
                ToolCall(id=long_id, name="f", arguments="{}", signature="g"),
                Native(dialect="anthropic_messages", type="server_tool_use", value={}),
            ),
            Message(
                role="tool",
                parts=(
                    ToolResult(
                        call_id=long_id,
                        parts=(Text(text="a"), Image(media=Media(url="https://x/y.png"))),
                        is_error=True,
                        path="messages[2].content[0]",
                    ),
                    ToolResult(
                        call_id="c2", parts=(Native(dialect="anthropic_messages", type="search_result", value={}),)
                    ),
                ),
            ),
            assistant(Refusal(text="no")),
            Message(
                role="user", parts=(Text(text="z", extra={"a": 1}, path="messages[4].content[0]"),), extra={"b": 1}
            ),
        )
    )
    items = rendered.body["input"]
    assert [item.get("role", item["type"]) for item in items] == [
        "user",
        "assistant",
        "function_call",
        "function_call_output",
        "function_call_output",
        "assistant",
        "user",
    ]
    assert items[0]["content"][1] == {
        "type": "input_image",
        "image_url": f"data:image/png;base64,{PNG}",
        "detail": "auto",
    }
    assert items[1]["content"][0]["annotations"] == [
        {"type": "url_citation", "url": "https://a", "title": "A", "start_index": 0, "end_index": 6}
    ]
    assert len(items[2]["call_id"]) <= 64
    assert items[2]["call_id"] == items[3]["call_id"]
    assert items[3]["output"][1]["image_url"] == "https://x/y.png"
    assert items[4]["output"] == ""
    assert items[5]["content"] == [{"type": "refusal", "refusal": "no"}]
    assert set(rendered.dropped) == {
        "name",
        "messages[1].content[0]",
        "thinking",
        "citations.cited_text",
        "citations",
        "server_tool_use",
        "search_result",
        "messages[2].content[0].is_error",
        "messages[4].b",
        "messages[4].content[0].a",
    }


def test_its_own_reasoning_comes_back_through_a_foreign_client() -> None:
    rendered = render(
        foreign(
            user(Text(text="hi")),
            assistant(
                Thinking(text="a\n\nb", summary=("a", "b"), opaque="gAAA", item_id="rs_1", origin="openai_responses"),
                Thinking(text="plain", item_id="rs_2", origin="openai_responses"),
                Thinking(item_id="rs_3", origin="openai_responses", path="messages[1].content[2]"),
            ),
        )
    )
    assert rendered.body["input"][1:] == [
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
            "encrypted_content": "gAAA",
        },
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "plain"}]},
    ]
    assert rendered.dropped == ("messages[1].content[2]",)


def test_documents_are_carried() -> None:
    def content(part: Document) -> dict[str, Any]:
        rendered: dict[str, Any] = render(foreign(user(part))).body["input"][0]["content"][0]
        return rendered

    assert content(Document(media=Media(text="plain"))) == {"type": "input_text", "text": "plain"}
    assert content(Document(media=Media(data=PNG, mime="text/csv"), title="t")) == {
        "type": "input_file",
        "file_data": f"data:text/csv;base64,{PNG}",
        "filename": "t",
    }
    assert content(Document(media=Media(data=PNG, mime="text/csv")))["filename"] == "document.csv"
    assert content(Document(media=Media(url="https://x/y.pdf"))) == {
        "type": "input_file",
        "file_url": "https://x/y.pdf",
    }
    assert content(Document(media=Media(file_id="f"))) == {"type": "input_file", "file_id": "f"}
    part = Document(
        media=Media(data=PNG), filename="f", title="t", context="c", citations=True, cache=CacheMark(), path="p"
    )
    assert render(foreign(user(part))).dropped == ("cache", "p.title", "p.context", "p.citations")


@pytest.mark.parametrize(
    ("message", "quirks"),
    [
        (user(Image(media=Media(url="gs://b/o"), path="p")), {}),
        (user(Image(media=Media(url="https://x"), path="p")), {"image_urls": False}),
        (user(Image(media=Media(text="x"), path="p")), {}),
        (user(Document(media=Media(url="gs://b/o"), path="p")), {}),
        (user(Document(media=Media(data=PNG, mime="video/mp4"), path="p")), {}),
        (user(Audio(media=Media(data=PNG, mime="audio/wav"), path="p")), {}),
        (assistant(Image(media=Media(data=PNG), path="p")), {}),
        (assistant(Audio(media=Media(data=PNG), path="p")), {}),
        (
            Message(role="tool", parts=(ToolResult(call_id="c", parts=(Image(media=Media(data=PNG), path="p"),)),)),
            {"tool_result_images": False},
        ),
    ],
)
def test_media_that_cannot_be_sent_is_refused_by_name(message: Message, quirks: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        render(foreign(message), **quirks)
    assert caught.value.param == "p"


def test_spoken_answers_are_carried_as_their_transcript() -> None:
    part = Audio(media=Media(), transcript="hello", path="messages[1].audio")
    rendered = render(foreign(user(Text(text="hi")), assistant(part)))
    assert rendered.body["input"][1]["content"] == [{"type": "output_text", "text": "hello"}]
    assert rendered.dropped == ("messages[1].audio",)


def test_what_an_upstream_refuses_is_left_out_and_named() -> None:
    quirks = {"drop": frozenset({"temperature", "verbosity", "logprobs", "max_tool_calls", "seed", "store"})}
    request = parse(
        temperature=1, text={"verbosity": "low"}, include=["message.output_text.logprobs"], max_tool_calls=2, top_p=1
    )
    rendered = render(request, **quirks)
    assert set(rendered.dropped) == {"temperature", "verbosity", "logprobs", "extra.max_tool_calls"}
    assert set(rendered.body) == {"model", "input", "top_p"}


# ------------------------------------------------------------------------------------------------- foreign reasoning
def test_foreign_thinking_comes_back_with_its_signature() -> None:
    part = Thinking(text="hm", signature="sig", origin="anthropic_messages")
    items = [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": carried.of_thinking(part),
        },
        {
            "type": "reasoning",
            "summary": [],
            "encrypted_content": carried.of_thinking(
                Thinking(opaque="data", redacted=True, origin="anthropic_messages", details=({"a": 1},))
            ),
        },
    ]
    first, second = parse_items(*items)[0].parts
    assert first == Thinking(text="hm", signature="sig", origin="anthropic_messages", path="input[0]")
    assert second == Thinking(
        opaque="data", redacted=True, origin="anthropic_messages", details=({"a": 1},), path="input[1]"
    )
    rendered = render(parse(input=items))
    assert rendered.body["input"] == []
    assert rendered.dropped == ("input[0]", "input[1]")


def proof(blob: str) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "encrypted_content": blob}


def test_signatures_of_calls_find_them_by_id() -> None:
    messages = parse_items(
        proof(carried.of_call("c2", "two")),
        call("c1"),
        proof(carried.of_call("c1", "one")),
        call("c2"),
        result("c1"),
        result("c2"),
    )
    calls = [part for part in messages[0].parts if isinstance(part, ToolCall)]
    assert [(part.id, part.signature) for part in calls] == [("c1", "one"), ("c2", "two")]
    assert len(messages[0].parts) == 2


def test_signatures_of_texts_belong_to_the_text_before() -> None:
    said = {"role": "assistant", "content": "hello"}
    messages = parse_items({"role": "user", "content": "x"}, said, proof(carried.of_text("s", empty=False)))
    assert messages[1].parts == (Text(text="hello", signature="s", path="input[1].content"),)
    messages = parse_items(said, proof(carried.of_text("s", empty=True)))
    assert messages[0].parts[1] == Text(text="", signature="s", path="input[1]")
    messages = parse_items(call(), proof(carried.of_text("s", empty=False)), result())
    assert messages[0].parts[1] == Text(text="", signature="s", path="input[1]")


# ------------------------------------------------------------------------------------------------- same dialect
def rewrite(body: bytes, model: str | None = None, **quirks: Any) -> bytes:
    sent, added = DIALECT.rewrite_request(body, model=model, quirks=Quirks(**quirks), include_usage=True)
    assert not added
    return sent


def test_a_request_that_needs_no_change_keeps_every_byte() -> None:
    body = b'{ "model" : "m", "temperature": 1.0, "input":"\\u00e9" }'
    assert rewrite(body) is body
    assert rewrite(body, "n") == b'{"model":"n","temperature":1.0,"input":"\\u00e9"}'


def test_refused_fields_are_taken_out_of_a_passed_request() -> None:
    body = (
        b'{"model":"m","temperature":1.0,"text":{"verbosity":"low","format":{"type":"text"}},'
        b'"include":["message.output_text.logprobs","x"],"top_p":1.0,"reasoning":null}'
    )
    drop = frozenset({"temperature", "verbosity", "logprobs", "max_tool_calls"})
    assert rewrite(body, drop=drop) == (
        b'{"model":"m","text":{"format":{"type":"text"}},"include":["x"],"top_p":1.0,"reasoning":null}'
    )


def test_foreign_reasoning_is_taken_out_of_a_passed_request() -> None:
    foreign_item = json.dumps(proof(carried.of_call("c", "s"))).encode()
    own = b'{"type": "reasoning", "summary": [], "encrypted_content": "gAAA", "n": 1.0}'
    quoted = json.dumps({"role": "user", "content": carried.PREFIX}).encode()
    body = b'{"model":"m","input":[' + b", ".join([own, foreign_item, quoted]) + b"]}"
    assert rewrite(body) == b'{"model":"m","input":[' + own + b"," + quoted + b"]}"
    only_quoted = b'{"model":"m","input":[' + quoted + b', "' + carried.PREFIX.encode() + b'"]}'
    assert rewrite(only_quoted) is only_quoted
    as_text = b'{"model":"m","input":"' + carried.PREFIX.encode() + b'"}'
    assert rewrite(as_text) is as_text


def test_a_passed_body_that_is_not_an_object_is_refused() -> None:
    with pytest.raises(BadRequest):
        rewrite(b"[]", "m")
