"""`/v1/pricing`: what every model costs and who says so; and prices of one's own, with a history."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from gateway.accounts.price_rows import PriceRow
from gateway.models import EffectivePrice, price_key
from gateway.parts import Parts
from gateway.pricing import CONFIG_AMOUNTS, CONFIG_RATES, Price, from_config, to_config
from gateway.routes.deps import ActorDep, KeyRoute, MasterRoute, PartsDep
from gateway.routes.exact_json import exact_json
from gateway.routes.fields import Body, Identifier, Limit, Moment, PathId, Skip, exact
from gateway.settings import InsteadOfHours
from wire.errors import NotFound

router = APIRouter(tags=["pricing"])
_readers = APIRouter(prefix="/v1/pricing", route_class=KeyRoute)
_writers = APIRouter(prefix="/v1/pricing", route_class=MasterRoute)
_FIELDS = {*CONFIG_RATES, *CONFIG_AMOUNTS, "price_per_second"}
# Clients of the any-llm gateway read both of every model. What has no price costs nothing.
_NOTHING = dict.fromkeys(("input_price_per_million", "output_price_per_million"), Decimal(0))


def _key(name: str) -> str:
    if not all(price_key({}, name).partition(":")):
        raise ValueError("must be provider:model")
    return name


ModelKey = Annotated[Identifier, AfterValidator(_key)]
Usd = Annotated[
    Decimal, BeforeValidator(exact), Field(ge=0, le=Decimal(1_000_000), decimal_places=12, allow_inf_nan=False)
]
_UsdPerSecond = Annotated[
    Decimal, BeforeValidator(exact), Field(ge=0, le=Decimal(250), decimal_places=12, allow_inf_nan=False)
]
AsOf = Annotated[Moment | None, Query(description="what was, or will be, in force then; default: now")]


class Amounts(BaseModel):
    """US dollars: per million tokens of each class, or for one request, image, web search or hour of audio. A class
    without a price of its own costs what the class costs that it is a part of."""

    model_config = ConfigDict(extra="ignore")

    cache_read_price_per_million: Usd | None = None
    cache_write_price_per_million: Usd | None = None
    cache_write_1h_price_per_million: Usd | None = None
    reasoning_price_per_million: Usd | None = None
    input_audio_price_per_million: Usd | None = None
    output_audio_price_per_million: Usd | None = None
    input_image_price_per_million: Usd | None = None
    output_image_price_per_million: Usd | None = None
    price_per_request: Usd | None = None
    price_per_image: Usd | None = None
    price_per_web_search: Usd | None = None
    price_per_audio_hour: Usd | None = None


class SetPrice(Amounts, Body):
    """`effective_at` null: from now on. What was called before is not priced anew. `price_per_second` of audio is
    another way to say `price_per_audio_hour`, and is shown as that."""

    model_key: ModelKey
    input_price_per_million: Usd
    output_price_per_million: Usd
    price_per_second: Annotated[_UsdPerSecond | None, InsteadOfHours] = None
    effective_at: Moment | None = None


class PriceInfo(Amounts):
    """Input and output always have a price, 0 where the model has none. `source`: `database` (set here), `config` or
    `catalogue`; the times of the latter two are when the gateway started. `tiers` are prices for more input tokens than
    `above`, `service_tiers` those that differ by tier."""

    model_key: str
    input_price_per_million: Decimal
    output_price_per_million: Decimal
    created_at: datetime
    updated_at: datetime
    effective_at: datetime
    source: str
    tiers: list[dict[str, Decimal | int]]
    service_tiers: dict[str, dict[str, Decimal]]


@_writers.post("", summary="Set the price of a model", response_model=PriceInfo)
def set_price(body: SetPrice, parts: PartsDep, actor: ActorDep) -> Response:
    price = to_config(from_config(body.model_dump(include=_FIELDS)))
    key = price_key(parts.models.providers, body.model_key)
    return exact_json(_row(parts.accounts.prices.put(actor, key, price, body.effective_at)))


@_readers.get("", summary="What every model costs, by model", response_model=list[PriceInfo])
async def list_prices(parts: PartsDep, skip: Skip = 0, limit: Limit = 100, as_of: AsOf = None) -> Response:
    at = as_of or datetime.now(UTC)
    return exact_json([_effective(parts, price, at) for price in parts.models.price_list(at)[skip : skip + limit]])


@_readers.get(
    "/{key:path}/history", summary="Prices that were set for a model, newest first", response_model=list[PriceInfo]
)
def list_history(key: PathId, parts: PartsDep, skip: Skip = 0, limit: Limit = 100) -> Response:
    rows = parts.accounts.prices.rows(price_key(parts.models.providers, key))
    return exact_json([_row(row) for row in rows[::-1][skip : skip + limit]])


@_readers.get("/{key:path}", summary="What a model costs", response_model=PriceInfo)
async def get_price(key: PathId, parts: PartsDep, as_of: AsOf = None) -> Response:
    at = as_of or datetime.now(UTC)
    price = parts.models.effective_price(key.strip(), at)
    if price is None:
        raise NotFound(f"Pricing for model '{key}' not found")
    return exact_json(_effective(parts, price, at))


@_writers.delete("/{key:path}", summary="Take back a price that was set, or all of a model", status_code=204)
def delete_price(key: PathId, parts: PartsDep, actor: ActorDep, effective_at: Moment | None = None) -> Response:
    parts.accounts.prices.remove(actor, price_key(parts.models.providers, key), effective_at)
    return Response(status_code=204)


def _effective(parts: Parts, found: EffectivePrice, at: datetime) -> dict[str, Any]:
    """From memory alone."""
    row = parts.accounts.prices.row_at(found.set_for, at) if found.set_for else None
    started = parts.models.started_at
    times = (row.created_at, row.updated_at, row.effective_at) if row else (started, started, started)
    return _info(found.model_key, found.price, found.source, times)


def _row(row: PriceRow) -> dict[str, Any]:
    times = (row.created_at, row.updated_at, row.effective_at)
    return _info(row.model_key, from_config(row.price), "database", times)


def _info(key: str, price: Price, source: str, times: tuple[datetime, datetime, datetime]) -> dict[str, Any]:
    amounts: dict[str, Any] = dict.fromkeys((*CONFIG_RATES, *CONFIG_AMOUNTS)) | _NOTHING | to_config(price)
    return {
        "model_key": key,
        **amounts,
        "created_at": times[0],
        "updated_at": times[1],
        "effective_at": times[2],
        "source": source,
        "tiers": [{"above": tier.above, **to_config(Price(rates=tier.rates))} for tier in price.tiers],
        "service_tiers": {name: to_config(variant) for name, variant in price.variants.items()},
    }


router.include_router(_writers)
router.include_router(_readers)
