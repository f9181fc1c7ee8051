"""LiteLLM as a client: its providers `openai` and `anthropic`, each pointed at the gateway."""

from __future__ import annotations

import json
import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches a price list when it is imported

import litellm

from tests.e2e.clients.conversation import CHART_TEXT, PNG, QUESTION, SYSTEM, TIDE_ERROR, TOOLS, Seen
from tests.e2e.clients.programs.talk import Case, serve

_BASES = {"openai": "/v1", "anthropic": ""}
# LiteLLM does not know these names, and passes on only what it is told to.
_REASONING: dict[str, dict[str, Any]] = {
    "openai": {"reasoning_effort": "medium", "allowed_openai_params": ["reasoning_effort"]},
    "anthropic": {"thinking": {"type": "enabled", "budget_tokens": 2048}, "allowed_openai_params": ["thinking"]},
}


class Completion:
    def __init__(self, case: Case) -> None:
        self._settings: dict[str, Any] = {
            "model": f"{case.way}/{case.model}",
            "api_base": case.url + _BASES[case.way],
            "api_key": case.key,
            "num_retries": 0,
            **_REASONING[case.way],
            "tools": [
                {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}
                for name, description, schema in TOOLS
            ],
        }
        self._stream = case.stream
        self._messages: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]

    def ask(self) -> Seen:
        if self._stream:
            options = {"stream": True, "stream_options": {"include_usage": True}}
            chunks = list(litellm.completion(messages=self._messages, **self._settings, **options))
            answer: Any = litellm.stream_chunk_builder(chunks, messages=self._messages)
        else:
            answer = litellm.completion(messages=self._messages, **self._settings)
        choice = answer.choices[0]
        self._messages.append(choice.message)
        return Seen(
            text=choice.message.content or "",
            thinking=getattr(choice.message, "reasoning_content", None) or "",
            calls=[
                (call.id, call.function.name, json.loads(call.function.arguments))
                for call in choice.message.tool_calls or []
            ],
            stop=choice.finish_reason,
            input_tokens=answer.usage.prompt_tokens,
            output_tokens=answer.usage.completion_tokens,
        )

    def hand_in(self, seen: Seen) -> None:
        (tide, *_), (chart, *_) = seen.calls
        self._messages += [
            {"role": "tool", "tool_call_id": tide, "content": TIDE_ERROR},
            {"role": "tool", "tool_call_id": chart, "content": CHART_TEXT},
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}],
            },
        ]


if __name__ == "__main__":
    serve({"openai": Completion, "anthropic": Completion})
