"""The official google-genai SDK in a conversation with tools over every upstream."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from google import genai
from google.genai import types
from google.genai.chats import Chat

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


class Generate:
    """As an application does it that hands the model's content back as it got it, of a stream all parts of all chunks.

    `with_ids`: results name the call by its id, which Gemini does not demand.
    """

    def __init__(self, client: genai.Client, script: Script, *, stream: bool, with_ids: bool) -> None:
        self._client = client
        self._model = script.asked
        self._stream = stream
        self._with_ids = with_ids
        self._contents: list[Any] = [types.Content(role="user", parts=[types.Part(text=QUESTION)])]

        declared = [
            types.FunctionDeclaration(name=name, description=description, parameters_json_schema=schema)
            for name, description, schema in TOOLS
        ]
        self._config = types.GenerateContentConfig(
            system_instruction=SYSTEM,
            tools=[types.Tool(function_declarations=declared)],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            thinking_config=types.ThinkingConfig(thinking_budget=2048, include_thoughts=True),
        )

    def chat(self) -> Chat:
        return self._client.chats.create(model=self._model, config=self._config)

    def ask(self) -> Seen:
        asked: Any = {"model": self._model, "contents": self._contents, "config": self._config}
        if self._stream:
            chunks = list(self._client.models.generate_content_stream(**asked))
        else:
            chunks = [self._client.models.generate_content(**asked)]
        parts = [part for chunk in chunks for part in _parts(chunk)]
        self._contents.append(types.Content(role="model", parts=parts))
        usage = chunks[-1].usage_metadata
        finish = (chunks[-1].candidates or [])[0].finish_reason
        assert usage is not None
        return Seen(
            text="".join(part.text for part in parts if part.text and not part.thought),
            thinking="".join(part.text for part in parts if part.text and part.thought),
            calls=[
                (call.id or "", call.name or "", call.args) for call in (part.function_call for part in parts) if call
            ],
            stop=finish.name if finish else None,
            input_tokens=usage.prompt_token_count,
            output_tokens=(usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        )

    def hand_in(self, seen: Seen) -> None:
        self._contents.append(types.Content(role="user", parts=self.results(seen.calls)))

    def results(self, calls: list[tuple[str, str, Any]]) -> list[types.Part]:
        (tide, *_), (chart, *_) = calls
        picture = types.FunctionResponsePart(
            inline_data=types.FunctionResponseBlob(mime_type="image/png", data=base64.b64decode(PNG))
        )
        results = [
            types.FunctionResponse(
                id=(tide or None) if self._with_ids else None, name="get_tide", response={"error": TIDE_ERROR}
            ),
            types.FunctionResponse(
                id=(chart or None) if self._with_ids else None,
                name="get_chart",
                response={"output": CHART_TEXT},
                parts=[picture],
            ),
        ]
        return [types.Part(function_response=result) for result in results]


def _parts(chunk: types.GenerateContentResponse) -> list[types.Part]:
    (candidate,) = chunk.candidates or []
    return list((candidate.content and candidate.content.parts) or [])


@pytest.mark.parametrize("with_ids", [True, False], ids=["by-id", "by-name"])
def test_generate_converses_with_tools(
    place: Place, google_client: genai.Client, script: Script, stream: bool, with_ids: bool
) -> None:
    place.play(script, stream=stream)
    generate = Generate(google_client, script, stream=stream, with_ids=with_ids)
    first = generate.ask()
    script.check_first(first, stop="STOP")
    generate.hand_in(first)
    second = generate.ask()
    assert (second.text, second.calls, second.stop) == (ANSWER, [], "STOP")
    tide, chart = (call_id for call_id, *_ in first.calls)
    script.verify(place.upstream.calls, ABILITIES, (tide, chart))


def test_a_chat_keeps_its_streamed_history(place: Place, google_client: genai.Client, script: Script) -> None:
    """`chats` of the SDK: every chunk of an answer becomes a content of its own."""
    place.play(script, stream=True)
    generate = Generate(google_client, script, stream=True, with_ids=True)
    chat = generate.chat()
    chunks = list(chat.send_message_stream(QUESTION))
    calls = [
        (part.function_call.id or "", "", None) for chunk in chunks for part in _parts(chunk) if part.function_call
    ]
    results: Any = generate.results(calls)
    answer = [chunk.text or "" for chunk in chat.send_message_stream(results)]
    assert "".join(answer) == ANSWER
    if script.dialect != "gemini":  # passed through as it is there
        (tide, *_), (chart, *_) = calls
        script.verify(place.upstream.calls, ABILITIES, (tide, chart))
