"""The error body of the front doors: a code, a message, and the any-llm gateway's `detail`."""

from __future__ import annotations

from typing import Any

from wire.errors import GatewayError


def render_error(error: GatewayError) -> dict[str, Any]:
    return {"error": {"code": error.code or error.type, "message": error.message}, "detail": error.detail}
