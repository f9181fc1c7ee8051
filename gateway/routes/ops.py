"""Health, status and metrics. No key, no I/O per call."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from gateway import __version__
from gateway.observability.metrics import CONTENT_TYPE
from gateway.routes.deps import PartsDep

router = APIRouter(tags=["operations"])


@router.get("/health", summary="The process lives")
async def health(parts: PartsDep) -> dict[str, Any]:
    providers = {name: {"key": provider.unavailable is None} for name, provider in parts.models.providers.items()}
    return {"status": "healthy", "database": parts.health.database, "providers": providers}


@router.get("/health/liveness", summary="The process lives, in one word")
async def liveness() -> str:
    return "I'm alive!"


@router.get("/health/readiness", summary="Whether calls can be served, and what is degraded")
async def readiness(parts: PartsDep) -> JSONResponse:
    now = parts.health.readiness()
    body = {
        "status": now.status,
        "database": now.database,
        "version": __version__,
        "reasons": list(now.reasons),
    }
    return JSONResponse(body) if now.ready else JSONResponse({"detail": body}, status_code=503)


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(parts: PartsDep) -> Response:
    if not parts.settings.enable_metrics:
        return JSONResponse({"detail": "Not Found"}, status_code=404)
    return Response(parts.metrics.render(), media_type=CONTENT_TYPE)
