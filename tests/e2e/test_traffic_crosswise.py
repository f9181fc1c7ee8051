"""Every recorded conversation turn, asked for in the three dialects that its provider was not spoken to in."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.asking import DIALECTS, declared, question
from tests.behind import Ask, Got, Score, ask_all, dialect_of, entry_of, is_stream, providers, put, rows_of
from tests.deployment import Deployment
from tests.recorded import DIALECT_OF, Called, Said, documents, heard, said
from tests.replay import Upstream
from tests.traffic import index, load, needs_traffic

pytestmark = [needs_traffic, pytest.mark.timeout(400)]

# Token classes that a dialect's usage has a word for; the row has them all.
_TOLD = {
    "openai_chat": {
        "prompt_tokens", "completion_tokens", "cache_read_tokens", "reasoning_tokens", "input_audio_tokens",
        "output_audio_tokens",
    },
    "openai_responses": {"prompt_tokens", "completion_tokens", "cache_read_tokens", "reasoning_tokens"},
    "anthropic_messages": {
        "prompt_tokens", "completion_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
        "reasoning_tokens", "web_searches",
    },
    "gemini": {"prompt_tokens", "completion_tokens", "cache_read_tokens", "reasoning_tokens", "tool_input_tokens"},
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    with Upstream() as upstream:
        config = {"providers": providers(upstream.url, index())}
        with Deployment(tmp_path_factory.mktemp("crosswise"), upstream.url, config=config) as deployment:
            yield deployment, upstream


def _skipped(row: dict[str, Any]) -> str | None:
    if row["endpoint"] not in DIALECT_OF:
        return "not a chat endpoint of ours"
    if "response-only" in row["kind"]:
        return "its request is not known"
    if row["status"] != 200:
        return "recorded as an error"
    return None


def _unfinished(interaction: dict[str, Any]) -> str | None:
    found = list(documents(interaction["response"]["body_text"]))
    if any(document.get("error") for document in found):
        return "fails mid-stream"
    if any(document.get("status") in ("queued", "in_progress") for document in found[-1:]):
        return "not answered yet (background)"
    return None


def _asks(interaction: dict[str, Any]) -> Iterator[Ask]:
    spoken = dialect_of(interaction)
    tools = declared(spoken, interaction["request"]["body"])
    model = f"{entry_of(interaction)}:{interaction['id']}"
    for asking in DIALECTS:
        if asking != spoken:
            path, body = question(asking, model, tools, stream=is_stream(interaction))
            yield Ask(interaction, path, body, name=asking)


def _dropped(got: Got) -> list[str]:
    if not is_stream(got.ask.of):
        told = got.headers.get("x-tollgate-dropped", "")
    else:
        found = re.search(r"^: tollgate-dropped: (.*)$", got.text, re.MULTILINE)
        told = found[1] if found else ""
    return told.split(", ") if told else []


def _problems(got: Got, rows: list[dict[str, Any]]) -> list[str]:
    interaction, asking = got.ask.of, got.ask.name
    if got.status != 200 or got.broken:
        return [f"status {got.status}, broken {got.broken}: {got.text[:300]}"]
    expected, answer = said(interaction), heard(asking, got.text)
    problems = _differences(expected, answer, asking, _dropped(got), stream=is_stream(interaction))
    if not answer.ended:
        problems.append("no end")
    if len(rows) != 1:
        return [*problems, f"{len(rows)} rows"]
    (row,) = rows
    if row["status"] != "success":
        problems.append(f"row says {row['status']} {row['error_message']}")
    if _dropped(got) != list(row["dropped"]):
        problems.append(f"dropped: told {_dropped(got)}, row {row['dropped']}")
    problems += _losses(interaction, asking, _dropped(got))
    if any("token" in name.lower() for name in expected.usage):
        problems += [f"row's {n} {row[n]} != {c}" for n, c in expected.counts.items() if row[n] != c]
        given = answer.counts
        told = set(_TOLD[asking])
        if asking == "anthropic_messages" and expected.cached + expected.written > expected.prompt:
            told.remove("prompt_tokens")  # tokens both read and written: this dialect's counts are apart
        problems += [f"{n} {given[n]} != {c}" for n, c in expected.counts.items() if n in told and given[n] != c]
    return [f"{asking}: {problem}" for problem in problems]


def _differences(expected: Said, answer: Said, asking: str, dropped: list[str], *, stream: bool) -> list[str]:
    problems = []
    if answer.text + answer.refusal != expected.text + expected.refusal:
        problems.append(f"text {(answer.text + answer.refusal)[:80]!r} != {(expected.text + expected.refusal)[:80]!r}")
    if _joined(answer.thoughts) != _joined(expected.thoughts):
        problems.append(f"thoughts {answer.thoughts[:80]!r} != {expected.thoughts[:80]!r}")
    if (finish := _finish(expected, asking, dropped)) != answer.finish:
        problems.append(f"finish {answer.finish} != {finish} ({expected.finish})")
    theirs = [(call, _value(call, asking, stream=stream)) for call in expected.calls]
    theirs = [(call, value) for call, value in theirs if value is not _LOST]
    if len(theirs) < len(expected.calls) and not dropped:
        problems.append("a call is missing, and not in the dropped list")
    if [(c.name, c.value) for c in answer.calls] != [(c.name, value) for c, value in theirs]:
        problems.append(f"calls {answer.calls} != {theirs}"[:300])
    ids = [(c.id, o.id) for (c, _), o in zip(theirs, answer.calls, strict=False) if c.id and c.id != o.id]
    if ids:
        problems.append(f"ids {ids}")
    if answer.calls and len({c.id for c in answer.calls}) != len(answer.calls):
        problems.append("ids are not unique")
    return problems


_LOST = object()


def _value(call: Called, asking: str, *, stream: bool) -> Any:
    """The arguments as the asking dialect can say them: two know nothing but objects.

    What was cut in the middle is cut in Anthropic's stream as well; Gemini has no way to say it.
    """
    value = call.value
    if asking == "anthropic_messages" and stream and call.arguments.startswith("{"):
        return value
    if asking in ("openai_chat", "openai_responses") or isinstance(value, dict):
        return value
    if call.custom:
        return {"input": call.arguments}
    if value is None:
        return {}
    return {"_raw": call.arguments} if asking == "anthropic_messages" else _LOST


# Ends that a dialect has no word for, and what it says instead; all but a filter's are in the dropped list too.
_NEAREST = {
    ("openai_chat", "pause"): "stop",
    ("openai_chat", "refusal"): "content_filter",
    ("anthropic_messages", "content_filter"): "refusal",
    ("anthropic_messages", "error"): "stop",
    ("gemini", "pause"): "error",
    ("gemini", "refusal"): "content_filter",
}


def _finish(expected: Said, asking: str, dropped: list[str]) -> str:
    finish = expected.finish or ("tool_calls" if expected.calls else "stop")
    if expected.refusal and asking == "anthropic_messages":
        return "refusal"
    nearest = _NEAREST.get((asking, finish), finish)
    if finish in ("pause", "error") and nearest != finish and not dropped:
        return f"{nearest}, and said to be dropped"
    return "tool_calls" if expected.calls and nearest == "stop" else nearest


_CARRIED = {
    "anthropic_messages": {"text", "thinking", "redacted_thinking", "tool_use"},
    "openai_responses": {"message", "reasoning", "function_call", "custom_tool_call"},
}


def _native(interaction: dict[str, Any]) -> Iterator[tuple[str, int | None]]:
    """(type, position) of each part of the recorded answer that belongs to its dialect alone."""
    spoken = dialect_of(interaction)
    for document in documents(interaction["response"]["body_text"]):
        match spoken:
            case "anthropic_messages":
                found = list(enumerate(document.get("content") or []))
                if document.get("type") == "content_block_start":
                    found = [(document["index"], document["content_block"])]
                yield from ((block["type"], at) for at, block in found if block["type"] not in _CARRIED[spoken])
            case "openai_responses":
                items = list(enumerate(document.get("output") or []))
                if document.get("type") == "response.output_item.done":
                    items = [(document["output_index"], document["item"])]
                yield from ((item["type"], at) for at, item in items if item["type"] not in _CARRIED[spoken])
            case "gemini":
                for candidate in document.get("candidates") or []:
                    for at, part in enumerate((candidate.get("content") or {}).get("parts") or []):
                        names = {"executableCode", "codeExecutionResult", "toolCall", "toolResponse"} & set(part)
                        yield from ((name, at) for name in names)


def _losses(interaction: dict[str, Any], asking: str, dropped: list[str]) -> list[str]:
    """What the answer lost without saying so. A part is named by its type or by its place in the answer."""
    silent = [
        f"{kind} at {at} lost in silence: {dropped}"
        for kind, at in _native(interaction)
        if kind not in dropped and not any(name.endswith(f"[{at}]") for name in dropped)
    ]
    found = list(documents(interaction["response"]["body_text"]))
    choices = [choice for document in found for choice in document.get("choices") or []]
    others = {choice.get("index") for choice in choices} - {0, None}
    if asking in ("anthropic_messages", "openai_responses"):  # they have one answer only
        silent += [f"choice {at} lost in silence" for at in others if f"choices[{at}]" not in dropped]
    if asking == "anthropic_messages":
        scored = any((choice.get("logprobs") or {}).get("content") for choice in choices if choice.get("index") == 0)
        silent += ["logprobs lost in silence"] * (scored and "logprobs" not in dropped)
    return silent


def _joined(thoughts: str) -> str:
    """Without the blank lines that part one summary from the next, which each dialect puts in its own way."""
    return thoughts.replace("\n", "")


def test_every_recorded_turn_in_the_other_dialects(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    score = Score()
    asks: list[Ask] = []
    for row in index():
        if reason := _skipped(row):
            score.note(row, reason)
            continue
        interaction = load(row)
        if reason := _unfinished(interaction):
            score.note(row, reason)
            continue
        put(upstream, interaction)
        asks += _asks(interaction)
    answers = ask_all(deployment, asks)
    rows = rows_of(deployment, sum(got.status == 200 for got in answers))
    for got in answers:
        found = rows.pop(got.headers["x-request-id"], [])
        score.check(got.ask.of, _problems(got, found))
    sys.stdout.write(f"\n{score.table()}\n")
    assert not score.failures, score.verdict()
    assert not rows, f"rows of no call: {rows}"
