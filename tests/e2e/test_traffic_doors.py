"""Every recorded conversation turn, told through the front doors: its text, its tokens, its cost, and what it lost.

Every second one is asked for without a key. On the stack's parts it is two turns of each kind of each provider.
None of SOLAR was recorded: its answers are the written ones of the doors' own tests."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from tests.behind import Ask, Got, Score, ask_all, dialect_of, entry_of, is_stream, providers, put, rows_of
from tests.deployment import Deployment
from tests.front_doors import events, exactly
from tests.recorded import DIALECT_OF, Said, documents, said
from tests.replay import Upstream
from tests.traffic import index, load, needs_traffic

pytestmark = [needs_traffic, pytest.mark.timeout(400)]

_PLAYGROUND, _QUERY, _LLM_SERVER = "/api/chat/completions", "/query", "/api/v1/chat"
_MICRO = Decimal("0.000001")


def _turns(most: int | None = None) -> Iterator[dict[str, Any]]:
    """At most so many of a kind."""
    seen: Counter[tuple[str, str, bool]] = Counter()
    for row in index():
        if row["endpoint"] in DIALECT_OF and "response-only" not in row["kind"] and row["status"] == 200:
            kind = (row["provider"], row["endpoint"], is_stream(row))
            seen[kind] += 1
            if most is None or seen[kind] <= most:
                yield row


@pytest.fixture(scope="module", params=["embedded", "stack"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Deployment, Upstream, int | None]]:
    """The playground knows listed models only: each turn is an alias, every second one with a price."""
    stack = request.param == "stack"
    parts = {
        "redis_url": request.getfixturevalue("redis_server_url"),
        "database_url": request.getfixturevalue("module_postgres_url"),
    }
    price = {"input_price_per_million": 3, "output_price_per_million": 7}
    models = {
        row["id"]: {"provider": entry_of(row), "model": row["id"], **({"pricing": price} if number % 2 else {})}
        for number, row in enumerate(_turns())
    }
    with Upstream() as upstream:
        config = {
            "providers": providers(upstream.url, index()),
            "models": models,
            "auth": {"anonymous": {"user": "guest", "surfaces": ["playground", "cpu_stack", "llm_server"]}},
        }
        folder = tmp_path_factory.mktemp(request.param)
        with Deployment(folder, upstream.url, config=config, **(parts if stack else {})) as deployment:
            yield deployment, upstream, 2 if stack else None


def _unfinished(interaction: dict[str, Any]) -> bool:
    """Fails mid-stream, or was not answered yet (background)."""
    found = list(documents(interaction["response"]["body_text"]))
    return any(document.get("error") for document in found) or any(
        document.get("status") in ("queued", "in_progress") for document in found[-1:]
    )


def _asks(interaction: dict[str, Any]) -> Iterator[Ask]:
    messages = [{"role": "user", "content": "the recording's question"}]
    common = {"model": interaction["id"], "stream": is_stream(interaction)}
    yield Ask(interaction, _PLAYGROUND, {**common, "messages": messages}, name="content")
    yield Ask(interaction, _QUERY, {**common, "prompt": "the recording's question"}, name="answer")
    asked = {**common, "user_prompt": "the recording's question", "history": False}
    yield Ask(interaction, _LLM_SERVER, asked, name="output_text")


def _heard(got: Got) -> dict[str, Any]:
    """The whole answer, put together from its pieces where it was streamed."""
    if not is_stream(got.ask.of):
        answer: dict[str, Any] = exactly(got.text)
        return answer
    *deltas, last = events(got.text)
    return {**last, got.ask.name: "".join(delta[got.ask.name] for delta in deltas)}


def _dropped(got: Got) -> list[str]:
    if not is_stream(got.ask.of):
        told = got.headers.get("x-tollgate-dropped", "")
    else:
        comments = [line for line in got.text.split("\n") if line.startswith(": tollgate-dropped: ")]
        told = comments[0].removeprefix(": tollgate-dropped: ") if comments else ""
    return told.split(", ") if told else []


def _problems(got: Got, rows: list[dict[str, Any]]) -> list[str]:
    if got.status != 200 or got.broken:
        return [f"status {got.status}, broken {got.broken}: {got.text[:300]}"]
    if len(rows) != 1:
        return [f"{len(rows)} rows"]
    (row,) = rows
    expected, answer, dropped = said(got.ask.of), _heard(got), _dropped(got)
    problems = _lost(expected, dropped)
    if answer.get("type") == "error":
        problems.append(f"ends with {answer['error']}")
        return problems
    if answer[got.ask.name] != expected.text + expected.refusal:
        problems.append(f"text {answer[got.ask.name][:80]!r} != {(expected.text + expected.refusal)[:80]!r}")
    usage = {name: row[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    if {name: answer["usage"][name] for name in usage} != usage:
        problems.append(f"tokens {answer['usage']} but the row's {usage}")
    if any("token" in name.lower() for name in expected.usage):
        problems += [f"{name} {row[name]} != {count}" for name, count in expected.counts.items() if row[name] != count]
    problems += _cost_problems(got, answer, row)
    if row["status"] != "success":
        problems.append(f"row says {row['status']}")
    if row["dropped"] != dropped:
        problems.append(f"dropped: told {dropped}, row {row['dropped']}")
    return [f"{got.ask.path}: {problem}" for problem in problems]


def _cost_problems(got: Got, answer: dict[str, Any], row: dict[str, Any]) -> list[str]:
    cost = None if row["cost"] is None else Decimal(str(row["cost"]))
    if got.ask.path == _QUERY:
        return [] if answer["usage"]["cost_usd"] == cost else [f"cost {answer['usage']['cost_usd']} != {cost}"]
    told = answer["cost"]
    parts = (told["input_cost"], told["output_cost"])
    if cost is None:
        return [] if told["total_cost"] is None and parts == (None, None) else [f"{told} but no price"]
    if told["total_cost"] != sum(parts) or abs(told["total_cost"] - cost.quantize(_MICRO, ROUND_HALF_UP)) > _MICRO:
        return [f"{told} != {cost}"]
    return []


def _lost(expected: Said, dropped: list[str]) -> list[str]:
    problems = []
    if expected.calls and "tool_calls" not in dropped:
        problems.append(f"calls lost in silence: {dropped}")
    if expected.thoughts and "thinking" not in dropped:
        problems.append(f"thinking lost in silence: {dropped}")
    return problems


def test_every_recorded_turn_through_the_front_doors(place: tuple[Deployment, Upstream, int | None]) -> None:
    deployment, upstream, most = place
    score = Score()
    asks: list[Ask] = []
    for row in _turns(most):
        interaction = load(row)
        if _unfinished(interaction):
            score.note(row, "not whole when it was recorded")
            continue
        put(upstream, interaction)
        asks += _asks(interaction)
    asks = [replace(ask, keyless=number % 2 == 1) for number, ask in enumerate(asks)]
    answers = ask_all(deployment, asks)
    rows = rows_of(deployment, sum(got.status == 200 for got in answers))
    for got in answers:
        score.check(got.ask.of, _problems(got, rows.pop(got.headers["x-request-id"], [])))
    sys.stdout.write(f"\n{score.table()}\n")
    assert not score.failures, score.verdict()
    assert not rows, f"rows of no call: {rows}"
    assert {got.ask.path for got in answers if got.ask.keyless} == {_PLAYGROUND, _QUERY, _LLM_SERVER}
    assert {dialect_of(got.ask.of) for got in answers} == set(DIALECT_OF.values())
