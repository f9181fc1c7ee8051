"""Gemini requests with odd values anywhere, and made-up conversations there and back."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.dialect import Quirks
from wire.dialects.gemini import DIALECT
from wire.dialects.gemini.count_tokens import (
    parse_count_request,
)
from wire.dialects.gemini.foreign import SKIP_VALIDATION
from wire.errors import BadRequest

PNG = "iVBORw0KGgo="


SAMPLE: dict[str, Any] = {
    "model": "models/m",
    "systemInstruction": {"parts": [{"text": "s"}], "role": "user"},
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "a", "thoughtSignature": SKIP_VALIDATION, "thought": True},
                {"inlineData": {"mimeType": "image/png", "data": PNG, "displayName": "n"}, "mediaResolution": {}},
                {"fileData": {"mimeType": "audio/mp3", "fileUri": "gs://b/a"}},
                {"executableCode": {"code": "1"}},
            ],
        },
        {"role": "model", "parts": [{"functionCall": {"name": "f", "id": "i", "args": {"a": [1]}}}]},
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "name": "f",
                        "id": "i",
                        "response": {"output": "x"},
                        "parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}],
                    }
                }
            ],
        },
    ],
    "tools": [
        {
            "functionDeclarations": [
                {
                    "name": "f",
                    "description": "d",
                    "parameters": {
                        "type": "OBJECT",
                        "nullable": True,
                        "properties": {"a": {"type": "ARRAY", "items": {"anyOf": [{"type": "STRING"}]}}},
                        "maxProperties": "3",
                        "enum": ["a"],
                        "additionalProperties": {"type": 1},
                        "defs": {"d": {"type": ["STRING"]}},
                    },
                },
                {"name": "g", "parametersJsonSchema": {"type": "object"}},
            ]
        },
        {"googleSearch": {}},
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}, "retrievalConfig": {}},
    "generationConfig": {
        "temperature": 1,
        "topP": 1,
        "topK": 1,
        "maxOutputTokens": 1,
        "stopSequences": ["a"],
        "candidateCount": 1,
        "seed": 1,
        "presencePenalty": 1,
        "frequencyPenalty": 1,
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT"},
        "responseLogprobs": True,
        "logprobs": 1,
        "thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW", "includeThoughts": True},
        "responseModalities": ["TEXT"],
        "speechConfig": {},
    },
    "safetySettings": [{}],
    "serviceTier": "flex",
    "store": True,
}
ODD: tuple[Any, ...] = (None, True, 1, -1, 1.5, 1e300, "x", "", [], [None], [[]], {}, {"x": 1}, {"text": "x"})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from places(member, (*path, name))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    result = copy.copy(value)
    result[path[0]] = replaced(value[path[0]], path[1:], new)
    return result


@pytest.mark.parametrize("path", list(places(SAMPLE)), ids=lambda path: ".".join(map(str, path)) or "body")
def test_any_odd_value_anywhere_is_read_or_named(path: tuple[Any, ...]) -> None:
    """Never another exception than BadRequest; what is read can also be rendered, for Gemini and as a foreign one."""
    refused: list[str | None] = []
    for odd in ODD:
        body = replaced(SAMPLE, path, odd)
        for step in (DIALECT.parse_request, parse_count_request):
            try:
                DIALECT.render_request(step(body), quirks=Quirks())
            except BadRequest as error:
                refused.append(error.param)
    assert all(refused)


texts = st.text(max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
arguments = st.dictionaries(texts, json_values, max_size=3)
names = st.sampled_from(["f", "g", "h"])
calls = st.fixed_dictionaries({"name": names, "args": arguments}, optional={"id": st.uuids().map(str)})
model_parts = st.one_of(
    st.fixed_dictionaries({"text": texts}, optional={"thoughtSignature": st.just("c2ln"), "thought": st.just(True)}),
    st.fixed_dictionaries(
        {
            "functionCall": st.fixed_dictionaries(
                {"name": names, "args": arguments}, optional={"id": st.uuids().map(str)}
            )
        },
        optional={"thoughtSignature": st.just("c2ln")},
    ),
)
user_parts = st.one_of(
    st.fixed_dictionaries({"text": texts}),
    st.fixed_dictionaries(
        {
            "inlineData": st.fixed_dictionaries(
                {"mimeType": st.sampled_from(["image/png", "audio/wav", "application/pdf"]), "data": st.just(PNG)}
            )
        }
    ),
)


def without_arguments(call: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in call.items() if name != "args"}


def joined(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pieces of one text or one thought, up to a signature, are one."""
    whole: list[dict[str, Any]] = []
    for part in parts:
        last = whole[-1] if whole else {}
        same = "text" in part and "text" in last and part.get("thought") == last.get("thought")
        alone = not part["text"] and "thoughtSignature" in part and not part.get("thought") if same else True
        if not alone and "thoughtSignature" not in last:
            whole[-1] = {**part, "text": last["text"] + part["text"]}
        else:
            whole.append(part)
    return whole


@given(
    st.lists(st.lists(user_parts, min_size=1, max_size=3), min_size=2, max_size=4),
    st.lists(st.lists(model_parts, min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_a_conversation_comes_back_as_it_was(user: list[list[Any]], model: list[list[Any]]) -> None:
    contents: list[dict[str, Any]] = []
    for mine, theirs in zip(user, model, strict=False):
        contents += [{"role": "user", "parts": mine}, {"role": "model", "parts": theirs}]
        results = [
            {
                "functionResponse": {
                    "response": {"output": "x"},
                    **{k: v for k, v in part["functionCall"].items() if k != "args"},
                }
            }
            for part in theirs
            if "functionCall" in part
        ]
        contents.append({"role": "user", "parts": [*results, {"text": "next"}]})
    merged: list[dict[str, Any]] = []
    for content in contents:
        if merged and merged[-1]["role"] == content["role"]:
            merged[-1] = {"role": content["role"], "parts": merged[-1]["parts"] + content["parts"]}
        else:
            merged.append(content)
    merged = [{**turn, "parts": joined(turn["parts"])} if turn["role"] == "model" else turn for turn in merged]
    request = DIALECT.parse_request({"contents": merged}, model="gemini-2.5-pro")
    rendered = DIALECT.render_request(request, quirks=Quirks())
    assert rendered.body == {"contents": merged}
    assert rendered.dropped == ()
    assert DIALECT.parse_request(rendered.body, model="gemini-2.5-pro") == request
