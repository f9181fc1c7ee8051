"""Settings, thinking and schemas of other dialects for Gemini."""

from __future__ import annotations

from typing import Any

import pytest
from google.genai import types

from wire.dialect import Quirks, Rendered
from wire.dialects.gemini import DIALECT
from wire.dialects.gemini.schema import for_gemini, to_json_schema
from wire.dialects.gemini.thinking import generation, wants_signatures
from wire.errors import BadRequest
from wire.neutral import (
    CacheMark,
    DialectName,
    Message,
    Reasoning,
    Request,
    ResponseFormat,
    Text,
    Tool,
)

HI = Message(role="user", parts=(Text(text="hi"),))


def render(
    *messages: Message,
    model: str = "gemini-2.5-flash",
    dialect: DialectName = "openai_chat",
    quirks: Quirks | None = None,
    **fields: Any,
) -> Rendered:
    request = Request(dialect=dialect, model=model, messages=messages or (HI,), **fields)
    rendered = DIALECT.render_request(request, quirks=quirks or Quirks())
    for content in rendered.body["contents"]:
        types.Content.model_validate(content)
    return rendered


# ------------------------------------------------------------------------------------------------- settings
def test_settings() -> None:
    rendered = render(
        max_tokens=5,
        temperature=0.0,
        top_p=0.5,
        top_k=3,
        stop=("a",),
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        n=2,
        logprobs=True,
        top_logprobs=3,
        modalities=("text", "image"),
        service_tier="default",
        store=False,
    )
    assert rendered.body["generationConfig"] == {
        "temperature": 0.0,
        "topP": 0.5,
        "topK": 3,
        "maxOutputTokens": 5,
        "candidateCount": 2,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "responseLogprobs": True,
        "logprobs": 3,
        "stopSequences": ["a"],
        "seed": 7,
        "responseModalities": ["TEXT", "IMAGE"],
    }
    assert rendered.body["serviceTier"] == "standard"
    assert rendered.dropped == ()


def test_what_gemini_does_not_have_is_dropped_by_neutral_name() -> None:
    rendered = render(
        Message(role="user", parts=(Text(text="hi", cache=CacheMark()),), name="ann"),
        seed=2**40,
        logit_bias={"1": 2.0},
        verbosity="low",
        user="u",
        metadata={"a": "b"},
        prompt_cache_key="k",
        service_tier="scale",
        store=True,
        extra={"prediction": {}},
    )
    assert set(rendered.dropped) == {
        "name",
        "cache",
        "seed",
        "logit_bias",
        "verbosity",
        "user",
        "metadata",
        "prompt_cache_key",
        "service_tier",
        "store",
        "extra.prediction",
    }
    assert set(rendered.body) == {"contents"}
    assert render(service_tier="auto").dropped == ()
    assert render(tools=(Tool(name="f", cache=CacheMark()),)).dropped == ("cache",)


def test_settings_that_the_upstream_refuses_are_left_out() -> None:
    quirks = Quirks(drop=frozenset({"seed", "top_k", "no_such_name"}))
    rendered = render(seed=1, temperature=1.0, quirks=quirks)
    assert rendered.body["generationConfig"] == {"temperature": 1.0}
    assert rendered.dropped == ("seed",)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ResponseFormat(kind="text"), None),
        (ResponseFormat(kind="json_object"), {"responseMimeType": "application/json"}),
        (
            ResponseFormat(kind="json_schema", schema={"type": "object"}, name="n", description="d", strict=True),
            {
                "responseMimeType": "application/json",
                "responseJsonSchema": {"type": "object", "description": "d"},
            },
        ),
    ],
)
def test_response_format(wanted: ResponseFormat, expected: dict[str, Any] | None) -> None:
    rendered = render(response_format=wanted)
    assert rendered.body.get("generationConfig") == expected
    assert rendered.dropped == ()


