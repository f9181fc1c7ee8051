"""Routes of the front doors beside their calls: visitors come in, and errors are told, as on the calls."""

from __future__ import annotations

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from gateway.accounts.keys import Principal
from gateway.express import error_headers
from gateway.routes.deps import Endpoint, KeyRoute, credential_of, parts_of
from wire.dialect import FrontDoor
from wire.errors import BadRequest, GatewayError
from wire.languages import preferred


class ToldRoute(APIRoute):
    """Tells errors as its door does."""

    door: FrontDoor

    def get_route_handler(self) -> Endpoint:
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except RequestValidationError as error:
                return self._tell(request, _bad_request(error))
            except GatewayError as error:
                return self._tell(request, error)

        return handler

    def _tell(self, request: Request, error: GatewayError) -> Response:
        told = self.door.told(error, preferred(request.headers.get("accept-language")))
        headers = {name.decode(): value.decode() for name, value in error_headers(told)}
        return Response(orjson.dumps(self.door.render_error(told)), told.status, headers)


class DoorRoute(ToldRoute, KeyRoute):
    """A route that any valid key may call, and whoever its door lets in without one."""

    async def authenticate(self, request: Request) -> Principal:
        headers = request.headers
        credential = credential_of(request)
        return await parts_of(request).keys.admit(credential, self.door.name, lambda name: headers.get(name.decode()))


def _bad_request(error: RequestValidationError) -> BadRequest:
    """The first thing that is wrong."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return BadRequest(f"Invalid '{where}': {first['msg']}", param=where)
