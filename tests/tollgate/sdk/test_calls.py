"""Calls as their users make them: tools, conversations, embeddings, model lists, streams that are left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.deployment import Deployment
from tests.replay import Answer, Gate, Upstream, written
from tests.traffic import interactions, needs_traffic
from tollgate import (
    Tollgate,
    acompletion,
    aembedding,
    alist_models,
    amessages,
    aresponses,
    completion,
    embedding,
    list_models,
    messages,
    responses,
)

HELLO = [{"role": "user", "content": "hello"}]
KEY = "sk-direct"
SSE = {"content-type": "text/event-stream"}


@pytest.fixture(scope="module")
def upstreams() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, upstreams: Upstream) -> Iterator[Deployment]:
    with Deployment(tmp_path_factory.mktemp("sdk-calls"), upstreams.url) as running:
        yield running


@pytest.fixture
def place(deployment: Deployment, upstreams: Upstream) -> tuple[Deployment, Upstream]:
    upstreams.forget()
    return deployment, upstreams


def weather(city: str, days: int = 1) -> str:
    """Tell the weather.

    Args:
        city: Where.
    """
    return f"{days} days of rain in {city}"


SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Where."},
        "days": {"type": "integer", "default": 1},
    },
    "required": ["city"],
}


def calling(text: str | None, *calls: tuple[str, str]) -> dict[str, Any]:
    """A chat completion that calls tools, or says something."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "x_vendor": {"proof": "p"}}
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for n, (name, arguments) in enumerate(calls)
        ]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def plain(body: dict[str, Any]) -> Answer:
    return Answer(pieces=(json.dumps(body).encode(),))


# ------------------------------------------------------------------------------------------- tools and conversations
@pytest.mark.parametrize("through", [False, True], ids=["direct", "gateway"])
def test_a_tool_is_called_and_its_result_handed_back(place: tuple[Deployment, Upstream], through: bool) -> None:
    deployment, upstream = place
    upstream.on(
        "/v1/chat/completions", plain(calling(None, ("weather", '{"city":"Seoul","days":2}'))), plain(calling("Wet."))
    )
    where: dict[str, Any] = {"api_key": KEY, "api_base": f"{upstream.url}/v1"}
    if through:
        where = {"api_key": deployment.key, "api_base": deployment.url}
    turns: list[Any] = [{"role": "user", "content": "Weather in Seoul?"}]
    first = completion("openai:gpt-4o", turns, tools=[weather], tool_choice="auto", **where)
    message = first.choices[0].message
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    result = weather(**json.loads(call.function.arguments))
    turns += [message, {"role": "tool", "tool_call_id": call.id, "content": result}]
    second = completion("openai:gpt-4o", turns, tools=[weather], **where)
    assert second.choices[0].message.content == "Wet."
    sent = upstream.calls[-1].json
    assert sent["tools"] == [
        {
            "type": "function",
            "function": {"name": "weather", "description": "Tell the weather.", "parameters": SCHEMA},
        }
    ]
    assert sent["messages"][1] == {
        "role": "assistant",
        "x_vendor": {"proof": "p"},
        "tool_calls": [
            {
                "id": "call_0",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city":"Seoul","days":2}'},
            }
        ],
    }
    assert sent["messages"][2]["content"] == "2 days of rain in Seoul"


def test_tools_have_the_form_of_each_api(place: tuple[Deployment, Upstream]) -> None:
    _, upstream = place
    upstream.add(written("anthropic-messages"))
    upstream.on("/v1/responses", plain({"id": "r", "object": "response", "status": "completed", "output": []}))
    messages("anthropic:claude-sonnet-4-5", HELLO, 9, tools=[weather], api_key=KEY, api_base=upstream.url)
    assert upstream.calls[-1].json["tools"] == [
        {"name": "weather", "description": "Tell the weather.", "input_schema": SCHEMA}
    ]
    responses("openai:gpt-4o", "hello", tools=[weather], api_key=KEY, api_base=f"{upstream.url}/v1")
    assert upstream.calls[-1].json["tools"] == [
        {"type": "function", "name": "weather", "description": "Tell the weather.", "parameters": SCHEMA}
    ]


