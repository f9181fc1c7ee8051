"""The composition root: the only place that knows which parts a gateway is made of."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from gateway import __version__
from gateway.accounts.bootstrap import ensure_bootstrap_key, read_or_make
from gateway.accounts.keys import Keys
from gateway.accounts.provider_objects import ProviderObjects
from gateway.accounts.store import AccountStore
from gateway.calls import Calls
from gateway.catalogue import catalogue
from gateway.discovery import Discovery
from gateway.express import Express, Inference, Lanes, error_headers, plain_error
from gateway.health import Health
from gateway.metering.redis_stream import RedisStream
from gateway.metering.settlement import Metering
from gateway.metering.shipper import Shipper
from gateway.metering.spool import Spool, SpoolSettings
from gateway.models import Models
from gateway.observability.metrics import Metrics
from gateway.parts import Parts
from gateway.routes import inference, keys, models, ops, page, usage
from gateway.routing.providers import build_providers
from gateway.settings import Settings
from gateway.settings.provider_keys import KeyRing
from gateway.surfaces import SURFACES
from gateway.upstream import Upstream
from ledger.engine import make_engine
from ledger.queries import receipts
from wire.errors import GatewayError

_SHIP_SECONDS = 10.0
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(settings: Settings) -> Express:
    """An ASGI application, mountable. Nothing is opened before its lifespan starts; migrations are the starter's work.

    Raises SettingsError.
    """
    credentials = read_or_make(settings)
    store = AccountStore(make_engine(settings.accounts_url))
    ledger = make_engine(settings.ledger_url)
    ring = KeyRing(settings, os.environ)
    providers = build_providers(settings, lambda entry, names, variables: ring.find(entry.api_key, names, variables))
    known = Models(settings, providers, catalogue(), lambda: datetime.now(UTC))
    metrics = Metrics()
    spool = Spool(_spool_settings(settings))
    stream = RedisStream(settings.redis_url) if settings.redis_url else None
    shipper = Shipper(spool, lambda producer: asyncio.to_thread(receipts, ledger, producer), stream)
    metering = Metering(spool)
    metering.on_event(metrics.event)
    upstream = Upstream(settings.upstream)
    key_service = Keys(store, credentials.master)
    objects = ProviderObjects(store)
    calls = Calls(
        keys=key_service,
        models=known,
        metering=metering,
        objects=objects,
        upstream=upstream,
        limits=settings.upstream,
        max_body_bytes=settings.max_body_bytes,
    )
    discovery = Discovery(known, upstream)
    health = Health(
        {"database": lambda: asyncio.to_thread(store.ping)},
        blockers=(lambda: None if spool.writable else spool.reason,),
        worries=(lambda: shipper.reason,),
    )
    parts = Parts(settings, key_service, known, calls, metering, metrics, health, ledger)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await ensure_bootstrap_key(key_service, store, credentials.bootstrap)
        await asyncio.to_thread(spool.open)
        tasks = [asyncio.create_task(task) for task in (health.watch(), discovery.watch(), shipper.run())]
        health.state = "serving"
        yield
        health.state = "draining"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await objects.settle()
        await shipper.ship_all(_SHIP_SECONDS)
        await shipper.close()
        await asyncio.to_thread(spool.close)
        await upstream.close()

    serve = Inference(calls.serve, metrics)
    api = _api(settings, parts, serve, lifespan)
    return Express(
        api,
        lanes=Lanes(SURFACES),
        inference=serve,
        metrics=metrics,
        origins=settings.cors_allow_origins,
        max_body_bytes=settings.max_body_bytes,
    )


def _spool_settings(settings: Settings) -> SpoolSettings:
    chosen = settings.spool
    return SpoolSettings(
        root=settings.spool_root,
        fsync=chosen.fsync,
        segment_bytes=chosen.segment_bytes,
        segment_seconds=chosen.segment_seconds,
        quota_bytes=chosen.quota_bytes,
        on_full=chosen.on_full,
    )


def _api(settings: Settings, parts: Parts, serve: Inference, lifespan: Lifespan) -> FastAPI:
    """FastAPI: documentation, management, and everything else that is not the hot path."""
    api = FastAPI(
        title="Tollgate",
        version=__version__,
        summary="One address in front of every model, every call metered once",
        lifespan=lifespan,
        docs_url="/docs" if settings.enable_docs else None,
        redoc_url="/redoc" if settings.enable_docs else None,
        openapi_url="/openapi.json" if settings.enable_docs else None,
    )
    api.state.parts = parts
    api.add_exception_handler(GatewayError, _gateway_error)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _http_error)
    for router in (ops.router, models.router, keys.router, usage.router, inference.declare(SURFACES, serve)):
        api.include_router(router)
    page.mount(api, settings.page_dir)
    return api


async def _gateway_error(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    assert isinstance(error, GatewayError)  # noqa: S101
    headers = {name.decode(): value.decode() for name, value in error_headers(error)}
    return Response(plain_error(error), error.status, headers)


async def _invalid(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, RequestValidationError)  # noqa: S101
    found = [{name: item[name] for name in ("type", "loc", "msg")} for item in error.errors()]
    where = ".".join(str(part) for part in found[0]["loc"][1:]) if found else None
    message = f"{where}: {found[0]['msg']}" if found else "The request is not valid"
    described = {"message": message, "type": "invalid_request_error", "param": where, "code": None}
    return JSONResponse({"error": described, "detail": found}, status_code=422)


async def _http_error(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, HTTPException)  # noqa: S101
    kind = "not_found_error" if error.status_code == 404 else "invalid_request_error"
    described = {"message": str(error.detail), "type": kind, "param": None, "code": None}
    return JSONResponse(
        {"error": described, "detail": error.detail}, status_code=error.status_code, headers=error.headers
    )
