"""The calls as functions: each finds its provider or gateway anew, and leaves no connection open.

For more than a few calls make a `Tollgate` once. The functions take what its methods take, and beside that `provider`,
`api_key`, `api_base`, and in `client_args` what else `Tollgate.create` takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from typing import Any, Literal, overload

from tollgate.sdk.client import Tollgate
from tollgate.sdk.endpoints import is_gateway_name, split_model
from tollgate.sdk.streams import AsyncStream, Stream
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

_ClientArgs = Mapping[str, Any] | None


@overload
def completion(
    model: str, messages: Any, *, stream: Literal[True], provider: str | None = None, **fields: Any
) -> Stream[ChatCompletionChunk]: ...
@overload
def completion(
    model: str, messages: Any, *, stream: Literal[False] | None = None, provider: str | None = None, **fields: Any
) -> ChatCompletion: ...
@overload
def completion(
    model: str, messages: Any, *, stream: bool | None, provider: str | None = None, **fields: Any
) -> ChatCompletion | Stream[ChatCompletionChunk]: ...


def completion(model: str, messages: Any, **fields: Any) -> Any:
    """OpenAI's Chat Completions of any provider: `completion("openai:gpt-4o-mini", [{"role": "user", ...}])`."""
    with ExitStack() as stack:
        client, name, rest = _open(model, fields)
        stack.enter_context(client)
        return _kept(client.completion(name, messages, **rest), stack)


@overload
async def acompletion(
    model: str, messages: Any, *, stream: Literal[True], provider: str | None = None, **fields: Any
) -> AsyncStream[ChatCompletionChunk]: ...
@overload
async def acompletion(
    model: str, messages: Any, *, stream: Literal[False] | None = None, provider: str | None = None, **fields: Any
) -> ChatCompletion: ...
@overload
async def acompletion(
    model: str, messages: Any, *, stream: bool | None, provider: str | None = None, **fields: Any
) -> ChatCompletion | AsyncStream[ChatCompletionChunk]: ...


async def acompletion(model: str, messages: Any, **fields: Any) -> Any:
    """`completion`, awaited."""
    async with AsyncExitStack() as stack:
        client, name, rest = _open(model, fields)
        await stack.enter_async_context(client)
        return _kept_async(await client.acompletion(name, messages, **rest), stack)


@overload
def responses(
    model: str, input_data: Any, *, stream: Literal[True], provider: str | None = None, **fields: Any
) -> Stream[ResponseStreamEvent]: ...
@overload
def responses(
    model: str, input_data: Any, *, stream: Literal[False] | None = None, provider: str | None = None, **fields: Any
) -> Response: ...
@overload
def responses(
    model: str, input_data: Any, *, stream: bool | None, provider: str | None = None, **fields: Any
) -> Response | Stream[ResponseStreamEvent]: ...


def responses(model: str, input_data: Any, **fields: Any) -> Any:
    """OpenAI's Responses of any provider. `input_data`: a text, or a list of items."""
    with ExitStack() as stack:
        client, name, rest = _open(model, fields)
        stack.enter_context(client)
        return _kept(client.responses(name, input_data, **rest), stack)


@overload
async def aresponses(
    model: str, input_data: Any, *, stream: Literal[True], provider: str | None = None, **fields: Any
) -> AsyncStream[ResponseStreamEvent]: ...
@overload
async def aresponses(
    model: str, input_data: Any, *, stream: Literal[False] | None = None, provider: str | None = None, **fields: Any
) -> Response: ...
@overload
async def aresponses(
    model: str, input_data: Any, *, stream: bool | None, provider: str | None = None, **fields: Any
) -> Response | AsyncStream[ResponseStreamEvent]: ...


async def aresponses(model: str, input_data: Any, **fields: Any) -> Any:
    """`responses`, awaited."""
    async with AsyncExitStack() as stack:
        client, name, rest = _open(model, fields)
        await stack.enter_async_context(client)
        return _kept_async(await client.aresponses(name, input_data, **rest), stack)


