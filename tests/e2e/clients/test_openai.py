"""The official OpenAI SDK, Chat Completions and Responses, in a conversation with tools over every upstream."""

from __future__ import annotations

import json
from typing import Any, cast

import openai
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState

from tests.e2e.clients.conftest import Place
from tests.e2e.clients.conversation import (
    ANSWER,
    CHART_TEXT,
    QUESTION,
    SYSTEM,
    TIDE_ERROR,
    TOOLS,
    Abilities,
    Seen,
)
from tests.e2e.clients.script import DATA_URL, Script


# -------------------------------------------------------------------------------------------------- Chat Completions
class Chat:
    """As an application does it that hands the assistant's message back as it got it."""

    abilities = Abilities(error_flag=False, image_in_result=False)

    def __init__(self, client: openai.OpenAI, script: Script, *, stream: bool, by_sdk_alone: bool = False) -> None:
        self._client = client
        self._model = script.asked
        self._stream = stream
        self._by_sdk_alone = by_sdk_alone
        self._tools: Any = [
            {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}
            for name, description, schema in TOOLS
        ]
        self._messages: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]

    def ask(self) -> Seen:
        completion = self._streamed() if self._stream else self._plain()
        (choice,) = completion.choices
        message = choice.message
        # Streams of some servers repeat the role, and the SDK joins what is repeated.
        self._messages.append({**message.model_dump(exclude_none=True), "role": "assistant"})
        calls = [cast(Any, call) for call in message.tool_calls or []]
        assert completion.usage is not None
        return Seen(
            text=message.content or "",
            thinking=getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None) or "",
            calls=[(call.id, call.function.name, json.loads(call.function.arguments)) for call in calls],
            stop=choice.finish_reason,
            input_tokens=completion.usage.prompt_tokens,
            output_tokens=completion.usage.completion_tokens,
        )

    def _plain(self) -> Any:
        return self._client.chat.completions.create(
            model=self._model, messages=self._messages, tools=self._tools, reasoning_effort="medium"
        )

    def _streamed(self) -> Any:
        """Put together by the SDK; the list of reasoning details by the application, as OpenRouter's documentation
        says, because the SDK joins the strings of entries that have one index."""
        state: Any = ChatCompletionStreamState()
        details: list[Any] = []
        for chunk in self._client.chat.completions.create(
            model=self._model,
            messages=self._messages,
            tools=self._tools,
            reasoning_effort="medium",
            stream=True,
            stream_options={"include_usage": True},
        ):
            if not self._by_sdk_alone and chunk.choices and chunk.choices[0].delta.model_extra:
                details += chunk.choices[0].delta.model_extra.pop("reasoning_details", [])
            state.handle_chunk(chunk)
        completion = state.get_final_completion()
        if details:
            completion.choices[0].message.reasoning_details = details
        return completion

    def hand_in(self, seen: Seen) -> None:
        """Results of the tools; chat takes no image in them, so it comes from the user."""
        (tide, *_), (chart, *_) = seen.calls
        self._messages += [
            {"role": "tool", "tool_call_id": tide, "content": TIDE_ERROR},
            {"role": "tool", "tool_call_id": chart, "content": CHART_TEXT},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": DATA_URL}}]},
        ]


@pytest.mark.parametrize(
    ("stream", "by_sdk_alone"),
    [(False, False), (True, False), (True, True)],
    ids=["plain", "streamed", "streamed-by-sdk-alone"],
)
def test_chat_converses_with_tools(
    place: Place, openai_client: openai.OpenAI, script: Script, stream: bool, by_sdk_alone: bool
) -> None:
    if by_sdk_alone and script.name == "openrouter":
        pytest.skip("passed through: OpenRouter's own stream repeats strings that the SDK then joins")
    place.play(script, stream=stream)
    chat = Chat(openai_client, script, stream=stream, by_sdk_alone=by_sdk_alone)
    first = chat.ask()
    script.check_first(first, stop="tool_calls")
    chat.hand_in(first)
    second = chat.ask()
    assert (second.text, second.calls, second.stop) == (ANSWER, [], "stop")
    tide, chart = (call_id for call_id, *_ in first.calls)
    script.verify(place.upstream.calls, chat.abilities, (tide, chart))


# --------------------------------------------------------------------------------------------------------- Responses
class Responses:
    """As an application does it that stores nothing and hands the output items back."""

    abilities = Abilities(error_flag=False, image_in_result=True)

    def __init__(self, client: openai.OpenAI, script: Script, *, stream: bool) -> None:
        self._client = client
        self._model = script.asked
        self._stream = stream
        self._input: list[Any] = [{"role": "user", "content": QUESTION}]

    def ask(self) -> Seen:
        settings: Any = {
            "model": self._model,
            "instructions": SYSTEM,
            "input": self._input,
            "tools": [
                {"type": "function", "name": name, "description": description, "parameters": schema}
                for name, description, schema in TOOLS
            ],
            "reasoning": {"effort": "medium", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
            "store": False,
        }
        if self._stream:
            with self._client.responses.stream(**settings) as events:
                response: Any = events.get_final_response()
        else:
            response = self._client.responses.create(**settings)
        self._input += [item.model_dump(exclude_none=True) for item in response.output]
        calls = [item for item in response.output if item.type == "function_call"]
        summaries = [part.text for item in response.output if item.type == "reasoning" for part in item.summary]
        return Seen(
            text=response.output_text,
            thinking="".join(summaries),
            calls=[(call.call_id, call.name, json.loads(call.arguments)) for call in calls],
            stop=response.status,
            input_tokens=response.usage.input_tokens,
            output_tokens=response.usage.output_tokens,
        )

    def hand_in(self, seen: Seen) -> None:
        (tide, *_), (chart, *_) = seen.calls
        self._input += [
            {"type": "function_call_output", "call_id": tide, "output": TIDE_ERROR},
            {
                "type": "function_call_output",
                "call_id": chart,
                "output": [
                    {"type": "input_text", "text": CHART_TEXT},
                    {"type": "input_image", "image_url": DATA_URL},
                ],
            },
        ]


def test_responses_converses_with_tools(
    place: Place, openai_client: openai.OpenAI, script: Script, stream: bool
) -> None:
    place.play(script, stream=stream)
    responses = Responses(openai_client, script, stream=stream)
    first = responses.ask()
    script.check_first(first, stop="completed")
    responses.hand_in(first)
    second = responses.ask()
    assert (second.text, second.calls, second.stop) == (ANSWER, [], "completed")
    tide, chart = (call_id for call_id, *_ in first.calls)
    script.verify(place.upstream.calls, responses.abilities, (tide, chart))
