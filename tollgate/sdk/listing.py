"""Embeddings and model lists: what is asked for, and how the answer is read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from tollgate.sdk.answers import about, failed, failure, json_object, malformed
from tollgate.sdk.endpoints import Endpoint
from tollgate.sdk.errors import TollgateError
from tollgate.sdk.requests import Marks, Outbound, check_strict, dumped, outbound
from tollgate.sdk.types import CreateEmbeddingResponse, Model
from tollgate.sdk.types.shape import WrongForm, read
from wire.dialects.anthropic_messages import DIALECT as MESSAGES
from wire.dialects.gemini import DIALECT as GEMINI
from wire.dialects.openai_chat import DIALECT as CHAT
from wire.embeddings import (
    EmbeddingRequest,
    parse_embedding_request,
    parse_gemini_embeddings,
    render_batch_embed,
    render_embeddings,
)
from wire.errors import BadRequest, UpstreamError
from wire.providers import IMPLIED_TYPES
from wire.translation import caller_names

_PAGE = 1000
_PARSERS = {"anthropic": MESSAGES.parse_error, "gemini": GEMINI.parse_error}


# ------------------------------------------------------------------------------------------------- embeddings
@dataclass(frozen=True)
class EmbeddingReading:
    """`wanted` is set where the provider's answer is Gemini's."""

    endpoint: Endpoint
    model: str
    dropped: tuple[str, ...] = ()
    wanted: EmbeddingRequest | None = None

    def whole(self, raw: bytes, headers: Mapping[str, str]) -> CreateEmbeddingResponse:
        """Raises TollgateError."""
        try:
            body = json_object(raw)
            if self.wanted is not None:
                body = render_embeddings(parse_gemini_embeddings(body), self.wanted, self.wanted.model)
            made = read(CreateEmbeddingResponse, body)
        except UpstreamError as error:
            raise failed(error, self.endpoint) from None
        except WrongForm as error:
            raise malformed(error, self.endpoint) from error
        made.tollgate = about(self.endpoint, self.model, headers, self.dropped)
        return made

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> TollgateError:
        return _failure(self.endpoint, status, headers, body)


def plan_embedding(endpoint: Endpoint, fields: dict[str, Any], marks: Marks) -> tuple[Outbound, EmbeddingReading]:
    """Raises InvalidRequestError, UnsupportedOperationError."""
    model = endpoint.sent_model(fields["model"])
    if endpoint.row.name != "gemini":
        url = endpoint.url("embeddings", model)
        sent = outbound(endpoint, "POST", url, body=dumped({**fields, "model": model}))
        return sent, EmbeddingReading(endpoint, model)
    try:
        wanted = parse_embedding_request({**fields, "model": endpoint.asked_model(model)})
        rendered = render_batch_embed(wanted, model)
    except BadRequest as error:
        raise failed(error, endpoint) from None
    dropped = caller_names(rendered.dropped, {})
    check_strict(dropped, endpoint, marks.strict)
    sent = outbound(endpoint, "POST", endpoint.url("gemini_batch_embed", model), body=dumped(rendered.body))
    return sent, EmbeddingReading(endpoint, model, dropped, wanted)


# ------------------------------------------------------------------------------------------------- models
@dataclass(frozen=True)
class ModelPages:
    """A provider's models, which Anthropic and Google give in pages."""

    endpoint: Endpoint

    def first(self) -> Outbound:
        return self._page({})

    def read(self, raw: bytes) -> tuple[list[Model], Outbound | None]:
        """The models of a page, and the request of the next one. Raises MalformedAnswerError."""
        try:
            body = json_object(raw)
            rows = body.get("models", []) if self._is("gemini") else body.get("data")
            if not isinstance(rows, list):
                raise WrongForm("it holds no list of models")
            models = [self._model(row, place) for place, row in enumerate(rows)]
        except WrongForm as error:
            raise malformed(error, self.endpoint) from error
        if self._is("gemini") and (token := body.get("nextPageToken")):
            return models, self._page({"pageToken": str(token)})
        if self._is("anthropic") and body.get("has_more") is True and (last := body.get("last_id")):
            return models, self._page({"after_id": str(last)})
        return models, None

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> TollgateError:
        return _failure(self.endpoint, status, headers, body)

    def _is(self, row: str) -> bool:
        return self.endpoint.row.name == row

    def _page(self, query: dict[str, str]) -> Outbound:
        size = {"pageSize": _PAGE} if self._is("gemini") else {"limit": _PAGE} if self._is("anthropic") else {}
        asked = urlencode({**size, **query})
        return outbound(self.endpoint, "GET", self.endpoint.url("models") + (f"?{asked}" if asked else ""))

    def _model(self, row: Any, place: int) -> Model:
        """In OpenAI's words; what else the provider says stays beside them."""
        model = read(Model, row, f"models[{place}]")
        if self._is("gemini"):
            model.id = str(row.get("name", "")).removeprefix("models/")
            model.owned_by = "google"
            model.context_window, model.max_output_tokens = row.get("inputTokenLimit"), row.get("outputTokenLimit")
        elif self._is("anthropic"):
            model.owned_by = "anthropic"
            model.created = _unix(row.get("created_at"))
        return model


def of_provider(models: list[Model], endpoint: Endpoint) -> list[Model]:
    """Of what a gateway lists, what belongs to the provider that was named; all, where none was."""
    if not endpoint.is_gateway or endpoint.name is None:
        return models
    return [model for model in models if model.owned_by in (endpoint.name, IMPLIED_TYPES.get(endpoint.name))]


def _unix(text: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except (TypeError, ValueError):
        return None


def _failure(endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes) -> TollgateError:
    return failure(endpoint, _PARSERS.get(endpoint.row.name, CHAT.parse_error), status, headers, body)
