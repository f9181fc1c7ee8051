"""JSON whose amounts of money are numbers with every digit, none of them a float."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
from fastapi import Request, Response

# Decimals as JSON numbers, digit for digit. https://jcristharif.com/msgspec/api.html#msgspec.json.Encoder
_encoder = msgspec.json.Encoder(decimal_format="number")


class Written(float):
    """A number of a JSON text that knows how it was written there."""

    text: str

    def __new__(cls, text: str) -> Written:
        number = super().__new__(cls, text)
        number.text = text
        return number


class ExactRequest(Request):
    """Its JSON numbers with a point or an exponent are `Written`."""

    async def json(self) -> Any:
        return json.loads(await self.body(), parse_float=Written)


def exact_json(value: Any, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    """`value` of dicts, lists, text, numbers, aware datetimes (ISO 8601) and Decimals."""
    return Response(_encoder.encode(value), status, headers, media_type="application/json")


def dollars(pico: int | None) -> Decimal | None:
    """Pico-dollars as exact dollars without an exponent."""
    if pico is None:
        return None
    amount = Decimal(pico).scaleb(-12)
    return amount.quantize(Decimal(1)) if amount == amount.to_integral_value() else amount.normalize()
