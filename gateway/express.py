"""The express lane: inference paths on raw ASGI, ahead of FastAPI's router; and what all our answers have in common.

FastAPI declares the same paths for its documentation (`gateway.routes.inference`). CORS, body limit, security headers,
errors, metrics and the access line are applied here for both, so that there is one place to read them.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from time import perf_counter

from gateway.error_answers import error_answer, format_of
from gateway.exchange import CallerGone, Exchange, Message, Receive, Scope, Send, too_large, too_slow
from gateway.ids import uuid7
from gateway.observability.logs import access
from gateway.observability.metrics import Metrics
from gateway.parts import Parts
from gateway.surfaces import Surface
from wire.errors import GatewayError, Unauthenticated

_log = logging.getLogger(__name__)
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[[Exchange, Surface], Awaitable[None]]

ANSWER = "tollgate.answer"  # where the scope holds this request's `Answer`
_SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
)
_PRIVATE = ((b"cache-control", b"private, no-store, no-cache"), (b"vary", b"Authorization"))
_CORS_METHODS = b"GET, POST, PUT, PATCH, DELETE, OPTIONS"
_CORS_HEADERS = (
    b"content-type, authorization, x-anyllm-key, anyllm-key, otari-key, x-api-key, x-goog-api-key, anthropic-version, "
    b"anthropic-beta, anthropic-dangerous-direct-browser-access, x-session-id, x-tollgate-strict, "
    b"x-tollgate-provider-key, x-tollgate-lower-max-tokens"
)
_EXPOSED = (
    b"x-request-id, x-tollgate-provider, x-tollgate-model, x-tollgate-route, x-tollgate-dropped, x-tollgate-cost-usd, "
    b"x-tollgate-overhead-ms, x-tollgate-budget-warning, x-tollgate-lowered-max-tokens, x-ratelimit-limit-requests, "
    b"x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, "
    b"x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, retry-after"
)
_MOST_ASKED = 4096  # bytes of a preflight's list of header names
_TOKEN = re.compile(rb"[\w!#$%&'*+.^`|~-]{1,64}")  # RFC 9110, 5.6.2
_PARAMETER = re.compile(r"\{(\w+)\}")
# The any-llm gateway's successor has its API below /api/v1, and any-llm's client asks for it there: the same paths with
# another root. What else is below /api is other clients' (`gateway.routes`).
_OTHER_ROOT = "/api"
_OTHER_ROOTED = re.compile(
    r"/api/v1/(chat/completions|completions|responses|messages|embeddings|images|audio|moderations|rerank|models"
    r"|keys|users|budgets|limits|pricing|usage|audit)(/.*)?"
)


class Lanes:
    """Path to surface. Fixed paths by dictionary, templates by pattern."""

    def __init__(self, surfaces: Iterable[Surface]) -> None:
        self._fixed: dict[str, Surface] = {}
        self._patterns: list[tuple[re.Pattern[str], Surface]] = []
        for surface in surfaces:
            if "{" in surface.path:
                # A model's name may hold slashes and colons.
                pattern = _PARAMETER.sub(r"(?P<\1>.+)", surface.path.replace(":", "[:]"))
                self._patterns.append((re.compile(pattern), surface))
            else:
                self._fixed[surface.path] = surface

    def find(self, path: str) -> tuple[Surface, dict[str, str]] | None:
        if surface := self._fixed.get(path):
            return surface, {}
        for pattern, surface in self._patterns:
            if match := pattern.fullmatch(path):
                return surface, match.groupdict()
        return None


class Inference:
    """Serves one inference path, from the lane or from FastAPI's own router; errors in the surface's dialect."""

    def __init__(self, handle: Handler, metrics: Metrics) -> None:
        self._handle = handle
        self._metrics = metrics

    async def __call__(
        self, surface: Surface, params: Mapping[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        answer: Answer = scope[ANSWER]
        exchange = Exchange(scope, receive, send, answer.request_id, perf_counter())
        exchange.params = params
        try:
            await self._handle(exchange, surface)
        except GatewayError as error:
            if isinstance(error, Unauthenticated):
                self._metrics.auth_failed(error.code)
            await exchange.respond(*error_answer(error, surface.dialect, exchange.header(b"accept-language")))
        except CallerGone:
            exchange.gone = True
        finally:
            if exchange.gone and answer.status is None:
                answer.status = 499  # nobody got an answer, and nothing failed here: nginx's number for it
            answer.notes = exchange.notes


class Express:
    """The outermost ASGI application. `running()` starts and ends what is behind it where no server does."""

    def __init__(
        self,
        app: App,
        *,
        parts: Parts,
        running: Callable[[], AbstractAsyncContextManager[None]],
        lanes: Lanes,
        inference: Inference,
        metrics: Metrics,
        origins: Sequence[str],
        max_body_bytes: int,
        caller_timeout: float,
    ) -> None:
        self._app = app
        self.parts = parts
        self.running = running
        self.lanes = lanes
        self._inference = inference
        self._metrics = metrics
        self._origins = frozenset(origins)
        self._max_body = max_body_bytes
        self._caller_timeout = caller_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if (root := scope.get("root_path")) and scope["path"].startswith(f"{root}/"):
            # Below this all is as if there were no prefix; what it was, only the documentation must know.
            scope = {**scope, "path": scope["path"].removeprefix(root)}
        if scope["path"].startswith(_OTHER_ROOT) and _OTHER_ROOTED.fullmatch(scope["path"]):
            scope = {**scope, "path": scope["path"].removeprefix(_OTHER_ROOT)}
        answer = Answer(send, uuid7(), self._cors_of(scope), scope)
        scope[ANSWER] = answer
        started = perf_counter()
        self._metrics.active.inc()
        route = "other"
        try:
            if scope["method"] == "OPTIONS" and answer.cors and _requests_method(scope):
                route = "preflight"
                await answer.whole(204, [(b"access-control-max-age", b"600")], b"")
            elif scope["method"] == "POST" and (lane := self.lanes.find(scope["path"])):
                surface, params = lane
                route = surface.path
                await self._inference(surface, params, scope, receive, answer)
            else:
                # FastAPI's routes know no HEAD, which probes use; the server leaves the body of its answer out.
                asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
                await self._app(asked, self._bounded(receive, answer), answer)
                route = getattr(asked.get("route"), "path", None) or route
        except Exception as error:  # noqa: BLE001 - the boundary of a request: it must not take the process down
            await self._failed(answer, error)
        finally:
            self._metrics.active.dec()
            self._observe(scope["method"], route, answer, perf_counter() - started)

    def _bounded(self, receive: Receive, answer: Answer) -> Receive:
        """The limits of a body for FastAPI's routes, whose own parsing knows none."""
        size, whole = 0, False

        async def bounded() -> Message:
            nonlocal size, whole
            try:
                async with asyncio.timeout(None if whole else self._caller_timeout):
                    message = await receive()
            except TimeoutError:
                answer.refusal = too_slow()
                return {"type": "http.disconnect"}
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if size > self._max_body:
                answer.refusal = too_large(self._max_body)
                return {"type": "http.disconnect"}
            return message

        return bounded

    async def _failed(self, answer: Answer, error: Exception) -> None:
        _log.error("request %s failed", answer.request_id, exc_info=error)
        if answer.status is None:
            await answer.refuse(internal_error())

    def _cors_of(self, scope: Scope) -> tuple[tuple[bytes, bytes], ...]:
        """The CORS headers for this origin, none when it is not a configured one. https://fetch.spec.whatwg.org/"""
        if not self._origins:
            return ()
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        if origin is None or not ("*" in self._origins or origin.decode("latin-1") in self._origins):
            return ()
        shared = (
            (b"access-control-allow-methods", _CORS_METHODS),
            (b"access-control-allow-headers", _CORS_HEADERS + _asked_headers(scope)),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"Origin, Access-Control-Request-Headers"),
        )
        if "*" in self._origins:
            return ((b"access-control-allow-origin", b"*"), *shared)
        return ((b"access-control-allow-origin", origin), (b"access-control-allow-credentials", b"true"), *shared)

    def _observe(self, method: str, route: str, answer: Answer, seconds: float) -> None:
        status = answer.status or 500
        self._metrics.request(method, route, status, seconds)
        # Probes and the page's files are worth a line only when something is wrong with them.
        quiet = method in ("GET", "HEAD") and status < 400 and (route == "other" or route.startswith("/health"))
        level = logging.DEBUG if quiet else logging.INFO
        access.log(
            level,
            "%s %s %d %.1fms request_id=%s%s",
            method,
            route,
            status,
            seconds * 1000,
            answer.request_id,
            answer.notes,
        )


