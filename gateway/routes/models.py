"""`GET /v1/models`: what is configured, available or not."""

from __future__ import annotations

from fastapi import APIRouter, Response

from gateway.routes.deps import KeyRoute, PartsDep
from gateway.routes.exact_json import exact_json
from wire.errors import NotFound

router = APIRouter(tags=["models"], route_class=KeyRoute)


@router.get("/v1/models", summary="All models, those that cannot be used just now with the reason")
async def list_models(parts: PartsDep) -> Response:
    return exact_json({"object": "list", "data": [model.to_json() for model in parts.models.listing()]})


@router.get("/v1/models/{model_id:path}", summary="One model")
async def get_model(model_id: str, parts: PartsDep) -> Response:
    for model in parts.models.listing():
        if model.id == model_id:
            return exact_json(model.to_json())
    raise NotFound(f"Model '{model_id}' not found", param="model")
