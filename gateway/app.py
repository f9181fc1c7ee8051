"""The composition root: the only place that knows which parts a gateway is made of."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy import Engine
from starlette.exceptions import HTTPException

from gateway import __version__
from gateway.accounts.bootstrap import ensure_bootstrap_key, ensure_visitor
from gateway.accounts.conversations import Conversations
from gateway.accounts.first_keys import read_or_make
from gateway.accounts.jobs import Jobs
from gateway.accounts.provider_objects import ProviderObjects
from gateway.accounts.purging import purge_again_and_again
from gateway.accounts.scopes import configured_limits
from gateway.accounts.service import Accounts
from gateway.accounts.spend import spent_with
from gateway.accounts.visitors import Visitors
from gateway.admission.desk import Desk, SpentReader
from gateway.admission.in_memory import InMemory
from gateway.admission.in_redis import InRedis
from gateway.calls import Calls
from gateway.calls.allowance import Allowance
from gateway.calls.background import Background
from gateway.calls.counts import TokenCounts
from gateway.calls.door import PlainDoor
from gateway.calls.llm_server import LlmServer
from gateway.calls.own_key import check_names
from gateway.calls.playground import Playground
from gateway.catalogue import Catalogue, catalogue_path
from gateway.discovery import Discovery
from gateway.error_answers import format_of
from gateway.express import Express, Inference, Lanes, internal_error
from gateway.health import Health
from gateway.ids import uuid7
from gateway.local_state import LocalCollector
from gateway.machine import Machine
from gateway.metering.redis_stream import RedisStream
from gateway.metering.settlement import Metering
from gateway.metering.shipper import ReceiptReader, Shipper
from gateway.metering.spool import Spool, SpoolSettings
from gateway.metering.spool_metrics import SpoolCollector
from gateway.models import Models
from gateway.observability.metrics import Metrics
from gateway.parts import Parts
from gateway.price_list import PriceList
from gateway.routes import (
    audit,
    budgets,
    cpu_stack,
    inference,
    keys,
    limits,
    llm_server,
    models,
    ops,
    page,
    playground,
    pricing,
    usage,
    users,
)
from gateway.routes.doors import bad_request, tell
from gateway.routing.providers import Provider, build_providers, near
from gateway.settings import Settings, with_dotenv
from gateway.settings.provider_keys import KeyRing
from gateway.surfaces import LLM_SERVER, SURFACES
from gateway.upstream import Upstream
from ledger.engine import make_engine
from ledger.queries import receipts
from ledger.threads import in_thread
from wire.errors import GatewayError, Unauthenticated

# At the end. A stack's replica may never come back, so it waits for its receipts; here, the next start takes over.
SHIP_SECONDS, SHIP_SECONDS_EMBEDDED = 10.0, 1.0
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(settings: Settings) -> Express:
    """An ASGI application. Nothing is opened before its lifespan starts; migrations are the starter's work.

    It can be mounted in another application, which then enters `running()` in its own lifespan: a server starts the
    outermost application only. Raises SettingsError.
    """
    machine = _Machine(settings)
    parts = machine.parts
    serve = Inference(parts.calls.serve, parts.metrics)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        await machine.start()
        try:
            yield
        finally:
            await machine.stop()

    return Express(
        _api(settings, parts, serve, lambda _: running()),
        parts=parts,
        running=running,
        lanes=Lanes(SURFACES),
        inference=serve,
        metrics=parts.metrics,
        origins=settings.cors_allow_origins,
        max_body_bytes=settings.max_body_bytes,
        caller_timeout=settings.caller_timeout_seconds,
    )


def include(host: FastAPI, gateway: Express, *routers: APIRouter) -> None:
    """Take routers of `gateway.routes` into one's own application, beside its own: they find their parts there, and
    their errors look as they do here. Inference paths are mounted, not included: they need the lane around them."""
    host.state.parts = gateway.parts
    host.add_exception_handler(GatewayError, _gateway_error)
    for router in routers:
        host.include_router(router)


class _Machine:
    """All that runs behind the routes, from start to stop."""

    def __init__(self, settings: Settings) -> None:
        self._credentials = read_or_make(settings)
        providers = _providers(settings)
        accounts = Accounts(
            make_engine(settings.accounts_url),
            redis_url=settings.redis_url,
            master_key=self._credentials.master,
            max_stale=settings.max_stale_seconds,
            visitors=Visitors(settings.auth.anonymous, settings.cors_allow_origins),
            limits=configured_limits(settings, providers),
        )
        self._store = accounts.store
        ledger = make_engine(settings.ledger_url)
        self._spool = Spool(_spool_settings(settings))
        stream = RedisStream(settings.redis_url) if settings.redis_url else None
        self._ship_seconds = SHIP_SECONDS if stream else SHIP_SECONDS_EMBEDDED
        self._shipper = Shipper(self._spool, _receipt_reader(ledger), stream)
        self._upstream = Upstream(settings.upstream, near(providers.values()))
        self._objects = ProviderObjects(self._store)
        prices = Catalogue(catalogue_path(settings.data_dir))
        check_names(settings.byok, providers)
        known = Models(settings, providers, prices, accounts.prices, lambda: datetime.now(UTC))
        self._discovery = Discovery(known, self._upstream)
        self._price_list = PriceList(known, settings.data_dir)
        chosen = settings.llm_server
        self._conversations = Conversations(self._store, chosen.history, lambda: datetime.now(UTC))
        self._jobs = Jobs(self._store, chosen.jobs, uuid7())
        metering = Metering(self._spool)
        metrics = Metrics()
        metering.on_event(lambda event: metrics.event(event, known.label(event.provider, event.model_used)))
        metrics.registry.register(SpoolCollector(self._spool, self._shipper))
        metrics.registry.register(LocalCollector(lambda: known.local))
        self._desk = Desk(_counter(settings, self._spool), _spent_reader(ledger))
        calls = self._calls(settings, accounts, known, metering, metrics)
        health = Health(
            {"database": lambda: asyncio.to_thread(self._store.ping)},
            blockers=(lambda: None if self._spool.writable else self._spool.reason,),
            worries=(lambda: self._shipper.reason, lambda: self._desk.trouble),
        )
        self._background = Background(self._jobs, accounts.keys, calls.serve_for, LLM_SERVER, chosen.jobs)
        self.parts = Parts(
            settings=settings,
            accounts=accounts,
            models=known,
            calls=calls,
            metering=metering,
            metrics=metrics,
            health=health,
            ledger=ledger,
            conversations=self._conversations,
            jobs=self._jobs,
            machine=Machine(settings.data_dir),
        )
        self._tasks: list[asyncio.Task[None]] = []

    def _calls(
        self, settings: Settings, accounts: Accounts, known: Models, metering: Metering, metrics: Metrics
    ) -> Calls:
        counts = TokenCounts(self._upstream, settings.upstream)
        return Calls(
            keys=accounts.keys,
            models=known,
            metering=metering,
            objects=self._objects,
            allowance=Allowance(self._desk, accounts.policies, known, metrics, settings.admission),
            doors={
                "playground": Playground(known),
                "llm_server": LlmServer(known, counts, self._conversations, self._jobs, settings.llm_server),
                "cpu_stack": PlainDoor(),
            },
            upstream=self._upstream,
            limits=settings.upstream,
            counts=counts,
            byok=settings.byok,
            max_body_bytes=settings.max_body_bytes,
            caller_timeout=settings.caller_timeout_seconds,
        )

    async def start(self) -> None:
        await asyncio.to_thread(ensure_bootstrap_key, self.parts.accounts.issuer, self._credentials.bootstrap)
        if anonymous := self.parts.settings.auth.anonymous:
            await asyncio.to_thread(ensure_visitor, self.parts.accounts.users, anonymous)
        await self.parts.accounts.start()
        await asyncio.to_thread(self._spool.open)
        watching = (self.parts.health.watch(), self._discovery.watch(), self._price_list.watch())
        work = [*watching, self._shipper.run(), self._desk.run()]
        work.append(purge_again_and_again(self._conversations.purge, self._jobs.purge))
        if self.parts.settings.llm_server.jobs.enabled:
            work.append(self._background.run())
        self._tasks = [asyncio.create_task(each) for each in work]
        self.parts.health.state = "serving"

    async def stop(self) -> None:
        """No call is in flight any more. What was metered is shipped, and confirmed if the worker is quick."""
        self.parts.health.state = "draining"
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._background.stop()
        # Before anything that asks a database, which may not answer.
        await self._shipper.ship_all(self._ship_seconds)
        await self._shipper.close()
        await in_thread(self._spool.close)
        await self.parts.accounts.stop()
        await self._desk.close()
        await self._objects.settle()
        await self._upstream.close()


def _receipt_reader(ledger: Engine) -> ReceiptReader:
    return lambda producer, first: in_thread(receipts, ledger, producer, first_segment=first)


def _counter(settings: Settings, spool: Spool) -> InMemory | InRedis:
    if not settings.redis_url:
        return InMemory()
    chosen = settings.admission
    return InRedis(
        settings.redis_url,
        gateway=secrets.token_hex(8),
        replicas=chosen.replicas,
        alone=chosen.on_redis_away == "local",
        lease_seconds=chosen.lease_seconds,
        unconfirmed_from=lambda: min(spool.sealed(), default=spool.segment),
    )


def _spent_reader(ledger: Engine) -> SpentReader:
    return lambda spending, events: spent_with(ledger, spending.scope, spending.scope_id, spending.since, events)


def _providers(settings: Settings) -> dict[str, Provider]:
    ring = KeyRing(settings, with_dotenv(os.environ))
    return build_providers(settings, lambda entry, names, variables: ring.find(entry.api_key, names, variables))


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
    api.add_exception_handler(Exception, _unforeseen)
    for router in (
        ops.router,
        models.router,
        keys.router,
        users.router,
        budgets.router,
        limits.router,
        pricing.router,
        audit.router,
        usage.router,
        playground.router,
        cpu_stack.status,
        cpu_stack.traces,
        llm_server.open_router,
        llm_server.status_router,
        llm_server.router,
        inference.declare(SURFACES, serve),
    ):
        api.include_router(router)
    page.serve(api, settings.page_dir)
    return api


async def _gateway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)  # noqa: S101
    if isinstance(error, Unauthenticated):
        request.app.state.parts.metrics.auth_failed(error.code)
    return tell(request, error, format_of(request.scope))


async def _invalid(request: Request, error: Exception) -> Response:
    """Management answers as an any-llm gateway does; a dialect has one shape for all that is wrong."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    told_as = format_of(request.scope)
    if told_as.name != "openai_chat":
        return tell(request, bad_request(error), told_as)
    found = [{name: item[name] for name in ("type", "loc", "msg")} for item in error.errors()]
    where = ".".join(str(part) for part in found[0]["loc"][1:]) if found else None
    message = f"{where}: {found[0]['msg']}" if found else "The request is not valid"
    described = {"message": message, "type": "invalid_request_error", "param": where, "code": None}
    return JSONResponse({"error": described, "detail": found}, status_code=422)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    kind = "not_found_error" if error.status_code == 404 else "invalid_request_error"
    refused = GatewayError(str(error.detail), status=error.status_code, type=kind, headers=dict(error.headers or {}))
    return tell(request, refused, format_of(request.scope))


async def _unforeseen(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the express lane logs it
    return tell(request, internal_error(), format_of(request.scope))
