"""What callers of the management API may write: each kind of field is checked here, whichever route takes it."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from gateway.accounts.policy import Limits
from gateway.routes.exact_json import Written
from gateway.settings.zones import zone_of
from wire.reading import UNSTORABLE

_MAX_NAME = 255
_MAX_DEPTH = 20
_MAX_VALUES = 2_000
_INT64 = 2**63
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
_MONTH = re.compile(r"\d{4}-\d{2}")


def storable_text(value: Any) -> Any:
    """Text that every database takes: no control characters, no halves of a surrogate pair."""
    if isinstance(value, str) and UNSTORABLE.search(value):
        raise ValueError("must not hold control characters")
    return value


def _moment(value: datetime) -> datetime:
    """A time without a zone is UTC."""
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    if not _EARLIEST <= value < _LATEST:
        raise ValueError("must be between the years 2000 and 9000")
    return value.astimezone(UTC)


def _day(value: date) -> date:
    if not _EARLIEST.date() <= value < _LATEST.date():
        raise ValueError("must be between the years 2000 and 9000")
    return value


def _month(value: Any) -> Any:
    """Its first day."""
    if not isinstance(value, str) or not _MONTH.fullmatch(value):
        raise ValueError("must be a month such as 2026-11")
    return f"{value}-01"


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    """JSON that every database takes and every client reads back."""
    seen = 0
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        seen += 1
        if depth > _MAX_DEPTH or seen > _MAX_VALUES:
            raise ValueError(f"must not be deeper than {_MAX_DEPTH} levels or hold more than {_MAX_VALUES} values")
        if isinstance(item, dict):
            waiting += [(each, depth + 1) for pair in item.items() for each in pair]
        elif isinstance(item, list):
            waiting += [(each, depth + 1) for each in item]
        elif isinstance(item, str):
            storable_text(item)
            if len(item) > 4096:
                raise ValueError("must not hold text of more than 4096 characters")
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError("must not hold NaN or infinity")
        elif isinstance(item, int) and not -_INT64 <= item < _INT64:
            raise ValueError("must not hold whole numbers of more than 64 bits")
    return value


def _zone(name: str) -> str:
    zone_of(name)
    return name


def exact(value: Any) -> Any:
    """A JSON number means the decimal that it was written as."""
    return value.text if isinstance(value, Written) else value


def countable(value: Any) -> Any:
    """JSON's true is not 1."""
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _distinct(value: list[str]) -> list[str]:
    return list(dict.fromkeys(value))


Name = Annotated[str, BeforeValidator(storable_text), Field(max_length=_MAX_NAME)]
Identifier = Annotated[str, BeforeValidator(storable_text), Field(min_length=1, max_length=_MAX_NAME)]
Zone = Annotated[Identifier, AfterValidator(_zone)]
PathId = Annotated[str, BeforeValidator(storable_text), Path(min_length=1, max_length=_MAX_NAME)]
Word = Annotated[str | None, BeforeValidator(storable_text), Query(max_length=1024)]  # to look for
Moment = Annotated[datetime, AfterValidator(_moment)]
Day = Annotated[date, AfterValidator(_day)]
Month = Annotated[
    date,
    BeforeValidator(_month),
    AfterValidator(_day),
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d{2}$"}),
]
Metadata = Annotated[dict[str, Any], AfterValidator(_storable)]
_TAG_NAME = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:/-]+$")
TagName = Annotated[str, BeforeValidator(storable_text), _TAG_NAME]
TagValue = Annotated[str, BeforeValidator(storable_text), Field(max_length=128)]
Tags = Annotated[dict[TagName, TagValue], Field(max_length=32)]
Patterns = Annotated[list[Identifier], Field(max_length=500), AfterValidator(_distinct)]
# 12 decimals are a pico-dollar, the ledger's unit.
Dollars = Annotated[
    Decimal,
    BeforeValidator(exact),
    Field(ge=0, le=Decimal(1_000_000_000), max_digits=22, decimal_places=12, allow_inf_nan=False),
]
Skip = Annotated[int, Query(ge=0, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Count = Annotated[int, BeforeValidator(countable), Field(ge=1, le=10**12)]


class Body(BaseModel):
    """What is not known here is ignored, as an any-llm gateway does."""

    model_config = ConfigDict(extra="ignore")


def given(body: BaseModel, *never_empty: str) -> dict[str, Any]:
    """What an update says. A null of what cannot be empty says nothing."""
    said = {name: getattr(body, name) for name in body.model_fields_set}
    return {name: value for name, value in said.items() if value is not None or name not in never_empty}


class LimitsBody(BaseModel):
    """Per key or user, over all replicas. Absent or null: no limit. Tokens are input and output together unless the
    name says which."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    input_tokens_per_minute: Count | None = None
    output_tokens_per_minute: Count | None = None
    tokens_per_day: Count | None = None
    concurrent_calls: Count | None = None

    @classmethod
    def of(cls, limits: Limits | None) -> LimitsBody | None:
        if limits is None:
            return None
        return cls(**{name: getattr(limits, name) for name in cls.model_fields})

    def stored(self) -> dict[str, int] | None:
        """Only what is set; None when nothing is."""
        return self.model_dump(exclude_none=True) or None
