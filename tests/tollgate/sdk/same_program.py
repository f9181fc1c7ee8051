"""A program as any-llm's users write it; its first argument says which package it imports. Prints one JSON object."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import warnings
from typing import Any

from pydantic import BaseModel

HELLO = [{"role": "user", "content": "hello"}]


class Place(BaseModel):
    city: str


def weather(city: str, unit: str = "c") -> str:
    """Tell the weather."""
    return f"{city} {unit}"


def text_of(chunks: Any) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


async def awaited(llm: Any, where: dict[str, Any]) -> dict[str, Any]:
    answer = await llm.acompletion("openai:gpt-4o-mini", HELLO, **where)
    stream = await llm.acompletion("openai:gpt-4o-mini", HELLO, stream=True, **where)
    embedded = await llm.aembedding("openai:text-embedding-3-small", "hello", **where)
    models = await llm.alist_models("openai", **where)
    return {
        "text": answer.choices[0].message.content,
        "streamed": text_of([chunk async for chunk in stream]),
        "vector": embedded.data[0].embedding,
        "models": [model.id for model in models],
    }


def refused(llm: Any, name: str, call: Any) -> list[Any]:
    try:
        call()
    except getattr(llm, name) as error:
        return [type(error).__name__, getattr(error, "status_code", None), getattr(error, "provider_name", None)]
    return ["not refused"]


def main(package: str, url: str) -> dict[str, Any]:
    llm = importlib.import_module(package)
    made = (llm.AnyLLM if package == "any_llm" else llm.Tollgate).create
    where = {"api_key": "sk-1", "api_base": f"{url}/v1"}
    client = made("openai", "sk-1", f"{url}/v1")
    claude = made("anthropic", api_key="sk-2", api_base=url)
    answer = client.completion(model="gpt-4o-mini", messages=HELLO, temperature=0.5, max_tokens=9)
    called = llm.completion(model="called", provider="openai", messages=HELLO, tools=[weather], **where)
    (call,) = called.choices[0].message.tool_calls
    turns = [*HELLO, called.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    message = claude.messages(model="claude-sonnet-4-5", messages=HELLO, max_tokens=9)
    translated = claude.completion(model="claude-sonnet-4-5", messages=HELLO, max_tokens=9)
    response = client.responses(model="gpt-4o", input_data="hello")
    placed = client.completion(model="placed", messages=HELLO, response_format=Place)
    return {
        "placed": placed.choices[0].message.parsed.city,
        "text": answer.choices[0].message.content,
        "finish": answer.choices[0].finish_reason,
        "usage": [answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens],
        "dumped": answer.model_dump(exclude_none=True)["choices"][0]["message"]["content"],
        "streamed": text_of(client.completion(model="gpt-4o-mini", messages=HELLO, stream=True)),
        "call": [call.function.name, json.loads(call.function.arguments)],
        "after": client.completion(model="gpt-4o-mini", messages=turns).choices[0].message.content,
        "block": [message.content[0].type, message.content[0].text, message.stop_reason, message.usage.output_tokens],
        "translated": [translated.choices[0].message.content, translated.choices[0].finish_reason],
        "response": [response.status, response.output[0].content[0].text],
        "events": [event.type for event in client.responses(model="streamed", input_data="hello", stream=True)],
        "awaited": asyncio.run(awaited(llm, where)),
        "slow": refused(llm, "RateLimitError", lambda: client.completion(model="slow", messages=HELLO)),
        "bad": refused(llm, "InvalidRequestError", lambda: client.completion(model="bad", messages=HELLO)),
        "missing": refused(llm, "MissingApiKeyError", lambda: made("anthropic"))[:1],
        "unknown": refused(llm, "UnsupportedProviderError", lambda: llm.completion("nobody:x", HELLO))[:1],
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