def test_answers_of_messages_and_responses_can_be_handed_back(place: tuple[Deployment, Upstream]) -> None:
    _, upstream = place
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "text", "text": "hi"},
    ]
    upstream.on("/v1/messages", plain({"type": "message", "role": "assistant", "content": blocks, "usage": {}}))
    items = [
        {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "enc"},
        {"type": "message", "id": "msg", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "hi", "annotations": []}]},
        {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "q"}},
    ]  # fmt: skip
    upstream.on("/v1/responses", plain({"id": "r", "object": "response", "status": "completed", "output": items}))
    spoken = messages("anthropic:claude-x", HELLO, 9, api_key=KEY, api_base=upstream.url)
    again = [*HELLO, {"role": "assistant", "content": spoken.content}, *HELLO]
    messages("anthropic:claude-x", again, 9, api_key=KEY, api_base=upstream.url)
    assert upstream.calls[-1].json["messages"][1]["content"] == blocks
    told = responses("openai:gpt-4o", HELLO, api_key=KEY, api_base=f"{upstream.url}/v1")
    assert told.output_text == "hi"
    responses("openai:gpt-4o", [*HELLO, *told.output, *HELLO], api_key=KEY, api_base=f"{upstream.url}/v1")
    assert upstream.calls[-1].json["input"][1:-1] == items
    assert told.output[2].action["query"] == "q"  # type: ignore[attr-defined]
    assert told.model_dump()["output"][1]["content"][0]["text"] == "hi"
    assert json.loads(told.model_dump_json(exclude_none=True))["output"] == items


def test_what_a_provider_says_beyond_the_type_is_there(place: tuple[Deployment, Upstream]) -> None:
    _, upstream = place
    body = calling("hi") | {"citations": ["u"], "provider": "x", "usage": {"prompt_tokens": 3, "cost": 0.1}}
    body["choices"][0]["message"]["reasoning"] = "because"
    upstream.on("/v1/chat/completions", plain(body))
    answer = completion("openai:gpt-4o", HELLO, api_key=KEY, api_base=f"{upstream.url}/v1")
    assert answer.citations == ["u"]  # type: ignore[attr-defined]
    assert answer.usage is not None
    assert answer.usage.cost == 0.1  # type: ignore[attr-defined]
    reasoning = answer.choices[0].message.reasoning
    assert reasoning is not None
    assert reasoning.content == "because"
    assert answer.tollgate.provider == "openai"
    dumped = answer.model_dump(exclude_none=True)
    assert dumped["provider"] == "x"
    assert dumped["choices"][0]["message"] == {
        "role": "assistant", "content": "hi", "x_vendor": {"proof": "p"}, "reasoning": "because",
    }  # fmt: skip
    assert "tollgate" not in dumped


def test_a_gateway_says_what_it_cost(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.add(written("openai-chat"))
    answer = completion("openai:gpt-4o-mini", HELLO, api_key=deployment.key, api_base=deployment.url)
    about = answer.tollgate
    assert (about.provider, about.model, about.attempts) == ("openai", "gpt-4o-mini", 1)
    assert about.cost_usd is not None
    assert about.cost_usd > Decimal(0)
    assert about.headers["x-tollgate-cost-usd"] == str(about.cost_usd)
    (row,) = deployment.rows(1, request_id=about.request_id)
    assert Decimal(str(row["cost"])) == about.cost_usd


# ------------------------------------------------------------------------------------------- embeddings, models
_OPENAI_VECTORS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 2, "total_tokens": 2},
}
_GEMINI_VECTORS = {"embeddings": [{"values": [0.5, -1]}], "usageMetadata": {"promptTokenCount": 2}}


