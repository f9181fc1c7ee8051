"""The models of this deployment, in the list format of whoever asks: OpenAI's with our own fields, Anthropic's, or
Google's. The latter two have no word for a model that cannot be used just now, so they list only those that can."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from gateway.accounts.keys import Principal
from gateway.calls.permitted import permitted
from gateway.error_answers import format_of
from gateway.models import ListedModel
from gateway.parts import Parts
from gateway.routes.deps import KeyRoute, ListedDep, PartsDep, PrincipalDep
from gateway.routes.exact_json import exact_json
from wire.errors import BadRequest, NotFound

_GEMINI_METHODS = ["generateContent", "countTokens"]
_MOST = 1000  # a page of either vendor


class ModelsRoute(KeyRoute):
    """Google's clients may put their key into the query."""

    query_key = "key"


router = APIRouter(tags=["models"], route_class=ModelsRoute)
Limit = Annotated[int | None, Query(ge=1, le=_MOST)]


@router.get("/v1/models", summary="All models: OpenAI's list, or Anthropic's or Google's for their clients")
async def list_models(
    request: Request,
    rows: ListedDep,
    limit: Limit = None,
    after_id: str | None = None,
    before_id: str | None = None,
    page_size: Annotated[int | None, Query(alias="pageSize", ge=0)] = None,
    page_token: Annotated[str | None, Query(alias="pageToken")] = None,
) -> Response:
    """Those that the caller's key may use."""
    asked = format_of(request.scope).name
    if asked == "anthropic_messages":
        return exact_json(_anthropic_page(_usable(rows), limit, after_id, before_id))
    if asked == "gemini":
        return exact_json(_gemini_page(_usable(rows), page_size, page_token))
    return exact_json({"object": "list", "data": [model.to_json() for model in rows]})


@router.get("/v1beta/models", summary="All usable models in Google's format")
async def list_gemini_models(
    rows: ListedDep,
    page_size: Annotated[int | None, Query(alias="pageSize", ge=0)] = None,
    page_token: Annotated[str | None, Query(alias="pageToken")] = None,
) -> Response:
    return exact_json(_gemini_page(_usable(rows), page_size, page_token))


@router.get("/v1/models/{model_id:path}", summary="One model, by any name that means it")
async def get_model(request: Request, model_id: str, parts: PartsDep, principal: PrincipalDep) -> Response:
    """Also what it can do: `capabilities` has true, false, or null for what is not known."""
    model = _found(parts, principal, model_id)
    asked = format_of(request.scope).name
    if asked == "anthropic_messages":
        return exact_json(_anthropic(model))
    if asked == "gemini":
        return exact_json(_gemini(model))
    return exact_json(model.to_json() | {"capabilities": parts.models.capabilities(model_id)})


@router.get("/v1beta/models/{model_id:path}", summary="One model in Google's format")
async def get_gemini_model(model_id: str, parts: PartsDep, principal: PrincipalDep) -> Response:
    return exact_json(_gemini(_found(parts, principal, model_id)))


def _found(parts: Parts, principal: Principal, model_id: str) -> ListedModel:
    """Raises NotFound, NotAllowed."""
    model = parts.models.find(model_id)
    permitted(principal, parts.models.targets(model_id), parts.models)
    return model


def _usable(rows: Sequence[ListedModel]) -> list[ListedModel]:
    return [model for model in rows if model.unavailable_reason is None]


# https://platform.claude.com/docs/en/api/models-list; without a limit all are given, not the first 20
def _anthropic_page(
    rows: Sequence[ListedModel], limit: int | None, after_id: str | None, before_id: str | None
) -> dict[str, Any]:
    if after_id is not None:
        rows = rows[_place(rows, after_id, "after_id") + 1 :]
        more, rows = _is_more(rows, limit), rows[:limit]
    elif before_id is not None:
        rows = rows[: _place(rows, before_id, "before_id")]
        more, rows = _is_more(rows, limit), rows[-limit:] if limit else rows
    else:
        more, rows = _is_more(rows, limit), rows[:limit]
    data = [_anthropic(model) for model in rows]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return {"data": data, "has_more": more, **ends}


def _is_more(rows: Sequence[ListedModel], limit: int | None) -> bool:
    return limit is not None and len(rows) > limit


def _place(rows: Sequence[ListedModel], model_id: str, field: str) -> int:
    for place, model in enumerate(rows):
        if model.id == model_id:
            return place
    raise NotFound(f"Model '{model_id}' is not listed here", param=field)


def _anthropic(model: ListedModel) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id if model.label is None else f"{model.id} ({model.label})",
        "created_at": datetime.fromtimestamp(model.created, UTC),
        "lifecycle": "active",
        "max_input_tokens": model.context_window,
        "max_tokens": model.max_output_tokens,
    }


# https://ai.google.dev/api/models#method:-models.list; without a page size all are given, not the first 50
def _gemini_page(rows: Sequence[ListedModel], page_size: int | None, page_token: str | None) -> dict[str, Any]:
    start = 0
    if page_token:
        if not page_token.isdecimal() or len(page_token) > 9:
            raise BadRequest("'pageToken' is not one that this list gave", param="pageToken")
        start = int(page_token)
    end = start + min(page_size, _MOST) if page_size else len(rows)
    page: dict[str, Any] = {"models": [_gemini(model) for model in rows[start:end]]}
    return page | ({"nextPageToken": str(end)} if end < len(rows) else {})


def _gemini(model: ListedModel) -> dict[str, Any]:
    limits = {"inputTokenLimit": model.context_window, "outputTokenLimit": model.max_output_tokens}
    return {
        "name": f"models/{model.id}",
        "version": "001",
        "displayName": model.id,
        "description": f"Served by {model.provider}"
        if model.label is None
        else f"Served by {model.provider}: {model.label}",
        **{name: value for name, value in limits.items() if value is not None},
        "supportedGenerationMethods": _GEMINI_METHODS,
    }
