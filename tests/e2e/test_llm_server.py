"""The LLM Server API: recorded answers of every provider in its form, dialogues, the caller's own key, its errors.

On the embedded parts and on the stack's; without a key, as its clients are, and with one.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.deployment import MASTER_KEY, Deployment, providers_at
from tests.e2e.fleet import answer
from tests.e2e.sentinel import places_with
from tests.recorded import documents, said
from tests.replay import Answer, Upstream, answer_of, error, written
from tests.replay.answers import Gate
from tests.traffic import index, load, needs_traffic

CHAT, JOBS = "/api/v1/chat", "/api/v1/chat"
OWN = "own-key-of-the-caller-9876543210"
GUEST = "guest"
FIELDS = {
    "id", "request_id", "model", "provider", "output_text", "finish_reason", "citations", "usage", "cost", "timings",
    "history", "used_user_api_key", "created_at",
}  # fmt: skip
# Recorded answer, model, where the provider stands, and where its answer's messages are in a request.
WRITTEN = [
    ("openai-chat", "openai:gpt-4o-mini", ""),
    ("anthropic-messages", "claude:claude-haiku-4-5", ""),
    ("gemini-generate", "gemini:gemini-2.5-flash", ""),
    ("solar-chat", "solar:solar-pro4", "/solar"),
    ("local-chat", "local:tiny", "/local"),
]


@dataclass(frozen=True)
class Place:
    deployment: Deployment
    upstream: Upstream
    redis_url: str | None
    postgres_url: str | None

    def ask(self, key: Any = None, headers: Any = None, **body: Any) -> httpx.Response:
        """`key` None: without one. Their types are open because a body is given by name beside them."""
        return self.send("POST", CHAT, key, json.dumps(body).encode(), headers)

    def send(
        self,
        method: str,
        path: str,
        key: str | None = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        sent = {"content-type": "application/json", **(headers or {})}
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        return httpx.request(method, self.deployment.url + path, content=content, headers=sent, timeout=60)

    def key(self, user: str) -> str:
        made = self.deployment.post("/v1/keys", {"key_name": user, "user_id": user}, key=MASTER_KEY)
        assert made.status_code == 200, made.text
        return str(made.json()["key"])


def _config(url: str) -> dict[str, Any]:
    small = {"provider": "openai", "model": "gpt-4o-mini", "context_window": 300, "max_output_tokens": 100}
    searching = {"provider": "local", "model": "tiny", "fallbacks": [{"provider": "openai", "model": "gpt-4o-mini"}]}
    return {
        "auth": {"anonymous": {"user": GUEST, "surfaces": ["llm_server"]}},
        "models": {"small": small, "local-or-openai": searching},
        "llm_server": {"default_model": "openai:gpt-4o-mini", "port": 0, "system_prompts": {"en": "EN", "ko": "KO"}},
        "providers": {**providers_at(url), "mylab": {"type": "openai", "api_base": f"{url}/lab/v1", "api_key": "lab"}},
        "log_level": "debug",
    }


@pytest.fixture(scope="module", params=["embedded", "stack"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    stack = request.param == "stack"
    redis_url = request.getfixturevalue("redis_server_url") if stack else None
    database_url = request.getfixturevalue("module_postgres_url") if stack else None
    folder: Path = tmp_path_factory.mktemp(request.param)
    with (
        Upstream() as upstream,
        Deployment(
            folder, upstream.url, redis_url=redis_url, database_url=database_url, config=_config(upstream.url)
        ) as deployment,
    ):
        yield Place(deployment, upstream, redis_url, database_url)


@pytest.fixture(params=["without a key", "with a key"])
def key(request: pytest.FixtureRequest, place: Place) -> str | None:
    return place.deployment.key if request.param == "with a key" else None


def exactly(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def events(text: str) -> list[dict[str, Any]]:
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    assert all(block.startswith("data: ") for block in blocks), blocks
    return [exactly(block.removeprefix("data: ")) for block in blocks]


def whole(response: httpx.Response) -> dict[str, Any]:
    """The answer, put together from its events where it was streamed."""
    assert response.status_code == 200, response.text
    if not response.headers["content-type"].startswith("text/event-stream"):
        found: dict[str, Any] = exactly(response.text)
        return found
    *deltas, last = events(response.text)
    assert {event["type"] for event in deltas} <= {"delta"}
    assert last.pop("type") == "done"
    assert {event["request_id"] for event in deltas} <= {last["request_id"]}
    last["output_text"] = "".join(event["output_text"] for event in deltas)
    return last


def sent_texts(call: Any) -> list[tuple[str, str]]:
    """(role, text) of what an upstream was sent, the system prompt first, in whichever dialect."""
    body = call.json
    if "contents" in body:
        found = [("system", part["text"]) for part in body.get("systemInstruction", {}).get("parts", [])]
        roles = {"model": "assistant", "user": "user"}
        return found + [(roles[each["role"]], each["parts"][0]["text"]) for each in body["contents"]]
    found = [("system", _text(body[name])) for name in ("system", "instructions") if name in body]
    return found + [(each["role"], _text(each["content"])) for each in body.get("messages") or body["input"]]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


# ------------------------------------------------------------------------------------------- answers and dialogues
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("name", "model", "prefix"), WRITTEN)
def test_two_turns_over_every_provider(
    place: Place, key: str | None, name: str, model: str, prefix: str, stream: bool
) -> None:
    """The answer as recorded, billed as recorded; the second turn brings the first along."""
    interaction = written(f"{name}-stream" if stream else name)
    expected = said(interaction)
    place.upstream.forget()
    place.upstream.on(f"{prefix}{_path(interaction, model)}", answer_of(interaction))
    session = f"{name}-{stream}-{key is None}"
    found = []
    for prompt in ("첫 질문", "second question"):
        body = {"user_prompt": prompt, "request_id": session, "model": model, "stream": stream, "max_tokens": 64}
        found.append(whole(place.ask(key, **body, temperature=0.5)))
    for told in found:
        assert set(told) == FIELDS
        assert (told["request_id"], told["model"], told["output_text"]) == (session, model, expected.text)
        assert told["finish_reason"] == expected.finish
        counts = {"prompt_tokens": expected.prompt, "completion_tokens": expected.completion}
        assert told["usage"] == counts | {"total_tokens": expected.prompt + expected.completion}
        assert told["timings"]["total_ms"] >= told["timings"]["upstream_ms"] > 0
        assert (told["timings"]["first_token_ms"] is not None) == stream
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told["created_at"])
    assert [told["history"] for told in found] == [{"messages": 0, "left_out": 0}, {"messages": 2, "left_out": 0}]
    first, second = (sent_texts(call) for call in place.upstream.calls)
    assert first == [("system", "EN"), ("user", "첫 질문")]
    assert second == [*first, ("assistant", expected.text), ("user", "second question")]
    rows = place.deployment.rows(2, session_id=session)
    assert {row["user_id"] for row in rows} == {GUEST if key is None else rows[0]["user_id"]}
    for row, told in zip(rows[::-1], found, strict=True):
        assert (row["prompt_tokens"], row["completion_tokens"]) == (expected.prompt, expected.completion)
        assert row["endpoint"] == CHAT
        if row["cost"] is not None:
            assert abs(Decimal(str(row["cost"])) - told["cost"]["total_cost"]) <= Decimal("0.000001")
        assert told["cost"]["currency"] == "USD"


def _path(interaction: dict[str, Any], model: str) -> str:
    path = httpx.URL(interaction["request"]["url"]).path
    return re.sub(r"(?<=/models/)[^:]+", model.partition(":")[2], path)


def test_without_a_request_id_one_is_made(place: Place, key: str | None) -> None:
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", answer(10, 5))
    first = whole(place.ask(key, user_prompt="hello"))
    assert first["model"] == "openai:gpt-4o-mini"  # the configured default
    second = whole(place.ask(key, user_prompt="and?", request_id=first["request_id"]))
    assert second["history"]["messages"] == 2
    (row, _) = place.deployment.rows(2, session_id=first["request_id"])
    assert row["request_id"] != first["request_id"]


def test_history_is_read_and_kept_as_asked(place: Place) -> None:
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", answer(10, 5))
    session = "options"

    def messages(**body: Any) -> int:
        return int(whole(place.ask(request_id=session, **body))["history"]["messages"])

    assert messages(user_prompt="one") == 0
    assert messages(user_prompt="neither", history=False) == 0
    assert messages(user_prompt="two", history={"use": False}) == 0
    assert messages(user_prompt="read alone", history={"save": False}) == 4
    assert messages(user_prompt="last turn alone", history={"save": False, "max_turns": 1}) == 2
    assert messages(user_prompt="no turn", history={"save": False, "max_turns": 0}) == 0
    assert sent_texts(place.upstream.calls[3])[1::2] == [("user", "one"), ("user", "two"), ("user", "read alone")]


def test_the_system_prompt_stays_with_its_dialogue(place: Place) -> None:
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", answer(10, 5))
    for body in ({"system_prompt": "A"}, {}, {"system_prompt": "B"}, {}):
        whole(place.ask(user_prompt="hello", request_id="system", **body))
    assert [sent_texts(call)[0] for call in place.upstream.calls] == [("system", each) for each in "AABB"]


@pytest.mark.parametrize(("asked", "prompt"), [("ko-KR,ko;q=0.9,en;q=0.8", "KO"), ("en-US", "EN"), ("fr", "EN")])
def test_the_default_system_prompt_is_in_the_caller_s_language(place: Place, asked: str, prompt: str) -> None:
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", answer(10, 5))
    whole(place.ask(user_prompt="hello", headers={"accept-language": asked}))
    assert sent_texts(place.upstream.calls[0])[0] == ("system", prompt)


def test_a_dialogue_is_trimmed_at_the_window(place: Place) -> None:
    """The oldest turns are left out, whole; the system prompt and the new prompt stay; what is kept stays whole."""
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", answer(10, 5))
    left_out = []
    for number in range(8):
        body = {"user_prompt": f"질문 {number} " + "가나다라 " * 8, "system_prompt": "짧게", "request_id": "trimmed"}
        left_out.append(whole(place.ask(model="small", **body))["history"])
    assert left_out[0] == {"messages": 0, "left_out": 0}
    assert left_out[-1]["left_out"] > 0
    assert left_out[-1]["messages"] + left_out[-1]["left_out"] == 14
    last = sent_texts(place.upstream.calls[-1])
    assert last[0] == ("system", "짧게")
    assert [role for role, _ in last[1:]] == ["user", "assistant"] * (len(last) // 2 - 1) + ["user"]
    kept = [text.split()[1] for role, text in last if role == "user"]
    assert kept == [str(number) for number in range(8 - len(kept), 8)]
    # Nothing more would have fitted, by the gateway's own count: window less answer, less 5 %.
    assert 200 * 0.6 < sum(len(text.encode()) for _, text in last) / 3 * 0.8 < 300
    read = place.send("GET", "/api/v1/conversations/trimmed").json()
    assert len(read["messages"]) == 16


def test_a_turn_without_an_answer_is_not_kept(place: Place) -> None:
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", error(400, {"error": {"message": "no"}}), answer(1, 1))
    assert place.ask(user_prompt="one", request_id="failed").status_code == 400
    assert whole(place.ask(user_prompt="two", request_id="failed"))["history"]["messages"] == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_that_its_caller_did_not_wait_for_is_not_kept(place: Place, stream: bool) -> None:
    gate = Gate()
    held = answer_of(written("openai-chat-stream" if stream else "openai-chat"))
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", replace(held, length=False, gates={4 if stream else 0: gate}))
    body = json.dumps({"user_prompt": "and then?", "request_id": f"left-{stream}", "stream": stream}).encode()
    host, port = place.deployment.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as caller:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
        caller.sendall(head.encode() + body)
        place.upstream.wait(calls=1)
        if stream:
            assert caller.recv(100)
    httpx.get(place.deployment.url + "/health")  # by when it is answered, the gateway has seen who left
    gate.open()
    place.upstream.wait(finished=1)
    place.deployment.rows(1, session_id=f"left-{stream}")
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", answer(10, 5))
    assert whole(place.ask(user_prompt="again", request_id=f"left-{stream}"))["history"]["messages"] == 0


def test_dialogues_are_listed_read_and_deleted_by_their_user_alone(place: Place) -> None:
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", answer(10, 5))
    mine, theirs = place.key("lister"), place.key("somebody-else")
    for name in ("a", "b"):
        whole(place.ask(mine, user_prompt=f"about {name}", request_id=name, system_prompt="S"))
    assert whole(place.ask(theirs, user_prompt="mine too", request_id="a"))["history"]["messages"] == 0
    path = "/api/v1/conversations"
    listed = place.send("GET", path, mine).json()["conversations"]
    assert [(each["request_id"], each["title"], each["messages"]) for each in listed] == [
        ("b", "about b", 2),
        ("a", "about a", 2),
    ]
    assert len(place.send("GET", f"{path}?limit=1&skip=1", mine).json()["conversations"]) == 1
    read = place.send("GET", f"{path}/a", mine).json()
    assert (read["system_prompt"], [each["content"] for each in read["messages"]]) == ("S", ["about a", "hi"])
    assert place.send("GET", f"{path}/b", theirs).status_code == 404
    assert place.send("DELETE", f"{path}/b", theirs).status_code == 404
    assert place.send("DELETE", f"{path}/a", mine).json() == {"deleted": 1}
    assert place.send("GET", f"{path}/a", mine).status_code == 404
    assert place.send("GET", f"{path}/a", theirs).status_code == 200
    assert place.send("DELETE", path, mine).json() == {"deleted": 1}
    # The master key says whose; whoever has none sees no list.
    assert place.send("GET", path, MASTER_KEY).status_code == 400
    assert len(place.send("GET", f"{path}?user=somebody-else", MASTER_KEY).json()["conversations"]) == 1
    assert place.send("GET", path).status_code == 403
    assert place.send("DELETE", path).status_code == 403


def test_what_may_name_a_dialogue_reads_and_deletes_it(place: Place) -> None:
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", answer(10, 5))
    mine, name = place.key("namer"), "팀/가족 👨\u200d👩\u200d👧"
    assert whole(place.ask(mine, user_prompt="hello", request_id=name))["request_id"] == name
    place.deployment.rows(1, session_id=name)
    path = f"/api/v1/conversations/{quote(name, safe='')}"
    assert place.send("GET", path, mine).json()["request_id"] == name
    used = place.send("GET", f"/api/usage/session/{quote(name, safe='')}", mine).json()
    assert (used["session_id"], used["requests"]) == (name, 1)
    assert place.send("DELETE", path, mine).json() == {"deleted": 1}


def test_who_cannot_be_a_user_is_a_400(place: Place) -> None:
    for path in ("/api/v1/conversations", "/api/v1/conversations/a", "/api/v1/chat/some-job"):
        response = place.send("GET", f"{path}?user=%00", MASTER_KEY)
        assert response.status_code == 400
        assert "user" in response.json()["error"]["message"]


def test_the_master_key_names_the_user(place: Place) -> None:
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", answer(10, 5))
    place.key("named")
    assert place.ask(MASTER_KEY, user_prompt="x").status_code == 400
    assert whole(place.ask(MASTER_KEY, user_prompt="x", user="named", request_id="m"))["request_id"] == "m"
    (row,) = place.deployment.rows(1, session_id="m")
    assert row["user_id"] == "named"


# ------------------------------------------------------------------------------------------- the caller's own key
@pytest.mark.parametrize("stream", [False, True])
def test_the_caller_s_own_key_is_used_where_it_says_so(place: Place, key: str | None, stream: bool) -> None:
    place.upstream.forget()
    interaction = written("openai-chat-stream" if stream else "openai-chat")
    place.upstream.add(interaction)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"openai_api_key": OWN, "use_user_api_key": True}, OWN),
        ({"openai_api_key": OWN, "use_user_api_key": False}, "sentinel-openai-key"),
        ({"openai_api_key": OWN}, "sentinel-openai-key"),
        ({"use_user_api_key": True}, "sentinel-openai-key"),
        ({"openai_api_key": "", "use_user_api_key": True}, "sentinel-openai-key"),
        ({"openai_api_key": None, "use_user_api_key": None}, "sentinel-openai-key"),
    ]
    for body, used in cases:
        place.upstream.calls.clear()
        response = place.ask(key, user_prompt="hello", stream=stream, **body)
        told = whole(response)
        assert place.upstream.calls[-1].headers["authorization"] == f"Bearer {used}"
        assert OWN not in str(place.upstream.calls[-1].body)
        assert told["used_user_api_key"] == (used == OWN)
        (row,) = place.deployment.rows(1, request_id=response.headers["x-request-id"])
        assert row["byok"] == (used == OWN)
        assert (row["cost"] == 0) == (used == OWN)
        assert (told["cost"]["total_cost"] == 0) == (used == OWN)


def test_an_own_key_that_is_not_to_be_used_is_not_looked_at(place: Place) -> None:
    place.upstream.forget()
    place.upstream.add(written("anthropic-messages"))
    told = whole(place.ask(user_prompt="hello", model="claude-haiku-4-5", openai_api_key=OWN, use_user_api_key=False))
    assert told["used_user_api_key"] is False
    assert [call.headers["x-api-key"] for call in place.upstream.calls] == ["sentinel-anthropic-key"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_refused_own_key_is_a_401(place: Place, key: str | None, stream: bool) -> None:
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", error(401, {"error": {"message": f"Incorrect API key: {OWN}"}}))
    own = {"openai_api_key": OWN, "use_user_api_key": True}
    response = place.ask(key, user_prompt="hello", stream=stream, **own)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "own_key_refused"
    assert OWN not in response.text
    assert [call.headers["authorization"] for call in place.upstream.calls] == [f"Bearer {OWN}"]
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", error(401, {"error": {"message": "Incorrect API key"}}))
    assert place.ask(key, user_prompt="hello").status_code == 502  # the gateway's own


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": "claude-haiku-4-5"}, "openai_api_key"),
        ({"model": "gemini:gemini-2.5-flash"}, "openai_api_key"),
        ({"model": "local:tiny"}, "openai_api_key"),
        ({"model": "mylab:gpt-4o-mini"}, "openai_api_key"),  # of type openai, at an address that is not OpenAI's
        ({"background": True}, "background"),
        ({"openai_api_key": "too short"}, "openai_api_key"),
    ],
)
def test_where_an_own_key_cannot_be_used_it_is_a_400(place: Place, body: dict[str, Any], field: str) -> None:
    place.upstream.forget()
    response = place.ask(**({"user_prompt": "x", "openai_api_key": OWN, "use_user_api_key": True} | body))
    assert response.status_code == 400
    assert field in response.json()["error"]["message"] or field == "background"
    assert not place.upstream.calls


# ------------------------------------------------------------------------------------------- web search
_SEARCHED = {"openai": "responses", "anthropic": "messages", "gemini": "generateContent"}


def _searches() -> list[dict[str, Any]]:
    """Recorded answers with citations, a few of each provider, plain and streamed."""
    chosen: list[dict[str, Any]] = []
    for provider in _SEARCHED:
        for mode in ("non-stream", "stream"):
            rows = [
                row
                for row in index()
                if row["provider"] == provider
                and "web-search" in row["kind"]
                and mode in row["kind"]
                and row["status"] == 200
                and not {"response-only", "pause-turn", "code-execution"} & set(row["kind"])
                and row["endpoint"] in ("responses", "messages", "generateContent", "streamGenerateContent")
                and _cites(load(row)["response"]["body_text"])
            ]
            chosen += [{**row, "mode": mode} for row in rows[:3]]
    return chosen


def _cites(body: str) -> bool:
    return any(word in body for word in ("url_citation", "web_search_result_location", "groundingSupports"))


@needs_traffic
@pytest.mark.parametrize("row", _searches(), ids=lambda row: row["id"])
def test_web_search_comes_with_its_sources(place: Place, row: dict[str, Any]) -> None:
    interaction = load(row)
    place.upstream.forget()
    path = httpx.URL(interaction["request"]["url"]).path
    place.upstream.on(path, answer_of(interaction))
    model = f"{row['provider']}:{row['model']}"
    if row["provider"] == "gemini":
        model = "gemini:" + path.rpartition("/models/")[2].partition(":")[0]
    stream = row["mode"] == "stream"
    response = place.ask(user_prompt="news?", model=model, web_search=True, stream=stream, request_id=row["id"])
    told = whole(response)
    (call,) = place.upstream.calls
    tools = json.dumps(call.json["tools"])
    assert '"web_search' in tools or '"googleSearch"' in tools
    assert told["output_text"] == said(interaction).text
    assert told["citations"]
    spans = {told["output_text"][span["start"] : span["end"]] for each in told["citations"] for span in each["spans"]}
    assert spans >= _grounded(interaction)
    for source in told["citations"]:
        assert source["url"] or source["title"] or source["cited_text"]
        assert all(0 <= span["start"] <= span["end"] <= len(told["output_text"]) for span in source["spans"])
    assert "web_search" not in response.headers.get("x-tollgate-dropped", "")
    (billed,) = place.deployment.rows(1, session_id=row["id"])
    assert billed["web_searches"] == said(interaction).searches


def _grounded(interaction: dict[str, Any]) -> set[str]:
    """The words that Gemini says to rest on a source, where it names it; OpenAI and Anthropic do not repeat them."""
    found: set[str] = set()
    for document in documents(interaction["response"]["body_text"]):
        for candidate in document.get("candidates") or []:
            grounding = candidate.get("groundingMetadata") or {}
            for support in grounding.get("groundingSupports") or []:
                if support.get("groundingChunkIndices"):
                    found.add(support["segment"]["text"])
    return found


def test_only_targets_that_can_search_are_asked(place: Place) -> None:
    place.upstream.forget()
    response = place.ask(user_prompt="news?", model="local:tiny", web_search=True)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "no_web_search"
    interaction: dict[str, Any] = {"id": "r", "object": "response", "status": "completed", "output": [], "usage": None}
    place.upstream.on("/v1/responses", Answer(pieces=(json.dumps(interaction).encode(),)))
    assert place.ask(user_prompt="news?", model="local-or-openai", web_search=True).status_code == 200
    assert [call.path for call in place.upstream.calls] == ["/v1/responses"]
    assert place.upstream.calls[0].json["store"] is False


# ------------------------------------------------------------------------------------------- errors and bad input
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "user_prompt"),
        ({"user_prompt": ""}, "user_prompt"),
        ({"user_prompt": " \n"}, "user_prompt"),
        ({"user_prompt": 7}, "user_prompt"),
        ({"user_prompt": ["a"]}, "user_prompt"),
        ({"user_prompt": "a\x00b"}, "user_prompt"),
        ({"user_prompt": "a", "system_prompt": "a\x00b"}, "system_prompt"),
        ({"user_prompt": "a", "system_prompt": {}}, "system_prompt"),
        ({"user_prompt": "a", "request_id": ""}, "request_id"),
        ({"user_prompt": "a", "request_id": "x" * 256}, "request_id"),
        ({"user_prompt": "a", "request_id": "a\nb"}, "request_id"),
        ({"user_prompt": "a", "request_id": "a\x00b"}, "request_id"),
        ({"user_prompt": "a", "request_id": 5}, "request_id"),
        ({"user_prompt": "a", "max_tokens": 0}, "max_tokens"),
        ({"user_prompt": "a", "max_tokens": "5"}, "max_tokens"),
        ({"user_prompt": "a", "max_tokens": 1.5}, "max_tokens"),
        ({"user_prompt": "a", "max_tokens": 1e30}, "max_tokens"),
        ({"user_prompt": "a", "max_tokens": 10**30}, "max_tokens"),
        ({"user_prompt": "a", "temperature": 3}, "temperature"),
        ({"user_prompt": "a", "temperature": True}, "temperature"),
        ({"user_prompt": "a", "stream": "yes"}, "stream"),
        ({"user_prompt": "a", "background": 1}, "background"),
        ({"user_prompt": "a", "web_search": "on"}, "web_search"),
        ({"user_prompt": "a", "use_user_api_key": "true"}, "use_user_api_key"),
        ({"user_prompt": "a", "openai_api_key": 5}, "openai_api_key"),
        ({"user_prompt": "a", "history": "all"}, "history"),
        ({"user_prompt": "a", "history": {"turns": 1}}, "history.turns"),
        ({"user_prompt": "a", "history": {"max_turns": -1}}, "history.max_turns"),
        ({"user_prompt": "a", "model": 5}, "model"),
        ({"user_prompt": "a", "model": " "}, "model"),
        ({"user_prompt": "a", "stream": True, "background": True}, "stream"),
    ],
)
def test_bad_input_is_named(place: Place, body: dict[str, Any], field: str) -> None:
    place.upstream.forget()
    response = place.ask(**body)
    assert response.status_code == 400, response.text
    told = response.json()
    assert set(told) == {"error", "detail"}
    assert set(told["error"]) == {"code", "message"}
    assert field in told["error"]["message"] or field == "stream"
    assert not place.upstream.calls


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{", b'{"user_prompt": "\\ud800"}', b"\xff\xfe", b"[" * 5000]
)
def test_what_is_no_object_is_a_400(place: Place, content: bytes) -> None:
    assert place.send("POST", CHAT, None, content).status_code == 400


def test_what_is_not_known_is_said_and_not_sent(place: Place) -> None:
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", answer(1, 1))
    response = place.ask(user_prompt="x", colour="blue", use_user_api_key=None)
    assert response.headers["x-tollgate-dropped"] == "colour"
    assert "colour" not in place.upstream.calls[0].json
    assert place.ask(user_prompt="x", colour="blue", strict=True).status_code == 400


def test_a_body_too_large_and_a_key_too_wrong(place: Place) -> None:
    huge = json.dumps({"user_prompt": "x" * 33 * 1024 * 1024}).encode()
    assert place.send("POST", CHAT, None, huge).status_code == 413
    assert place.ask("gw-" + "x" * 64, user_prompt="x").status_code == 401
    assert place.ask(user_prompt="x", headers={"origin": "https://elsewhere.example"}).status_code == 403


def test_a_large_prompt_passes_whole_and_is_kept_cut(place: Place) -> None:
    """The model is sent all of it; the dialogue keeps half of its bound."""
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", answer(1, 1))
    prompt = "가" * 400_000
    whole(place.ask(user_prompt=prompt, request_id="large"))
    assert sent_texts(place.upstream.calls[0])[-1] == ("user", prompt)
    kept = place.send("GET", "/api/v1/conversations/large").json()["messages"][0]["content"]
    assert kept == "가" * (524_288 // 3)


@pytest.mark.parametrize(
    ("body", "status", "said_in_korean"),
    [
        ({"user_prompt": ""}, 400, "'user_prompt' 값이 올바르지 않습니다"),
        ({"user_prompt": "x", "model": "no-such-model"}, 404, "알 수 없는 모델입니다."),
        (
            {"user_prompt": "x", "model": "local:tiny", "web_search": True},
            400,
            "이 모델은 웹 검색을 지원하지 않습니다.",
        ),
        ({"user_prompt": "x"}, 502, "제공자 호출에 실패했습니다."),
    ],
)
def test_messages_are_korean_where_the_caller_asks_for_it(
    place: Place, body: dict[str, Any], status: int, said_in_korean: str
) -> None:
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", error(500, {}))
    response = place.ask(headers={"accept-language": "ko-KR,ko;q=0.9,en-US;q=0.8"}, **body)
    assert response.status_code == status
    assert response.json()["error"]["message"].startswith(said_in_korean)
    english = place.ask(headers={"accept-language": "en"}, **body).json()["error"]
    assert english["message"].isascii()
    assert english["code"] == response.json()["error"]["code"]
    missing = place.send("GET", "/api/v1/conversations/none", headers={"accept-language": "ko"})
    assert missing.json()["error"]["message"] == "해당 대화를 찾을 수 없습니다."


def test_an_error_inside_a_stream_is_told_in_it(place: Place) -> None:
    place.upstream.forget()
    streamed = answer_of(written("openai-chat-stream"))
    cut = sum(len(piece) for piece in streamed.pieces[:4])
    place.upstream.on(
        "/v1/chat/completions", Answer(headers=streamed.headers, pieces=streamed.pieces, length=False, cut_after=cut)
    )
    body = {"user_prompt": "x", "stream": True, "request_id": "broken"}
    response = place.ask(headers={"accept-language": "ko"}, **body)
    last = events(response.text)[-1]
    assert (response.status_code, last["type"]) == (200, "error")
    assert last["error"]["message"] == "제공자 호출에 실패했습니다."
    assert place.send("GET", "/api/v1/conversations/broken").status_code == 404  # not a turn


# ------------------------------------------------------------------------------------------- status
def test_status_and_the_other_port(place: Place) -> None:
    for path in ("/api/v1/", "/api/v1"):
        assert place.send("GET", path).json()["status"] == "ok"
    ports = set(re.findall(r"listening on http://127\.0\.0\.1:(\d+)", place.deployment.gateway.log.read_text()))
    assert len(ports) == 2
    assert all(httpx.get(f"http://127.0.0.1:{port}/api/v1/", timeout=10).status_code == 200 for port in ports)


def test_the_machine_is_shown_to_the_master_key(place: Place) -> None:
    path = "/api/v1/system/status"
    assert place.send("GET", path).status_code == 401
    refused = place.send("GET", path, place.deployment.key)
    assert refused.status_code == 401
    assert set(refused.json()) == {"error", "detail"}
    found = place.send("GET", path, MASTER_KEY).json()
    assert found["status"] == "ok"
    assert 0 <= found["cpu"]["percent"] <= 100
    assert 0 < found["memory"]["used_bytes"] <= found["memory"]["total_bytes"]
    assert 0 < found["disk"]["used_bytes"] <= found["disk"]["total_bytes"]
    assert found["process"]["pid"] == place.deployment.gateway.pid
    assert found["uptime_seconds"] > 0


def test_what_was_said_and_the_callers_keys_are_where_they_may_be_alone(place: Place) -> None:
    """Last: prompts and answers stand in the accounts database, the callers' keys nowhere."""
    place.upstream.forget()
    place.upstream.on("/v1/chat/completions", answer(10, 5))
    secret = "a-prompt-that-nobody-else-may-read"
    own = {"openai_api_key": OWN}
    whole(place.ask(user_prompt=secret, request_id="said", **own, use_user_api_key=True))
    assert place.ask(user_prompt=secret, background=True, **own).status_code == 202
    place.deployment.rows(1, session_id="said")
    found = places_with(place.deployment, secret, redis_url=place.redis_url, postgres_url=place.postgres_url)
    allowed = ("postgres account_messages", "postgres account_jobs") if place.postgres_url else ("accounts.db",)
    assert found
    assert all(any(name in each for name in allowed) for each in found), found
    for name in (OWN, "sentinel-openai-key"):
        assert places_with(place.deployment, name, redis_url=place.redis_url, postgres_url=place.postgres_url) == []
