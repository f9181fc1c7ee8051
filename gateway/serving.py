"""The application that uvicorn makes in each worker process."""

from __future__ import annotations

from gateway.app import create_app
from gateway.express import Express
from gateway.observability import logs
from gateway.settings import load


def app() -> Express:
    """Settings come from the environment, into which the starting process has put its flags."""
    settings = load()
    logs.configure(settings.log_level)
    return create_app(settings)
