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
from gateway.calls.permitted import may_use
from gateway.express import ANSWER, Answer
from gateway.ids import uuid7
from gateway.models import ListedModel
from gateway.parts import Parts
from gateway.routes.exact_json import ExactRequest
from wire.errors import NotReady

_PRINCIPAL = "tollgate.principal"
Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def credential_of(request: Request) -> str | None:
    headers = request.headers
    return find_credential(lambda name: headers.get(name.decode()))


class KeyRoute(APIRoute):
    """A route that any valid key may call. The credential is checked before the body is read."""

    query_key: str | None = None  # the query parameter that may hold the key where no header does

    def get_route_handler(self) -> Endpoint:
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            request.scope[_PRINCIPAL] = await self.authenticate(request)
            return await _with_database(inner, request)

        return handler

    async def authenticate(self, request: Request) -> Principal:
        """Raises Unauthenticated, NotReady."""
        credential = credential_of(request)
        if credential is None and self.query_key is not None:
            credential = request.query_params.get(self.query_key)
        return await parts_of(request).keys.authenticate(credential)


class MasterRoute(APIRoute):
    """A route for the master key alone. What it reads or changes needs a database: without one it is a 503."""

    def get_route_handler(self) -> Endpoint:
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            parts_of(request).keys.require_master(credential_of(request))
            return await _with_database(inner, ExactRequest(request.scope, request.receive))

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
    answer: Answer | None = request.scope.get(ANSWER)  # none in somebody else's application
    return Actor("master", answer.request_id if answer is not None else uuid7())


def _listed(request: Request) -> list[ListedModel]:
    parts, principal = parts_of(request), _principal(request)
    return [row for row in parts.models.listing() if may_use(principal, parts.models.targets(row.id), parts.models)]


PartsDep = Annotated[Parts, Depends(parts_of)]
PrincipalDep = Annotated[Principal, Depends(_principal)]
ActorDep = Annotated[Actor, Depends(_actor)]
ListedDep = Annotated[list[ListedModel], Depends(_listed)]  # the models that the caller may use
