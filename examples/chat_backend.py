"""A chat backend on FastAPI: `POST /chat` for a whole answer, `POST /chat/stream` for server-sent events.

pip install "tollgate[sdk]" fastapi uvicorn
CHAT_MODEL=openai:gpt-4o-mini uvicorn chat_backend:app
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

from tollgate import AsyncStream, Tollgate, TollgateError
from tollgate.sdk.types import ChatCompletionChunk

# `provider:model` goes straight to that provider, or through a gateway when TOLLGATE_KEY is set.
PROVIDER, _, MODEL = os.environ.get("CHAT_MODEL", "openai:gpt-4o-mini").partition(":")


class Turn(BaseModel):
    role: Literal["system", "user", "assistant"]
    content: str


class Chat(BaseModel):
    messages: list[Turn] = Field(min_length=1)


class Reply(BaseModel):
    text: str
    total_tokens: int | None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for all requests: it keeps its connections open."""
    async with Tollgate.create(PROVIDER, max_retries=2) as app.state.client:
        yield


app = FastAPI(lifespan=lifespan)


def client_of(request: Request) -> Tollgate:
    client: Tollgate = request.app.state.client
    return client


Client = Annotated[Tollgate, Depends(client_of)]


@app.post("/chat")
async def chat(chat: Chat, client: Client) -> Reply:
    answer = await client.acompletion(MODEL, [turn.model_dump() for turn in chat.messages])
    usage = answer.usage
    return Reply(text=answer.choices[0].message.content or "", total_tokens=usage.total_tokens if usage else None)


@app.post("/chat/stream")
async def chat_stream(chat: Chat, client: Client) -> StreamingResponse:
    stream = await client.acompletion(MODEL, [turn.model_dump() for turn in chat.messages], stream=True)
    return StreamingResponse(events(stream), media_type="text/event-stream")


async def events(stream: AsyncStream[ChatCompletionChunk]) -> AsyncIterator[str]:
    """A client that leaves ends the generator, and `async with` the provider's stream with it."""
    async with stream:
        try:
            async for chunk in stream:
                if chunk.choices and (text := chunk.choices[0].delta.content):
                    yield event("text", text)
        except TollgateError as error:  # the answer has begun: the error must go the same way
            yield event("error", error.message)
        else:
            yield event("done", None)


def event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


@app.exception_handler(TollgateError)
async def failed(_: Request, error: TollgateError) -> JSONResponse:
    """What is wrong with the request is the caller's to know; all else is ours to mend."""
    status = error.status if error.status in (400, 404, 413, 422, 429) else 502
    message = error.message if status != 502 else "The model cannot be reached just now"
    headers = {} if error.retry_after is None else {"retry-after": str(round(error.retry_after))}
    return JSONResponse({"error": message}, status, headers)
