"""What goes wrong upstream, as recorded and on purpose, asked for in each of the four dialects (DESIGN section 3.5)."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.asking import DIALECTS, question
from tests.behind import PATHS, Ask, Got, Score, ask_all, entry_of, gateway_path, is_stream, providers, put, rows_of
from tests.deployment import Deployment
from tests.recorded import DIALECT_OF, documents, heard, said
from tests.replay import Answer, Upstream, answer_of, error
from tests.traffic import index, load, needs_traffic

pytestmark = [needs_traffic, pytest.mark.timeout(240)]

KEPT = {400, 404, 413, 422, 429}
# The operator's fault, though the provider calls it a bad request.
OPERATORS = re.compile(r"API key not valid|Incorrect API key|credit balance is too low")
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    502: "api_error",
    504: "timeout_error",
}
_GOOGLE_STATUSES = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    with Upstream() as upstream:
        config = {"providers": providers(upstream.url, index())}
        with Deployment(tmp_path_factory.mktemp("errors"), upstream.url, config=config) as deployment:
            yield deployment, upstream


def shape_problems(dialect: str, got: Got, status: int) -> list[str]:
    """What is wrong with an error's status and shape in the caller's dialect."""
    problems = [] if got.status == status else [f"status {got.status}, not {status}: {got.text[:200]}"]
    body = json.loads(got.text)
    told = body.get("error")
    if not isinstance(told, dict) or not isinstance(told.get("message"), str) or not told["message"]:
        return [*problems, f"no message: {got.text[:200]}"]
    match dialect:
        case "anthropic_messages":
            fine = body["type"] == "error" and told["type"] == _ANTHROPIC_TYPES.get(got.status, told["type"])
        case "gemini":
            word = _GOOGLE_STATUSES.get(got.status, told.get("status"))
            fine = told["code"] == got.status and told["status"] == word and bool(word)
        case "openai_responses":
            fine = {"message", "type", "param", "code"} <= set(told)
        case _:
            fine = {"message", "type", "param", "code"} <= set(told) and bool(body["detail"])
    if not fine:
        problems.append(f"shape: {got.text[:200]}")
    if re.search(r"sentinel|Traceback|127\.0\.0\.1", got.text + str(got.headers)):
        problems.append("an internal detail got out")
    return problems


def _status(recorded: int, body: str) -> int:
    if recorded == 400 and OPERATORS.search(body):
        return 502
    return recorded if recorded in KEPT else 502


def _own(interaction: dict[str, Any]) -> Ask:
    """The recorded request itself, for surfaces without a fixed question."""
    model = f"{entry_of(interaction)}:{interaction['id']}"
    body = interaction["request"]["body"]
    if interaction["endpoint"] != "countTokens":
        body = {**body, "model": model}
    dialect = {"messages/count_tokens": "anthropic_messages", "countTokens": "gemini"}
    name = dialect.get(interaction["endpoint"], "openai_chat")
    return Ask(interaction, gateway_path(interaction["endpoint"], model), body, name=name)


def _asks(interaction: dict[str, Any], *, stream: bool) -> Iterator[Ask]:
    if interaction["endpoint"] not in DIALECT_OF:
        yield _own(interaction)
        return
    model = f"{entry_of(interaction)}:{interaction['id']}"
    for asking in DIALECTS:
        path, body = question(asking, model, [], stream=stream)
        yield Ask(interaction, path, body, name=asking)


def test_recorded_errors_in_every_dialect(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    score = Score()
    asks: list[Ask] = []
    for row in index():
        if row["status"] < 400 or row["endpoint"] not in PATHS:
            continue
        interaction = load(row)
        if interaction["request"] is None and interaction["endpoint"] not in DIALECT_OF:
            score.note(row, "its request is not known")
            continue
        put(upstream, interaction)
        asks += _asks(interaction, stream=interaction["endpoint"] == "streamGenerateContent")
    answers = ask_all(deployment, asks)
    rows = rows_of(deployment, sum("count" not in got.ask.path for got in answers))
    for got in answers:
        score.check(got.ask.of, _recorded_problems(got, rows.get(got.headers["x-request-id"], [])))
    assert not score.failures, score.verdict()
    assert score.total("passed") > 450, score.table()
    assert "sentinel" not in deployment.log_text()


def _recorded_problems(got: Got, rows: list[dict[str, Any]]) -> list[str]:
    interaction = got.ask.of
    body = interaction["response"]["body_text"]
    expected = _status(interaction["response"]["status"], body)
    problems = shape_problems(got.ask.name, got, expected)
    message = _message(body)
    # Its beginning: names of projects and keys are taken out.
    message = re.sub(r"projects/[^/`]+", "projects/***", message or "").split("sk-")[0][:60]
    if got.status in KEPT and message not in json.loads(got.text)["error"]["message"]:
        problems.append(f"message: {message[:100]!r} is not in {got.text[:200]}")
    if got.status == 502 and expected == 502 and interaction["response"]["status"] < 500:
        told = json.loads(got.text)["error"]
        if "credentials" not in told["message"] or told.get("code", "") not in ("upstream_credentials", 502, ""):
            problems.append(f"credentials: {got.text[:200]}")
    if (wait := _wait(interaction)) is not None and got.headers.get("retry-after") != str(wait):
        problems.append(f"retry-after {got.headers.get('retry-after')}, not {wait}")
    if "count" in got.ask.path:
        return problems + ["has a row"] * bool(rows)
    if not rows or rows[-1]["kind"] != "final" or {row["status"] for row in rows} != {"error"}:
        problems.append(f"rows: {[(row['kind'], row['status']) for row in rows]}")
    if any(row["total_tokens"] or row["http_status"] != interaction["response"]["status"] for row in rows):
        problems.append("a row has tokens, or another status than the upstream's")
    return [f"{got.ask.name}: {problem}" for problem in problems]


def _message(body: str) -> str | None:
    """The text of a recorded error, where it says one in a usual place."""
    try:
        told = next(documents(body))
    except (ValueError, StopIteration):
        return None
    inner = told.get("error", told)
    message = inner.get("message") if isinstance(inner, dict) else inner
    return message if isinstance(message, str) else None


def _wait(interaction: dict[str, Any]) -> int | None:
    """Whole seconds that the provider asked to wait, in its header or Google's details."""
    headers = {name.lower(): value for name, value in (interaction["response"]["headers"] or {}).items()}
    found = re.search(r'"retryDelay":\s*"([\d.]+)s"', interaction["response"]["body_text"])
    told = headers.get("retry-after") or (found[1] if found else None)
    return None if told is None else max(1, math.ceil(float(told)))


