"""A caller's own provider key: used for its call alone, at that provider alone, and written down nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deployment import MASTER_KEY, Deployment, providers_at
from tests.e2e.fleet import answer, streamed
from tests.e2e.sentinel import places_with
from tests.replay import Answer, Upstream, answer_of, error, written

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
OWN = "own-key-of-the-caller-0123456789"
HEADER = "x-tollgate-provider-key"
ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


@dataclass(frozen=True)
class Place:
    deployment: Deployment
    upstream: Upstream
    redis_url: str | None
    postgres_url: str | None

    def post(self, path: str, body: Any, key: str = OWN, **headers: str) -> httpx.Response:
        return self.deployment.post(path, body, **{HEADER: key, **headers})

    def written_in(self, text: str) -> list[str]:
        return places_with(self.deployment, text, redis_url=self.redis_url, postgres_url=self.postgres_url)


def _config(url: str) -> dict[str, Any]:
    both = {
        "provider": "openai",
        "model": "gpt-4o-mini",
        "fallbacks": [{"provider": "claude", "model": "claude-haiku-4-5"}, {"provider": "openai", "model": "gpt-4o"}],
    }
    # Only callers have a key for this one.
    providers = {**providers_at(url), "keyless": {"type": "groq", "api_base": f"{url}/keyless/v1"}}
    providers["openai"]["client_args"] = {"custom_headers": {"openai-organization": "org-of-the-operator"}}
    return {
        "providers": providers,
        "models": {"both": both, "theirs": {"provider": "keyless", "model": "llama", "fallbacks": both["fallbacks"]}},
        "byok": {"providers": ["openai", "claude", "gemini", "keyless", "local"]},
        "log_level": "debug",
        "spool": {"segment_seconds": 3600},  # so that it is there to be searched
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


@pytest.mark.parametrize("stream", [False, True])
def test_it_is_used_for_its_call_alone_and_costs_us_nothing(place: Place, stream: bool) -> None:
    place.upstream.forget()
    place.upstream.on(CHAT, streamed(10, 5, pause=0) if stream else answer(10, 5))
    response = place.post(CHAT, {**ASK, "stream": stream})
    assert response.status_code == 200, response.text
    assert place.deployment.post(CHAT, {**ASK, "stream": stream}).status_code == 200
    theirs, ours = place.upstream.calls
    assert theirs.headers["authorization"] == f"Bearer {OWN}"
    assert "openai-organization" not in theirs.headers  # the operator's account
    assert HEADER not in theirs.headers
    assert ours.headers["authorization"] == "Bearer sentinel-openai-key"
    assert ours.headers["openai-organization"] == "org-of-the-operator"
    (row,) = place.deployment.rows(1, request_id=response.headers["x-request-id"])
    assert (row["byok"], row["cost"], row["status"]) == (True, 0, "success")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (10, 5)
    assert stream or response.headers["x-tollgate-cost-usd"] == "0"


_TURN = [{"role": "user", "content": "hello"}]
_GEMINI = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
# Every other surface that makes calls: its path, what is asked, whose answer.
SURFACES: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/messages", {"model": "claude-haiku-4-5", "messages": _TURN, "max_tokens": 9}, "anthropic-messages"),
    ("/v1beta/models/gemini-2.5-flash:generateContent", _GEMINI, "gemini-generate"),
    ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", _GEMINI, "gemini-generate-stream"),
    ("/api/chat/completions", {"model": "gpt-4o-mini", "messages": _TURN}, "openai-chat"),
    ("/query", {"model": "gpt-4o-mini", "prompt": "hello"}, "openai-chat"),
    ("/api/v1/chat", {"model": "gpt-4o-mini", "user_prompt": "hello"}, "openai-chat"),
]


@pytest.mark.parametrize(("path", "body", "name"), SURFACES, ids=[path for path, _, _ in SURFACES])
def test_it_is_taken_and_its_refusal_told_on_every_surface(
    place: Place, path: str, body: dict[str, Any], name: str
) -> None:
    interaction = written(name)
    upstream_path = httpx.URL(interaction["request"]["url"]).path
    place.upstream.forget()
    place.upstream.on(upstream_path, answer_of(interaction), _refused(401))
    response = place.post(path, body)
    assert response.status_code == 200, response.text
    (row,) = place.deployment.rows(1, request_id=response.headers["x-request-id"])
    assert (row["byok"], row["cost"], row["status"]) == (True, 0, "success")
    refused = place.post(path, body)
    assert refused.status_code == 401, refused.text
    assert "refused your key" in refused.json()["error"]["message"]
    assert OWN not in refused.text
    (row,) = place.deployment.rows(1, request_id=refused.headers["x-request-id"])
    assert (row["byok"], row["cost"], row["error_message"]) == (True, 0, "own_key_refused")
    for call in place.upstream.calls:
        sent = (call.headers.get("authorization"), call.headers.get("x-api-key"), call.headers.get("x-goog-api-key"))
        assert [each.removeprefix("Bearer ") for each in sent if each] == [OWN]


def test_it_goes_to_its_provider_in_that_provider_s_way(place: Place) -> None:
    place.upstream.forget()
    place.upstream.on(MESSAGES, answer_of(written("anthropic-messages")))
    assert place.post(CHAT, {**ASK, "model": "claude-haiku-4-5"}).status_code == 200
    (call,) = place.upstream.calls
    assert call.headers["x-api-key"] == OWN
    assert "authorization" not in call.headers


def test_a_provider_without_a_key_here_serves_those_who_bring_one(place: Place) -> None:
    place.upstream.forget()
    place.upstream.on("/keyless/v1/chat/completions", answer(1, 1))
    assert place.post(CHAT, {**ASK, "model": "theirs"}).status_code == 200
    assert [call.path for call in place.upstream.calls] == ["/keyless/v1/chat/completions"]


def test_another_provider_is_never_asked_with_it(place: Place) -> None:
    """A fallback at the same provider is."""
    place.upstream.forget()
    place.upstream.on(CHAT, error(404, {"error": {"message": "no such model"}}))
    place.upstream.on(MESSAGES, answer_of(written("anthropic-messages")))
    assert place.post(CHAT, {**ASK, "model": "both"}).status_code == 404
    place.upstream.forget()
    place.upstream.on(CHAT, error(429, {}, {"retry-after": "60"}), answer(1, 1))
    place.upstream.on(MESSAGES, answer_of(written("anthropic-messages")))
    assert place.post(CHAT, {**ASK, "model": "both"}).status_code == 200
    assert [(call.path, call.model) for call in place.upstream.calls] == [(CHAT, "gpt-4o-mini"), (CHAT, "gpt-4o")]
    assert {call.headers["authorization"] for call in place.upstream.calls} == {f"Bearer {OWN}"}


def _refused(status: int) -> Answer:
    """A provider that repeats the key in every field."""
    said = {"message": f"Wrong key: {OWN}", "type": OWN, "code": OWN, "param": OWN}
    return error(status, {"error": said})


@pytest.mark.parametrize(("upstream_status", "status"), [(401, 401), (403, 403), (402, 402)])
@pytest.mark.parametrize("stream", [False, True])
def test_a_refused_key_is_the_caller_s_to_mend(place: Place, upstream_status: int, status: int, stream: bool) -> None:
    """And nothing else is tried: neither the operator's key nor another provider."""
    place.upstream.forget()
    place.upstream.on(CHAT, _refused(upstream_status))
    place.upstream.on(MESSAGES, answer_of(written("anthropic-messages")))
    response = place.post(CHAT, {**ASK, "model": "both", "stream": stream})
    assert response.status_code == status
    assert response.json()["error"]["message"] == "The provider 'openai' refused your key"
    assert len(place.upstream.calls) == 1
    (row,) = place.deployment.rows(1, request_id=response.headers["x-request-id"])
    assert (row["byok"], row["cost"], row["error_message"]) == (True, 0, "own_key_refused")