@pytest.mark.parametrize(
    ("model", "below", "path", "body"),
    [
        ("openai:text-embedding-3-small", "/v1", "/v1/embeddings", _OPENAI_VECTORS),
        ("local:tiny", "/local/v1", "/local/v1/embeddings", _OPENAI_VECTORS),
        ("solar:embedding-query", "/solar/v1", "/solar/v1/embeddings", _OPENAI_VECTORS),
        ("gemini:gemini-embedding-001", "", "/v1beta/models/gemini-embedding-001:batchEmbedContents", _GEMINI_VECTORS),
    ],
)
async def test_embeddings_are_the_same_four_ways(
    place: tuple[Deployment, Upstream], model: str, below: str, path: str, body: dict[str, Any]
) -> None:
    deployment, upstream = place
    upstream.on(path, plain(body))
    found = []
    for where in ((KEY, upstream.url + below), (deployment.key, f"{deployment.url}/v1")):
        asked: dict[str, Any] = {"api_key": where[0], "api_base": where[1], "dimensions": 2}
        found += [
            await asyncio.to_thread(embedding, model, ["hello"], **asked),
            await aembedding(model, ["hello"], **asked),
        ]
    assert [vector.embedding for vector in found[0].data] == [[0.5, -1]]
    assert found[0].usage is not None
    assert found[0].usage.total_tokens == 2
    assert all(each.model_dump() == found[0].model_dump() for each in found)
    assert len(upstream.calls) == 4
    assert len({json.dumps(call.json, sort_keys=True) for call in upstream.calls}) == 1


@needs_traffic
def test_recorded_embeddings_are_read(place: tuple[Deployment, Upstream]) -> None:
    _, upstream = place
    known = list(
        interactions(lambda r: r["endpoint"] == "embeddings" and r["provider"] == "openai" and r["status"] == 200)
    )
    assert known
    for found in known:
        upstream.forget()
        upstream.add(found)
        asked = found["request"]["body"] or {}
        fields = {name: value for name, value in asked.items() if name not in ("model", "input")}
        answer = embedding("openai:e", asked.get("input", "x"), api_key=KEY, api_base=f"{upstream.url}/v1", **fields)
        assert answer.model_dump(exclude_none=True) == json.loads(found["response"]["body_text"])


async def test_models_are_listed_page_by_page(place: tuple[Deployment, Upstream]) -> None:
    _, upstream = place
    pages: list[dict[str, Any]] = [
        {"data": [{"type": "model", "id": "claude-b", "display_name": "B", "created_at": "2025-09-29T00:00:00Z"}],
         "has_more": True, "last_id": "claude-b"},
        {"data": [{"type": "model", "id": "claude-a", "created_at": "soon"}], "has_more": False, "last_id": "claude-a"},
    ]  # fmt: skip
    upstream.on("/v1/models", plain(pages[0]), plain(pages[1]), method="GET")
    first, second = list_models("anthropic", KEY, upstream.url)
    assert (first.id, first.owned_by, first.display_name) == ("claude-b", "anthropic", "B")  # type: ignore[attr-defined]
    assert first.created == int(datetime(2025, 9, 29, tzinfo=UTC).timestamp())
    assert (second.id, second.created) == ("claude-a", None)
    assert [call.query for call in upstream.calls] == ["limit=1000", "limit=1000&after_id=claude-b"]
    google: list[dict[str, Any]] = [
        {"models": [{"name": "models/gemini-2.5-flash", "inputTokenLimit": 1048576, "outputTokenLimit": 65536}],
         "nextPageToken": "a b"},
        {"models": [{"name": "models/gemini-2.5-pro"}]},
    ]  # fmt: skip
    upstream.on("/v1beta/models", plain(google[0]), plain(google[1]), method="GET")
    found = await alist_models("gemini", KEY, upstream.url)
    assert [model.id for model in found] == ["gemini-2.5-flash", "gemini-2.5-pro"]
    assert (found[0].context_window, found[0].max_output_tokens) == (1048576, 65536)
    assert upstream.calls[-1].query == "pageSize=1000&pageToken=a+b"
    upstream.on("/local/v1/models", plain({"object": "list", "data": [{"id": "tiny.gguf"}]}), method="GET")
    assert [model.id for model in list_models("local", api_base=f"{upstream.url}/local/v1")] == ["tiny.gguf"]


