"""Embeddings between OpenAI's shape and Gemini's, also over the recorded interactions."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from tests.traffic import index, load, needs_traffic
from wire.embeddings import (
    EmbeddingResult,
    parse_embedding_request,
    parse_gemini_embeddings,
    read_gemini_usage,
    read_openai_usage,
    render_batch_embed,
    render_embed,
    render_embeddings,
)
from wire.errors import BadRequest, UpstreamMalformed
from wire.neutral import Usage

OPENAI = [row for row in index() if row["endpoint"] == "embeddings" and row["status"] == 200]
GEMINI = [row for row in index() if row["endpoint"] in ("embedContent", "batchEmbedContents") and row["status"] == 200]


def request(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "input": "hello", **fields}


def test_texts_become_one_batch() -> None:
    parsed = parse_embedding_request(request(input=["a", "b"], dimensions=256, user="u", truncation=True))
    rendered = render_batch_embed(parsed, "gemini-embedding-001")
    assert rendered.body == {
        "requests": [
            {
                "model": "models/gemini-embedding-001",
                "content": {"parts": [{"text": text}]},
                "outputDimensionality": 256,
            }
            for text in ("a", "b")
        ]
    }
    assert rendered.dropped == ("user", "extra.truncation")


def test_one_text_may_go_alone() -> None:
    parsed = parse_embedding_request(request())
    assert parsed.single
    assert render_embed(parsed).body == {"content": {"parts": [{"text": "hello"}]}}
    with pytest.raises(BadRequest) as caught:
        render_embed(parse_embedding_request(request(input=["a", "b"])))
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    ("value", "tokens", "single"), [([1, 2], ((1, 2),), True), ([[1], [2, 3]], ((1,), (2, 3)), False)]
)
def test_token_ids_are_read_and_refused_for_gemini(value: Any, tokens: Any, single: bool) -> None:
    parsed = parse_embedding_request(request(input=value))
    assert (parsed.tokens, parsed.single) == (tokens, single)
    with pytest.raises(BadRequest) as caught:
        render_batch_embed(parsed, "gemini-embedding-001")
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 3}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": ["a", 1]}, "input[0]"),
        ({"input": [[1], "a"]}, "input[1]"),
        ({"input": [[]]}, "input[0]"),
        ({"input": [[True]]}, "input[0]"),
        ({"input": [-1]}, "input[0]"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"encoding_format": ["float"]}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "256"}, "dimensions"),
        ({"dimensions": True}, "dimensions"),
        ({"user": 1}, "user"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_embedding_request(request(**fields))
    assert caught.value.param == param


def test_gemini_vectors_in_openai_shape() -> None:
    result = parse_gemini_embeddings(
        {"embeddings": [{"values": [0.5, -2]}, {"values": [1.0]}], "usageMetadata": {"promptTokenCount": 7}}
    )
    rendered = render_embeddings(result, parse_embedding_request(request()), "gemini:e")
    assert rendered == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, -2]},
            {"object": "embedding", "index": 1, "embedding": [1.0]},
        ],
        "model": "gemini:e",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }
    as_base64 = parse_embedding_request(request(encoding_format="base64"))
    packed = render_embeddings(result, as_base64, "m")
    with pytest.raises(UpstreamMalformed):
        render_embeddings(EmbeddingResult(vectors=([1e300],), usage=None), as_base64, "m")
    assert struct.unpack("<2f", base64.b64decode(packed["data"][0]["embedding"])) == (0.5, -2.0)


def test_a_missing_count_is_none_and_shown_as_zero() -> None:
    result = parse_gemini_embeddings({"embedding": {"values": [1.5]}})
    assert result == EmbeddingResult(vectors=([1.5],), usage=None)
    rendered = render_embeddings(result, parse_embedding_request(request()), "m")
    assert rendered["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize(
    "body",
    [None, [], {}, {"embeddings": {}}, {"embeddings": [1]}, {"embedding": {"values": ["a"]}}, {"embedding": {}}],
)
def test_an_answer_of_another_shape_is_malformed(body: Any) -> None:
    with pytest.raises(UpstreamMalformed):
        parse_gemini_embeddings(body)


def test_modalities_of_gemini_are_counted() -> None:
    native = {
        "promptTokenCount": 300,
        "promptTokenDetails": [
            {"modality": "TEXT", "tokenCount": 2},
            {"modality": "IMAGE", "tokenCount": 258},
            {"modality": "AUDIO", "tokenCount": 40},
            "odd",
        ],
    }
    usage = read_gemini_usage({"usageMetadata": native})
    assert usage == Usage(input=300, input_image=258, input_audio=40, native=native)
    assert read_gemini_usage({"usageMetadata": {"promptTokenCount": "3"}}) is None
    assert read_gemini_usage([]) is None


def test_usage_of_openai_shape() -> None:
    native = {"prompt_tokens": 9, "prompt_tokens_details": {"image_tokens": 4, "audio_tokens": None}, "cost": 1.5e-06}
    usage = read_openai_usage({"usage": native})
    assert usage == Usage(input=9, input_image=4, cost_usd="1.5e-06", native=native)
    assert read_openai_usage({"usage": {"prompt_tokens": True}}) is None
    assert read_openai_usage({"usage": None}) is None
    assert read_openai_usage("text") is None


@needs_traffic
@pytest.mark.parametrize("row", GEMINI, ids=[row["id"] for row in GEMINI])
def test_recorded_gemini_embeddings(row: dict[str, Any]) -> None:
    recorded = json.loads(load(row)["response"]["body_text"])
    result = parse_gemini_embeddings(recorded)
    raw = recorded.get("embeddings") or [recorded["embedding"]]
    assert [list(vector) for vector in result.vectors] == [item["values"] for item in raw]
    counted = recorded.get("usageMetadata", {}).get("promptTokenCount")
    assert (result.usage.input if result.usage else None) == counted


@needs_traffic
@pytest.mark.parametrize("row", OPENAI, ids=[row["id"] for row in OPENAI])
def test_recorded_openai_embeddings(row: dict[str, Any]) -> None:
    interaction = load(row)
    recorded = json.loads(interaction["response"]["body_text"])
    if recorded.get("usage"):
        usage = read_openai_usage(recorded)
        assert usage is not None
        assert usage.input == recorded["usage"]["total_tokens"]
    body = (interaction["request"] or {}).get("body") or {}
    if "input" in body:
        parsed = parse_embedding_request(body)
        assert list(parsed.texts) == (body["input"] if isinstance(body["input"], list) else [body["input"]])
