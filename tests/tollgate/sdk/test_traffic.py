"""Recorded answers, asked for straight at their provider and through a gateway: the same comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.asking import declared
from tests.behind import dialect_of, entry_of, is_stream, providers, put
from tests.deployment import Deployment
from tests.recorded import DIALECT_OF, said
from tests.replay import Upstream, written
from tests.tollgate.sdk.calling import FORMS, Heard, aask, ask
from tests.traffic import index, interactions, needs_traffic
from tollgate import Tollgate

# What a provider is called directly, and which forms are asked of what it was recorded with. OpenAI itself speaks both
# of its dialects: nobody would translate the one into the other.
_NAMES = {"openai": "openai", "anthropic": "anthropic", "gemini": "gemini", "llamacpp": "local"}
_FORMS = {
    ("openai", "openai_chat"): ("openai_chat", "anthropic_messages"),
    ("openai", "openai_responses"): ("openai_responses",),
    ("anthropic", "anthropic_messages"): FORMS,
    ("gemini", "gemini"): FORMS,
    ("llamacpp", "openai_chat"): FORMS,
}
_AT_ONCE = 8


def _wanted(row: dict[str, Any]) -> bool:
    return (
        row["provider"] in _NAMES
        and row["endpoint"] in DIALECT_OF
        and row["status"] == 200
        and (row["provider"], dialect_of(row)) in _FORMS
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    with Upstream() as upstream:
        found = providers(upstream.url, index())
        for name in ("openai", "anthropic", "gemini", "solar", "local"):
            below = "" if name in ("anthropic", "gemini") else "/v1"
            found[name] = {"api_key": f"sentinel-{name}", "api_base": f"{upstream.url}/written-{name}{below}"}
        with Deployment(tmp_path_factory.mktemp("sdk"), upstream.url, config={"providers": found}) as deployment:
            yield deployment, upstream


def _direct(interaction: dict[str, Any], upstream: Upstream) -> Tollgate:
    below = "/v1" if dialect_of(interaction).startswith("openai") else ""
    return Tollgate.create(
        _NAMES[interaction["provider"]], "sk-direct", f"{upstream.url}/{entry_of(interaction)}{below}"
    )


async def _both(
    interaction: dict[str, Any], form: str, direct: Tollgate, gateway: Tollgate, *, blocking: bool
) -> tuple[Heard, Heard]:
    """Directly, blocking or awaited, and through the gateway."""
    request = interaction["request"]  # not always known of a refusal
    tools = declared(dialect_of(interaction), request["body"]) if request else []
    stream, model = is_stream(interaction), interaction["id"]
    if blocking:
        straight = await asyncio.to_thread(ask, direct, form, model, tools, stream=stream)
    else:
        straight = await aask(direct, form, model, tools, stream=stream)
    return straight, await aask(gateway, form, f"{entry_of(interaction)}:{model}", tools, stream=stream)


@needs_traffic
async def test_recorded_refusals_are_the_same_error_both_ways(place: tuple[Deployment, Upstream]) -> None:
    """Of statuses that the gateway hands on. Its errors in Anthropic's form have no code: that form is left out."""
    deployment, upstream = place

    def refused(row: dict[str, Any]) -> bool:
        known = (
            row["provider"] in _NAMES and row["endpoint"] in DIALECT_OF and (row["provider"], dialect_of(row)) in _FORMS
        )
        return known and row["status"] in (400, 404, 413, 422)

    known = list(interactions(refused))
    assert len(known) > 20
    kinds: set[str] = set()
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(Tollgate.create("tollgate", deployment.key, deployment.url))
        for found in known:
            put(upstream, found)
            forms = [form for form in _FORMS[found["provider"], dialect_of(found)] if form != "anthropic_messages"]
            direct = await stack.enter_async_context(_direct(found, upstream))
            straight, through = await _both(found, forms[-1], direct, gateway, blocking=False)
            assert straight.error is not None
            if straight.error[0] == "AuthenticationError":  # a key refused by a 400: the operator's, behind a gateway
                assert through.error is not None
                assert through.error[1:3] == (502, "upstream_credentials")
            else:
                assert straight == through, found["id"]
            kinds.add(straight.error[0])
    assert {"InvalidRequestError", "ModelNotFoundError"} <= kinds


