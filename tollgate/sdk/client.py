"""`Tollgate`: one provider, or one gateway, with its connections and the calls that it takes."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self, overload
from urllib.parse import urlsplit, urlunsplit

import httpx

from tollgate.sdk.answers import CHAT_FORM, MESSAGES_FORM, RESPONSES_FORM, AnswerT, ChunkT, Form, Reading
from tollgate.sdk.arguments import (
    Wishes,
    chat_fields,
    embedding_fields,
    messages_fields,
    responses_fields,
    split_wishes,
)
from tollgate.sdk.endpoints import Endpoint, checked_model, find_endpoint
from tollgate.sdk.listing import ModelPages, of_provider, plan_embedding
from tollgate.sdk.requests import Marks, Outbound, Planned, plan
from tollgate.sdk.sending import AsyncSender, Manner, Sender
from tollgate.sdk.streams import AsyncStream, Stream
from tollgate.sdk.structured import fill
from tollgate.sdk.types import (
    ChatCompletion,
    ChatCompletionChunk,
    CreateEmbeddingResponse,
    MessageResponse,
    MessageStreamEvent,
    Model,
    Response,
    ResponseStreamEvent,
)


class Tollgate:
    """Made by `Tollgate.create`. Keeps connections open between calls: close it, or use it in a `with` block.

    Every call exists twice: `completion` blocks, `acompletion` is awaited. `fields` are the request's as its API has
    them, sent as they are; None is not sent. Beside them every call takes `stream`, `strict` and `timeout`, and `tools`
    takes Python functions (`prepare_tools`). All raise TollgateError.
    """

    def __init__(self, endpoint: Endpoint, manner: Manner, *, strict: bool = False) -> None:
        self._endpoint = endpoint
        self._strict = strict
        self._sender = Sender(manner, endpoint.label)
        self._async_sender = AsyncSender(manner, endpoint.label)

    @classmethod
    def create(
        cls,
        provider: str | None = None,
        api_key: str | None = None,
        api_base: str | None = None,
        *,
        timeout: float | None = None,
        max_retries: int = 0,
        default_headers: Mapping[str, str] | None = None,
        strict: bool = False,
    ) -> Self:
        """`provider` such as `openai`; None, or `tollgate`, for a gateway. What is not given is in the environment:
        `OPENAI_API_KEY` and the like, for a gateway `TOLLGATE_KEY` (or `ANY_LLM_KEY`) and `TOLLGATE_API_BASE`.

        `timeout`: seconds without a byte (600). `max_retries`: how often a call is sent again that failed for a passing
        reason (see `Manner`); none unless asked for. `strict`: a field that the provider cannot take is an error, and
        not only named in `dropped`. Raises MissingApiKeyError, UnsupportedProviderError, InvalidRequestError.
        """
        if isinstance(max_retries, bool) or not isinstance(max_retries, int) or max_retries < 0:
            raise ValueError("max_retries must be a whole number, 0 or more")
        endpoint = find_endpoint(provider, api_key, api_base, os.environ)
        return cls(endpoint, Manner(timeout, max_retries, default_headers or {}), strict=strict)

    def __repr__(self) -> str:
        parts = urlsplit(self._endpoint.base_url)
        address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        return f"Tollgate(provider={self._endpoint.label!r}, api_base={address!r})"

    @property
    def through_gateway(self) -> bool:
        return self._endpoint.is_gateway

    # ----------------------------------------------------------------------------------------- Chat Completions
    @overload
    def completion(
        self, model: str, messages: Any, *, stream: Literal[True], **fields: Any
    ) -> Stream[ChatCompletionChunk]: ...
    @overload
    def completion(
        self, model: str, messages: Any, *, stream: Literal[False] | None = None, **fields: Any
    ) -> ChatCompletion: ...
    @overload
    def completion(
        self, model: str, messages: Any, *, stream: bool | None, **fields: Any
    ) -> ChatCompletion | Stream[ChatCompletionChunk]: ...

    def completion(self, model: str, messages: Any, **fields: Any) -> Any:
        """OpenAI's Chat Completions of any provider."""
        wishes, rest = split_wishes(fields)
        return self._call(CHAT_FORM, chat_fields(model, messages, rest), wishes)

    @overload
    async def acompletion(
        self, model: str, messages: Any, *, stream: Literal[True], **fields: Any
    ) -> AsyncStream[ChatCompletionChunk]: ...
    @overload
    async def acompletion(
        self, model: str, messages: Any, *, stream: Literal[False] | None = None, **fields: Any
    ) -> ChatCompletion: ...
    @overload
    async def acompletion(
        self, model: str, messages: Any, *, stream: bool | None, **fields: Any
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]: ...

    async def acompletion(self, model: str, messages: Any, **fields: Any) -> Any:
        """`completion`, awaited."""
        wishes, rest = split_wishes(fields)
        return await self._acall(CHAT_FORM, chat_fields(model, messages, rest), wishes)

    # ----------------------------------------------------------------------------------------- Responses
    @overload
    def responses(
        self, model: str, input_data: Any, *, stream: Literal[True], **fields: Any
    ) -> Stream[ResponseStreamEvent]: ...
    @overload
    def responses(
        self, model: str, input_data: Any, *, stream: Literal[False] | None = None, **fields: Any
    ) -> Response: ...
    @overload
    def responses(
        self, model: str, input_data: Any, *, stream: bool | None, **fields: Any
    ) -> Response | Stream[ResponseStreamEvent]: ...

    def responses(self, model: str, input_data: Any, **fields: Any) -> Any:
        """OpenAI's Responses of any provider. `input_data`: a text, or a list of items."""
        wishes, rest = split_wishes(fields)
        return self._call(RESPONSES_FORM, responses_fields(model, input_data, rest), wishes)

    @overload
    async def aresponses(
        self, model: str, input_data: Any, *, stream: Literal[True], **fields: Any
    ) -> AsyncStream[ResponseStreamEvent]: ...
    @overload
    async def aresponses(
        self, model: str, input_data: Any, *, stream: Literal[False] | None = None, **fields: Any
    ) -> Response: ...
    @overload
    async def aresponses(
        self, model: str, input_data: Any, *, stream: bool | None, **fields: Any
    ) -> Response | AsyncStream[ResponseStreamEvent]: ...

    async def aresponses(self, model: str, input_data: Any, **fields: Any) -> Any:
        """`responses`, awaited."""
        wishes, rest = split_wishes(fields)
        return await self._acall(RESPONSES_FORM, responses_fields(model, input_data, rest), wishes)

    # ----------------------------------------------------------------------------------------- Messages
    @overload
    def messages(
        self, model: str, messages: Any, max_tokens: int, *, stream: Literal[True], **fields: Any
    ) -> Stream[MessageStreamEvent]: ...
    @overload
    def messages(
        self, model: str, messages: Any, max_tokens: int, *, stream: Literal[False] | None = None, **fields: Any
    ) -> MessageResponse: ...
    @overload
    def messages(
        self, model: str, messages: Any, max_tokens: int, *, stream: bool | None, **fields: Any
    ) -> MessageResponse | Stream[MessageStreamEvent]: ...

    def messages(self, model: str, messages: Any, max_tokens: int, **fields: Any) -> Any:
        """Anthropic's Messages of any provider. `betas` are names of Anthropic's."""
        wishes, rest = split_wishes(fields)
        return self._call(MESSAGES_FORM, messages_fields(model, messages, max_tokens, rest), wishes)

    @overload
    async def amessages(
        self, model: str, messages: Any, max_tokens: int, *, stream: Literal[True], **fields: Any
    ) -> AsyncStream[MessageStreamEvent]: ...
    @overload
    async def amessages(
        self, model: str, messages: Any, max_tokens: int, *, stream: Literal[False] | None = None, **fields: Any
    ) -> MessageResponse: ...
    @overload
    async def amessages(
        self, model: str, messages: Any, max_tokens: int, *, stream: bool | None, **fields: Any
    ) -> MessageResponse | AsyncStream[MessageStreamEvent]: ...

    async def amessages(self, model: str, messages: Any, max_tokens: int, **fields: Any) -> Any:
        """`messages`, awaited."""
        wishes, rest = split_wishes(fields)
        return await self._acall(MESSAGES_FORM, messages_fields(model, messages, max_tokens, rest), wishes)

    # ----------------------------------------------------------------------------------------- the rest
    def embedding(self, model: str, inputs: str | list[Any], **fields: Any) -> CreateEmbeddingResponse:
        """One vector for each text, in their order."""
        wishes, rest = split_wishes(fields)
        checked_model(model)
        outbound, reading = plan_embedding(self._endpoint, embedding_fields(model, inputs, rest), self._marks(wishes))
        response = self._sender.send(outbound, reading, stream=False, timeout=wishes.timeout)
        return reading.whole(response.content, response.headers)

    async def aembedding(self, model: str, inputs: str | list[Any], **fields: Any) -> CreateEmbeddingResponse:
        """`embedding`, awaited."""
        wishes, rest = split_wishes(fields)
        checked_model(model)
        outbound, reading = plan_embedding(self._endpoint, embedding_fields(model, inputs, rest), self._marks(wishes))
        response = await self._async_sender.send(outbound, reading, stream=False, timeout=wishes.timeout)
        return reading.whole(response.content, response.headers)

    def list_models(self, *, timeout: float | None = None) -> list[Model]:
        """The models that the provider says it has; of a gateway, those that it lists for the provider, or all."""
        pages, found = ModelPages(self._endpoint), list[Model]()
        page: Outbound | None = pages.first()
        while page is not None:
            answer = self._sender.send(page, pages, stream=False, timeout=timeout)
            models, page = pages.read(answer.content)
            found += models
        return of_provider(found, self._endpoint)

    async def alist_models(self, *, timeout: float | None = None) -> list[Model]:
        """`list_models`, awaited."""
        pages, found = ModelPages(self._endpoint), list[Model]()
        page: Outbound | None = pages.first()
        while page is not None:
            answer = await self._async_sender.send(page, pages, stream=False, timeout=timeout)
            models, page = pages.read(answer.content)
            found += models
        return of_provider(found, self._endpoint)

    # ----------------------------------------------------------------------------------------- its end
    def close(self) -> None:
        """End its blocking connections. Those of an event loop are ended by `aclose`."""
        self._sender.close()

    async def aclose(self) -> None:
        """End all of its connections that this event loop has, and the blocking ones."""
        self._sender.close()
        await self._async_sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # ----------------------------------------------------------------------------------------- inside
    def _call(self, form: Form[AnswerT, ChunkT], fields: dict[str, Any], wishes: Wishes) -> AnswerT | Stream[ChunkT]:
        planned = self._plan(form, fields, wishes)
        reading, stream = planned.reading, planned.stream
        response = self._sender.send(planned.outbound, reading, stream=stream, timeout=wishes.timeout)
        if stream:
            return Stream(response, reading.stream(response.headers), self._endpoint.label)
        return _whole(reading, response, wishes)

    async def _acall(
        self, form: Form[AnswerT, ChunkT], fields: dict[str, Any], wishes: Wishes
    ) -> AnswerT | AsyncStream[ChunkT]:
        planned = self._plan(form, fields, wishes)
        reading, stream = planned.reading, planned.stream
        response = await self._async_sender.send(planned.outbound, reading, stream=stream, timeout=wishes.timeout)
        if stream:
            return AsyncStream(response, reading.stream(response.headers), self._endpoint.label)
        return _whole(reading, response, wishes)

    def _plan(self, form: Form[AnswerT, ChunkT], fields: dict[str, Any], wishes: Wishes) -> Planned[AnswerT, ChunkT]:
        checked_model(fields.get("model"))
        return plan(self._endpoint, form, fields, self._marks(wishes))

    def _marks(self, wishes: Wishes) -> Marks:
        strict = self._strict if wishes.strict is None else wishes.strict
        return Marks(uuid.uuid4().hex, int(time.time()), strict, wishes.betas)


def _whole(reading: Reading[AnswerT, ChunkT], response: httpx.Response, wishes: Wishes) -> AnswerT:
    answer = reading.whole(response.content, response.headers)
    if wishes.form is not None:
        fill(answer, wishes.form)
    return answer
