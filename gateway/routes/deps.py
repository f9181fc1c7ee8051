"""What routes are handed: the parts of the running gateway and who is calling, as `Annotated` aliases."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.accounts.credentials import find_credential
from gateway.accounts.keys import Principal
from gateway.accounts.store import Actor
from gateway.express import ANSWER
from gateway.parts import Parts
from wire.errors import NotReady

_PRINCIPAL = "tollgate.principal"
Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def _credential(request: Request) -> str | None:
    headers = request.headers
    return find_credential(lambda name: headers.get(name.decode()))


class KeyRoute(APIRoute):
    """A route that any valid key may call. The credential is checked before the body is read."""

    query_key: str | None = None  # the query parameter that may hold the key where no header does

    def get_route_handler(self) -> Endpoint:
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            credential = _credential(request)
            if credential is None and self.query_key is not None:
                credential = request.query_params.get(self.query_key)
            request.scope[_PRINCIPAL] = await _parts(request).keys.authenticate(credential)
            return await _with_database(inner, request)

        return handler


class MasterRoute(APIRoute):
    """A route for the master key alone. What it reads or changes needs a database: without one it is a 503."""

    def get_route_handler(self) -> Endpoint:
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            _parts(request).keys.require_master(_credential(request))
            return await _with_database(inner, request)

        return handler


async def _with_database(inner: Endpoint, request: Request) -> Response:
    try:
        return await inner(request)
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise NotReady("The database cannot be reached, try again", code="database_away") from error


def _principal(request: Request) -> Principal:
    principal: Principal = request.scope[_PRINCIPAL]
    return principal


def _actor(request: Request) -> Actor:
    return Actor("master", request.scope[ANSWER].request_id)


PartsDep = Annotated[Parts, Depends(_parts)]
PrincipalDep = Annotated[Principal, Depends(_principal)]
ActorDep = Annotated[Actor, Depends(_actor)]
