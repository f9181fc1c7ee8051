"""LangChain as a client: `ChatOpenAI` over both of OpenAI's APIs, and `ChatAnthropic`."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.e2e.clients.conversation import CHART_TEXT, PNG, QUESTION, SYSTEM, TIDE_ERROR, TOOLS, Seen
from tests.e2e.clients.programs.talk import Case, serve

_TOOLS = [
    {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}
    for name, description, schema in TOOLS
]
_IMAGE = {"type": "image", "base64": PNG, "mime_type": "image/png"}


class Invocation:
    """`picture_inside`: the image stands in the tool's result, else in a message of the user after it."""

    def __init__(self, model: Any, *, stream: bool, picture_inside: bool) -> None:
        self._model = model.bind_tools(_TOOLS)
        self._stream = stream
        self._picture_inside = picture_inside
        self._messages: list[Any] = [SystemMessage(SYSTEM), HumanMessage(QUESTION)]

    def ask(self) -> Seen:
        answer = reduce(add, self._model.stream(self._messages)) if self._stream else self._model.invoke(self._messages)
        self._messages.append(answer)
        blocks = answer.content_blocks
        stop = answer.response_metadata
        return Seen(
            text=answer.text,
            thinking="".join(block.get("reasoning", "") for block in blocks if block["type"] == "reasoning"),
            calls=[(call["id"], call["name"], call["args"]) for call in answer.tool_calls],
            stop=stop.get("finish_reason") or stop.get("stop_reason") or stop.get("status"),
            input_tokens=answer.usage_metadata["input_tokens"],
            output_tokens=answer.usage_metadata["output_tokens"],
        )

    def hand_in(self, seen: Seen) -> None:
        (tide, *_), (chart, *_) = seen.calls
        text = {"type": "text", "text": CHART_TEXT}
        self._messages.append(ToolMessage(TIDE_ERROR, tool_call_id=tide, status="error"))
        if self._picture_inside:
            self._messages.append(ToolMessage([text, _IMAGE], tool_call_id=chart))
        else:
            self._messages += [ToolMessage(CHART_TEXT, tool_call_id=chart), HumanMessage([_IMAGE])]


def chat(case: Case) -> Invocation:
    model = ChatOpenAI(
        model=case.model, base_url=f"{case.url}/v1", api_key=SecretStr(case.key), max_retries=0, stream_usage=True
    )
    return Invocation(model, stream=case.stream, picture_inside=False)


def responses(case: Case) -> Invocation:
    model = ChatOpenAI(
        model=case.model,
        base_url=f"{case.url}/v1",
        api_key=SecretStr(case.key),
        max_retries=0,
        use_responses_api=True,
        store=False,
        include=["reasoning.encrypted_content"],
        reasoning={"effort": "medium", "summary": "auto"},
    )
    return Invocation(model, stream=case.stream, picture_inside=True)


def anthropic(case: Case) -> Invocation:
    model: Any = ChatAnthropic(
        model_name=case.model,
        base_url=case.url,
        api_key=SecretStr(case.key),
        max_retries=0,
        max_tokens_to_sample=8192,
        thinking={"type": "enabled", "budget_tokens": 2048},
        timeout=None,
        stop=None,
    )
    return Invocation(model, stream=case.stream, picture_inside=True)


if __name__ == "__main__":
    serve({"chat": chat, "responses": responses, "anthropic": anthropic})
