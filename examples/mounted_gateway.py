"""The gateway itself inside one's own FastAPI application: every API below `/llm`, the bill beside one's own routes.

    TOLLGATE_CONFIG=config.yaml uvicorn mounted_gateway:app

The usage worker (`tollgate worker --config config.yaml`) runs beside it, as always.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from gateway.__main__ import migrate
from gateway.app import create_app, include
from gateway.routes import usage
from gateway.settings import load

settings = load()
gateway = create_app(settings)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """A server starts the outermost application only: this one starts the gateway."""
    migrate(settings)
    async with gateway.running():
        yield


app = FastAPI(title="My application", lifespan=lifespan)


@app.get("/")
async def hello() -> dict[str, str]:
    return {"hello": "my own route", "models": "/llm/v1/models", "bill": "/v1/usage"}


app.mount("/llm", gateway)
include(app, gateway, usage.router)
