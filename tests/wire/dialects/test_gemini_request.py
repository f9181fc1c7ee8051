"""Gemini requests to the neutral model: every field, every leniency of Google's, every wrong type."""

from __future__ import annotations

from typing import Any

import pytest

from wire.dialect import Quirks
from wire.dialects.gemini import DIALECT
from wire.dialects.gemini.foreign import seal
from wire.errors import BadRequest
from wire.neutral import (
    Audio,
    Document,
    Image,
    Media,
    Message,
    NativeTool,
    Reasoning,
    Request,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

PNG = "iVBORw0KGgo="
STORE = "https://generativelanguage.googleapis.com/v1beta/"
CONFIG = "generationConfig"


def parse(**fields: Any) -> Request:
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], **fields}
    return DIALECT.parse_request(body, model="gemini-2.5-flash")


def parts(*raw: dict[str, Any], role: str = "user") -> tuple[Any, ...]:
    return parse(contents=[{"role": role, "parts": list(raw)}]).messages[0].parts


def configured(**config: Any) -> Request:
    return parse(generationConfig=config)


def test_a_plain_request() -> None:
    request = DIALECT.parse_request(
        {"contents": [{"parts": [{"text": "hi"}]}], "model": "models/gemini-2.0-flash"}, stream=True
    )
    assert request.model == "gemini-2.0-flash"
    assert request.stream
    assert request.messages == (Message(role="user", parts=(Text(text="hi", path="contents[0].parts[0]"),)),)


def test_names_may_be_snake_case_nulls_absent_and_lists_single() -> None:
    request = DIALECT.parse_request(
        {
            "system_instruction": {"parts": {"text": "Be kind."}},
            "contents": {"role": "user", "parts": {"inline_data": {"mime_type": "image/png", "data": PNG}}},
            "generation_config": {"max_output_tokens": "5", "top_k": 40.0, "stop_sequences": "END", "seed": None},
            "tools": {"function_declarations": {"name": "f", "parameters": None}},
            "safety_settings": None,
        }
    )
    assert request.messages[0] == Message(
        role="system", parts=(Text(text="Be kind.", path="systemInstruction.parts[0]"),)
    )
    assert request.messages[1].parts[0] == Image(media=Media(mime="image/png", data=PNG), path="contents[0].parts[0]")
    assert (request.max_tokens, request.top_k, request.stop, request.seed) == (5, 40, ("END",), None)
    assert request.tools == (Tool(name="f", path="tools[0].functionDeclarations[0]"),)
    assert request.extra == {}


def test_an_empty_system_instruction_is_none() -> None:
    assert [message.role for message in parse(systemInstruction={"role": "user"}).messages] == ["user"]


def test_generation_config() -> None:
    request = configured(
        temperature=0.5,
        topP=0.9,
        topK=3,
        maxOutputTokens=100,
        stopSequences=["a", "b"],
        candidateCount=2,
        seed=7,
        presencePenalty=-1,
        frequencyPenalty="0.5",
        responseLogprobs=True,
        logprobs=5,
        responseModalities=["TEXT", "IMAGE", 3],
        speechConfig={"voiceConfig": {}},
        mediaResolution="MEDIA_RESOLUTION_LOW",
    )
    assert request.temperature == 0.5
    assert request.top_p == 0.9
    assert (request.top_k, request.max_tokens, request.n, request.seed) == (3, 100, 2, 7)
    assert (request.presence_penalty, request.frequency_penalty) == (-1, 0.5)
    assert (request.logprobs, request.top_logprobs) == (True, 5)
    assert request.stop == ("a", "b")
    assert request.modalities == ("text", "image", "audio")
    assert request.extra == {
        "generationConfig.speechConfig": {"voiceConfig": {}},
        "generationConfig.mediaResolution": "MEDIA_RESOLUTION_LOW",
    }


@pytest.mark.parametrize("mime", ["text/plain", "application/json", "text/x.enum"])
def test_a_response_media_type_comes_back(mime: str) -> None:
    body = DIALECT.render_request(configured(responseMimeType=mime), quirks=Quirks()).body
    assert body["generationConfig"] == {"responseMimeType": mime}