@pytest.mark.parametrize(
    ("model", "path", "status", "refusal"),
    [
        (
            "claude-haiku-4-5",
            MESSAGES,
            401,
            {"type": "error", "error": {"type": "authentication_error", "message": OWN}},
        ),
        (
            "gemini-2.5-flash",
            "/v1beta/models/gemini-2.5-flash:generateContent",
            400,
            {
                "error": {
                    "code": 400,
                    "message": "API key not valid. Please pass a valid API key.",
                    "status": "INVALID_ARGUMENT",
                    "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
                }
            },
        ),
    ],
)
def test_each_provider_s_refusal_of_a_key_is_a_401(
    place: Place, model: str, path: str, status: int, refusal: dict[str, Any]
) -> None:
    """Google says it with a 400."""
    place.upstream.forget()
    place.upstream.on(path, error(status, refusal))
    response = place.post(CHAT, {**ASK, "model": model})
    assert (response.status_code, response.json()["error"]["code"]) == (401, "own_key_refused")
    assert OWN not in response.text
    place.deployment.rows(1, request_id=response.headers["x-request-id"])


def test_a_refusal_of_the_request_does_not_repeat_it(place: Place) -> None:
    place.upstream.forget()
    place.upstream.on(CHAT, _refused(400))
    response = place.post(CHAT, ASK)
    assert response.status_code == 400
    assert OWN not in response.text
    assert response.json()["error"]["message"] == "Wrong key: ***"
    place.deployment.rows(1, request_id=response.headers["x-request-id"])


