"""Searching the web: each provider that can has a tool of its own for it, which it runs itself.

https://platform.openai.com/docs/guides/tools-web-search, https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool,
https://ai.google.dev/gemini-api/docs/google-search
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import structs

from wire.neutral import DialectName, NativeTool, Request
from wire.providers import ProviderRow

_TOOLS: Mapping[DialectName, NativeTool] = {
    "openai_responses": NativeTool(dialect="openai_responses", type="web_search", value={"type": "web_search"}),
    "anthropic_messages": NativeTool(
        dialect="anthropic_messages",
        type="web_search_20250305",
        value={"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
    ),
    "gemini": NativeTool(dialect="gemini", type="googleSearch", value={"googleSearch": {}}),
}


def searching_dialect(row: ProviderRow, spoken: Sequence[DialectName]) -> DialectName | None:
    """The dialect in which a provider is asked to search, of those that are spoken with it; None: it cannot."""
    return next((dialect for dialect in spoken if dialect in _TOOLS), None) if row.web_search else None


def with_search_tool(request: Request, upstream: DialectName) -> Request:
    """The request with the tool of its upstream, where it asks for one."""
    if not request.web_search:
        return request
    return structs.replace(request, tools=(*request.tools, _TOOLS[upstream]), web_search=False)
