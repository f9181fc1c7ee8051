"""All written upstreams by the name of their provider: the four dialects, and chat with reasoning."""

from __future__ import annotations

from tests.e2e.clients.anthropic_upstream import ANTHROPIC
from tests.e2e.clients.chat_upstreams import OPENAI, OPENROUTER
from tests.e2e.clients.gemini_upstream import GEMINI
from tests.e2e.clients.responses_upstream import RESPONSES

SCRIPTS = {script.name: script for script in (OPENAI, OPENROUTER, RESPONSES, ANTHROPIC, GEMINI)}