_IN_BAND = {"error": {"message": f"Wrong key: {OWN}", "type": OWN, "code": 401, "param": OWN}}
_PIECE = {"choices": [{"index": 0, "delta": {"content": "hi"}}]}


@pytest.mark.parametrize("path", ["/v1/messages", "/api/chat/completions"])
def test_a_refusal_inside_an_answer_does_not_repeat_it(place: Place, path: str) -> None:
    """Some servers answer 200 and then say in the body, or after some pieces, that they refuse."""
    place.upstream.forget()
    place.upstream.on(CHAT, Answer(pieces=(_json(_IN_BAND),)), stream=False)
    pieces = tuple(b"data: " + _json(each) + b"\n\n" for each in (_PIECE, _IN_BAND))
    place.upstream.on(CHAT, Answer(headers={"content-type": "text/event-stream"}, pieces=pieces, length=False))
    body = {**ASK, "model": "openai:gpt-4o-mini", "max_tokens": 9}
    for stream in (False, True):
        response = place.post(path, {**body, "stream": stream})
        assert response.status_code == (200 if stream else 401), response.text
        assert "The provider 'openai' refused your key" in response.text
        assert OWN not in response.text
        (row,) = place.deployment.rows(1, request_id=response.headers["x-request-id"])
        assert (row["byok"], row["status"], row["error_message"]) == (True, "error", "own_key_refused")


def test_a_stream_passed_on_as_it_is_repeats_it_to_its_owner_alone(place: Place) -> None:
    """Nobody rewrites a stream in the caller's own dialect. The last test looks for it everywhere else."""
    place.upstream.forget()
    pieces = tuple(b"data: " + _json(each) + b"\n\n" for each in (_PIECE, _IN_BAND))
    place.upstream.on(CHAT, Answer(headers={"content-type": "text/event-stream"}, pieces=pieces, length=False))
    response = place.post(CHAT, {**ASK, "stream": True})
    assert response.content == b"".join(pieces)
    (row,) = place.deployment.rows(1, request_id=response.headers["x-request-id"])
    assert (row["byok"], row["status"], row["error_message"]) == (True, "error", "own_key_refused")


def test_tokens_are_counted_with_it_too(place: Place) -> None:
    place.upstream.forget()
    counting = "/v1/messages/count_tokens"
    place.upstream.on(counting, Answer(pieces=(b'{"input_tokens": 3}',)), error(401, {"error": {"message": OWN}}))
    body = {"model": "claude-haiku-4-5", "messages": ASK["messages"]}
    assert place.post(counting, body).json() == {"input_tokens": 3}
    assert place.post(counting, body).status_code == 401
    assert {call.headers["x-api-key"] for call in place.upstream.calls} == {OWN}


def test_what_is_forwarded_takes_it_too(place: Place) -> None:
    place.upstream.forget()
    embedded = {"object": "list", "data": [], "model": "m", "usage": {"prompt_tokens": 2, "total_tokens": 2}}
    place.upstream.on("/v1/embeddings", Answer(pieces=(_json(embedded),)))
    body = {"model": "text-embedding-3-small", "input": "hello"}
    assert place.post("/v1/embeddings", body).status_code == 200
    assert place.upstream.calls[0].headers["authorization"] == f"Bearer {OWN}"


