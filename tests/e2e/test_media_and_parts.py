"""What callers get wrong, on every chat surface and for every upstream: a 400 in their own shape that names the place.

A request that stays in its dialect is passed through, and its provider judges it; what is not JSON, nested without
end, or no text at all is refused either way. Nothing that a caller sends is ever a 500.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from tests.asking import DIALECTS, declared, question
from tests.behind import Ask, Got, ask_all, dialect_of, is_stream
from tests.deployment import Deployment
from tests.replay import Upstream, answer_of
from tests.traffic import index, load, needs_traffic

pytestmark = [needs_traffic, pytest.mark.timeout(240)]

UPSTREAMS: dict[str, tuple[str, str, str]] = {  # entry: its type, its dialect, the path it answers at
    "chat": ("openai", "openai_chat", "/chat/v1/chat/completions"),
    "responses": ("openai", "openai_responses", "/responses/v1/responses"),
    "messages": ("anthropic", "anthropic_messages", "/messages/v1/messages"),
    "google": ("gemini", "gemini", "/google/v1beta/models/m:generateContent"),
    "ollama": ("ollama", "openai_chat", "/ollama/v1/chat/completions"),
}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYPgPAAEDAQAIicLsAAAAAElFTkSuQmCC"
DEEP = 20_000
_OWNERS = {
    "openai_chat": "openai",
    "openai_responses": "openai",
    "anthropic_messages": "anthropic",
    "gemini": "gemini",
}


def _plain_answer(dialect: str, *, stream: bool) -> dict[str, Any]:
    """A recorded answer with nothing special to it."""
    return next(
        load(row)
        for row in index()
        if row["provider"] == _OWNERS[dialect]
        and dialect_of(row) == dialect
        and row["endpoint"] in ("chat/completions", "responses", "messages", "generateContent", "streamGenerateContent")
        and row["status"] == 200
        and is_stream(row) is stream
        and not {"tool-call", "json-array-stream", "response-only", "background", "mid-stream-error"} & set(row["kind"])
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    with Upstream() as upstream:
        providers: dict[str, Any] = {}
        for name, (kind, dialect, path) in UPSTREAMS.items():
            base = "/v1" if dialect.startswith("openai") else ""
            providers[name] = {"type": kind, "api_key": "k", "api_base": f"{upstream.url}/{name}{base}"}
            providers[name]["dialects"] = [dialect]
            upstream.on(path, answer_of(_plain_answer(dialect, stream=False)))
            streaming = path.replace(":generateContent", ":streamGenerateContent")
            upstream.on(streaming, answer_of(_plain_answer(dialect, stream=True)), stream=True)
        with Deployment(tmp_path_factory.mktemp("parts"), upstream.url, config={"providers": providers}) as deployment:
            yield deployment, upstream


def _foreign(dialect: str) -> list[str]:
    """Upstreams that do not speak the dialect, so that a request for them is understood here."""
    return [name for name, (_, spoken, _) in UPSTREAMS.items() if spoken != dialect]


def _refusal_problems(got: Got, paths: tuple[str, ...], status: int = 400) -> list[str]:
    problems = [] if got.status == status else [f"status {got.status}"]
    told = json.loads(got.text).get("error")
    if not isinstance(told, dict) or not told.get("message"):
        return [*problems, "no message"]
    named = str(told.get("param") or told["message"]) + json.dumps(told.get("details"))
    if paths and not any(path in named for path in paths):
        problems.append(f"names {named!r}, not {paths}")
    match got.ask.name:
        case "anthropic_messages":
            fine = json.loads(got.text)["type"] == "error" and told["type"] == "invalid_request_error"
        case "gemini":
            fine = told["code"] == status and told["status"] == "INVALID_ARGUMENT"
        case _:
            fine = told["type"] == "invalid_request_error" and "detail" in json.loads(got.text)
    return problems if fine else [*problems, f"shape {got.text[:200]}"]


def _asks(dialect: str, bodies: list[tuple[Any, Any]], upstreams: list[str]) -> list[Ask]:
    asks = []
    for name in upstreams:
        for body, note in bodies:
            path, plain = question(dialect, f"{name}:m", [], stream=False)
            whole = body if isinstance(body, bytes) else {**plain, **body}
            asks.append(Ask({"note": note, "body": body, "upstream": name}, path, whole, name=dialect))
    return asks


# --------------------------------------------------------------------------------------------- named places
def _user(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def _input(*parts: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": list(parts)}]}


def _contents(*parts: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": list(parts)}]}


TEXT = {"type": "text", "text": "see"}
NAMED: dict[str, list[tuple[dict[str, Any], str]]] = {
    "openai_chat": [
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        (_user(TEXT, "x"), "messages[0].content[1]"),
        (_user(TEXT, {"type": "hologram"}), "messages[0].content[1]"),
        (_user(TEXT, {"type": "text", "text": 5}), "messages[0].content[1].text"),
        (_user({"type": "image_url", "image_url": {"url": "data:image/png;base64,@@@"}}), "messages[0].content[0]"),
        (_user({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}), "messages[0].content[0]"),
        (_user({"type": "image_url", "image_url": 7}), "messages[0].content[0].image_url"),
        (_user({"type": "input_audio", "input_audio": {"data": "@", "format": "wav"}}), "messages[0].content[0]"),
        (_user({"type": "file", "file": {"file_data": "data:application/pdf;base64,@"}}), "messages[0].content[0]"),
        ({"messages": [{"role": "tool", "tool_call_id": "nobody", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}, "messages[0].tool_calls[0]"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"tools": [{"type": "function", "function": {"name": 5}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"stop": 5}, "stop"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"reasoning_effort": 3}, "reasoning_effort"),
        ({"parallel_tool_calls": "yes"}, "parallel_tool_calls"),
    ],
    "openai_responses": [
        ({"input": 5}, "input"),
        ({"input": [5]}, "input[0]"),
        (_input(5), "input[0].content[0]"),
        (_input({"type": "input_text", "text": 5}), "input[0].content[0].text"),
        (_input({"type": "hologram"}), "input[0].content[0]"),
        (_input({"type": "input_image", "image_url": "data:image/png;base64,@@@"}), "input[0].content[0]"),
        (_input({"type": "input_image", "image_url": "file:///etc/passwd"}), "input[0].content[0]"),
        (_input({"type": "input_file", "file_data": "data:application/pdf;base64,@"}), "input[0].content[0]"),
        ({"input": [{"type": "function_call_output", "call_id": "nobody", "output": "x"}]}, "input[0]"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
        ({"instructions": 5}, "instructions"),
        ({"tools": "f"}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": 5}, "tool_choice"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_output_tokens": "many"}, "max_output_tokens"),
        ({"text": {"format": {"type": "xml"}}}, "text.format"),
        ({"reasoning": "high"}, "reasoning"),
    ],
    "anthropic_messages": [
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        (_user(TEXT, 5), "messages[0].content[1]"),
        (_user({"type": "hologram"}), "messages[0].content[0]"),
        (_user({"type": "text"}), "messages[0].content[0].text"),
        (
            _user({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "@@@"}}),
            "messages[0].content[0].source",
        ),
        (_user({"type": "image", "source": {"type": "carrier-pigeon"}}), "messages[0].content[0].source"),
        (_user({"type": "image", "source": {"type": "url", "url": "file:///etc"}}), "messages[0].content[0]"),
        (_user({"type": "image"}), "messages[0].content[0].source"),
        (_user({"type": "tool_result", "tool_use_id": "nobody", "content": "x"}), "messages[0].content[0]"),
        (_user({"type": "tool_result", "content": "x"}), "messages[0].content[0].tool_use_id"),
        ({"system": 5}, "system"),
        ({"system": [{"type": "image"}]}, "system[0]"),
        ({"tools": 5}, "tools"),
        ({"tools": [{"name": 5, "input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"name": "f", "input_schema": "x"}]}, "tools[0].input_schema"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": 5}}, "tool_choice"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"temperature": []}, "temperature"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"thinking": "on"}, "thinking"),
        ({"thinking": {"type": "enabled", "budget_tokens": "x"}}, "thinking.budget_tokens"),
    ],
    "gemini": [
        ({"contents": [5]}, "contents[0]"),
        ({"contents": [{"role": "narrator", "parts": [{"text": "x"}]}]}, "contents[0].role"),
        ({"contents": [{"role": "user", "parts": 5}]}, "contents[0].parts"),
        (_contents(5), "contents[0].parts[0]"),
        (_contents({}), "contents[0].parts[0]"),
        (_contents({"text": 5}), "contents[0].parts[0].text"),
        (_contents({"inlineData": {"mimeType": "image/png", "data": "@@@"}}), "contents[0].parts[0].inlineData"),
        (_contents({"inlineData": {"mimeType": 5, "data": PNG}}), "contents[0].parts[0].inlineData.mimeType"),
        (_contents({"fileData": {"fileUri": 5}}), "contents[0].parts[0].fileData"),
        (_contents({"functionResponse": {"name": "nobody", "response": {}}}), "contents[0].parts[0]"),
        ({"systemInstruction": 5}, "systemInstruction"),
        ({"tools": 5}, "tools"),
        ({"tools": [{"functionDeclarations": [{"name": 5}]}]}, "tools[0].functionDeclarations[0].name"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOMETIMES"}}}, "toolConfig.functionCallingConfig.mode"),
        ({"generationConfig": 5}, "generationConfig"),
        ({"generationConfig": {"temperature": "hot"}}, "generationConfig.temperature"),
        ({"generationConfig": {"maxOutputTokens": "many"}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"stopSequences": 5}}, "generationConfig.stopSequences"),
        ({"generationConfig": {"thinkingConfig": 5}}, "generationConfig.thinkingConfig"),
    ],
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_wrong_is_named(place: tuple[Deployment, Upstream], dialect: str) -> None:
    deployment, upstream = place
    before = len(upstream.calls)
    wrong = []
    for got in ask_all(deployment, _asks(dialect, list(NAMED[dialect]), _foreign(dialect))):
        if problems := _refusal_problems(got, (got.ask.of["note"],)):
            wrong.append(f"{got.ask.of['upstream']} {json.dumps(got.ask.of['body'])}: {problems}")
    assert not wrong, "\n".join(wrong)
    assert len(upstream.calls) == before


# --------------------------------------------------------------------------------------------- media that do not fit
ADDRESS = "https://pictures.example/gate.png"
IMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "openai_responses": (_input({"type": "input_image", "image_url": ADDRESS}), "input[0].content[0]"),
    "anthropic_messages": (
        _user({"type": "image", "source": {"type": "url", "url": ADDRESS}}),
        "messages[0].content[0]",
    ),
    "gemini": (_contents({"fileData": {"mimeType": "image/png", "fileUri": ADDRESS}}), "contents[0].parts[0]"),
}


@pytest.mark.parametrize("dialect", IMAGES)
def test_an_image_address_for_an_upstream_that_takes_none(place: tuple[Deployment, Upstream], dialect: str) -> None:
    deployment, upstream = place
    before = len(upstream.calls)
    body, path = IMAGES[dialect]
    [got] = ask_all(deployment, _asks(dialect, [(body, path)], ["ollama"]))
    assert _refusal_problems(got, (path,)) == []
    assert len(upstream.calls) == before
    [got] = ask_all(deployment, _asks(dialect, [(body, path)], ["chat" if dialect != "openai_chat" else "messages"]))
    assert got.status == 200
    assert ADDRESS in json.dumps(upstream.calls[-1].json)


UNFIT: list[tuple[str, dict[str, Any], str, list[str]]] = [
    (
        "openai_chat",
        _user({"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}}),
        "messages[0].content[0]",
        ["messages", "responses"],
    ),
    (
        "openai_chat",
        _user({"type": "image_url", "image_url": {"url": "data:image/tiff;base64," + PNG}}),
        "messages[0].content[0]",
        ["messages"],
    ),
    ("openai_chat", _user({"type": "file", "file": {"file_id": "file-1"}}), "messages[0].content[0]", ["google"]),
    (
        "gemini",
        _contents({"inlineData": {"mimeType": "audio/wav", "data": PNG}}),
        "contents[0].parts[0]",
        ["messages", "responses"],
    ),
    (
        "gemini",
        _contents({"inlineData": {"mimeType": "video/mp4", "data": PNG}}),
        "contents[0].parts[0]",
        ["messages", "responses", "chat"],
    ),
    (
        "gemini",
        _contents({"fileData": {"mimeType": "image/png", "fileUri": "gs://bucket/x.png"}}),
        "contents[0].parts[0]",
        ["messages", "responses", "chat"],
    ),
    (
        "gemini",
        _contents({"fileData": {"mimeType": "application/pdf", "fileUri": "file:///etc/passwd"}}),
        "contents[0].parts[0]",
        ["messages", "responses", "chat"],
    ),
    (
        "gemini",
        _contents({"fileData": {"fileUri": "https://youtu.be/x"}}),
        "contents[0].parts[0]",
        ["messages", "responses", "chat"],
    ),
    (
        "anthropic_messages",
        _user({"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
        "messages[0].content[0]",
        ["google"],
    ),
]


@pytest.mark.parametrize("case", UNFIT, ids=lambda case: f"{case[0]}-{case[2]}")
def test_media_that_an_upstream_cannot_take(
    place: tuple[Deployment, Upstream], case: tuple[str, dict[str, Any], str, list[str]]
) -> None:
    deployment, upstream = place
    dialect, body, path, upstreams = case
    before = len(upstream.calls)
    for got in ask_all(deployment, _asks(dialect, [(body, path)], upstreams)):
        assert _refusal_problems(got, (path,)) == [], (got.ask.of["upstream"], got.text)
    assert len(upstream.calls) == before


@pytest.mark.parametrize(
    ("dialect", "body", "lost"),
    [
        ("openai_responses", {"input": [{"role": "user", "content": "x"}, {"type": "hologram"}]}, "input[1]"),
        ("anthropic_messages", {"tool_choice": {"type": "sometimes"}}, "tool_choice"),
    ],
)
def test_what_a_newer_client_may_mean_is_left_out_and_named(
    place: tuple[Deployment, Upstream], dialect: str, body: dict[str, Any], lost: str
) -> None:
    for got in ask_all(place[0], _asks(dialect, [(body, lost)], _foreign(dialect))):
        assert got.status == 200, got.text
        assert lost in got.headers["x-tollgate-dropped"].split(", "), got.ask.of


# --------------------------------------------------------------------------------------------- not even JSON
def _monsters(dialect: str, model: str) -> list[tuple[bytes, str]]:
    """Bodies that no parser should be hurt by."""
    _, body = question(dialect, model, [], stream=False)
    head = json.dumps(body)[:-1].encode()
    turns = "contents" if dialect == "gemini" else "input" if dialect == "openai_responses" else "messages"
    nested = b"[" * DEEP + b"]" * DEEP
    objects = b'{"a":' * DEEP + b"1" + b"}" * DEEP
    return [
        (b"", "nothing"),
        (b"{", "half"),
        (b"null", "null"),
        (b'"text"', "text"),
        (b"[" * DEEP, "open arrays"),
        (b"\xff\xfe\x00", "no UTF-8"),
        (head + b', "x": "\xff"}', "no UTF-8 inside"),
        (head + b', "x": "\\ud800"}', "half a surrogate"),
        (head + b', "x": NaN}', "NaN"),
        (head + b', "x": ' + nested + b"}", "deep arrays"),
        (head + b', "tools": ' + objects + b"}", "deep objects"),
        (head + b', "' + turns.encode() + b'": ' + nested + b"}", "deep turns"),
    ]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_no_json_is_400_for_every_upstream(place: tuple[Deployment, Upstream], dialect: str) -> None:
    deployment, upstream = place
    before = len(upstream.calls)
    asks: list[Ask] = []
    for name in UPSTREAMS:
        asks += _asks(dialect, list(_monsters(dialect, f"{name}:m")), [name])
    for got in ask_all(deployment, asks):
        assert _refusal_problems(got, ()) == [], (got.ask.of["upstream"], got.ask.of["note"], got.text[:200])
    assert len(upstream.calls) == before


@pytest.mark.parametrize("dialect", DIALECTS)
def test_gigantic_numbers_and_texts_hurt_nobody(place: tuple[Deployment, Upstream], dialect: str) -> None:
    deployment, _ = place
    for value in (b"1" * 5000, b"1e400", b"-1e-400", b'"' + b"x" * 1_000_000 + b'"'):
        asks = []
        for name in UPSTREAMS:
            path, body = question(dialect, f"{name}:m", [], stream=False)
            for field in (b"temperature", b"x", b"user" if dialect != "gemini" else b"labels"):
                raw = json.dumps(body)[:-1].encode() + b', "' + field + b'": ' + value + b"}"
                asks.append(Ask({"note": field, "upstream": name}, path, raw, name=dialect))
        for got in ask_all(deployment, asks):
            assert got.status in (200, 400), (value[:10], got.ask.of, got.text[:200])


# --------------------------------------------------------------------------------------------- recorded, then spoilt
_PER_DIALECT = 150
_ODD: list[Any] = [
    None, True, -1, 0, 2**70, 1.5, "", "x", "\u0000", "안녕", "data:image/png;base64,@", [], {}, [[]], [None], ["x", 1],
    {"type": "x"}, {"type": None}, {"a": {"b": []}}, [{"type": "text", "text": None}], [{}] * 3,
]  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from _places(child, (*path, key))


def _spoil(body: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """One to three places of a request are replaced, removed or doubled."""
    spoilt = deepcopy(body)
    for _ in range(chance.randint(1, 3)):
        places = [path for path in _places(spoilt) if path[0] not in ("model", "stream")]
        if not places:
            break
        *parents, last = chance.choice(places)
        holder: Any = spoilt
        for step in parents:
            holder = holder[step]
        match chance.randrange(4):
            case 0:
                del holder[last]
            case 1 if isinstance(holder, list):
                holder.insert(last, deepcopy(holder[last]))
            case _:
                holder[last] = deepcopy(chance.choice(_ODD))
    return spoilt


@pytest.mark.parametrize("dialect", DIALECTS)
def test_spoilt_requests_are_answered_or_refused(place: tuple[Deployment, Upstream], dialect: str) -> None:
    deployment, _ = place
    chance = random.Random(f"spoilt {dialect}")
    rows = [
        row
        for row in index()
        if dialect_of(row) == dialect
        and row["endpoint"] in ("chat/completions", "responses", "messages", "generateContent")
        and "response-only" not in row["kind"]
        and row["bytes"] < 30_000
    ]
    asks: list[Ask] = []
    for _ in range(_PER_DIALECT):
        interaction = load(chance.choice(rows))
        body = _spoil(interaction["request"]["body"], chance)
        for name in (*_foreign(dialect), *(name for name in UPSTREAMS if UPSTREAMS[name][1] == dialect))[:4]:
            path, _ = question(dialect, f"{name}:m", declared(dialect, {}), stream=False)
            whole = body if dialect == "gemini" else {**body, "model": f"{name}:m", "stream": False}
            asks.append(Ask({"upstream": name, "id": interaction["id"]}, path, whole, name=dialect))
    answered = 0
    for got in ask_all(deployment, asks):
        where = (got.ask.of, json.dumps(got.ask.body)[:1500], got.text[:300])
        assert got.status in (200, 400, 404), where
        answered += got.status == 200
        if got.status == 400:
            assert _refusal_problems(got, ()) == [], where
    assert answered > len(asks) // 10
    assert "Traceback" not in deployment.log_text()