@overload
def messages(
    model: str, messages: Any, max_tokens: int, *, stream: Literal[True], provider: str | None = None, **fields: Any
) -> Stream[MessageStreamEvent]: ...
@overload
def messages(
    model: str,
    messages: Any,
    max_tokens: int,
    *,
    stream: Literal[False] | None = None,
    provider: str | None = None,
    **fields: Any,
) -> MessageResponse: ...
@overload
def messages(
    model: str, messages: Any, max_tokens: int, *, stream: bool | None, provider: str | None = None, **fields: Any
) -> MessageResponse | Stream[MessageStreamEvent]: ...


def messages(model: str, messages: Any, max_tokens: int, **fields: Any) -> Any:
    """Anthropic's Messages of any provider."""
    with ExitStack() as stack:
        client, name, rest = _open(model, fields)
        stack.enter_context(client)
        return _kept(client.messages(name, messages, max_tokens, **rest), stack)


@overload
async def amessages(
    model: str, messages: Any, max_tokens: int, *, stream: Literal[True], provider: str | None = None, **fields: Any
) -> AsyncStream[MessageStreamEvent]: ...
@overload
async def amessages(
    model: str,
    messages: Any,
    max_tokens: int,
    *,
    stream: Literal[False] | None = None,
    provider: str | None = None,
    **fields: Any,
) -> MessageResponse: ...
@overload
async def amessages(
    model: str, messages: Any, max_tokens: int, *, stream: bool | None, provider: str | None = None, **fields: Any
) -> MessageResponse | AsyncStream[MessageStreamEvent]: ...


async def amessages(model: str, messages: Any, max_tokens: int, **fields: Any) -> Any:
    """`messages`, awaited."""
    async with AsyncExitStack() as stack:
        client, name, rest = _open(model, fields)
        await stack.enter_async_context(client)
        return _kept_async(await client.amessages(name, messages, max_tokens, **rest), stack)


def embedding(model: str, inputs: str | list[Any], **fields: Any) -> CreateEmbeddingResponse:
    """One vector for each text, in their order."""
    client, name, rest = _open(model, fields)
    with client:
        return client.embedding(name, inputs, **rest)


async def aembedding(model: str, inputs: str | list[Any], **fields: Any) -> CreateEmbeddingResponse:
    """`embedding`, awaited."""
    client, name, rest = _open(model, fields)
    async with client:
        return await client.aembedding(name, inputs, **rest)


def list_models(
    provider: str | None = None,
    api_key: str | None = None,
    api_base: str | None = None,
    client_args: _ClientArgs = None,
    *,
    timeout: float | None = None,
) -> list[Model]:
    """The models that a provider says it has; without one, those of a gateway."""
    with Tollgate.create(provider, api_key, api_base, **client_args or {}) as client:
        return client.list_models(timeout=timeout)


async def alist_models(
    provider: str | None = None,
    api_key: str | None = None,
    api_base: str | None = None,
    client_args: _ClientArgs = None,
    *,
    timeout: float | None = None,
) -> list[Model]:
    """`list_models`, awaited."""
    async with Tollgate.create(provider, api_key, api_base, **client_args or {}) as client:
        return await client.alist_models(timeout=timeout)


def _open(model: str, fields: Mapping[str, Any]) -> tuple[Tollgate, str, dict[str, Any]]:
    """The client for one call, the model's name for it, and the rest of what was given."""
    rest = dict(fields)
    given = rest.pop("provider", None)
    provider, name = split_model(model, given)
    key, base, args = rest.pop("api_key", None), rest.pop("api_base", None), rest.pop("client_args", None)
    client = Tollgate.create(provider, key, base, **args or {})
    # A gateway reads the whole name itself: it may be an alias.
    whole = client.through_gateway and given is None and not is_gateway_name(provider)
    return client, model if whole else name, rest


def _kept(answer: Any, stack: ExitStack) -> Any:
    """A stream needs its connection after the call, and closes the client with it."""
    if isinstance(answer, Stream):
        answer.keep(stack.pop_all())
    return answer


def _kept_async(answer: Any, stack: AsyncExitStack) -> Any:
    if isinstance(answer, AsyncStream):
        answer.keep(stack.pop_all())
    return answer