def test_what_it_kept_at_its_provider_is_its_own_affair(place: Place) -> None:
    """An id from the caller's account is not the operator's, and the other way round."""
    place.upstream.forget()
    kept = {
        "id": "resp_of_the_caller",
        "object": "response",
        "status": "completed",
        "output": [],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    }
    place.upstream.on("/v1/responses", Answer(pieces=(_json(kept),)))
    ask = {"model": "gpt-4o-mini", "input": "hello"}
    follow = {**ask, "previous_response_id": "resp_of_the_caller"}
    assert place.post("/v1/responses", ask).status_code == 200
    assert place.post("/v1/responses", follow).status_code == 200
    assert place.deployment.post("/v1/responses", follow).status_code == 404
    assert len(place.upstream.calls) == 2


def test_where_it_may_not_be_brought_it_is_refused(place: Place) -> None:
    place.upstream.forget()
    response = place.post(CHAT, {**ASK, "model": "solar:solar-pro4"})
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "own_key_not_allowed"
    assert place.post(CHAT, {**ASK, "model": "local:any"}).status_code == 400
    assert not place.upstream.calls


@pytest.mark.parametrize("key", ["", "short", "with a space in it", "k" * 513, "키" * 10])
def test_what_cannot_be_a_key_is_refused(place: Place, key: str) -> None:
    place.upstream.forget()
    headers = {"Authorization": f"Bearer {place.deployment.key}", HEADER: key}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    response = httpx.post(place.deployment.url + CHAT, json=ASK, headers=encoded, timeout=30)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == HEADER
    assert len(key) < 8 or key not in response.text
    assert not place.upstream.calls


def test_it_needs_no_money_but_keeps_to_limits(place: Place) -> None:
    """A user whose budget is used up may still spend their own; rate limits hold for everybody."""
    place.upstream.forget()
    place.upstream.on(CHAT, answer(10, 5))
    deployment = place.deployment

    def manage(path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = deployment.post(path, body, key=MASTER_KEY)
        assert response.status_code == 200, response.text
        made: dict[str, Any] = response.json()
        return made

    budget = manage("/v1/budgets", {"max_budget": 0})
    manage("/v1/users", {"user_id": "penniless", "budget_id": budget["budget_id"]})
    limits = {"limits": {"requests_per_minute": 2}}
    key = manage("/v1/keys", {"key_name": "p", "user_id": "penniless", **limits})["key"]
    assert deployment.post(CHAT, ASK, key=key).status_code == 403
    own = {HEADER: OWN}
    found = [deployment.post(CHAT, ASK, key=key, **own).status_code for _ in range(3)]
    assert found[0] == 200
    assert found[-1] == 429


def test_it_is_written_down_nowhere(place: Place) -> None:
    """Last: after all the calls above, answered and refused, in debug logs, databases, spool, Redis and metrics.

    An upstream that is not there, and one that breaks off, are failures that leave traces of their own.
    """
    place.upstream.forget()
    place.upstream.on(CHAT, Answer(garbage=b"HTTP/1.1 nonsense\r\n\r\n"))
    failed = place.post(CHAT, ASK)
    assert failed.status_code == 502
    place.upstream.forget()
    place.upstream.on(CHAT, Answer(pieces=(b"data: {}\n\n",), cut_after=4, length=False))
    broken = place.post(CHAT, {**ASK, "stream": True})
    for response in (failed, broken):
        assert OWN not in response.text + str(response.headers)
        place.deployment.rows(3, request_id=response.headers["x-request-id"])
    assert place.written_in("gpt-4o-mini"), "the search finds what is there"
    assert place.written_in(OWN) == []


def _json(body: dict[str, Any]) -> bytes:
    return httpx.Request("POST", "http://x", json=body).content


def test_a_provider_that_is_not_there_is_an_error_at_the_start(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, "http://127.0.0.1:9", config={"byok": {"providers": ["opnai"]}})
    deployment.gateway.start()
    assert deployment.gateway.wait() != 0
    assert "byok.providers: 'opnai' is not a provider here" in deployment.gateway.log.read_text(encoding="utf-8")
