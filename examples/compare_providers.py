"""One question to several models at once: answers, tokens, seconds, and the cost where a gateway tells it.

python compare_providers.py "What is a tollgate?" openai:gpt-4o-mini anthropic:claude-sonnet-4-5 gemini:gemini-2.5-flash
"""

from __future__ import annotations

import asyncio
import sys
from time import perf_counter

from tollgate import TollgateError, acompletion


async def ask(model: str, question: str) -> str:
    started = perf_counter()
    try:
        answer = await acompletion(model, [{"role": "user", "content": question}], max_tokens=300)
    except TollgateError as error:
        return f"{model}: {type(error).__name__}: {error.message}"
    seconds = perf_counter() - started
    tokens = answer.usage.total_tokens if answer.usage else "?"
    cost = answer.tollgate.cost_usd
    told = "" if cost is None else f", ${cost:f}"
    lost = f", could not take {', '.join(answer.dropped)}" if answer.dropped else ""
    return f"{model} ({seconds:.1f} s, {tokens} tokens{told}{lost}): {answer.choices[0].message.content}"


async def compare(question: str, models: list[str]) -> None:
    """Each answer as soon as it is there."""
    for finished in asyncio.as_completed([ask(model, question) for model in models]):
        print(await finished)


if __name__ == "__main__":
    asyncio.run(compare(sys.argv[1], sys.argv[2:]))