def test_what_has_no_place_goes_back_where_it_was() -> None:
    fields: dict[str, Any] = {
        "safetySettings": [{"category": 10, "threshold": 3}],
        "cachedContent": "cachedContents/x",
        "labels": {"team": "a"},
        "serviceTier": "flex",
        "store": False,
        "toolConfig": {"retrievalConfig": {"languageCode": "ko"}, "functionCallingConfig": {"streamArgs": True}},
        "generationConfig": {"speechConfig": {}, "thinkingConfig": {"novel": 1}},
    }
    request = parse(**fields)
    assert (request.service_tier, request.store) == ("flex", False)
    body = DIALECT.render_request(request, quirks=Quirks()).body
    assert {name: value for name, value in body.items() if name != "contents"} == fields


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"responseMimeType": "text/plain"}, ResponseFormat(kind="text")),
        ({"responseMimeType": "application/json"}, ResponseFormat(kind="json_object")),
        (
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
            ResponseFormat(kind="json_schema", schema={"type": "object"}),
        ),
        (
            {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}},
            ResponseFormat(kind="json_schema", schema={"type": "string", "enum": ["a"]}, mime="text/x.enum"),
        ),
    ],
)
def test_response_format(config: dict[str, Any], expected: ResponseFormat) -> None:
    assert configured(**config).response_format == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, Reasoning()),
        ({"thinkingBudget": 0}, Reasoning(budget_tokens=0, enabled=False)),
        ({"thinkingBudget": -1, "includeThoughts": True}, Reasoning(budget_tokens=-1, enabled=True, include=True)),
        ({"thinkingLevel": "HIGH"}, Reasoning(effort="high", enabled=True)),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, Reasoning()),
    ],
)
def test_thinking_config(config: dict[str, Any], expected: Reasoning) -> None:
    assert configured(thinkingConfig=config).reasoning == expected


@pytest.mark.parametrize(
    ("calling", "expected"),
    [
        ({"mode": "AUTO"}, ToolChoice(mode="auto")),
        ({"mode": "auto"}, ToolChoice(mode="auto")),
        ({"mode": 2}, ToolChoice(mode="required")),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice(mode="tool", name="f")),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, ToolChoice(mode="required", allowed=("f", "g"))),
        ({"mode": "NONE"}, ToolChoice(mode="none")),
        (
            {"mode": "VALIDATED", "allowedFunctionNames": ["f"]},
            ToolChoice(mode="auto", allowed=("f",), native="VALIDATED", native_dialect="gemini"),
        ),
        ({"mode": "MODE_UNSPECIFIED"}, None),
        ({}, None),
    ],
)
def test_tool_choice(calling: dict[str, Any], expected: ToolChoice | None) -> None:
    assert parse(toolConfig={"functionCallingConfig": calling}).tool_choice == expected


def test_tools() -> None:
    request = parse(
        tools=[
            {
                "functionDeclarations": [
                    {"name": "f", "description": "d", "parameters": {"type": "OBJECT", "properties": {}}},
                    {"name": "g", "parametersJsonSchema": {"type": "object"}, "behavior": "BLOCKING"},
                ],
                "googleSearch": {},
            },
            {"code_execution": {}},
        ]
    )
    assert request.tools == (
        Tool(
            name="f",
            description="d",
            parameters={"type": "object", "properties": {}},
            path="tools[0].functionDeclarations[0]",
        ),
        Tool(
            name="g",
            parameters={"type": "object"},
            extra={"behavior": "BLOCKING"},
            path="tools[0].functionDeclarations[1]",
        ),
        NativeTool(dialect="gemini", type="googleSearch", value={"googleSearch": {}}, path="tools[0]"),
        NativeTool(dialect="gemini", type="codeExecution", value={"codeExecution": {}}, path="tools[1]"),
    )
    body = DIALECT.render_request(request, quirks=Quirks()).body
    assert body["tools"][0]["functionDeclarations"][1] == {
        "name": "g",
        "parametersJsonSchema": {"type": "object"},
        "behavior": "BLOCKING",
    }


