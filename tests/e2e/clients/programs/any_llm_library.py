"""any-llm as a client: its providers `openai` and `anthropic` pointed at the gateway, by its own completions and by
their native surfaces."""

from __future__ import annotations

import json
from typing import Any

from any_llm import AnyLLM

from tests.e2e.clients.conversation import CHART_TEXT, PNG, QUESTION, SYSTEM, TIDE_ERROR, TOOLS, Seen
from tests.e2e.clients.programs.talk import Case, serve

_TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}
    for name, description, schema in TOOLS
]
_BASES = {"openai": "/v1", "anthropic": ""}


def _client(case: Case, provider: str) -> AnyLLM:
    return AnyLLM.create(provider, api_key=case.key, api_base=case.url + _BASES[provider])


class Completion:
    def __init__(self, case: Case) -> None:
        self._client = _client(case, case.way)
        self._model = case.model
        self._stream = case.stream
        self._messages: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]

    def ask(self) -> Seen:
        asked: dict[str, Any] = {
            "model": self._model,
            "messages": self._messages,
            "tools": _TOOLS,
            "reasoning_effort": "medium",
        }
        if not self._stream:
            answer: Any = self._client.completion(**asked)
            message, usage, stop = answer.choices[0].message, answer.usage, answer.choices[0].finish_reason
            self._messages.append(message)
            thinking = message.reasoning.content if message.reasoning else ""
            calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []]
            return _seen(message.content or "", thinking, calls, stop, usage)
        return self._streamed(asked)

    def _streamed(self, asked: dict[str, Any]) -> Seen:
        """any-llm has no helper to put chunks together: an application does it so."""
        text, thinking, stop, usage = "", "", None, None
        calls: dict[int, dict[str, Any]] = {}
        details: list[Any] = []
        chunks: Any = self._client.completion(**asked, stream=True, stream_options={"include_usage": True})
        for chunk in chunks:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                stop = choice.finish_reason or stop
                text += choice.delta.content or ""
                thinking += choice.delta.reasoning.content if choice.delta.reasoning else ""
                details += (choice.delta.model_extra or {}).get("reasoning_details", [])
                for piece in choice.delta.tool_calls or []:
                    call = calls.setdefault(
                        piece.index, {"type": "function", "function": {"name": "", "arguments": ""}}
                    )
                    call["id"] = piece.id or call["id"]
                    call["function"]["name"] += piece.function.name or ""
                    call["function"]["arguments"] += piece.function.arguments or ""
                    if extra := getattr(piece, "extra_content", None):
                        call["extra_content"] = extra
        more = {"tool_calls": list(calls.values()), "reasoning_details": details}
        kept = {name: value for name, value in more.items() if value}
        self._messages.append({"role": "assistant", "content": text, **kept})
        found = [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls.values()]
        return _seen(text, thinking, found, stop, usage)

    def hand_in(self, seen: Seen) -> None:
        (tide, *_), (chart, *_) = seen.calls
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        self._messages += [
            {"role": "tool", "tool_call_id": tide, "content": TIDE_ERROR},
            {"role": "tool", "tool_call_id": chart, "content": CHART_TEXT},
            {"role": "user", "content": [picture]},
        ]


def _seen(text: str, thinking: str, calls: list[tuple[str, str, str]], stop: str | None, usage: Any) -> Seen:
    found = [(call_id, name, json.loads(arguments)) for call_id, name, arguments in calls]
    return Seen(text, thinking, found, stop, usage.prompt_tokens, usage.completion_tokens)


