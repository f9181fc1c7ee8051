"""Surfaces that need no translation: the caller's bytes go on, the answer's come back, and the row says the cost."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.deployment import Deployment, providers_at
from tests.replay import Answer, Upstream, error
from tests.traffic import index, load, needs_traffic

BOUNDARY = "----tollgate-tests-7MA4YWxk"
# Bytes that a careless reader would stumble over: line ends, something like a boundary, zeros, no UTF-8.
AUDIO = (
    b"RIFF\x00\xff\r\n\r\n--" + BOUNDARY[:8].encode() + b'\r\nname="model"\r\n\r\nnot-a-field\r\n' + bytes(range(256))
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    with Upstream() as upstream:
        providers = providers_at(upstream.url)
        for name, kind in (("voyage", "openai_compatible"), ("cohere", "cohere")):
            providers[name] = {"type": kind, "api_key": f"sentinel-{name}", "api_base": f"{upstream.url}/{name}/v1"}
        with Deployment(tmp_path_factory.mktemp("forwarded"), upstream.url, config={"providers": providers}) as running:
            yield running, upstream


@pytest.fixture(autouse=True)
def _forget(place: tuple[Deployment, Upstream]) -> None:
    place[1].forget()


def _row(deployment: Deployment, response: httpx.Response) -> dict[str, Any]:
    (row,) = deployment.rows(1, request_id=response.headers["x-request-id"])
    return row


def _field(name: str, value: bytes, extra: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def _form(model: str, *more: bytes) -> bytes:
    sound = _field("file", AUDIO, '; filename="model.wav"\r\nContent-Type: audio/wav')
    return sound + _field("model", model.encode()) + b"".join(more) + f"--{BOUNDARY}--\r\n".encode()


def _upload(deployment: Deployment, path: str, body: bytes, kind: str = "") -> httpx.Response:
    kind = kind or f"multipart/form-data; boundary={BOUNDARY}"
    return deployment.post(path, body, **{"Content-Type": kind})


def _sse(*events: dict[str, Any]) -> Answer:
    pieces = tuple(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    return Answer(headers={"content-type": "text/event-stream"}, pieces=pieces, length=False)


# --------------------------------------------------------------------------------------------- audio in
@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/translations"])
def test_an_upload_goes_on_byte_for_byte_but_for_the_model(place: tuple[Deployment, Upstream], path: str) -> None:
    deployment, upstream = place
    said = {"text": "안녕", "usage": {"type": "duration", "seconds": 9}}
    upstream.on(path, Answer(pieces=(json.dumps(said, ensure_ascii=False).encode(),)))
    more = (_field("language", b"ko"), _field("user", b"somebody"), _field("timestamp_granularities[]", b"word"))
    answer = _upload(deployment, path, _form("openai:whisper-1", *more))
    assert answer.status_code == 200
    assert answer.json() == said
    (call,) = upstream.calls
    assert call.body == _form("whisper-1", *more)
    assert call.headers["content-type"] == f"multipart/form-data; boundary={BOUNDARY}"
    assert call.headers["authorization"] == "Bearer sentinel-openai-key"
    row = _row(deployment, answer)
    assert (row["audio_ms"], row["prompt_tokens"], row["estimated"]) == (9000, 0, False)
    assert (row["model"], row["endpoint"], row["end_user"]) == ("whisper-1", path, "somebody")


def test_a_transcription_charged_by_tokens(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    usage = {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
        "output_tokens": 45,
        "total_tokens": 59,
    }
    upstream.on("/v1/audio/transcriptions", Answer(pieces=(json.dumps({"text": "hi", "usage": usage}).encode(),)))
    row = _row(deployment, _upload(deployment, "/v1/audio/transcriptions", _form("openai:gpt-4o-transcribe")))
    assert (row["prompt_tokens"], row["input_audio_tokens"], row["completion_tokens"]) == (14, 14, 45)


def test_a_transcription_as_text_and_as_a_stream(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    path = "/v1/audio/transcriptions"
    plain = Answer(headers={"content-type": "text/plain; charset=utf-8"}, pieces=("1\n00:00 안녕\n".encode(),))
    upstream.on(path, plain, model=None)
    answer = _upload(deployment, path, _form("openai:whisper-1", _field("response_format", b"srt")))
    assert (answer.content, answer.headers["content-type"]) == (plain.body, "text/plain; charset=utf-8")
    row = _row(deployment, answer)
    assert (row["status"], row["estimated"]) == ("success", True)

    upstream.forget()
    usage = {"type": "tokens", "input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    events = (
        {"type": "transcript.text.delta", "delta": "안"},
        {"type": "transcript.text.delta", "delta": "녕"},
        {"type": "transcript.text.done", "text": "안녕", "usage": usage},
    )
    upstream.on(path, _sse(*events))
    answer = _upload(deployment, path, _form("openai:gpt-4o-transcribe", _field("stream", b"true")))
    assert [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: ")] == list(events)
    row = _row(deployment, answer)
    assert (row["prompt_tokens"], row["completion_tokens"], row["stream"]) == (7, 3, True)
    assert row["first_token_ms"] is not None


def test_a_stream_that_is_cut_is_an_error(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.on("/v1/audio/transcriptions", _sse({"type": "transcript.text.delta", "delta": "안"}))
    form = _form("openai:gpt-4o-transcribe", _field("stream", b"true"))
    answer = _upload(deployment, "/v1/audio/transcriptions", form)
    assert '"error"' in answer.text
    assert _row(deployment, answer)["error_message"] == "upstream_truncated"


@pytest.mark.parametrize(
    ("body", "kind", "param"),
    [
        (_form("openai:whisper-1"), "application/json", None),
        (_form("openai:whisper-1"), "multipart/form-data", None),
        (_form("openai:whisper-1"), "multipart/form-data; boundary=another", "model"),
        (_field("model", b"openai:whisper-1") + f"--{BOUNDARY}--\r\n".encode(), "", "file"),
        (_form(""), "", "model"),
        (_field("model", b"\xff\xfe") + f"--{BOUNDARY}--\r\n".encode(), "", "model"),
        (b"", "", "model"),
        (_form("openai:" + "x" * 256), "", "model"),
        (f"--{BOUNDARY}".encode() + f"\r\n--{BOUNDARY}".encode() * 401, "", None),
    ],
)
def test_a_bad_upload_is_400(place: tuple[Deployment, Upstream], body: bytes, kind: str, param: str | None) -> None:
    deployment, upstream = place
    answer = _upload(deployment, "/v1/audio/transcriptions", body, kind)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert not upstream.calls


# --------------------------------------------------------------------------------------------- audio out, images
def test_speech_comes_back_as_it_is(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    pieces = (bytes(range(256)) * 40, b"\r\n\r\ndata: not a stream\n\n", b"\x00" * 1000)
    upstream.on("/v1/audio/speech", Answer(headers={"content-type": "audio/mpeg"}, pieces=pieces, length=False))
    asked = {"model": "openai:gpt-4o-mini-tts", "input": "안녕하세요", "voice": "alloy", "speed": 1.10}
    answer = deployment.post("/v1/audio/speech", asked)
    assert (answer.content, answer.headers["content-type"]) == (b"".join(pieces), "audio/mpeg")
    assert upstream.calls[-1].json == {**asked, "model": "gpt-4o-mini-tts"}
    row = _row(deployment, answer)
    assert (row["status"], row["estimated"], row["endpoint"]) == ("success", True, "/v1/audio/speech")
    assert row["prompt_tokens"] > 0


def test_speech_as_events_is_metered(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    usage = {"input_tokens": 12, "output_tokens": 90, "total_tokens": 102}
    upstream.on(
        "/v1/audio/speech",
        _sse({"type": "speech.audio.delta", "audio": "AAAA"}, {"type": "speech.audio.done", "usage": usage}),
    )
    asked = {"model": "openai:gpt-4o-mini-tts", "input": "hi", "voice": "alloy", "stream_format": "sse"}
    row = _row(deployment, deployment.post("/v1/audio/speech", asked))
    assert (row["prompt_tokens"], row["completion_tokens"], row["estimated"]) == (12, 90, False)


def test_images_are_counted_beside_their_tokens(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    path = "/v1/images/generations"
    usage = {
        "input_tokens": 50,
        "input_tokens_details": {"image_tokens": 40, "text_tokens": 10},
        "output_tokens": 272,
        "total_tokens": 322,
    }
    made = {"created": 1, "data": [{"b64_json": "iVBORw0KGgo="}, {"b64_json": "iVBORw0KGgo="}], "usage": usage}
    upstream.on(path, Answer(pieces=(json.dumps(made).encode(),)))
    answer = deployment.post(path, {"model": "openai:gpt-image-1", "prompt": "a gate", "n": 2})
    assert answer.json() == made
    row = _row(deployment, answer)
    assert (row["images"], row["prompt_tokens"], row["input_image_tokens"]) == (2, 50, 40)
    assert (row["completion_tokens"], row["estimated"]) == (272, False)

    upstream.forget()
    upstream.on(path, Answer(pieces=(b'{"created": 1, "data": [{"url": "https://images.example/1.png"}]}',)))
    row = _row(deployment, deployment.post(path, {"model": "openai:dall-e-3", "prompt": "a gate"}))
    assert (row["images"], row["prompt_tokens"], row["estimated"]) == (1, 0, False)


def test_images_as_a_stream(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    usage = {"input_tokens": 50, "output_tokens": 272, "total_tokens": 322}
    upstream.on(
        "/v1/images/generations",
        _sse(
            {"type": "image_generation.partial_image", "b64_json": "iVBO", "partial_image_index": 0},
            {"type": "image_generation.completed", "b64_json": "iVBORw0KGgo=", "usage": usage},
        ),
    )
    answer = deployment.post(
        "/v1/images/generations", {"model": "openai:gpt-image-1", "prompt": "a gate", "stream": True}
    )
    assert "image_generation.completed" in answer.text
    row = _row(deployment, answer)
    assert (row["prompt_tokens"], row["completion_tokens"], row["status"]) == (50, 272, "success")
    assert row["images"] == 1


# --------------------------------------------------------------------------------------------- embeddings for Gemini
def _embeds() -> list[dict[str, Any]]:
    return [row for row in index() if row["endpoint"] == "batchEmbedContents" and row["status"] == 200]


@needs_traffic
@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("row", _embeds(), ids=lambda row: row["id"])
def test_geminis_embeddings_in_openais_shape(
    place: tuple[Deployment, Upstream], row: dict[str, Any], encoding: str
) -> None:
    deployment, upstream = place
    interaction = load(row)
    recorded = json.loads(interaction["response"]["body_text"])
    upstream.on("/v1beta/models/embedder:batchEmbedContents", Answer(pieces=(json.dumps(recorded).encode(),)))
    asked = interaction["request"]["body"]["requests"]
    texts = ["".join(part["text"] for part in item["content"]["parts"]) for item in asked]
    body: dict[str, Any] = {"model": "gemini:embedder", "input": texts, "encoding_format": encoding}
    if size := asked[0].get("outputDimensionality"):
        body["dimensions"] = size
    answer = deployment.post("/v1/embeddings", body)
    sent = upstream.calls[-1].json["requests"]
    assert [item["content"]["parts"][0]["text"] for item in sent] == texts
    assert [item.get("outputDimensionality") for item in sent] == [item.get("outputDimensionality") for item in asked]
    assert {item["model"] for item in sent} == {"models/embedder"}
    got = [item["embedding"] for item in answer.json()["data"]]
    for vector, source in zip(got, recorded["embeddings"], strict=True):
        if encoding == "base64":
            raw = base64.b64decode(vector)
            assert struct.unpack(f"<{len(raw) // 4}f", raw) == pytest.approx(source["values"], rel=1e-6)
        else:
            assert vector == source["values"]
    line = _row(deployment, answer)
    if "usageMetadata" in recorded:
        told = recorded["usageMetadata"]["promptTokenCount"]
        assert (line["prompt_tokens"], line["estimated"]) == (told, False)
        assert answer.json()["usage"]["prompt_tokens"] == told
    else:
        assert line["estimated"]


def test_what_gemini_cannot_embed_is_named(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.on("/v1beta/models/e:batchEmbedContents", Answer(pieces=(b'{"embeddings":[{"values":[0.5]}]}',)))
    answer = deployment.post("/v1/embeddings", {"model": "gemini:e", "input": [[1, 2, 3]]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")
    answer = deployment.post("/v1/embeddings", {"model": "gemini:e", "input": "hi", "user": "u", "truncate": True})
    assert answer.status_code == 200
    assert answer.headers["x-tollgate-dropped"].split(", ") == ["user", "truncate"]
    assert _row(deployment, answer)["dropped"] == ["user", "truncate"]


def test_token_arrays_and_odd_numbers_pass_to_openai_unchanged(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.on("/v1/embeddings", Answer(pieces=(b'{"object":"list","data":[],"usage":{"prompt_tokens":3}}',)))
    raw = b'{"model": "openai:text-embedding-3-small", "input": [[1, 2, 3]], "dimensions": 256, "x": 1.10e2}'
    answer = deployment.post("/v1/embeddings", raw)
    assert answer.status_code == 200
    assert b'"input":[[1, 2, 3]]' in upstream.calls[-1].body
    assert b"1.10e2" in upstream.calls[-1].body
    assert _row(deployment, answer)["prompt_tokens"] == 3


# --------------------------------------------------------------------------------------------- rerank, moderations
def test_rerank_is_charged_by_tokens_or_by_request(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    body = {"query": "gates", "documents": ["toll", "gate"], "top_n": 1, "return_documents": True}
    ranked = {"object": "list", "data": [{"index": 1, "relevance_score": 0.7}], "usage": {"total_tokens": 26}}
    upstream.on("/voyage/v1/rerank", Answer(pieces=(json.dumps(ranked).encode(),)))
    answer = deployment.post("/v1/rerank", {"model": "voyage:rerank-2", **body})
    assert answer.json() == ranked
    assert upstream.calls[-1].json == {"model": "rerank-2", **body}
    row = _row(deployment, answer)
    assert (row["prompt_tokens"], row["completion_tokens"], row["estimated"]) == (26, 0, False)


@pytest.mark.parametrize("named", [{"model": "openai:omni-moderation-latest"}, {}])
def test_moderations_pass(place: tuple[Deployment, Upstream], named: dict[str, str]) -> None:
    deployment, upstream = place
    said = {"id": "modr-1", "model": "omni-moderation-latest", "results": [{"flagged": False}]}
    upstream.on("/v1/moderations", Answer(pieces=(json.dumps(said).encode(),)))
    answer = deployment.post("/v1/moderations", {**named, "input": "hello"})
    assert upstream.calls[-1].json["model"] == "omni-moderation-latest"
    assert answer.json() == said
    assert _row(deployment, answer)["status"] == "success"


# --------------------------------------------------------------------------------------------- what goes wrong
_NEEDED = {
    "/v1/embeddings": "input",
    "/v1/completions": "prompt",
    "/v1/images/generations": "prompt",
    "/v1/audio/speech": "input",
    "/v1/moderations": "input",
    "/v1/rerank": "query",
}


@pytest.mark.parametrize("path", _NEEDED)
def test_bad_bodies_are_400(place: tuple[Deployment, Upstream], path: str) -> None:
    deployment, upstream = place
    needed = _NEEDED[path]
    for body, param in (
        (b"{", None),
        (b"\xff\xfe\x00", None),
        (b"[" * 100_000, None),
        (b'{"a":' * 50_000, None),
        (b"[]", None),
        (b"{}", "input" if path == "/v1/moderations" else "model"),
        (json.dumps({"model": ["openai:m"], needed: "x"}).encode(), "model"),
        (json.dumps({"model": "openai:m"}).encode(), needed),
        (json.dumps({"model": "openai:m", needed: ""}).encode(), needed),
        (json.dumps({"model": "openai:m", needed: "x", "stream": 1}).encode(), "stream"),
        (json.dumps({"model": "openai:m", needed: "x", "user": {}}).encode(), "user"),
    ):
        answer = deployment.post(path, body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), (body[:80], answer.text)
    assert not upstream.calls


@pytest.mark.parametrize("path", [*_NEEDED, "/v1/responses/compact"])
def test_a_provider_without_the_operation_is_400(place: tuple[Deployment, Upstream], path: str) -> None:
    deployment, upstream = place
    body = {"model": "anthropic:claude-sonnet-4-5", _NEEDED.get(path, "input"): "x"}
    answer = deployment.post(path, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_operation"), answer.text
    assert not upstream.calls


def test_cohere_has_no_images(place: tuple[Deployment, Upstream]) -> None:
    answer = place[0].post("/v1/images/generations", {"model": "cohere:command-a", "prompt": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_operation")


@pytest.mark.parametrize(("status", "expected"), [(400, 400), (401, 502), (404, 404), (429, 429), (503, 502)])
@pytest.mark.parametrize("path", _NEEDED)
def test_an_upstreams_refusal_keeps_its_status(
    place: tuple[Deployment, Upstream], path: str, status: int, expected: int
) -> None:
    deployment, upstream = place
    said = {"error": {"message": "as said", "type": "t", "code": "c", "param": None}}
    upstream.on(path, error(status, said, {"retry-after": "37"}))
    answer = deployment.post(path, {"model": "openai:m", _NEEDED[path]: "x"})
    assert answer.status_code == expected
    assert set(answer.json()) == {"error", "detail"}
    assert ("as said" in answer.text) is (status != 401)
    assert (answer.headers.get("retry-after") == "37") is (status in (429, 503))
    row = _row(deployment, answer)
    assert (row["status"], row["http_status"], row["total_tokens"]) == ("error", status, 0)


def test_a_cut_completion_gets_no_false_end(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    chunk = {
        "id": "cmpl-1",
        "object": "text_completion",
        "choices": [{"index": 0, "text": "once", "finish_reason": None}],
    }
    upstream.on("/v1/completions", _sse(chunk))
    answer = deployment.post("/v1/completions", {"model": "openai:m", "prompt": "x", "stream": True})
    assert "[DONE]" not in answer.text
    assert '"error"' in answer.text
    row = _row(deployment, answer)
    assert (row["status"], row["estimated"]) == ("error", True)


def test_nothing_secret_is_logged(place: tuple[Deployment, Upstream]) -> None:
    log = place[0].log_text()
    assert "sentinel" not in log
    assert "Traceback" not in log