def test_a_schema_keeps_its_own_description() -> None:
    wanted = ResponseFormat(kind="json_schema", schema={"description": "mine", "exclusiveMinimum": 1}, description="d")
    rendered = render(response_format=wanted)
    schema = rendered.body["generationConfig"]["responseJsonSchema"]
    assert schema == {"description": "mine", "minimum": 1}
    assert rendered.dropped == ("response_format.schema.exclusiveMinimum",)


@pytest.mark.parametrize(
    ("model", "asked", "config", "dropped"),
    [
        ("gemini-3-flash", Reasoning(effort="low"), {"thinkingLevel": "low", "includeThoughts": True}, ()),
        ("gemini-3-flash", Reasoning(effort="minimal"), {"thinkingLevel": "minimal", "includeThoughts": True}, ()),
        (
            "gemini-3-pro-preview",
            Reasoning(effort="minimal", include=False),
            {"thinkingLevel": "low"},
            ("reasoning.effort",),
        ),
        ("gemini-3-flash", Reasoning(effort="none"), {"thinkingLevel": "minimal"}, ("reasoning.effort",)),
        (
            "gemini-3-flash",
            Reasoning(effort="max"),
            {"thinkingLevel": "high", "includeThoughts": True},
            ("reasoning.effort",),
        ),
        ("gemini-3-flash", Reasoning(effort="odd"), {"includeThoughts": True}, ("reasoning.effort",)),
        ("gemini-3-flash", Reasoning(budget_tokens=0), {"thinkingLevel": "minimal"}, ("reasoning.budget_tokens",)),
        (
            "gemini-3-flash",
            Reasoning(budget_tokens=10_000),
            {"thinkingLevel": "medium", "includeThoughts": True},
            ("reasoning.budget_tokens",),
        ),
        (
            "gemini-3-flash",
            Reasoning(budget_tokens=30_000),
            {"thinkingLevel": "high", "includeThoughts": True},
            ("reasoning.budget_tokens",),
        ),
        ("gemini-3-flash", Reasoning(adaptive=True, enabled=True), {"includeThoughts": True}, ()),
        ("gemini-3-flash", Reasoning(enabled=False), {"thinkingLevel": "minimal"}, ("reasoning.enabled",)),
        ("gemini-2.5-flash", Reasoning(effort="medium"), {"thinkingBudget": 8192, "includeThoughts": True}, ()),
        ("gemini-2.5-flash", Reasoning(effort="none"), {"thinkingBudget": 0}, ()),
        ("gemini-2.5-pro", Reasoning(effort="none"), {"thinkingBudget": 128}, ("reasoning.effort",)),
        ("gemini-2.5-pro", Reasoning(effort="max"), {"thinkingBudget": 32768, "includeThoughts": True}, ()),
        (
            "gemini-2.5-flash",
            Reasoning(effort="max"),
            {"thinkingBudget": 24576, "includeThoughts": True},
            ("reasoning.effort",),
        ),
        ("gemini-2.5-flash", Reasoning(effort="odd"), {"includeThoughts": True}, ("reasoning.effort",)),
        (
            "gemini-2.5-flash-lite",
            Reasoning(budget_tokens=100),
            {"thinkingBudget": 512, "includeThoughts": True},
            ("reasoning.budget_tokens",),
        ),
        ("gemini-2.5-flash", Reasoning(budget_tokens=-1), {"thinkingBudget": -1, "includeThoughts": True}, ()),
        ("gemini-2.5-flash", Reasoning(adaptive=True), {"thinkingBudget": -1, "includeThoughts": True}, ()),
        ("gemini-2.5-flash", Reasoning(enabled=False), {"thinkingBudget": 0}, ()),
        ("gemini-2.5-flash", Reasoning(enabled=True), {"includeThoughts": True}, ()),
        (
            "gemini-2.5-flash",
            Reasoning(summary="detailed", effort="low"),
            {"thinkingBudget": 1024, "includeThoughts": True},
            ("reasoning.summary",),
        ),
        ("gemini-2.0-flash", Reasoning(effort="low"), None, ("reasoning",)),
        ("gemma-3-27b-it", Reasoning(effort="low"), None, ("reasoning",)),
        ("gemini-flash-latest", Reasoning(effort="low"), {"thinkingBudget": 1024, "includeThoughts": True}, ()),
    ],
)
def test_reasoning(model: str, asked: Reasoning, config: dict[str, Any] | None, dropped: tuple[str, ...]) -> None:
    rendered = render(model=model, reasoning=asked)
    assert rendered.body.get("generationConfig", {}).get("thinkingConfig") == config
    assert rendered.dropped == dropped