@needs_traffic
@pytest.mark.parametrize(("provider", "path"), [("anthropic", "/v1/models"), ("openrouter", "/api/v1/models")])
def test_recorded_model_lists_are_read(place: tuple[Deployment, Upstream], provider: str, path: str) -> None:
    _, upstream = place
    wanted = interactions(lambda r: r["endpoint"] == "models" and r["provider"] == provider and r["status"] == 200)
    body = json.loads(next(wanted)["response"]["body_text"])
    upstream.on(path, plain({**body, "has_more": False}), method="GET")
    below = "" if provider == "anthropic" else "/api/v1"
    found = list_models(provider, KEY, upstream.url + below)
    assert found
    assert [model.id for model in found] == [row["id"] for row in body["data"]]


async def test_a_gateways_models_say_what_they_cost_and_why_not(place: tuple[Deployment, Upstream]) -> None:
    deployment, _ = place
    every = list_models(api_key=deployment.key, api_base=deployment.url)
    claude = [model for model in every if model.owned_by == "anthropic"]
    assert 0 < len(claude) < len(every)
    assert [model.id for model in claude] == [
        model.id for model in await alist_models("claude", deployment.key, deployment.url)
    ]
    sonnet = next(model for model in claude if model.id == "anthropic:claude-sonnet-4-5")
    assert (sonnet.available, sonnet.unavailable_reason) == (True, None)
    assert sonnet.pricing is not None
    assert sonnet.pricing["input_price_per_million"] == 3
    local = next(model for model in every if model.owned_by == "local")
    assert local.available is False
    assert local.unavailable_reason


# ------------------------------------------------------------------------------------------- streams
def chunk(text: str) -> bytes:
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": {"content": text}}]}  # fmt: skip
    return f"data: {json.dumps(body)}\n\n".encode()


def held(gate: Gate) -> Answer:
    """Two pieces, and then nothing until the gate opens."""
    return Answer(headers=SSE, pieces=(chunk("a"), chunk("b"), b"data: [DONE]\n\n"), length=False, gates={1: gate})


@pytest.mark.parametrize("through", [False, True], ids=["direct", "gateway"])
async def test_a_stream_that_is_left_ends_at_the_provider(place: tuple[Deployment, Upstream], through: bool) -> None:
    """By `with`, by `break` and garbage, by cancellation."""
    deployment, upstream = place
    gate = Gate()
    upstream.on("/v1/chat/completions", held(gate))
    where: dict[str, Any] = {"api_key": KEY, "api_base": f"{upstream.url}/v1"}
    if through:
        where = {"api_key": deployment.key, "api_base": deployment.url}

    def blocking() -> None:
        with completion("openai:gpt-4o", HELLO, stream=True, **where) as stream:
            assert next(stream).choices[0].delta.content == "a"
        stream.close()
        assert list(stream) == []

    await asyncio.to_thread(blocking)
    if not through:  # the gateway reads on for a while, so that what was generated is billed
        await upstream.called(broken=1)
    else:
        await upstream.called(calls=1)

    async with await acompletion("openai:gpt-4o", HELLO, stream=True, **where) as stream:
        assert (await anext(stream)).choices[0].delta.content == "a"
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert [each async for each in stream] == []
    if not through:
        await upstream.called(broken=2)
    gate.open()


def test_a_stream_that_is_forgotten_is_closed(upstream: Upstream) -> None:
    upstream.on("/v1/chat/completions", held(Gate()))
    for each in completion("openai:gpt-4o", HELLO, stream=True, api_key=KEY, api_base=f"{upstream.url}/v1"):
        assert each.choices[0].delta.content == "a"
        break
    upstream.wait(broken=1)
    completion("openai:gpt-4o", HELLO, stream=True, api_key=KEY, api_base=f"{upstream.url}/v1")
    upstream.wait(broken=2)