# --------------------------------------------------------------------------------------------- statuses nobody recorded
_BODIES: dict[str, dict[str, Any]] = {
    "openai_chat": {"error": {"message": "as said", "type": "some_error", "code": "some_code"}},
    "openai_responses": {"error": {"message": "as said", "type": "some_error", "code": "some_code"}},
    "anthropic_messages": {"type": "error", "error": {"type": "some_error", "message": "as said"}},
    "gemini": {"error": {"code": 500, "message": "as said", "status": "SOME"}},
}


def _template(dialect: str) -> dict[str, Any]:
    """A recorded interaction of the dialect's owner, to stand in for one that nobody recorded."""
    owner = {"openai_chat": "openai", "openai_responses": "openai", "anthropic_messages": "anthropic"}
    return load(
        next(
            row
            for row in index()
            if row["status"] == 200
            and row["provider"] == owner.get(dialect, "gemini")
            and DIALECT_OF.get(row["endpoint"]) == dialect
            and row["endpoint"] != "streamGenerateContent"
        )
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 418, 422, 429, 500, 503, 529])
def test_statuses_from_every_upstream(place: tuple[Deployment, Upstream], status: int) -> None:
    deployment, upstream = place
    asks: list[Ask] = []
    for dialect in DIALECTS:
        interaction = {**_template(dialect), "id": f"{dialect}-{status}"}
        put(upstream, interaction, error(status, _BODIES[dialect], {"retry-after": "37"}))
        asks += _asks(interaction, stream=False)
    expected = {418: 400}.get(status, status if status in KEPT else 502)
    for got in ask_all(deployment, asks):
        assert shape_problems(got.ask.name, got, expected) == [], (got.ask.of["id"], got.ask.name)
        message = json.loads(got.text)["error"]["message"]
        assert ("as said" in message) is (status not in (401, 403))
        if status in (429, 500, 503, 529):
            assert got.headers["retry-after"] == "37"
        told = json.loads(got.text)["error"]
        if got.ask.name.startswith("openai") and status in (401, 403):
            assert told["code"] == "upstream_credentials"


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"[]", b"\xff\xfe", b'{"error": 5}', b'{"a": "b"}'])
@pytest.mark.parametrize("status", [400, 502])
def test_a_proxys_page_in_place_of_an_error(place: tuple[Deployment, Upstream], status: int, body: bytes) -> None:
    deployment, upstream = place
    asks: list[Ask] = []
    for dialect in DIALECTS:
        interaction = {**_template(dialect), "id": f"{dialect}-page-{status}-{body.hex()}"}
        headers = {"content-type": "text/html", "retry-after": "60"}
        put(upstream, interaction, Answer(status, headers, (body,)))
        asks += _asks(interaction, stream=False)
    for got in ask_all(deployment, asks):
        assert shape_problems(got.ask.name, got, status) == [], (got.ask.of["id"], got.ask.name)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"<html></html>", b"\xff", b"[" * 5000, b'{"a":' * 5000])
