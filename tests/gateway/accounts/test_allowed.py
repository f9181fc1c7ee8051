from __future__ import annotations

import time

import pytest

from gateway.accounts.allowed import allows


@pytest.mark.parametrize(
    ("patterns", "name", "allowed"),
    [
        (None, "openai:gpt-4o", True),
        ([], "openai:gpt-4o", False),
        (["*"], "openai:gpt-4o", True),
        (["openai:*"], "openai:gpt-4o", True),
        (["openai:*"], "anthropic:claude", False),
        (["openai/gpt-4o"], "openai:gpt-4o", True),
        (["openai:gpt-4o"], "openai:gpt-4o-mini", False),
        (["openai:gpt-4o*"], "openai:gpt-4o-mini", True),
        (["*mini*"], "openai:gpt-4o-mini-2024", True),
        (["OpenAI:GPT-4o"], "openai:gpt-4o", True),
        (["openai:gpt.4o"], "openai:gpt-4o", False),
        (["a*b*c"], "aXbXbXc", True),
        (["a*b*c"], "aXc", False),
    ],
)
def test_patterns(patterns: list[str] | None, name: str, allowed: bool) -> None:
    assert allows(patterns, name) is allowed


def test_no_pattern_takes_long() -> None:
    began = time.monotonic()
    assert not allows(["a*" * 100 + "b"], "a" * 250)
    assert time.monotonic() - began < 5
