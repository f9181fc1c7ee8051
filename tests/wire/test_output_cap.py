"""Where the cap of an answer stands in each kind of request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wire.errors import BadRequest
from wire.output_cap import read_output_cap, set_output_cap

CASES = [
    ("openai_chat", {}, {"max_completion_tokens": 7}),
    ("openai_chat", {"max_tokens": 9}, {"max_tokens": 7}),
    ("openai_chat", {"max_completion_tokens": 9}, {"max_completion_tokens": 7}),
    ("openai_chat", {"max_completion_tokens": 9, "max_tokens": 8}, {"max_completion_tokens": 7, "max_tokens": 7}),
    ("openai_chat", {"max_completion_tokens": None, "max_tokens": 8}, {"max_completion_tokens": None, "max_tokens": 7}),
    ("openai_responses", {"max_output_tokens": 9}, {"max_output_tokens": 7}),
    ("anthropic_messages", {"max_tokens": 9}, {"max_tokens": 7}),
    ("completions", {}, {"max_tokens": 7}),
    ("gemini", {}, {"generationConfig": {"maxOutputTokens": 7}}),
    ("gemini", {"generationConfig": None}, {"generationConfig": {"maxOutputTokens": 7}}),
    (
        "gemini",
        {"generationConfig": {"topK": 1, "maxOutputTokens": 9}},
        {"generationConfig": {"topK": 1, "maxOutputTokens": 7}},
    ),
    ("gemini", {"generation_config": {"max_output_tokens": 9}}, {"generation_config": {"max_output_tokens": 7}}),
]


@pytest.mark.parametrize(("kind", "before", "after"), CASES)
def test_it_is_set_where_the_request_has_it(kind: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    body = json.dumps({"x": 1.50, **before}).encode()
    changed = set_output_cap(body, kind, 7)
    assert json.loads(changed) == {"x": 1.5, **after}
    assert read_output_cap(json.loads(changed)) == 7


@pytest.mark.parametrize(
    "body", [{}, {"max_tokens": 0}, {"max_tokens": "9"}, {"max_tokens": True}, {"max_tokens": 1.5}]
)
def test_what_is_no_cap_is_none(body: dict[str, Any]) -> None:
    assert read_output_cap(body) is None


@pytest.mark.parametrize(("kind", "body"), [("openai_chat", b"[]"), ("gemini", b'{"generationConfig": 5}')])
def test_what_is_no_object_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(BadRequest):
        set_output_cap(body, kind, 7)