def test_a_200_that_is_no_answer(place: tuple[Deployment, Upstream], body: bytes) -> None:
    """Whole or streamed: a 502, and never a stack trace. A stream of nothing is no answer either."""
    deployment, upstream = place
    asks: list[Ask] = []
    for dialect in DIALECTS:
        for stream in (False, True):
            interaction = {**_template(dialect), "id": f"{dialect}-{stream}-{body[:9].hex()}"}
            if dialect == "gemini" and stream:
                interaction["endpoint"] = "streamGenerateContent"
            pieces = (b"data: " + body + b"\n\n",) if stream else (body,)
            kind = "text/event-stream" if stream else "application/json"
            put(upstream, interaction, Answer(200, {"content-type": kind}, pieces))
            asks += _asks(interaction, stream=stream)
    for got in ask_all(deployment, asks):
        native = got.ask.of["id"].startswith(got.ask.name)
        if got.status == 200 and native:
            # What is passed through is not judged before it goes out; it must still end as an error.
            assert not _ends(got.ask.name, got.text), got.text
            continue
        assert got.status == 502, (got.ask.of["id"], got.ask.name, got.text)
        assert shape_problems(got.ask.name, got, 502) == []


# --------------------------------------------------------------------------------------------- after a 200
def _ends(dialect: str, text: str) -> bool:
    """Whether the dialect's own end of a whole stream is there."""
    match dialect:
        case "openai_chat":
            return "data: [DONE]" in text
        case "openai_responses":
            return '"type":"response.completed"' in text.replace(": ", ":") or "response.incomplete" in text
        case "anthropic_messages":
            return "message_stop" in text
        case _:
            return heard("gemini", text).error is None and heard("gemini", text).ended