async def test_chunks_come_as_they_are_written(upstream: Upstream) -> None:
    gate = Gate()
    upstream.on("/v1/chat/completions", held(gate))
    async with await acompletion(
        "openai:gpt-4o", HELLO, stream=True, api_key=KEY, api_base=f"{upstream.url}/v1"
    ) as stream:
        assert (await anext(stream)).choices[0].delta.content == "a"
        gate.open()
        assert [each.choices[0].delta.content async for each in stream] == ["b"]


def test_usage_is_known_whether_it_was_asked_for_or_not(upstream: Upstream) -> None:
    upstream.add(written("openai-chat-stream"))
    asked: dict[str, Any] = {"api_key": KEY, "api_base": f"{upstream.url}/v1"}
    with completion("openai:gpt-4o-mini", HELLO, stream=True, **asked) as stream:
        assert all(each.choices for each in stream)
        hidden = stream.usage
    wanted: dict[str, Any] = {"stream_options": {"include_usage": True}}
    with completion("openai:gpt-4o-mini", HELLO, stream=True, **asked, **wanted) as stream:
        *_, last = stream
    assert last.choices == []
    assert hidden is not None
    assert hidden == last.usage
    assert [call.json["stream_options"] for call in upstream.calls] == [{"include_usage": True}] * 2


# ------------------------------------------------------------------------------------------- clients
def test_one_client_serves_many_calls_and_loops(upstream: Upstream) -> None:
    """Blocking calls, and two event loops one after the other."""
    upstream.add(written("anthropic-messages"))

    async def ask(client: Tollgate) -> str | None:
        found = await client.acompletion("claude-sonnet-4-5", HELLO)
        await client.aclose()
        return found.choices[0].message.content

    with Tollgate.create("anthropic", KEY, upstream.url) as client:
        first = client.completion("claude-sonnet-4-5", HELLO).choices[0].message.content
        assert client.messages("claude-sonnet-4-5", HELLO, 9).content[0].text == first
        assert client.responses("claude-sonnet-4-5", "hello").output_text == first
    with Tollgate.create("anthropic", KEY, upstream.url) as client:
        assert [asyncio.run(ask(client)) for _ in range(2)] == [first, first]


async def test_many_calls_at_once(upstream: Upstream) -> None:
    upstream.add(written("openai-chat"))
    async with Tollgate.create("openai", KEY, f"{upstream.url}/v1") as client:
        found = await asyncio.gather(*(client.acompletion("gpt-4o-mini", HELLO) for _ in range(50)))
    assert len({answer.choices[0].message.content for answer in found}) == 1
    assert upstream.finished == 50


async def test_module_functions_take_what_methods_take(upstream: Upstream) -> None:
    for name in ("anthropic-messages", "anthropic-messages-stream"):
        upstream.add(written(name), stream=name.endswith("stream"))
    where: dict[str, Any] = {"provider": "anthropic", "api_key": KEY, "api_base": upstream.url}
    model = "claude-sonnet-4-5"
    spoken = await amessages(model, HELLO, 9, client_args={"default_headers": {"x-team": "a"}}, **where)
    assert upstream.calls[-1].headers["x-team"] == "a"
    text = spoken.content[0].text
    assert (await aresponses(model, "hello", **where)).output_text == text
    async with await aresponses(model, "hello", stream=True, **where) as events:
        assert "".join([event.delta or "" async for event in events]) == text
    async with await amessages(model, HELLO, 9, stream=True, **where) as blocks:
        assert "".join([(event.delta.text or "") if event.delta else "" async for event in blocks]) == text
        assert blocks.usage is not None


def test_any_llms_own_words_are_understood(upstream: Upstream) -> None:
    upstream.add(written("openai-chat"))
    completion(
        model="gpt-4o-mini", provider="openai", messages=HELLO, reasoning_effort="auto", user=None, temperature=0.5,
        api_key=KEY, api_base=f"{upstream.url}/v1",
    )  # fmt: skip
    assert upstream.calls[-1].json == {"model": "gpt-4o-mini", "messages": HELLO, "temperature": 0.5}
