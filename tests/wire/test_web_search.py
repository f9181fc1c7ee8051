from __future__ import annotations

import pytest

from wire.dialect import Dialect
from wire.dialects.anthropic_messages import DIALECT as ANTHROPIC
from wire.dialects.gemini import DIALECT as GEMINI
from wire.dialects.openai_responses import DIALECT as RESPONSES
from wire.neutral import Message, Request, Text
from wire.providers import ROWS
from wire.web_search import searching_dialect, with_search_tool

REQUEST = Request(
    dialect="llm_server", model="m", messages=(Message(role="user", parts=(Text(text="news?"),)),), web_search=True
)


@pytest.mark.parametrize(
    ("dialect", "tools"),
    [
        (RESPONSES, [{"type": "web_search"}]),
        (ANTHROPIC, [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]),
        (GEMINI, [{"googleSearch": {}}]),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_each_provider_is_given_its_own_tool(dialect: Dialect, tools: list[object]) -> None:
    asked = with_search_tool(REQUEST, dialect.name)
    rendered = dialect.render_request(asked, quirks=ROWS["openai"].quirks)
    assert rendered.body["tools"] == tools
    assert rendered.dropped == ()


def test_a_request_that_does_not_ask_for_it_is_the_same() -> None:
    plain = Request(dialect="llm_server", model="m", messages=REQUEST.messages)
    assert with_search_tool(plain, "gemini") is plain


def test_which_dialect_a_provider_searches_in() -> None:
    found = {name: searching_dialect(row, row.dialects) for name, row in ROWS.items()}
    assert {name: dialect for name, dialect in found.items() if dialect} == {
        "openai": "openai_responses",
        "anthropic": "anthropic_messages",
        "gemini": "gemini",
        "xai": "openai_responses",
    }
    assert searching_dialect(ROWS["openai"], ("openai_chat",)) is None
