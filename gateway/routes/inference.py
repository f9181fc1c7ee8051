"""The inference paths once more, for FastAPI's documentation. In practice the express lane answers them first; both end
in the same `Inference`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response

from gateway.exchange import Receive, Scope, Send
from gateway.express import Inference
from gateway.surfaces import DoorSurface, Surface


class _Deferred(Response):
    """A response that is a whole ASGI application."""

    def __init__(self, run: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        super().__init__()
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._run(scope, receive, send)


def declare(surfaces: tuple[Surface, ...], inference: Inference) -> APIRouter:
    router = APIRouter(tags=["inference"])
    for surface in surfaces:
        router.add_api_route(
            surface.path.replace("{model}", "{model:path}"),
            _endpoint(surface, inference),
            methods=["POST"],
            summary=surface.summary,
            response_class=Response,
            openapi_extra={"requestBody": _body(surface), "security": [{"Bearer": []}]},
        )
    return router


def _endpoint(surface: Surface, inference: Inference) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        params = dict(request.path_params)
        return _Deferred(lambda scope, receive, send: inference(surface, params, scope, receive, send))

    return endpoint


def _body(surface: Surface) -> dict[str, object]:
    """What is checked at the door; the whole format is the vendor's, and passes through. A front door's is ours."""
    if isinstance(surface, DoorSurface):
        return {"required": True, "content": {"application/json": {"schema": dict(surface.dialect.request_schema)}}}
    turns: dict[str, object] = {"type": "array", "minItems": 1, "items": {"type": "object"}}
    fields: dict[str, object] = {surface.turns: turns}
    required = [surface.turns]
    if "{model}" not in surface.path:
        fields["model"] = {"type": "string", "description": "An alias, provider:model, or a bare catalogue id"}
        required.append("model")
    if surface.stream is None:
        fields["stream"] = {"type": "boolean", "default": False}
    schema = {"type": "object", "required": required, "properties": fields, "additionalProperties": True}
    return {"required": True, "content": {"application/json": {"schema": schema}}}