_WRITTEN = {
    "openai": ("openai-chat", "gpt-4o-mini"),
    "anthropic": ("anthropic-messages", "claude-sonnet-4-5"),
    "gemini": ("gemini-generate", "gemini-2.5-flash"),
    "solar": ("solar-chat", "solar-pro4"),
    "local": ("local-chat", "tiny"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize(
    ("provider", "form"),
    [(name, form) for name in _WRITTEN for form in FORMS if (name, form) != ("openai", "openai_responses")],
)
async def test_every_provider_answers_the_same_four_ways(
    place: tuple[Deployment, Upstream], provider: str, form: str, stream: bool
) -> None:
    """Blocking and awaited, directly and through the gateway."""
    deployment, upstream = place
    name, model = _WRITTEN[provider]
    prefix = f"/written-{provider}"
    interaction = written(f"{name}-stream" if stream else name)
    upstream.add(interaction, prefix=prefix, stream=stream)
    base = upstream.url + prefix + ("" if provider in ("anthropic", "gemini") else "/v1")
    async with (
        Tollgate.create(provider, "sk-direct", base) as direct,
        Tollgate.create(provider, deployment.key, deployment.url) as through,
    ):
        assert through.through_gateway
        assert not direct.through_gateway
        first = await aask(direct, form, model, [], stream=stream)
        assert first.error is None
        assert said(interaction).text == _text(form, first, stream=stream)
        assert await asyncio.to_thread(ask, direct, form, model, [], stream=stream) == first
        assert await aask(through, form, model, [], stream=stream) == first
        assert await asyncio.to_thread(ask, through, form, model, [], stream=stream) == first


def _text(form: str, heard: Heard, *, stream: bool) -> str:
    """All that was said, one after the other."""
    found: list[Any] = []
    for value in heard.values:
        match form:
            case "openai_chat":
                found += [(choice.get("delta") or choice["message"]).get("content") for choice in value["choices"]]
            case "anthropic_messages" if stream:
                found.append((value["delta"] or {}).get("text"))
            case "anthropic_messages":
                found += [block["text"] for block in value["content"]]
            case "openai_responses" if stream:
                found.append(value["delta"])
            case _:
                found += [part["text"] for item in value["output"] for part in item["content"]]
    return "".join(text for text in found if text)


def _difference(straight: Heard, through: Heard) -> str:
    pairs = zip(straight.values, through.values, strict=False)
    first = next((f"{one} | {other}" for one, other in pairs if one != other), "")
    counts = f"{len(straight.values)} | {len(through.values)} values"
    rest = [(each.dropped, each.error) for each in (straight, through)]
    return f"{counts}; {rest}; {first}"[:1500]


@needs_traffic
@pytest.mark.timeout(300)
async def test_recorded_answers_are_the_same_directly_and_through_the_gateway(
    place: tuple[Deployment, Upstream],
) -> None:
    deployment, upstream = place
    known = [found for found in interactions(_wanted) if "response-only" not in found["kind"]]
    assert len(known) > 800
    for interaction in known:
        put(upstream, interaction)
    gate = asyncio.Semaphore(_AT_ONCE)
    problems: list[str] = []
    counted = 0

    async def one(number: int, interaction: dict[str, Any], direct: Tollgate, gateway: Tollgate) -> None:
        nonlocal counted
        forms = _FORMS[interaction["provider"], dialect_of(interaction)]
        form = forms[number % len(forms)]
        async with gate:
            straight, through = await _both(interaction, form, direct, gateway, blocking=number % 2 == 0)
        counted += bool(straight.values)
        if straight != through:
            problems.append(f"{interaction['id']} as {form}: {_difference(straight, through)}")

    async with AsyncExitStack() as stack:
        gateway = Tollgate.create("tollgate", deployment.key, f"{deployment.url}/v1")
        entries = {entry_of(found): _direct(found, upstream) for found in known}
        for client in (gateway, *entries.values()):
            await stack.enter_async_context(client)
        await asyncio.gather(
            *(one(number, found, entries[entry_of(found)], gateway) for number, found in enumerate(known))
        )
    assert not problems, f"{len(problems)} of {len(known)}\n" + "\n".join(problems[:5])
    assert counted > 800
