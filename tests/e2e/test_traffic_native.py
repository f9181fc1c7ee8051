"""Every recorded answer, asked for in its own dialect through a running gateway: equal JSON, and one exact row.

What is recorded with an error status is `test_traffic_errors.py`'s. What refers to responses, conversations or files
that no call through this gateway has made is unknown here (404), and `background` is refused (400): both are counted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.behind import COUNTS, PATHS, Ask, Got, Score, ask_all, entry_of, gateway_path, is_stream, providers, put
from tests.behind import rows_of as ledger_rows
from tests.deployment import Deployment
from tests.recorded import DIALECT_OF, counted, said
from tests.replay import Upstream
from tests.traffic import index, load, needs_traffic

pytestmark = [needs_traffic, pytest.mark.timeout(240)]


def _wanted(row: dict[str, Any]) -> str | None:
    """Why an interaction is not replayed here, None when it is."""
    if row["endpoint"] not in PATHS:
        return "not an endpoint of ours"
    if "response-only" in row["kind"]:
        return "its request is not known"
    if row["status"] != 200:
        return "recorded as an error"
    return None


def _refusal(interaction: dict[str, Any]) -> tuple[int, str] | None:
    """Status and reason where the gateway must not pass the call on."""
    if not interaction["endpoint"].startswith("responses"):
        return None
    body = interaction["request"]["body"]
    if body.get("background") is True:
        return 400, "400: background"
    if body.get("previous_response_id") or body.get("conversation"):
        return 404, "404: an earlier response or conversation"
    items = body["input"] if isinstance(body.get("input"), list) else []
    held = [item.get("content") or item.get("output") for item in items]
    parts = [part for content in held if isinstance(content, list) for part in content]
    if any(part.get("file_id") for part in parts if part.get("type") in ("input_file", "input_image")):
        return 404, "404: an uploaded file"
    return None


def _ask(interaction: dict[str, Any]) -> Ask:
    model = f"{entry_of(interaction)}:{interaction['id']}"
    body = interaction["request"]["body"]
    query = ""
    if interaction["endpoint"] in ("generateContent", "streamGenerateContent", "countTokens"):
        sse = is_stream(interaction) and "json-array-stream" not in interaction["kind"]
        query = "?alt=sse" if sse else ""
    else:
        body = {**body, "model": model}
    return Ask(interaction, gateway_path(interaction["endpoint"], model, query), body)


def _events(text: str) -> list[tuple[str | None, Any]]:
    """(event name, JSON or text of its data) of each event of a stream that has data."""
    if text.lstrip().startswith("["):
        return [(None, element) for element in json.loads(text)]
    found: list[tuple[str | None, Any]] = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        name, data = None, []
        for line in block.split("\n"):
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].strip())
        if data:
            joined = "\n".join(data)
            found.append((name, joined if joined == "[DONE]" else json.loads(joined)))
    return found


def _may_be_kept_back(interaction: dict[str, Any], event: tuple[str | None, Any]) -> bool:
    """A usage chunk that the caller did not ask for: it comes because the gateway did."""
    options = interaction["request"]["body"].get("stream_options") or {}
    chunk = event[1]
    return (
        interaction["endpoint"] in ("chat/completions", "completions")
        and not options.get("include_usage")
        and isinstance(chunk, dict)
        and bool(chunk.get("usage"))
        and not chunk.get("choices")
    )


def _answer_problems(got: Got) -> list[str]:
    interaction = got.ask.of
    expected = interaction["response"]["body_text"]
    if got.status != 200:
        return [f"status {got.status}: {got.text[:300]}"]
    if not is_stream(interaction):
        return [] if json.loads(got.text) == json.loads(expected) else ["the JSON differs"]
    wanted = [event for event in _events(expected) if not _may_be_kept_back(interaction, event)]
    failed = next((at for at, (_, data) in enumerate(wanted) if _is_error(data)), None)
    if failed is not None:  # nothing follows an error, no [DONE] either
        wanted = wanted[: failed + 1]
    return [] if _events(got.text) == wanted else [f"events differ: {len(_events(got.text))} of {len(wanted)}"]


def _is_error(data: Any) -> bool:
    return isinstance(data, dict) and bool(data.get("error"))


def _row_problems(interaction: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    if interaction["endpoint"] in COUNTS:
        return [f"a count is free, yet has {len(rows)} rows"] if rows else []
    if len(rows) != 1:
        return [f"{len(rows)} rows"]
    row = rows[0]
    body = interaction["response"]["body_text"]
    failed = is_stream(interaction) and any(_is_error(data) for _, data in _events(body))
    status = "error" if failed else "success"
    problems = [] if row["status"] == status else [f"row says {row['status']} {row['error_message']}"]
    problems += [] if row["model"] == interaction["id"] else [f"row's model is {row['model']}"]
    expected = _counts(interaction)
    if expected is None:
        return problems + ([] if row["estimated"] else ["not marked as estimated"])
    different = {name: (row[name], count) for name, count in expected.items() if row[name] != count}
    if different:
        problems.append(f"row != recorded: {different}")
    return problems + (["marked as estimated"] if row["estimated"] else [])


def _counts(interaction: dict[str, Any]) -> dict[str, int] | None:
    """What the row must say, None where the provider counted nothing."""
    if interaction["endpoint"] not in DIALECT_OF:
        return counted(interaction)
    expected = said(interaction)
    return expected.counts if any("token" in name.lower() for name in expected.usage) else None


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    with Upstream() as upstream:
        config = {"providers": providers(upstream.url, index())}
        with Deployment(tmp_path_factory.mktemp("native"), upstream.url, config=config) as deployment:
            yield deployment, upstream


def test_every_recorded_answer_in_its_own_dialect(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    score = Score()
    asks: list[Ask] = []
    for row in index():
        if reason := _wanted(row):
            score.note(row, reason)
            continue
        interaction = load(row)
        asks.append(_ask(interaction))
        put(upstream, interaction)
    # What refers to an earlier response goes first, when no answer has made that response known yet.
    asks.sort(key=lambda ask: _refusal(ask.of) is None)
    first = sum(_refusal(ask.of) is not None for ask in asks)
    answers = ask_all(deployment, asks[:first]) + ask_all(deployment, asks[first:])
    billed = [got for got in answers if got.status == 200 and got.ask.of["endpoint"] not in COUNTS]
    rows = ledger_rows(deployment, len(billed))
    for got in answers:
        interaction = got.ask.of
        found = rows.pop(got.headers["x-request-id"], [])
        if refusal := _refusal(interaction):
            problems = [] if got.status == refusal[0] else [f"status {got.status}, expected {refusal[1]}"]
            score.check(interaction, problems + ["has a row"] * bool(found), refusal[1])
            continue
        score.check(interaction, _answer_problems(got) + _row_problems(interaction, found))
    sys.stdout.write(f"\n{score.table()}\n")
    assert not score.failures, score.verdict()
    assert not rows, f"rows of no call: {rows}"
    assert score.total("passed") > 1100, score.verdict()