def test_recorded_errors_inside_a_stream(place: tuple[Deployment, Upstream]) -> None:
    """They stay in-band, in the caller's dialect, and nothing that looks like an end follows."""
    deployment, upstream = place
    asks: list[Ask] = []
    for row in index():
        if "mid-stream-error" not in row["kind"] or row["endpoint"] not in DIALECT_OF:
            continue
        interaction = load(row)
        put(upstream, interaction)
        asks += _asks(interaction, stream=True)
    assert len(asks) >= 12
    for got in ask_all(deployment, asks):
        expected = said(got.ask.of)
        if got.status != 200:  # nothing had been said yet, so that it can be told plainly
            assert not expected.text + expected.thoughts
            assert shape_problems(got.ask.name, got, 429) == []
            continue
        answer = heard(got.ask.name, got.text)
        assert answer.error, got.text[-500:]
        assert not _ends(got.ask.name, got.text), got.text[-500:]
        assert expected.text == answer.text
        assert "".join(expected.thoughts.split()) == "".join(answer.thoughts.split())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_error_instead_of_an_answer_under_a_200(place: tuple[Deployment, Upstream], dialect: str) -> None:
    """Plain or as a stream's first event: nothing has gone out, so it is a plain error with a status of its own."""
    deployment, upstream = place
    asks: list[Ask] = []
    for stream in (False, True):
        interaction = {**_template(dialect), "id": f"{dialect}-200-{stream}"}
        body = json.dumps(_BODIES[dialect]).encode()
        if dialect == "gemini" and stream:
            interaction["endpoint"] = "streamGenerateContent"
        if stream:
            body = (b"event: error\n" if dialect == "anthropic_messages" else b"") + b"data: " + body + b"\n\n"
        kind = "text/event-stream" if stream else "application/json"
        put(upstream, interaction, Answer(200, {"content-type": kind}, (body,)))
        asks += _asks(interaction, stream=stream)
    for got in ask_all(deployment, asks):
        native = got.ask.name == dialect
        if native and got.status == 200:
            assert "as said" in got.text
            assert not _ends(dialect, got.text)
            continue
        assert shape_problems(got.ask.name, got, 502) == [], (got.ask.of["id"], got.ask.name)
        assert "as said" in got.text


def _cuts(interaction: dict[str, Any], chance: random.Random) -> Iterator[tuple[str, Answer]]:
    """The recorded stream, cut at a byte drawn by lot and at event boundaries: by a reset, or by a proper end."""
    whole = answer_of(interaction)
    size = len(whole.body)
    yield "byte", Answer(200, whole.headers, whole.pieces, length=False, cut_after=chance.randrange(1, size))
    pieces = answer_of({**interaction, "response": {**interaction["response"], "chunk_sizes": None}}).pieces
    step = max(1, len(pieces) // 8)
    for count in range(1, len(pieces), step):
        kept = pieces[:count]
        if (count // step) % 2:
            yield f"end{count}", Answer(200, whole.headers, kept, length=False)
        else:
            yield f"reset{count}", Answer(200, whole.headers, pieces, length=False, cut_after=len(b"".join(kept)))


def test_a_cut_stream_never_looks_whole(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    chance = random.Random(20)
    streams = [
        row
        for row in index()
        if row["endpoint"] in DIALECT_OF
        and is_stream(row)
        and row["status"] == 200
        and not {"mid-stream-error", "json-array-stream", "response-only", "n>1"} & set(row["kind"])
    ]
    asks: list[Ask] = []
    for row in streams[::20]:
        interaction = load(row)
        for name, answer in _cuts(interaction, chance):
            cut = {**interaction, "id": f"{interaction['id']}-{name}"}
            put(upstream, cut, answer)
            asks += _asks(cut, stream=True)
    assert len(asks) > 300
    answers = ask_all(deployment, asks)
    score = Score()
    for got in answers:
        score.check(got.ask.of, _cut_problems(got))
    assert not score.failures, score.verdict()


def _cut_problems(got: Got) -> list[str]:
    dialect = got.ask.name
    if got.status != 200:
        return shape_problems(dialect, got, 502)
    answer, expected = heard(dialect, got.text), said(got.ask.of)
    if answer.error:
        return [f"{dialect}: an end after an error"] if _ends(dialect, got.text) else []
    # The provider's own word for the end came before the cut: then all of it is there.
    whole = (answer.text, [call.name for call in answer.calls]) == (
        expected.text,
        [call.name for call in expected.calls],
    )
    return [] if answer.ended and whole else [f"{dialect}: a false end, or none: {got.text[-200:]!r}"]
