"""Answers as Python types, in each API's own way of asking for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest

from tests.replay import Answer, Upstream
from tollgate import MalformedAnswerError, Tollgate, completion, messages, responses

HELLO = [{"role": "user", "content": "Where?"}]


class Guest(pydantic.BaseModel):
    city: str
    nights: int = 1


@dataclass
class Place:
    city: str
    nights: int


class Row(msgspec.Struct):
    city: str
    nights: int


class Loose(TypedDict):
    city: str
    nights: int


class Nested(msgspec.Struct):
    places: list[Row]
    tags: dict[str, str] = {}


SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "nights": {"type": "integer"}},
    "required": ["city", "nights"],
    "additionalProperties": False,
}


def plain(body: dict[str, Any]) -> Answer:
    return Answer(pieces=(json.dumps(body).encode(),))


def chat(text: str | None, finish: str = "stop", **more: Any) -> Answer:
    message = {"role": "assistant", "content": text, **more}
    return plain({"id": "c", "created": 1, "model": "m", "choices": [{"message": message, "finish_reason": finish}]})


@pytest.mark.parametrize("kind", [Guest, Place, Row, Loose])
def test_each_api_is_asked_in_its_way_and_read_into_the_type(upstream: Upstream, kind: type) -> None:
    text = '{"city": "Seoul", "nights": 2}'
    item = {"type": "message", "content": [{"type": "output_text", "text": text}]}
    upstream.on("/v1/chat/completions", chat(text))
    upstream.on("/v1/responses", plain({"id": "r", "object": "response", "status": "completed", "output": [item]}))
    upstream.on("/v1/messages", plain({"type": "message", "content": [{"type": "text", "text": text}], "usage": {}}))
    base: dict[str, Any] = {"api_key": "sk-1", "api_base": f"{upstream.url}/v1"}
    answer = completion("openai:m", HELLO, response_format=kind, **base)
    told = responses("openai:m", "Where?", response_format=kind, text={"verbosity": "low"}, **base)
    spoken = messages("anthropic:m", HELLO, 9, output_format=kind, api_key="sk-1", api_base=upstream.url)
    for parsed in (answer.choices[0].message.parsed, told.output_parsed, spoken.parsed_output):
        found = parsed if isinstance(parsed, dict) else {"city": parsed.city, "nights": parsed.nights}
        assert isinstance(parsed, dict if kind is Loose else kind)
        assert found == {"city": "Seoul", "nights": 2}
    first, second, third = (call.json for call in upstream.calls)
    form = first["response_format"]["json_schema"]
    assert first["response_format"]["type"] == "json_schema"
    assert form["name"] == kind.__name__
    assert form["strict"] == (kind is not Guest)  # a field that may be left out is nothing for OpenAI's strict
    assert second["text"] == {"verbosity": "low", "format": {"type": "json_schema", **form}}
    assert third["output_config"] == {"format": {"type": "json_schema", "schema": form["schema"]}}
    if kind is not Guest:
        assert form["schema"] == SCHEMA
    # A message that is handed back is the provider's own.
    assert "parsed" not in json.dumps(answer.choices[0].message.model_dump())


def test_what_is_asked_for_by_a_dictionary_goes_as_it_is(upstream: Upstream) -> None:
    upstream.on("/v1/chat/completions", chat("{}"))
    upstream.on("/v1/messages", plain({"type": "message", "content": [], "usage": {}}))
    base: dict[str, Any] = {"api_key": "sk-1", "api_base": f"{upstream.url}/v1"}
    answer = completion("openai:m", HELLO, response_format={"type": "json_object"}, **base)
    assert answer.choices[0].message.parsed is None
    form = {"type": "json_schema", "schema": SCHEMA}
    for given in (form, {"format": form}):
        spoken = messages("anthropic:m", HELLO, 9, output_format=given, api_key="sk-1", api_base=upstream.url)
        assert spoken.parsed_output is None
        assert upstream.calls[-1].json["output_config"] == {"format": form}
    assert upstream.calls[0].json["response_format"] == {"type": "json_object"}


def test_text_that_is_not_of_the_type_is_an_error(upstream: Upstream) -> None:
    upstream.on("/v1/chat/completions", chat('{"city": "Seo', "length"), chat('{"city": 1, "nights": 2}'))
    with Tollgate.create("openai", "sk-1", f"{upstream.url}/v1") as client:
        with pytest.raises(MalformedAnswerError, match="The answer is no Place; it ended by 'length'"):
            client.completion("m", HELLO, response_format=Place)
        with pytest.raises(MalformedAnswerError, match="The answer is no Guest"):
            client.completion("m", HELLO, response_format=Guest)


def test_a_refusal_or_a_call_has_nothing_to_read(upstream: Upstream) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    upstream.on("/v1/chat/completions", chat(None, refusal="No."), chat(None, "tool_calls", tool_calls=[call]))
    base: dict[str, Any] = {"api_key": "sk-1", "api_base": f"{upstream.url}/v1", "response_format": Place}
    assert completion("openai:m", HELLO, **base).choices[0].message.parsed is None
    assert completion("openai:m", HELLO, **base).choices[0].message.parsed is None


def test_schemas_are_strict_where_openai_takes_them_so(upstream: Upstream) -> None:
    upstream.on("/v1/chat/completions", chat('{"places": [{"city": "a", "nights": 1}]}'))
    base: dict[str, Any] = {"api_key": "sk-1", "api_base": f"{upstream.url}/v1"}
    nested = completion("openai:m", HELLO, response_format=Nested, **base).choices[0].message.parsed
    assert nested == Nested(places=[Row("a", 1)])
    form = upstream.calls[0].json["response_format"]["json_schema"]
    assert form["strict"] is False
    assert form["schema"]["properties"]["places"]["items"] == SCHEMA
    with pytest.raises(TypeError, match="response_format: int is no object"):
        completion("openai:m", HELLO, response_format=int, **base)
    with pytest.raises(TypeError, match="response_format"):
        completion("openai:m", HELLO, response_format=Upstream, **base)
