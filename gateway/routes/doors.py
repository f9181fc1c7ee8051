"""Routes of the front doors beside their calls: visitors come in, and errors are told, as on the calls."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from gateway.accounts.keys import Principal
from gateway.error_answers import error_answer
from gateway.routes.deps import Endpoint, KeyRoute, credential_of, parts_of
from wire.dialect import CallerFormat, FrontDoor
from wire.errors import BadRequest, GatewayError


class ToldRoute(APIRoute):
    """Tells errors as its door does."""

    door: FrontDoor

    def get_route_handler(self) -> Endpoint:
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except RequestValidationError as error:
                return tell(request, bad_request(error), self.door)
            except GatewayError as error:
                return tell(request, error, self.door)

        return handler


class DoorRoute(ToldRoute, KeyRoute):
    """A route that any valid key may call, and whoever its door lets in without one."""

    async def authenticate(self, request: Request) -> Principal:
        headers = request.headers
        credential = credential_of(request)
        return await parts_of(request).keys.admit(credential, self.door.name, lambda name: headers.get(name.decode()))


def tell(request: Request, error: GatewayError, told_as: CallerFormat) -> Response:
    status, headers, body = error_answer(error, told_as, request.headers.get("accept-language"))
    return Response(body, status, {name.decode(): value.decode() for name, value in headers})


def bad_request(error: RequestValidationError) -> BadRequest:
    """The first thing that is wrong."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return BadRequest(f"Invalid '{where}': {first['msg']}", param=where)
