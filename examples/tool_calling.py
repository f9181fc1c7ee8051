"""Python functions as tools: the model calls them until it can answer.

python tool_calling.py openai:gpt-4o-mini "Will I need an umbrella in Seoul tomorrow?"
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Literal

from tollgate import completion

ROUNDS = 5


def weather(city: str, day: Literal["today", "tomorrow"] = "today") -> str:
    """Tell the weather of a city.

    Args:
        city: Its name, in English.
        day: Which day.
    """
    return f"{city}, {day}: rain in the afternoon, 14 degrees"


def add(numbers: Annotated[list[float], "at least one"]) -> float:
    """Add numbers up."""
    return sum(numbers)


TOOLS = {tool.__name__: tool for tool in (weather, add)}


def call(name: str, arguments: str) -> str:
    """The tool's result. What is wrong with a call is told to the model, which may mend it."""
    try:
        return str(TOOLS[name](**json.loads(arguments or "{}")))
    except (KeyError, TypeError, ValueError) as error:
        return f"This call failed: {error!r}"


def ask(model: str, question: str) -> str:
    turns: list[Any] = [{"role": "user", "content": question}]
    for _ in range(ROUNDS):
        message = completion(model, turns, tools=list(TOOLS.values())).choices[0].message
        if not message.tool_calls:
            return message.content or ""
        turns.append(message)
        for asked in message.tool_calls:
            result = call(asked.function.name, asked.function.arguments)
            print(f"{asked.function.name}({asked.function.arguments}) -> {result}")
            turns.append({"role": "tool", "tool_call_id": asked.id, "content": result})
    return "The model never stopped calling tools."


if __name__ == "__main__":
    print(ask(*sys.argv[1:3]))