class Messages:
    """Provider `anthropic`, natively."""

    def __init__(self, case: Case) -> None:
        self._client = _client(case, "anthropic")
        self._model = case.model
        self._stream = case.stream
        self._messages: list[Any] = [{"role": "user", "content": QUESTION}]

    def ask(self) -> Seen:
        asked: dict[str, Any] = {
            "model": self._model,
            "messages": self._messages,
            "system": SYSTEM,
            "max_tokens": 8192,
            "thinking": {"type": "enabled", "budget_tokens": 2048},
            "tools": [
                {"name": name, "description": description, "input_schema": schema}
                for name, description, schema in TOOLS
            ],
        }
        if self._stream:
            return self._keep(*_joined(self._client.messages(**asked, stream=True)))
        answer: Any = self._client.messages(**asked)
        content = [block.model_dump(exclude_none=True) for block in answer.content]
        return self._keep(content, answer.stop_reason, answer.usage.model_dump())

    def _keep(self, content: list[dict[str, Any]], stop: str, usage: dict[str, Any]) -> Seen:
        self._messages.append({"role": "assistant", "content": content})
        cached = (usage.get("cache_read_input_tokens") or 0) + (usage.get("cache_creation_input_tokens") or 0)
        return Seen(
            text="".join(block["text"] for block in content if block["type"] == "text"),
            thinking="".join(block["thinking"] for block in content if block["type"] == "thinking"),
            calls=[(block["id"], block["name"], block["input"]) for block in content if block["type"] == "tool_use"],
            stop=stop,
            input_tokens=usage["input_tokens"] + cached,
            output_tokens=usage["output_tokens"],
        )

    def hand_in(self, seen: Seen) -> None:
        (tide, *_), (chart, *_) = seen.calls
        picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
        results = [
            {"type": "tool_result", "tool_use_id": tide, "content": TIDE_ERROR, "is_error": True},
            {"type": "tool_result", "tool_use_id": chart, "content": [{"type": "text", "text": CHART_TEXT}, picture]},
        ]
        self._messages.append({"role": "user", "content": results})


def _joined(events: Any) -> tuple[list[dict[str, Any]], str, dict[str, Any]]:
    content: list[dict[str, Any]] = []
    stop, usage = "", {}
    for event in events:
        if event.type == "message_start":
            usage = event.message.usage.model_dump(exclude_none=True)
        elif event.type == "content_block_start":
            content.append(event.content_block.model_dump(exclude_none=True) | {"_json": ""})
        elif event.type == "content_block_delta":
            _grow(content[event.index], event.delta)
        elif event.type == "message_delta":
            stop = event.delta.stop_reason
            usage |= event.usage.model_dump(exclude_none=True)
    for block in content:
        arguments = block.pop("_json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(arguments or "{}")
    return content, stop, usage


def _grow(block: dict[str, Any], delta: Any) -> None:
    match delta.type:
        case "text_delta":
            block["text"] += delta.text
        case "thinking_delta":
            block["thinking"] += delta.thinking
        case "signature_delta":
            block["signature"] = delta.signature
        case "input_json_delta":
            block["_json"] += delta.partial_json


class Responses:
    """Provider `openai`, the Responses API."""

    def __init__(self, case: Case) -> None:
        self._client = _client(case, "openai")
        self._model = case.model
        self._stream = case.stream
        self._input: list[Any] = [{"role": "user", "content": QUESTION}]

    def ask(self) -> Seen:
        asked: dict[str, Any] = {
            "model": self._model,
            "input_data": self._input,
            "instructions": SYSTEM,
            "tools": [
                {"type": "function", "name": name, "description": description, "parameters": schema}
                for name, description, schema in TOOLS
            ],
            "reasoning": {"effort": "medium", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
            "store": False,
        }
        answer: Any = self._client.responses(**asked, stream=self._stream)
        if self._stream:
            answer = [_plain(event) for event in answer][-1]["response"]
        answer = _plain(answer)
        output = answer["output"]
        self._input += output
        messages = [item for item in output if item["type"] == "message"]
        summaries = [part["text"] for item in output if item["type"] == "reasoning" for part in item["summary"]]
        calls = [item for item in output if item["type"] == "function_call"]
        return Seen(
            text="".join(part["text"] for item in messages for part in item["content"]),
            thinking="".join(summaries),
            calls=[(call["call_id"], call["name"], json.loads(call["arguments"])) for call in calls],
            stop=answer["status"],
            input_tokens=answer["usage"]["input_tokens"],
            output_tokens=answer["usage"]["output_tokens"],
        )

    def hand_in(self, seen: Seen) -> None:
        (tide, *_), (chart, *_) = seen.calls
        picture = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}
        self._input += [
            {"type": "function_call_output", "call_id": tide, "output": TIDE_ERROR},
            {
                "type": "function_call_output",
                "call_id": chart,
                "output": [{"type": "input_text", "text": CHART_TEXT}, picture],
            },
        ]


def _plain(value: Any) -> Any:
    return value if isinstance(value, dict) else value.model_dump(exclude_none=True)


if __name__ == "__main__":
    serve(
        {
            "openai": Completion,
            "anthropic": Completion,
            "messages": Messages,
            "responses": Responses,
        }
    )
