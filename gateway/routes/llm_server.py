"""The LLM Server beside its calls, which are in `gateway.surfaces`: status, background jobs, conversations."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BeforeValidator

from gateway import __version__
from gateway.accounts.conversations import Conversation, Listed
from gateway.accounts.jobs import Job
from gateway.accounts.keys import Principal
from gateway.calls.background import job_json
from gateway.routes.deps import PartsDep, PrincipalDep, credential_of, parts_of
from gateway.routes.doors import DoorRoute
from gateway.routes.fields import PathId, storable_text
from wire.errors import BadRequest, NotAllowed, NotFound
from wire.front_doors.llm_server import DOOR
from wire.languages import Language, preferred

_Page = Annotated[int, Query(ge=0, le=1_000_000)]
_AnyUser = Annotated[str | None, BeforeValidator(storable_text), Query(max_length=255)]
_Limit = Annotated[int, Query(ge=1, le=100)]


class LlmServerRoute(DoorRoute):
    door = DOOR


class _StatusRoute(LlmServerRoute):
    """The machine's state: for the master key, or for everybody where the operator says so."""

    async def authenticate(self, request: Request) -> Principal:
        parts = parts_of(request)
        if not parts.settings.llm_server.open_system_status:
            parts.keys.require_master(credential_of(request))
        return Principal(None)


open_router = APIRouter(tags=["LLM server"])
status_router = APIRouter(tags=["LLM server"], route_class=_StatusRoute)
router = APIRouter(tags=["LLM server"], route_class=LlmServerRoute)


async def _user(principal: PrincipalDep, user: _AnyUser = None) -> str:
    """Whose jobs and conversations: one's own; the master key names a user."""
    if principal.user_id is not None:
        return principal.user_id
    if not user:
        raise BadRequest("With the master key, the query parameter 'user' says whose", param="user")
    return user


def _language(request: Request) -> Language | None:
    return preferred(request.headers.get("accept-language"))


UserDep = Annotated[str, Depends(_user)]
LanguageDep = Annotated[Language | None, Depends(_language)]


@open_router.get("/api/v1", include_in_schema=False)
@open_router.get("/api/v1/", summary="Up or down")
async def status(parts: PartsDep) -> JSONResponse:
    ready = parts.health.readiness().ready
    body = {"status": "ok" if ready else "unavailable", "service": "tollgate", "version": __version__}
    return JSONResponse(body, status_code=200 if ready else 503)


@status_router.get("/api/v1/system/status", summary="CPU, memory, disk, process, uptime (master key or a setting)")
async def system_status(parts: PartsDep) -> dict[str, Any]:
    found = await asyncio.to_thread(parts.machine.look)
    return {"status": "ok" if parts.health.readiness().ready else "unavailable", **found}


@router.get("/api/v1/chat/{job_id}", summary="A background job and its answer")
async def read_job(job_id: PathId, parts: PartsDep, user_id: UserDep, language: LanguageDep) -> Response:
    return _shown(await parts.jobs.find(user_id, job_id), language)


@router.post("/api/v1/chat/{job_id}/cancel", summary="Cancel a background job")
@router.delete("/api/v1/chat/{job_id}", summary="Cancel a background job")
async def cancel_job(job_id: PathId, parts: PartsDep, user_id: UserDep, language: LanguageDep) -> Response:
    return _shown(await parts.jobs.cancel(user_id, job_id), language)


@router.get("/api/v1/conversations", summary="The user's conversations, the latest first")
async def list_conversations(
    parts: PartsDep, principal: PrincipalDep, user_id: UserDep, skip: _Page = 0, limit: _Limit = 50
) -> dict[str, Any]:
    _not_for_visitors(principal.visitor)
    found = await parts.conversations.page(user_id, skip, limit)
    return {"conversations": [_line(each) for each in found]}


@router.get("/api/v1/conversations/{request_id:path}", summary="A conversation with all that is kept of it")
async def read_conversation(request_id: PathId, parts: PartsDep, user_id: UserDep) -> dict[str, Any]:
    found = await parts.conversations.load(user_id, request_id)
    if found is None:
        raise _no_conversation()
    return _whole(found)


@router.delete("/api/v1/conversations/{request_id:path}", summary="Delete a conversation")
async def delete_conversation(request_id: PathId, parts: PartsDep, user_id: UserDep) -> dict[str, Any]:
    if not await parts.conversations.delete(user_id, request_id):
        raise _no_conversation()
    return {"deleted": 1}


@router.delete("/api/v1/conversations", summary="Delete all conversations of the user")
async def delete_conversations(parts: PartsDep, principal: PrincipalDep, user_id: UserDep) -> dict[str, Any]:
    _not_for_visitors(principal.visitor)
    return {"deleted": await parts.conversations.delete(user_id)}


def _not_for_visitors(visitor: str | None) -> None:
    """All callers without a key are one user: what one of them said is not for the others to look through."""
    if visitor is not None:
        raise NotAllowed("Without a key a conversation is found by its request_id alone", code="key_needed")


def _shown(job: Job | None, language: Language | None) -> Response:
    if job is None:
        raise NotFound("No such job", code="job_not_found")
    return Response(orjson.dumps(job_json(job, language)), media_type="application/json")


def _no_conversation() -> NotFound:
    return NotFound("No such conversation", code="conversation_not_found")


def _line(listed: Listed) -> dict[str, Any]:
    return {
        "request_id": listed.id,
        "title": listed.title,
        "messages": listed.message_count,
        "created_at": listed.created_at,
        "updated_at": listed.updated_at,
        "expires_at": listed.expires_at,
    }


def _whole(found: Conversation) -> dict[str, Any]:
    return {
        "request_id": found.id,
        "system_prompt": found.system_prompt,
        "messages": [{"role": said.role, "content": said.text, "created_at": said.at} for said in found.messages],
        "created_at": found.created_at,
        "updated_at": found.updated_at,
        "expires_at": found.expires_at,
    }