def test_generations() -> None:
    assert generation("models/gemini-2.5-flash-lite") == (2, 5)
    assert generation("gemini-3-pro-preview") == (3, 0)
    assert generation("tuned") is None
    assert not wants_signatures("tuned")


# ------------------------------------------------------------------------------------------------- schemas
def test_schemas_from_gemini() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "format": "date", "nullable": True, "enum": ["a"]},
            "either": {"any_of": [{"type": 3}, {"type": "TYPE_UNSPECIFIED"}], "nullable": True},
            "loose": {"nullable": True, "example": 1, "min_items": "2"},
            "pair": {"type": "ARRAY", "prefixItems": [{"type": "NUMBER"}], "items": {"ref": "#/defs/x"}},
        },
        "required": ["type"],
        "propertyOrdering": ["type"],
        "additionalProperties": False,
        "title": None,
    }
    assert to_json_schema(schema, "p") == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "format": "date", "enum": ["a", None]},
            "either": {"anyOf": [{"type": "integer"}, {}, {"type": "null"}]},
            "loose": {"examples": [1], "minItems": 2},
            "pair": {"type": "array", "prefixItems": [{"type": "number"}], "items": {"$ref": "#/defs/x"}},
        },
        "required": ["type"],
        "propertyOrdering": ["type"],
        "additionalProperties": False,
    }
    with pytest.raises(BadRequest) as caught:
        to_json_schema({"properties": {"a": {"type": 99}}}, "p")
    assert caught.value.param == "p.properties.a.type"


def test_schemas_for_gemini() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "kind": {"const": "a"},
            "flag": {"const": True},
            "half": {"const": 0.5},
            "none": {"const": None},
            "typed": {"const": 1, "type": "integer"},
            "count": {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10},
            "share": {"type": "number", "exclusiveMaximum": 1.0, "examples": [0.5]},
            "old": {"type": "number", "minimum": 1, "exclusiveMinimum": True},
            "list": {"type": "array", "items": {"anyOf": [{"const": 1}, True]}},
        },
        "$defs": {"d": {"$comment": "x", "type": "string"}},
        "additionalProperties": False,
    }
    converted, lost = for_gemini(schema, "tools[0].parameters")
    assert converted == {
        "type": "object",
        "properties": {
            "kind": {"enum": ["a"], "type": "string"},
            "flag": {"enum": [True], "type": "boolean"},
            "half": {"enum": [0.5], "type": "number"},
            "none": {"enum": [None]},
            "typed": {"enum": [1], "type": "integer"},
            "count": {"type": "integer", "minimum": 1, "maximum": 9},
            "share": {"type": "number", "maximum": 1.0},
            "old": {"type": "number", "minimum": 1},
            "list": {"type": "array", "items": {"anyOf": [{"enum": [1], "type": "integer"}, True]}},
        },
        "$defs": {"d": {"type": "string"}},
        "additionalProperties": False,
    }
    at = "tools[0].parameters.properties"
    assert lost == [f"{at}.share.exclusiveMaximum", f"{at}.old.exclusiveMinimum"]
    rendered = render(tools=(Tool(name="f", parameters=schema, path="tools[0]"),))
    assert rendered.dropped == tuple(lost)


def test_a_schema_nested_too_deeply_is_named() -> None:
    schema: dict[str, Any] = {}
    for _ in range(300):
        schema = {"items": schema}
    with pytest.raises(BadRequest, match="nested too deeply"):
        render(tools=(Tool(name="f", parameters=schema, path="tools[0]"),))
