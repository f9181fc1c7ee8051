"""The replay upstream: what other tests take on trust."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from tests.replay import Answer, Gate, Upstream, error, pieces_of, written

CHAT = "/v1/chat/completions"


def test_replays_body_status_and_headers_and_records_the_call(upstream: Upstream) -> None:
    fixture = written("openai-chat")
    upstream.add(fixture)
    got = httpx.post(upstream.url + CHAT, json=fixture["request"]["body"], headers={"authorization": "Bearer sk-x"})
    assert (got.status_code, got.text) == (200, fixture["response"]["body_text"])
    assert got.headers["content-type"] == "application/json"
    [call] = upstream.calls
    assert (call.method, call.path, call.model) == ("POST", CHAT, "gpt-4o-mini")
    assert call.headers["authorization"] == "Bearer sk-x"
    assert call.json == fixture["request"]["body"]
    upstream.wait(finished=1)


@pytest.mark.parametrize("name", ["openai-chat-stream", "anthropic-messages-stream", "gemini-generate-stream"])
def test_streams_one_chunk_per_event(upstream: Upstream, name: str) -> None:
    fixture = written(name)
    answer = upstream.add(fixture)
    path = fixture["request"]["url"].split("//")[1].partition("/")[2]
    with httpx.stream("POST", f"{upstream.url}/{path}", json=fixture["request"]["body"]) as got:
        text = b"".join(got.iter_raw()).decode()
        assert got.headers["transfer-encoding"] == "chunked"
    assert text == fixture["response"]["body_text"]
    assert len(answer.pieces) == text.replace("\r\n", "\n").count("\n\n")


def test_recorded_chunk_sizes_are_kept() -> None:
    assert pieces_of(b"data: 1\n\ndata: 2\n\n", [3, 15]) == (b"dat", b"a: 1\n\ndata: 2\n\n")
    assert pieces_of(b"data: 1\n\ndata: 2\n\n", [3]) == (b"data: 1\n\n", b"data: 2\n\n")


def test_the_most_precise_route_answers_and_the_last_answer_stays(upstream: Upstream) -> None:
    upstream.on(CHAT, Answer(pieces=(b"first",)), Answer(pieces=(b"second",)))
    upstream.on(CHAT, Answer(pieces=(b"model",)), model="b")
    upstream.on(CHAT, Answer(pieces=(b"header",)), header=("x-replay", "1"))
    url = upstream.url + CHAT
    assert [httpx.post(url, json={"model": "a"}).text for _ in range(3)] == ["first", "second", "second"]
    assert httpx.post(url, json={"model": "b"}).text == "model"
    assert httpx.post(url, json={"model": "b"}, headers={"X-Replay": "1"}).text == "header"
    assert len(upstream.calls) == 5


def test_plain_and_streamed_answers_share_a_path(upstream: Upstream) -> None:
    upstream.add(written("anthropic-messages"), stream=False)
    upstream.add(written("anthropic-messages-stream"), stream=True)
    url = upstream.url + "/v1/messages"
    assert httpx.post(url, json={"stream": True}).headers["content-type"] == "text/event-stream"
    assert httpx.post(url, json={}).json()["usage"]["output_tokens"] == 12


def test_each_call_is_given_an_id_of_its_own(upstream: Upstream) -> None:
    upstream.on(CHAT, Answer(pieces=(b'{"id": "one", "n": "one!"}',), written_id="one"))
    said = [httpx.post(upstream.url + CHAT, json={}).json() for _ in range(2)]
    assert [each["id"] for each in said] == [call.answer_id for call in upstream.calls]
    assert said[0]["id"] != said[1]["id"]
    assert said[0]["n"] == "one!"


def test_a_gemini_path_names_the_model(upstream: Upstream) -> None:
    upstream.add(written("gemini-generate"), model="gemini-2.5-flash")
    path = "/v1beta/models/gemini-2.5-flash:generateContent"
    assert httpx.post(upstream.url + path, json={}).json()["usageMetadata"]["cachedContentTokenCount"] == 1024


def test_a_call_without_an_answer_is_404_and_not_accepted(upstream: Upstream) -> None:
    assert httpx.post(upstream.url + CHAT, json={}).status_code == 404
    assert not upstream.calls
    assert [call.path for call in upstream.unmatched] == [CHAT]


def test_fails_with_a_status(upstream: Upstream) -> None:
    upstream.on(CHAT, error(429, {"error": {"message": "slow down"}}, {"retry-after": "7"}))
    got = httpx.post(upstream.url + CHAT, json={})
    assert (got.status_code, got.headers["retry-after"], got.json()) == (429, "7", {"error": {"message": "slow down"}})


async def test_gates_hold_head_and_pieces(upstream: Upstream) -> None:
    first, second = Gate(), Gate()
    upstream.on(CHAT, Answer(pieces=(b"one", b"two"), length=False, gate=first, gates={1: second}))
    async with httpx.AsyncClient() as client:
        request = client.build_request("POST", upstream.url + CHAT, json={})
        sending = asyncio.create_task(client.send(request, stream=True))
        await upstream.called(calls=1)
        assert not sending.done()
        first.open()
        response = await sending
        pieces = response.aiter_raw()
        assert await anext(pieces) == b"one"
        waiting = asyncio.ensure_future(anext(pieces))
        assert (await asyncio.wait({waiting}, timeout=0.05))[0] == set()
        second.open()
        assert await waiting == b"two"
        await response.aclose()


@pytest.mark.parametrize("length", [True, False])
def test_cuts_exactly_where_told(upstream: Upstream, length: bool) -> None:
    upstream.on(CHAT, Answer(pieces=(b"x" * 10, b"y" * 10), length=length, cut_after=13))
    received: list[bytes] = []
    with httpx.stream("POST", upstream.url + CHAT, json={}) as got, pytest.raises(httpx.RemoteProtocolError):
        received.extend(got.iter_raw())
    assert b"".join(received) == b"x" * 10 + b"y" * 3
    upstream.wait(calls=1, broken=1)
    assert upstream.finished == 0


def test_hangs_until_the_client_gives_up(upstream: Upstream) -> None:
    upstream.on(CHAT, Answer(hang=True))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(upstream.url + CHAT, json={}, timeout=0.2)
    upstream.wait(calls=1, broken=1)
    assert upstream.finished == 0


def test_sends_garbage(upstream: Upstream) -> None:
    upstream.on(CHAT, Answer(garbage=b"\x00\x01 not http at all\r\n\r\n"))
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(upstream.url + CHAT, json={})
    assert len(upstream.calls) == 1


def test_a_client_that_hangs_up_mid_stream_is_counted(upstream: Upstream) -> None:
    upstream.on(CHAT, Answer(pieces=(b"one", b"two"), length=False, gates={1: Gate()}))
    with httpx.stream("POST", upstream.url + CHAT, json={}) as got:
        assert next(got.iter_raw()) == b"one"
    upstream.wait(broken=1)
    assert upstream.finished == 0


def test_connections_are_kept_alive(upstream: Upstream) -> None:
    upstream.on(CHAT, Answer())
    with httpx.Client() as client:
        started = time.monotonic()
        for _ in range(50):
            assert client.post(upstream.url + CHAT, json={}).status_code == 200
        assert time.monotonic() - started < 10
    upstream.wait(calls=50, finished=50)
