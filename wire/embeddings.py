"""Embeddings: OpenAI's shape to Gemini's and back, and the usage of either. Pure functions.

https://platform.openai.com/docs/api-reference/embeddings https://ai.google.dev/api/embeddings
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from wire.dialect import Rendered
from wire.errors import BadRequest, UpstreamMalformed
from wire.neutral import Usage

_KNOWN = frozenset({"model", "input", "encoding_format", "dimensions", "user"})
_MODALITY_FIELDS = ("promptTokenDetails", "promptTokensDetails")  # Gemini API, Vertex


class EmbeddingRequest(Struct, frozen=True, kw_only=True):
    """`texts` or `tokens` holds the inputs, in order; the other is empty. `single`: the caller gave one, not a list."""

    model: str
    texts: tuple[str, ...] = ()
    tokens: tuple[tuple[int, ...], ...] = ()
    single: bool = False
    encoding: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None
    extra: dict[str, Any] = {}


class EmbeddingResult(Struct, frozen=True, kw_only=True):
    vectors: tuple[Sequence[float], ...]
    usage: Usage | None


def parse_embedding_request(body: Mapping[str, Any]) -> EmbeddingRequest:
    """Raises BadRequest naming the field."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise _wrong("model", "must be a string")
    encoding: Any = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise _wrong("encoding_format", "must be float or base64")
    dimensions = body.get("dimensions")
    if dimensions is not None and (type(dimensions) is not int or dimensions < 1):
        raise _wrong("dimensions", "must be a positive integer")
    user = body.get("user")
    if user is not None and not isinstance(user, str):
        raise _wrong("user", "must be a string")
    texts, tokens, single = _inputs(body.get("input"))
    return EmbeddingRequest(
        model=model,
        texts=texts,
        tokens=tokens,
        single=single,
        encoding=encoding,
        dimensions=dimensions,
        user=user,
        extra={name: value for name, value in body.items() if name not in _KNOWN},
    )


def _inputs(value: Any) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...], bool]:
    """A text, texts, one array of token ids, or several: OpenAI's four forms."""
    if isinstance(value, str):
        return (value,), (), True
    if not isinstance(value, list) or not value:
        raise _wrong("input", "must be a text, a list of texts or token ids, and not empty")
    if all(isinstance(item, str) for item in value):
        return tuple(value), (), False
    if _are_tokens(value):
        return (), (tuple(value),), True
    for place, item in enumerate(value):
        if not isinstance(item, list) or not item or not _are_tokens(item):
            raise _wrong(f"input[{place}]", "must be of the same kind as the others: texts, or arrays of token ids")
    return (), tuple(tuple(item) for item in value), False


def _are_tokens(value: list[Any]) -> bool:
    return all(type(item) is int and item >= 0 for item in value)


def _wrong(param: str, what: str) -> BadRequest:
    return BadRequest(f"{param}: {what}", param=param)


# ------------------------------------------------------------------------------------------------- to Gemini
def render_batch_embed(request: EmbeddingRequest, model: str) -> Rendered:
    """`batchEmbedContents` of the upstream's `model`. Raises BadRequest for token ids, which only their model knows."""
    name = f"models/{model.removeprefix('models/')}"
    contents = [{"model": name, **_embed(request, text)} for text in _texts(request)]
    return Rendered(body={"requests": contents}, dropped=_dropped(request))


def render_embed(request: EmbeddingRequest) -> Rendered:
    """`embedContent`: one input, the only form on Vertex. Raises BadRequest for more."""
    texts = _texts(request)
    if len(texts) != 1:
        raise _wrong("input", "this upstream takes one input at a time")
    return Rendered(body=_embed(request, texts[0]), dropped=_dropped(request))


def _texts(request: EmbeddingRequest) -> tuple[str, ...]:
    if request.tokens:
        raise _wrong("input", "Gemini takes texts, not token ids")
    return request.texts


def _embed(request: EmbeddingRequest, text: str) -> dict[str, Any]:
    body: dict[str, Any] = {"content": {"parts": [{"text": text}]}}
    if request.dimensions is not None:
        body["outputDimensionality"] = request.dimensions
    return body


def _dropped(request: EmbeddingRequest) -> tuple[str, ...]:
    user = ("user",) if request.user is not None else ()
    return (*user, *(f"extra.{name}" for name in request.extra))


# ------------------------------------------------------------------------------------------------- from Gemini
def parse_gemini_embeddings(body: Any) -> EmbeddingResult:
    """The answer of either call. Raises UpstreamMalformed."""
    if not isinstance(body, dict):
        raise UpstreamMalformed("The upstream's embeddings are not an object")
    found = body.get("embeddings", [body["embedding"]] if "embedding" in body else None)
    if not isinstance(found, list):
        raise UpstreamMalformed("The upstream's answer holds no embeddings")
    return EmbeddingResult(vectors=tuple(_vector(item) for item in found), usage=read_gemini_usage(body))


def _vector(item: Any) -> Sequence[float]:
    values = item.get("values") if isinstance(item, dict) else None
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise UpstreamMalformed("The upstream's embedding holds no numbers")
    return values


def render_embeddings(result: EmbeddingResult, request: EmbeddingRequest, model: str) -> dict[str, Any]:
    """OpenAI's answer. Its schema needs the token counts: both are 0 where the upstream says none."""
    encode = _base64 if request.encoding == "base64" else list
    tokens = result.usage.input if result.usage is not None else 0
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": place, "embedding": encode(vector)}
            for place, vector in enumerate(result.vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _base64(vector: Sequence[float]) -> str:
    """Little-endian 32-bit floats, as OpenAI sends them."""
    try:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except OverflowError as error:
        raise UpstreamMalformed("The upstream's embedding holds a number that no 32-bit float can") from error


# ------------------------------------------------------------------------------------------------- usage
def read_openai_usage(body: Any) -> Usage | None:
    """Of an OpenAI-shaped answer. None where it says nothing. `cost` is OpenRouter's, `total_tokens` alone Voyage's."""
    native = body.get("usage") if isinstance(body, dict) else None
    if not isinstance(native, dict):
        return None
    tokens = native.get("prompt_tokens", native.get("total_tokens"))
    if type(tokens) is not int:
        return None
    details = native.get("prompt_tokens_details")
    cost = native.get("cost")
    return Usage(
        input=tokens,
        input_image=_detail(details, "image_tokens"),
        input_audio=_detail(details, "audio_tokens"),
        cost_usd=str(cost) if isinstance(cost, int | float) and not isinstance(cost, bool) else None,
        native=native,
    )


def _detail(details: Any, name: str) -> int:
    value = details.get(name) if isinstance(details, dict) else None
    return value if type(value) is int else 0


def read_gemini_usage(body: Any) -> Usage | None:
    """Of `embedContent` or `batchEmbedContents`. None where it says nothing (models before gemini-embedding-2)."""
    native = body.get("usageMetadata") if isinstance(body, dict) else None
    if not isinstance(native, dict) or type(native.get("promptTokenCount")) is not int:
        return None
    return Usage(
        input=native["promptTokenCount"],
        input_image=_modality(native, "IMAGE"),
        input_audio=_modality(native, "AUDIO"),
        native=native,
    )


def _modality(native: dict[str, Any], wanted: str) -> int:
    details: list[Any] = next((native[name] for name in _MODALITY_FIELDS if isinstance(native.get(name), list)), [])
    return sum(
        _detail(item, "tokenCount") for item in details if isinstance(item, dict) and item.get("modality") == wanted
    )
