"""The static page, served by the gateway itself when there is no nginx in front (`tollgate up`)."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

# The same headers as ui/nginx.conf: nothing inline, nothing from elsewhere, unhashed modules are revalidated.
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cache-control": "no-cache",
}


class _Page(StaticFiles):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await super().__call__(scope, receive, with_headers)


def serve(api: FastAPI, folder: Path | None) -> None:
    """The page below the root, for what no route of the API wants; without one, the root shows the documentation.

    A mount would match every path, so that the API could say neither that a method is not allowed nor what is unknown.
    """
    if folder is None:
        api.add_api_route("/", _to_docs, include_in_schema=False)
        return
    files = GZipMiddleware(_Page(directory=folder, html=True), minimum_size=500)

    async def otherwise(scope: Scope, receive: Receive, send: Send) -> None:
        wants_file = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        await (files if wants_file else api.router.not_found)(scope, receive, send)

    api.router.default = otherwise


async def _to_docs() -> RedirectResponse:
    return RedirectResponse("/docs")
