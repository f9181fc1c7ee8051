"""Gemini requests passed through, and countTokens."""

from __future__ import annotations

import pytest

from wire.dialect import Quirks
from wire.dialects.gemini import DIALECT
from wire.dialects.gemini.count_tokens import (
    parse_count_request,
    parse_count_response,
    render_count_request,
    render_count_response,
)
from wire.dialects.gemini.foreign import SKIP_VALIDATION, seal
from wire.errors import BadRequest, UpstreamMalformed
from wire.neutral import (
    Thinking,
)


# ------------------------------------------------------------------------------------------------- passing through
@pytest.mark.parametrize(
    "body", [b'{"contents": [ {"role":"user","role":"model"} ], "novel": 1.0}', b"not even JSON", b""]
)
def test_a_body_passes_as_it_is(body: bytes) -> None:
    assert DIALECT.rewrite_request(body, model="x", quirks=Quirks(), include_usage=True) == (body, False)


def test_a_repeated_model_follows_the_url() -> None:
    body = b'{"model": "alias", "contents": [{"parts": [{"text": "\\u00e9"}]}]}'
    rewritten, added = DIALECT.rewrite_request(body, model="gemini-2.5-pro", quirks=Quirks(), include_usage=False)
    assert rewritten == b'{"model":"models/gemini-2.5-pro","contents":[{"parts": [{"text": "\\u00e9"}]}]}'
    assert not added
    assert DIALECT.rewrite_request(body, model=None, quirks=Quirks(), include_usage=False) == (body, False)


def test_seals_do_not_reach_google() -> None:
    carried = seal([Thinking(text="t", signature="s", origin="anthropic_messages")])
    other = '"contents":[1,{"parts":2},{"parts":["x",{"text":"a","thoughtSignature":"real"}]},'
    body = (
        "{"
        + other
        + '{"role":"model","parts":[{"text":"","thoughtSignature":"'
        + carried
        + '"}]},{"role":"model","parts":[{"text":"b","thought_signature":"'
        + carried
        + '"},{"functionCall":{"name":"f"},"thoughtSignature":"'
        + carried
        + '"}]}],"x": 1}'
    )
    rewritten, _ = DIALECT.rewrite_request(body.encode(), model="m", quirks=Quirks(), include_usage=False)
    assert rewritten.decode() == (
        "{"
        + other
        + '{"role":"model","parts":[{"text":"b"},{"functionCall":{"name":"f"},"thoughtSignature":"'
        + SKIP_VALIDATION
        + '"}]}],"x":1}'
    )
    for unreadable in (b"[" * 2000 + b"]" * 2000, b'["\\ud800"]', b"[" * 400 + b"]" * 400, b"[1e999]"):
        broken = b'{"contents":' + unreadable + b',"x":"' + carried.encode() + b'"}'
        with pytest.raises(BadRequest):
            DIALECT.rewrite_request(broken, model=None, quirks=Quirks(), include_usage=False)
    elsewhere = b'{"contents":"' + carried.encode() + b'"}'
    assert DIALECT.rewrite_request(elsewhere, model=None, quirks=Quirks(), include_usage=False) == (elsewhere, False)
    other_field = b'{"labels":"' + carried.encode() + b'"}'
    assert DIALECT.rewrite_request(other_field, model=None, quirks=Quirks(), include_usage=False)[0] == other_field


# ------------------------------------------------------------------------------------------------- countTokens
def test_count_tokens_of_a_whole_request() -> None:
    inner = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "systemInstruction": {"parts": [{"text": "s"}]}}
    request = parse_count_request({"generateContentRequest": {"model": "models/m", **inner}})
    assert request.model == "m"
    rendered = render_count_request(request, quirks=Quirks())
    assert rendered.body == {"generateContentRequest": {"model": "models/m", **inner}}
    assert parse_count_response(render_count_response(12)) == 12
    for body in (None, {}, {"totalTokens": "3"}, {"totalTokens": True}):
        with pytest.raises(UpstreamMalformed):
            parse_count_response(body)  # type: ignore[arg-type]
