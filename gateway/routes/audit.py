"""`/v1/audit`: who changed what over the management API and the command line. For the master key."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from gateway.accounts.audit import AuditFilter
from gateway.routes.deps import MasterRoute, PartsDep
from gateway.routes.exact_json import exact_json
from gateway.routes.fields import Limit, Moment, Skip, Word

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=MasterRoute)


class AuditInfo(BaseModel):
    """`actor`: `master`, `command line`, or `start` for the first key. `before` and `after` hold no secret."""

    id: str
    at: datetime
    actor: str
    request_id: str | None
    action: str
    subject: str
    subject_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@router.get("", summary="What was changed over the management API, newest first", response_model=list[AuditInfo])
def list_audit(
    parts: PartsDep,
    start_date: Annotated[Moment | None, Query(description="inclusive; a time without a zone is UTC")] = None,
    end_date: Annotated[Moment | None, Query(description="exclusive")] = None,
    actor: Word = None,
    action: Word = None,
    subject: Annotated[Word, Query(description="key, user, budget, limits or price")] = None,
    subject_id: Word = None,
    before_id: Annotated[Word, Query(description="the last id of the page before")] = None,
    skip: Skip = 0,
    limit: Limit = 100,
) -> Response:
    wanted = AuditFilter(
        start=start_date,
        end=end_date,
        actor=actor,
        action=action,
        subject=subject,
        subject_id=subject_id,
        before_id=before_id,
    )
    return exact_json([asdict(entry) for entry in parts.accounts.audit.page(wanted, skip, limit)])