class Answer:
    """An ASGI `send` that adds what every answer of ours carries, and remembers the status."""

    def __init__(self, send: Send, request_id: str, cors: tuple[tuple[bytes, bytes], ...], scope: Scope) -> None:
        self.request_id = request_id
        self.cors = cors
        self.status: int | None = None
        self.refusal: GatewayError | None = None  # what is wrong with the body: it was cut for it
        self.notes = ""
        self._send = send
        self._scope = scope
        self._health = scope["path"].startswith("/health")

    async def __call__(self, message: Message) -> None:
        if self.refusal is None:
            await self._pass(message)
        elif self.status is None:
            # FastAPI takes a body that was cut for a malformed one: its answer is replaced.
            await self.refuse(self.refusal)

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            names = {name for name, _ in headers}
            headers += [(b"x-request-id", self.request_id.encode()), *_SECURITY, *self.cors]
            if not self._health and b"cache-control" not in names:
                headers += _PRIVATE
            message["headers"] = headers
        await self._send(message)

    async def refuse(self, error: GatewayError) -> None:
        """The whole answer is this error, in the shape of the path."""
        language = next((value for name, value in self._scope["headers"] if name == b"accept-language"), b"")
        status, headers, body = error_answer(error, format_of(self._scope), language.decode("latin-1"))
        await self.whole(status, headers, body)

    async def whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        length = (b"content-length", str(len(body)).encode())
        await self._pass({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await self._pass({"type": "http.response.body", "body": body})


def internal_error() -> GatewayError:
    """All that a caller is told of what nobody foresaw."""
    return GatewayError("Internal error", code="internal_error")


def _asked_headers(scope: Scope) -> bytes:
    """The header names that a preflight asks for: SDKs send some that change with their versions (`x-stainless-...`).

    What they may do is decided by whoever reads them; the origin is one that the operator named.
    """
    asked = next((value for name, value in scope["headers"] if name == b"access-control-request-headers"), b"")
    names = [name.strip() for name in asked[:_MOST_ASKED].split(b",")[:64]]
    return b"".join(b", " + name for name in names if _TOKEN.fullmatch(name))


def _requests_method(scope: Scope) -> bool:
    return any(name == b"access-control-request-method" for name, _ in scope["headers"])
