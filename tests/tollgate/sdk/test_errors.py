"""What goes wrong, as one tree of errors, without a secret in any of them."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deployment import Deployment, providers_at
from tests.replay import Answer, Upstream, error, written
from tests.replay.answers import answer_of
from tollgate import (
    AuthenticationError,
    ContextLengthExceededError,
    InsufficientFundsError,
    InvalidRequestError,
    MalformedAnswerError,
    ModelNotFoundError,
    NotAllowedError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnreachableError,
    RateLimitError,
    Tollgate,
    TollgateError,
    TruncatedAnswerError,
    UnsupportedParameterError,
    acompletion,
    completion,
    embedding,
    list_models,
    messages,
    prepare_tools,
    responses,
)

HELLO = [{"role": "user", "content": "hello"}]
SSE = {"content-type": "text/event-stream"}
KEY = "sk-sentinel-0123456789"


def say(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize(
    ("answer", "kind", "status", "code", "retry_after"),
    [
        (error(400, say("no", code="bad", param="n")), InvalidRequestError, 400, "bad", None),
        (error(400, say("long", code="context_length_exceeded")), ContextLengthExceededError, 400,
         "context_length_exceeded", None),
        (error(401, say(f"Incorrect API key provided: {KEY}")), AuthenticationError, 401, None, None),
        (error(402, say("pay")), InsufficientFundsError, 402, None, None),
        (error(403, say("no")), NotAllowedError, 403, None, None),
        (error(404, say("no such model", code="model_not_found")), ModelNotFoundError, 404, "model_not_found", None),
        (error(413, say("large")), InvalidRequestError, 413, None, None),
        (error(422, {"detail": [{"loc": ["body", "n"], "msg": "bad"}]}), InvalidRequestError, 422, None, None),
        (error(429, say("slow"), {"retry-after": "7"}), RateLimitError, 429, "rate_limit_exceeded", 7.0),
        (error(500, say("oops")), ProviderError, 500, "upstream_unavailable", None),
        (error(504, say("late")), ProviderTimeoutError, 504, "upstream_timeout", None),
        (error(529, say("busy"), {"retry-after": "3"}), ProviderError, 529, "upstream_unavailable", 3.0),
        (Answer(status=502, headers={"content-type": "text/html"}, pieces=(b"<html>",)), ProviderError, 502,
         "upstream_unavailable", None),
        (Answer(status=307, headers={"location": "http://evil/"}, pieces=(b"",)), ProviderError, 307,
         "upstream_malformed", None),
        (Answer(pieces=(b"not json",)), MalformedAnswerError, 502, "upstream_malformed", None),
        (Answer(pieces=(b"[]",)), MalformedAnswerError, 502, "upstream_malformed", None),
        (Answer(pieces=(b'{"choices": [7]}',)), MalformedAnswerError, None, None, None),
        (error(200, say("inside a 200", code="rate_limit_exceeded")), RateLimitError, 429, "rate_limit_exceeded", None),
    ],
)  # fmt: skip
def test_an_answer_becomes_its_error(
    upstream: Upstream, answer: Answer, kind: type[TollgateError], status: int | None, code: str | None,
    retry_after: float | None,
) -> None:  # fmt: skip
    upstream.on("/v1/chat/completions", answer)
    for stream in (False, True):
        if stream and answer.status == 200:
            continue
        with pytest.raises(TollgateError) as raised:
            completion("openai:gpt-4o", HELLO, api_key=KEY, api_base=f"{upstream.url}/v1", stream=stream)
        found = raised.value
        assert type(found) is kind or (kind is ProviderError and isinstance(found, ProviderError))
        assert (found.status, found.retry_after, found.provider) == (status, retry_after, "openai")
        assert found.code == code
        assert (found.status_code, found.provider_name) == (found.status, found.provider)
        assert str(found).startswith("[openai] ")
        assert "sentinel" not in "".join(traceback.format_exception(found)) + repr(vars(found))
    assert len(upstream.calls) == (1 if answer.status == 200 else 2)


@pytest.mark.parametrize(
    ("model", "base", "path", "answer", "kind"),
    [
        ("anthropic:claude-x", "", "/v1/messages",
         error(404, {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-x"}}),
         ModelNotFoundError),
        ("anthropic:claude-x", "", "/v1/messages",
         error(401, {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}),
         AuthenticationError),
        ("gemini:gemini-x", "", "/v1beta/models/gemini-x:generateContent",
         error(400, {"error": {"code": 400, "message": f"API key not valid: {KEY}", "status": "INVALID_ARGUMENT",
               "details": [{"@type": "x/ErrorInfo", "reason": "API_KEY_INVALID"}]}}), AuthenticationError),
        ("gemini:gemini-x", "", "/v1beta/models/gemini-x:generateContent",
         error(429, {"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED",
               "details": [{"@type": "x/RetryInfo", "retryDelay": "34.4s"}]}}), RateLimitError),
    ],
)  # fmt: skip
def test_other_dialects_errors_are_in_the_same_tree(
    upstream: Upstream, model: str, base: str, path: str, answer: Answer, kind: type[TollgateError]
) -> None:
    upstream.on(path, answer)
    with pytest.raises(kind) as raised:
        completion(model, HELLO, api_key=KEY, api_base=upstream.url + base)
    assert raised.value.status == answer.status
    assert "sentinel" not in str(raised.value)
    if kind is RateLimitError:
        assert raised.value.retry_after == 34.4


def test_no_connection_is_an_error_of_its_own() -> None:
    with Upstream() as gone:
        url = gone.url
    with pytest.raises(ProviderUnreachableError) as raised:
        completion("openai:gpt-4o", HELLO, api_key=KEY, api_base=f"{url}/v1")
    assert (raised.value.status, raised.value.code) == (None, "upstream_connect")
    assert "sentinel" not in "".join(traceback.format_exception(raised.value))


def test_a_broken_connection_and_a_late_answer(upstream: Upstream) -> None:
    base = f"{upstream.url}/v1"
    upstream.on("/v1/chat/completions", Answer(garbage=b"nonsense\r\n\r\n"), Answer(hang=True))
    with pytest.raises(ProviderUnreachableError, match="The connection broke"):
        completion("openai:gpt-4o", HELLO, api_key=KEY, api_base=base)
    with pytest.raises(ProviderTimeoutError) as raised:
        completion("openai:gpt-4o", HELLO, api_key=KEY, api_base=base, timeout=0.2)
    assert raised.value.code == "upstream_timeout"


async def test_a_broken_connection_and_a_late_answer_awaited(upstream: Upstream) -> None:
    base = f"{upstream.url}/v1"
    upstream.on("/v1/chat/completions", Answer(garbage=b"nonsense\r\n\r\n"), Answer(hang=True), Answer(hang=True))
    with pytest.raises(ProviderUnreachableError, match="The connection broke"):
        await acompletion("openai:gpt-4o", HELLO, api_key=KEY, api_base=base)
    with pytest.raises(ProviderTimeoutError):
        await acompletion("openai:gpt-4o", HELLO, api_key=KEY, api_base=base, client_args={"timeout": 0.2})
    call = asyncio.create_task(acompletion("openai:gpt-4o", HELLO, api_key=KEY, api_base=base))
    await upstream.called(calls=3)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await upstream.called(broken=3)  # the provider notices


def test_a_call_is_sent_again_only_when_told_to(upstream: Upstream) -> None:
    base = f"{upstream.url}/v1"
    passing = error(503, say("busy"), {"retry-after": "0"})
    whole = answer_of(written("openai-chat"))
    upstream.on("/v1/chat/completions", passing, passing, whole, passing)
    with pytest.raises(ProviderError):
        completion("openai:gpt-4o", HELLO, api_key=KEY, api_base=base)
    assert len(upstream.calls) == 1
    with Tollgate.create("openai", KEY, base, max_retries=2) as client:
        assert client.completion("gpt-4o", HELLO).choices[0].message.content
        assert len(upstream.calls) == 3
        with pytest.raises(ProviderError):
            client.completion("gpt-4o", HELLO)
        assert len(upstream.calls) == 6
    upstream.forget()
    upstream.on("/v1/chat/completions", error(400, say("wrong")), error(429, say("come back"), {"retry-after": "3600"}))
    with Tollgate.create("openai", KEY, base, max_retries=5) as client:
        for kind in (InvalidRequestError, RateLimitError):  # no use; and nobody waits for an hour
            with pytest.raises(kind):
                client.completion("gpt-4o", HELLO)
    assert len(upstream.calls) == 2


# ------------------------------------------------------------------------------------------- through the gateway
@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    with Upstream() as upstream:
        config = {"providers": providers_at(upstream.url)}
        with Deployment(tmp_path_factory.mktemp("sdk-errors"), upstream.url, config=config) as deployment:
            yield deployment, upstream


@pytest.mark.parametrize(
    ("path", "model", "answer"),
    [
        ("/v1/chat/completions", "openai:gpt-4o", error(400, say("no", type="invalid_request_error", param="n"))),
        ("/v1/chat/completions", "openai:gpt-4o", error(400, say("long", code="context_length_exceeded"))),
        ("/v1/chat/completions", "openai:gpt-4o", error(404, say("no such model", code="model_not_found"))),
        ("/v1/messages", "anthropic:claude-x",
         error(400, {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: too many"}})),
        ("/v1beta/models/gemini-x:generateContent", "gemini:gemini-x",
         error(404, {"error": {"code": 404, "message": "models/gemini-x is not found", "status": "NOT_FOUND"}})),
    ],
)  # fmt: skip
def test_the_same_error_directly_and_through_the_gateway(
    place: tuple[Deployment, Upstream], path: str, model: str, answer: Answer
) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.on(path, answer)
    direct = upstream.url + ("/v1" if model.startswith("openai") else "")
    found = []
    for key, base in ((KEY, direct), (deployment.key, deployment.url)):
        with pytest.raises(TollgateError) as raised:
            completion(model, HELLO, api_key=key, api_base=base)
        one = raised.value
        found.append((type(one), one.status, one.code, one.param, one.message))
    assert found[0] == found[1]


def test_what_the_gateway_itself_refuses(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.on("/v1/chat/completions", error(401, say("Incorrect API key provided: sentinel-openai-key")))
    wrong = "gw-" + "x" * 64
    with pytest.raises(AuthenticationError) as refused:
        completion("openai:gpt-4o", HELLO, api_key=wrong, api_base=deployment.url)
    assert refused.value.status == 401
    assert wrong not in str(refused.value)
    for call in (completion, responses):
        with pytest.raises(ModelNotFoundError) as missing:
            call("no-such-model", HELLO, api_key=deployment.key, api_base=deployment.url)
        assert (missing.value.status, missing.value.provider) == (404, "tollgate")
    with pytest.raises(ModelNotFoundError):
        messages("no-such-model", HELLO, 10, api_key=deployment.key, api_base=deployment.url)
    with pytest.raises(ProviderError) as ours:
        completion("openai:gpt-4o", HELLO, api_key=deployment.key, api_base=deployment.url)
    assert (ours.value.status, ours.value.code) == (502, "upstream_credentials")
    assert ours.value.request_id
    assert "sentinel" not in str(ours.value)


# ------------------------------------------------------------------------------------------- what cannot be carried
def test_what_cannot_be_carried_is_named_or_refused(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.add(written("anthropic-messages"), stream=False)
    upstream.add(written("anthropic-messages-stream"), stream=True)
    for key, base in ((KEY, upstream.url), (deployment.key, deployment.url)):
        asked: dict[str, Any] = {"api_key": key, "api_base": base, "seed": 7, "logit_bias": {"5": 1}}
        answer = completion("anthropic:claude-sonnet-4-5", HELLO, **asked)
        assert set(answer.dropped) >= {"seed", "logit_bias"}
        with completion("anthropic:claude-sonnet-4-5", HELLO, stream=True, **asked) as stream:
            assert set(stream.dropped) >= {"seed", "logit_bias"}
        reached = len(upstream.calls)
        wishes: list[dict[str, Any]] = [{"strict": True}, {"client_args": {"strict": True}}]
        for strict in wishes:
            with pytest.raises(UnsupportedParameterError) as refused:
                completion("anthropic:claude-sonnet-4-5", HELLO, **asked, **strict)
            assert (refused.value.status, refused.value.code) == (400, "cannot_carry")
            assert refused.value.param in ("seed", "logit_bias")
        assert len(upstream.calls) == reached
        loose = completion("anthropic:claude-sonnet-4-5", HELLO, strict=False, client_args={"strict": True}, **asked)
        assert "seed" in loose.dropped


def test_messages_through_the_gateway_tells_errors_apart_by_status(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.on("/v1/chat/completions", error(400, say("long", code="context_length_exceeded", param="messages")))
    asked: dict[str, Any] = {"api_key": deployment.key, "api_base": deployment.url}
    with pytest.raises(InvalidRequestError) as refused:
        messages("openai:gpt-4o", HELLO, 9, **asked)
    assert (refused.value.status, refused.value.message) == (400, "messages: long")
    with pytest.raises(InvalidRequestError, match="cannot be carried"):
        messages("openai:gpt-4o", HELLO, 9, top_k=3, strict=True, **asked)


def test_betas_are_a_header_where_they_mean_something(upstream: Upstream) -> None:
    for name in ("openai-chat", "anthropic-messages"):
        upstream.add(written(name))
    fields: dict[str, Any] = {"api_key": KEY, "betas": ["context-1m-2025-08-07", "b"]}
    assert messages("anthropic:claude-sonnet-4-5", HELLO, 9, api_base=upstream.url, **fields).dropped == ()
    assert upstream.calls[-1].headers["anthropic-beta"] == "context-1m-2025-08-07,b"
    assert "betas" not in upstream.calls[-1].json
    translated = messages("openai:gpt-4o", HELLO, 9, api_base=f"{upstream.url}/v1", **fields)
    assert translated.dropped[0] == "betas"


# ------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": "hello"}, "messages"),
        ({"messages": {"role": "user", "content": "hello"}}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "user", "content": b"bytes"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": {1: 2}}]}, "messages[0].content"),
        ({"messages": HELLO, "metadata": {"at": object()}}, "metadata.at"),
        ({"messages": HELLO, "temperature": {1.0}}, "temperature"),
        ({"messages": HELLO, "stream": "yes"}, "stream"),
        ({"messages": HELLO, "timeout": 0}, "timeout"),
        ({"messages": HELLO, "timeout": "5s"}, "timeout"),
        ({"messages": HELLO, "strict": 1}, "strict"),
    ],
)
def test_bad_input_is_named_before_anything_is_sent(fields: dict[str, Any], param: str) -> None:
    given = dict(fields)
    with pytest.raises(InvalidRequestError) as raised:
        completion("openai:gpt-4o", given.pop("messages"), api_key=KEY, api_base="http://127.0.0.1:9/v1", **given)
    assert raised.value.param == param
    assert raised.value.status == 400
    assert str(raised.value).startswith(param)


def test_more_bad_input(upstream: Upstream) -> None:
    base: dict[str, Any] = {"api_key": KEY, "api_base": "http://127.0.0.1:9/v1"}
    unfit: list[Any] = ["", [], None, 7, {"a": 1}]
    for inputs in unfit:
        with pytest.raises(InvalidRequestError, match="inputs"):
            embedding("openai:text-embedding-3-small", inputs, **base)
    with pytest.raises(InvalidRequestError, match="input_data"):
        responses("openai:gpt-4o", {"role": "user"}, **base)
    with pytest.raises(InvalidRequestError, match="input_data"):
        responses("openai:gpt-4o", "", **base)
    with pytest.raises(TypeError, match="max_tokens"):
        messages("anthropic:claude-x", HELLO, **base)
    with pytest.raises(TypeError, match="tools must be a list"):
        completion("openai:gpt-4o", HELLO, tools="weather", **base)
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidRequestError, match="nested too deeply"):
        completion("openai:gpt-4o", HELLO, metadata=endless, **base)
    for value in ("\ud800", 2**70):
        with pytest.raises(InvalidRequestError, match="no form in JSON"):
            completion("openai:gpt-4o", HELLO, user=value, **base)
    with pytest.raises(InvalidRequestError) as raised:  # what the wire formats find is named too
        completion("anthropic:claude-x", [{"role": "nobody", "content": "x"}], **base)
    assert raised.value.param
    with pytest.raises(InvalidRequestError, match="betas"):
        messages("anthropic:claude-x", HELLO, 9, betas="one", **base)
    assert prepare_tools([]) == []


# ------------------------------------------------------------------------------------------- in the middle of a stream
_FIRST = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"he"}}]}\n\n'  # noqa: E501


@pytest.mark.parametrize(
    ("rest", "cut", "kind"),
    [
        (b'data: {"error":{"message":"overloaded","code":"rate_limit_exceeded"}}\n\n', None, RateLimitError),
        (b"", None, TruncatedAnswerError),
        (b"data: [DONE]\n\n", len(_FIRST), ProviderUnreachableError),
        (b'data: {"choices": "x"}\n\ndata: [DONE]\n\n', None, MalformedAnswerError),
        (b"data: {broken\n\ndata: [DONE]\n\n", None, ProviderError),
    ],
    ids=["in-band", "truncated", "cut", "malformed", "not-json"],
)
async def test_a_stream_that_fails_gives_what_came_and_then_its_error(
    upstream: Upstream, rest: bytes, cut: int | None, kind: type[TollgateError]
) -> None:
    upstream.on("/v1/chat/completions", Answer(headers=SSE, pieces=(_FIRST, rest), length=False, cut_after=cut))
    asked: dict[str, Any] = {"api_key": KEY, "api_base": f"{upstream.url}/v1"}
    with completion("openai:gpt-4o", HELLO, stream=True, **asked) as stream:
        assert next(stream).choices[0].delta.content == "he"
        with pytest.raises(kind):
            list(stream)
        assert list(stream) == []
    async with await acompletion("openai:gpt-4o", HELLO, stream=True, **asked) as awaited:
        assert (await anext(awaited)).choices[0].delta.content == "he"
        with pytest.raises(kind):
            await anext(awaited)
        assert [chunk async for chunk in awaited] == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_key_that_the_provider_repeats_is_in_no_traceback(upstream: Upstream, stream: bool) -> None:
    """Whatever it looks like, and wherever it is repeated."""
    key = "plain-looking.key"
    told = json.dumps(say(f"{key} has no credit", code=f"no-credit-{key}")).encode()
    pieces = (_FIRST, b"data: " + told + b"\n\n") if stream else (told,)
    upstream.on(
        "/v1/chat/completions", Answer(headers=SSE if stream else {}, pieces=pieces), error(400, json.loads(told))
    )
    for _ in range(2):
        with pytest.raises(TollgateError) as raised:
            list(completion("openai:m", HELLO, api_key=key, api_base=f"{upstream.url}/v1", stream=stream))  # type: ignore[arg-type]
        assert key not in "".join(traceback.format_exception(raised.value)) + repr(vars(raised.value))


def test_models_that_cannot_be_read(upstream: Upstream) -> None:
    upstream.on("/v1/models", Answer(pieces=(json.dumps({"data": "none"}).encode(),)), method="GET")
    with pytest.raises(MalformedAnswerError):
        list_models("openai", KEY, f"{upstream.url}/v1")
    upstream.forget()
    upstream.on("/v1/models", error(401, say("no")), method="GET")
    with pytest.raises(AuthenticationError):
        list_models("openai", KEY, f"{upstream.url}/v1")