def test_media() -> None:
    found = parts(
        {"inlineData": {"mimeType": "image/png", "data": "-_-_"}, "thoughtSignature": "sig"},
        {"inlineData": {"mimeType": "audio/wav", "data": "A\r\nAA"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AAAA", "displayName": "a.pdf"}},
        {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}, "videoMetadata": {"fps": 1}},
        {"fileData": {"fileUri": "https://example.com/a.PNG?x=1"}},
        {
            "fileData": {
                "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
                "mimeType": "text/plain",
            }
        },
        {"fileData": {"fileUri": "https://youtu.be/x"}},
        {"fileData": {"fileUri": "gs://bucket/a", "mimeType": "audio/mp3"}},
    )
    at = "contents[0].parts"
    assert found[0] == Image(media=Media(mime="image/png", data="+/+/"), signature="sig", path=f"{at}[0]")
    assert found[1] == Audio(media=Media(mime="audio/wav", data="AAA="), path=f"{at}[1]")
    assert found[2] == Document(media=Media(mime="application/pdf", data="AAAA"), filename="a.pdf", path=f"{at}[2]")
    assert found[3] == Document(media=Media(mime="video/mp4", data="AAAA"), path=f"{at}[3]")
    assert found[4] == Image(media=Media(mime="image/png", url="https://example.com/a.PNG?x=1"), path=f"{at}[4]")
    assert found[5] == Document(media=Media(mime="text/plain", file_id=f"{STORE}files/abc"), path=f"{at}[5]")
    assert found[6] == Document(media=Media(mime="video/mp4", url="https://youtu.be/x"), path=f"{at}[6]")
    assert found[7] == Audio(media=Media(mime="audio/mp3", url="gs://bucket/a"), path=f"{at}[7]")


def test_fields_beside_the_data_are_told_by_path() -> None:
    request = parse(
        contents=[
            {"role": "user", "parts": [{"text": "a", "partMetadata": {"k": 1}}], "novel": True},
            {"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "scheduling": "SILENT"}}]},
        ]
    )
    assert request.extra == {
        "contents[0].novel": True,
        "contents[0].parts[0].partMetadata": {"k": 1},
        "contents[2].parts[0].functionResponse.scheduling": "SILENT",
    }
    rendered = DIALECT.render_request(request, quirks=Quirks())
    assert rendered.dropped == tuple(f"extra.{path}" for path in request.extra)


def test_thoughts_signatures_and_native_parts() -> None:
    found = parts(
        {"text": "hm", "thought": True, "thoughtSignature": "a"},
        {"text": "so", "thought": False},
        {"text": "", "thoughtSignature": "b"},
        {"thoughtSignature": "c"},
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"toolCall": {"toolType": "FILE_SEARCH"}, "thoughtSignature": "d"},
        {"inlineData": {"mimeType": "image/png", "data": PNG}, "thought": True},
        role="model",
    )
    at = "contents[0].parts"
    assert found[:4] == (
        Thinking(text="hm", signature="a", origin="gemini", path=f"{at}[0]"),
        Text(text="so", path=f"{at}[1]"),
        Text(text="", signature="b", path=f"{at}[2]"),
        Text(text="", signature="c", path=f"{at}[3]"),
    )
    assert [part.type for part in found[4:]] == ["executableCode", "toolCall", "inlineData"]
    assert found[5].value == {"toolCall": {"toolType": "FILE_SEARCH"}, "thoughtSignature": "d"}


def test_what_a_stream_brought_in_pieces_is_one_turn() -> None:
    """google-genai's chats keep every chunk as a content of its own."""
    carried = seal([Thinking(text="deep", signature="s", origin="anthropic_messages")])
    pieces = [
        {"text": "de", "thought": True},
        {"text": "ep", "thought": True},
        {"text": "so ", "thoughtSignature": carried},
        {"text": "it "},
        {"text": "is", "thoughtSignature": "sig"},
        {"text": "!"},
        {"functionCall": {"name": "f"}},
        {"functionCall": {"name": "g"}},
    ]
    request = parse(contents=[{"role": "model", "parts": [piece]} for piece in pieces])
    (message,) = request.messages
    thinking, said, end, *calls = message.parts
    assert isinstance(thinking, Thinking)
    assert (thinking.text, thinking.origin) == ("deep", "anthropic_messages")
    assert said == Text(text="so it is", signature="sig", path="contents[2].parts[0]")
    assert end == Text(text="!", path="contents[5].parts[0]")
    assert [call.name for call in calls if isinstance(call, ToolCall)] == ["f", "g"]
    own = parse(contents=[{"role": "model", "parts": [{"text": text, "thought": True}]} for text in ("a", "b")])
    assert own.messages[0].parts == (Thinking(text="ab", origin="gemini", path="contents[0].parts[0]"),)


def test_calls_and_results_are_matched_by_id_name_and_order() -> None:
    def call(name: str, **more: Any) -> dict[str, Any]:
        return {"functionCall": {"name": name, "args": {"n": 1}, **more}}

    def result(name: str, response: Any, **more: Any) -> dict[str, Any]:
        return {"functionResponse": {"name": name, "response": response, **more}}

    request = parse(
        contents=[
            {"role": "model", "parts": [call("f"), call("g", id="given"), call("f")]},
            {
                "role": "function",
                "parts": [
                    result("g", {"error": "broken"}, id="given"),
                    result("f", {"output": "one"}),
                    result("f", {"a": [1]}, parts=[{"inlineData": {"mimeType": "image/png", "data": PNG}}]),
                    {"text": "and then"},
                ],
            },
            {"role": "model", "parts": [call("f")]},
            {"role": "user", "parts": [result("f", {"output": {"deep": 1}}, id="named later")]},
        ]
    )
    roles = [message.role for message in request.messages]
    assert roles == ["assistant", "tool", "user", "assistant", "tool"]
    calls = [part for part in request.messages[0].parts if isinstance(part, ToolCall)]
    assert [(part.id, part.name, part.arguments) for part in calls] == [
        ("call_0", "f", '{"n":1}'),
        ("given", "g", '{"n":1}'),
        ("call_2", "f", '{"n":1}'),
    ]
    results = [part for part in request.messages[1].parts if isinstance(part, ToolResult)]
    assert [(part.call_id, part.is_error) for part in results] == [("given", True), ("call_0", None), ("call_2", None)]
    assert [part.parts[0].text for part in results if isinstance(part.parts[0], Text)] == ["broken", "one", '{"a":[1]}']
    assert isinstance(results[2].parts[1], Image)
    last = request.messages[4].parts[0]
    assert isinstance(last, ToolResult)
    assert (last.call_id, last.parts[0]) == ("call_3", Text(text='{"deep":1}', path="contents[3].parts[0]"))
    body = DIALECT.render_request(request, quirks=Quirks()).body
    assert [part["functionResponse"].get("id") for part in body["contents"][1]["parts"][:3]] == ["given", None, None]


def test_a_result_may_answer_a_call_in_cached_content() -> None:
    contents = [{"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}]
    request = parse(contents=contents, cachedContent="cachedContents/x")
    body = DIALECT.render_request(request, quirks=Quirks()).body
    assert body["contents"] == contents


def test_foreign_thinking_comes_back_from_its_seal() -> None:
    thinking = Thinking(text="long thought", signature="anthropic-sig", origin="anthropic_messages")
    hidden = Thinking(opaque="xyz", redacted=True, origin="anthropic_messages")
    carried = seal([thinking, hidden]).replace("+", "-").replace("/", "_")
    found = parts(
        {"text": "long ", "thought": True},
        {"text": "thought", "thought": True},
        {"text": "", "thoughtSignature": carried},
        {"functionCall": {"name": "f"}, "thoughtSignature": carried},
        role="model",
    )
    assert [type(part) for part in found] == [Thinking, Thinking, Thinking, Thinking, ToolCall]
    assert (found[0].text, found[0].signature, found[0].origin) == (
        "long thought",
        "anthropic-sig",
        "anthropic_messages",
    )
    assert found[3].redacted
    assert found[4].signature is None


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({}, ""),
        ("text", ""),
        ({"text": 1}, ".text"),
        ({"text": "a", "thought": "yes"}, ".thought"),
        ({"text": "a", "thoughtSignature": 1}, ".thoughtSignature"),
        ({"text": "a", "thoughtSignature": seal([Thinking(text="a")])[:-9]}, ".thoughtSignature"),
        ({"text": "a", "inlineData": {}}, ""),
        ({"novel": 1}, ".novel"),
        ({"inlineData": []}, ".inlineData"),
        ({"inlineData": {"mimeType": "image/png"}}, ".inlineData.data"),
        ({"inlineData": {"mimeType": "image/png", "data": "???"}}, ".inlineData.data"),
        ({"inlineData": {"mimeType": 1, "data": PNG}}, ".inlineData.mimeType"),
        ({"fileData": {"mimeType": "image/png"}}, ".fileData.fileUri"),
        ({"functionCall": {"args": {}}}, ".functionCall.name"),
        ({"functionCall": {"name": "f", "args": []}}, ".functionCall.args"),
        ({"functionCall": {"name": "f", "id": 1}}, ".functionCall.id"),
        ({"functionResponse": {"name": "f", "response": {}}}, ".functionResponse"),
        ({"functionResponse": {"name": "f", "response": "text"}}, ".functionResponse.response"),
        ({"functionResponse": {"response": {}}}, ".functionResponse.name"),
    ],
)
def test_a_wrong_part_is_named(part: Any, path: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(contents=[{"role": "user", "parts": [{"text": "a"}]}, {"role": "user", "parts": [part]}])
    assert caught.value.param == f"contents[1].parts[0]{path}"
    assert caught.value.message.startswith("contents[1].parts[0]")


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"properties": {"a": value}}
    return value


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"contents": None}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": "hi"}, "contents[0]"),
        ({"contents": [{"role": 1}]}, "contents[0].role"),
        ({"contents": [{"role": "assistant", "parts": []}]}, "contents[0].role"),
        ({"model": 1}, "model"),
        ({"systemInstruction": "be kind"}, "systemInstruction"),
        ({"generationConfig": []}, "generationConfig"),
        ({"generationConfig": {"temperature": "warm"}}, "generationConfig.temperature"),
        ({"generationConfig": {"temperature": True}}, "generationConfig.temperature"),
        ({"generationConfig": {"topK": 1.5}}, "generationConfig.topK"),
        ({"generationConfig": {"maxOutputTokens": "inf"}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"stopSequences": [1]}}, "generationConfig.stopSequences[0]"),
        ({"generationConfig": {"responseLogprobs": 1}}, "generationConfig.responseLogprobs"),
        ({"generationConfig": {"responseModalities": [None]}}, "generationConfig.responseModalities[0]"),
        ({"generationConfig": {"responseJsonSchema": True}}, "generationConfig.responseJsonSchema"),
        (
            {"generationConfig": {"responseSchema": {"type": "THING", "items": 1}}},
            "generationConfig.responseSchema.items",
        ),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingLevel": 3}}},
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        ({"tools": [1]}, "tools[0]"),
        ({"tools": [{"functionDeclarations": [{"description": "a"}]}]}, "tools[0].functionDeclarations[0].name"),
        (
            {"tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": 1}]}]},
            "tools[0].functionDeclarations[0].parametersJsonSchema",
        ),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "toolConfig.functionCallingConfig.mode"),
        ({"toolConfig": {"functionCallingConfig": {"mode": 9}}}, None),
        ({"serviceTier": 1}, "serviceTier"),
        ({"store": "no"}, "store"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str | None) -> None:
    if param is None:
        assert parse(**fields).tool_choice is None
        return
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    assert caught.value.param == param


def test_deep_nesting_is_a_bad_request() -> None:
    args: dict[str, Any] = {}
    for _ in range(500):
        args = {"a": args}
    for fields in (
        {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "args": args}}]}]},
        {"generationConfig": {"responseSchema": deep(500)}},
    ):
        with pytest.raises(BadRequest, match="nested too deeply"):
            parse(**fields)


def test_a_model_turn_cannot_hold_a_result() -> None:
    call = {"functionCall": {"name": "f"}}
    result = {"functionResponse": {"name": "f", "response": {}}}
    with pytest.raises(BadRequest) as caught:
        parse(contents=[{"role": "model", "parts": [call, result]}])
    assert caught.value.param == "contents[0]"
