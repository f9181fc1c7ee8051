"""any-llm's gateway provider: what its users do with a key of their own and with the master key, as one JSON object.

Arguments: the gateway's origin, a virtual key, the master key, a user.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from any_llm import AnyLLM
from any_llm.exceptions import AnyLLMError
from otari.errors import OtariError

MODEL = "openai:gpt-4o-mini"
HELLO: list[Any] = [{"role": "user", "content": "hi"}]


def text_of(chunks: Any) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def refusal(client: AnyLLM, **fields: Any) -> str:
    try:
        client.completion(model=MODEL, messages=HELLO, **fields)
    except (AnyLLMError, OtariError) as error:
        return f"{type(error).__name__}: {error}"
    return "not refused"


def main(origin: str, key: str, master: str, user: str) -> dict[str, Any]:
    # As a hosted gateway's token (`Authorization: Bearer`), and as a self-hosted gateway's key (`Otari-Key`).
    bearer = AnyLLM.create("otari", api_key=key, api_base=origin)
    own = AnyLLM.create("otari", api_key=key, api_base=origin, platform_mode=False)
    operator = AnyLLM.create("otari", api_key=master, api_base=origin, platform_mode=False)
    answer: Any = own.completion(model=MODEL, messages=HELLO)
    message: Any = own.messages(model="anthropic:claude-sonnet-4-5", messages=HELLO, max_tokens=50)
    embedded: Any = asyncio.run(own.aembedding("openai:text-embedding-3-small", "hi"))
    for_user: Any = operator.completion(model=MODEL, messages=HELLO, user=user)
    return {
        "plain": answer.choices[0].message.content,
        "tokens": answer.usage.total_tokens,
        "bearer": bearer.completion(model=MODEL, messages=HELLO).choices[0].message.content,
        "streamed": text_of(own.completion(model=MODEL, messages=HELLO, stream=True)),
        "messages": message.content[0].text,
        "embedding": embedded.data[0].embedding,
        "models": [model.id for model in own.list_models()],
        "for_user": for_user.choices[0].message.content,
        "without_user": refusal(operator),
        "unknown_user": refusal(operator, user="nobody-at-all"),
        "wrong_key": refusal(AnyLLM.create("otari", api_key="gw-" + "a" * 64, api_base=origin, platform_mode=False)),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
