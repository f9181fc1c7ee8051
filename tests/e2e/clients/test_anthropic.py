"""The official Anthropic SDK in a conversation with tools over every upstream."""

from __future__ import annotations

from typing import Any

import anthropic

from tests.e2e.clients.conftest import Place
from tests.e2e.clients.conversation import (
    ANSWER,
    CHART_TEXT,
    PNG,
    QUESTION,
    SYSTEM,
    TIDE_ERROR,
    TOOLS,
    Abilities,
    Seen,
)
from tests.e2e.clients.script import Script

ABILITIES = Abilities(error_flag=True, image_in_result=True)


class Messages:
    """As an application does it that hands the assistant's content blocks back as it got them."""

    def __init__(self, client: anthropic.Anthropic, script: Script, *, stream: bool) -> None:
        self._client = client
        self._model = script.asked
        self._stream = stream
        self._messages: list[Any] = [{"role": "user", "content": QUESTION}]

    def ask(self) -> Seen:
        settings: Any = {
            "model": self._model,
            "max_tokens": 8192,
            "system": SYSTEM,
            "messages": self._messages,
            "tools": [
                {"name": name, "description": description, "input_schema": schema}
                for name, description, schema in TOOLS
            ],
            "thinking": {"type": "enabled", "budget_tokens": 2048},
        }
        if self._stream:
            with self._client.messages.stream(**settings) as events:
                message: Any = events.get_final_message()
        else:
            message = self._client.messages.create(**settings)
        self._messages.append({"role": "assistant", "content": message.content})
        usage = message.usage
        cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        return Seen(
            text="".join(block.text for block in message.content if block.type == "text"),
            thinking="".join(block.thinking for block in message.content if block.type == "thinking"),
            calls=[(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"],
            stop=message.stop_reason,
            input_tokens=usage.input_tokens + cached,
            output_tokens=usage.output_tokens,
        )

    def hand_in(self, seen: Seen) -> None:
        (tide, *_), (chart, *_) = seen.calls
        picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
        results = [
            {"type": "tool_result", "tool_use_id": tide, "content": TIDE_ERROR, "is_error": True},
            {"type": "tool_result", "tool_use_id": chart, "content": [{"type": "text", "text": CHART_TEXT}, picture]},
        ]
        self._messages.append({"role": "user", "content": results})


def test_messages_converses_with_tools(
    place: Place, anthropic_client: anthropic.Anthropic, script: Script, stream: bool
) -> None:
    place.play(script, stream=stream)
    messages = Messages(anthropic_client, script, stream=stream)
    first = messages.ask()
    script.check_first(first, stop="tool_use")
    messages.hand_in(first)
    second = messages.ask()
    assert (second.text, second.calls, second.stop) == (ANSWER, [], "end_turn")
    tide, chart = (call_id for call_id, *_ in first.calls)
    script.verify(place.upstream.calls, ABILITIES, (tide, chart))
