"""Tokens, money and times: exact decimals, rounded only where they are shown."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_UP, Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.wire.front_doors.doors import HEX, USAGE, UUID, account, stamp
from wire.front_doors.figures import (
    costs,
    exact_cost,
    milliseconds,
    request_id,
    served_by,
    timestamp,
    token_counts,
)

_amounts = st.integers(min_value=0, max_value=10**15).map(lambda pico: Decimal(pico).scaleb(-12))


def test_tokens_add_up() -> None:
    assert token_counts(USAGE) == {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}


@pytest.mark.parametrize(
    ("given_usd", "made_usd", "text"),
    [
        ("0", "0", '{"input_cost":0.000000,"output_cost":0.000000,"total_cost":0.000000,"currency":"USD"}'),
        (
            "0.0000005",
            "0.0000004999",
            '{"input_cost":0.000001,"output_cost":0.000000,"total_cost":0.000001,"currency":"USD"}',
        ),
        (
            "0.0000014",
            "0.0000014",
            '{"input_cost":0.000001,"output_cost":0.000001,"total_cost":0.000002,"currency":"USD"}',
        ),
        (
            "12345.6789005",
            "1",
            '{"input_cost":12345.678901,"output_cost":1.000000,"total_cost":12346.678901,"currency":"USD"}',
        ),
    ],
)
def test_costs_have_six_places(given_usd: str, made_usd: str, text: str) -> None:
    assert orjson.dumps(costs(account(given_usd, made_usd))).decode() == text


@given(_amounts, _amounts)
def test_costs_are_rounded_half_up_and_their_sum_is_the_total(given_usd: Decimal, made_usd: Decimal) -> None:
    shown = costs(account(str(given_usd), str(made_usd)))
    values = json.loads(orjson.dumps(shown), parse_float=Decimal)
    micro = Decimal("0.000001")
    assert values["input_cost"] == given_usd.quantize(micro, ROUND_HALF_UP)
    assert values["output_cost"] == made_usd.quantize(micro, ROUND_HALF_UP)
    assert values["total_cost"] == values["input_cost"] + values["output_cost"]


def test_a_price_that_nobody_knows_is_null() -> None:
    unknown = account(None, None)
    assert set(costs(unknown).values()) == {None, "USD"}
    assert exact_cost(unknown) is None


@pytest.mark.parametrize(
    ("given_usd", "made_usd", "text"),
    [("0", "0", "0"), ("0.000000000001", "0", "0.000000000001"), ("10", "0.50", "10.5"), ("90", "10", "100")],
)
def test_the_exact_cost_has_every_digit_and_no_exponent(given_usd: str, made_usd: str, text: str) -> None:
    assert orjson.dumps({"cost": exact_cost(account(given_usd, made_usd))}) == b'{"cost":%b}' % text.encode()


def test_times_and_ids() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00Z"
    assert timestamp(1_763_600_000) == "2025-11-20T00:53:20Z"
    assert milliseconds(1_234_567) == 1234.567
    assert request_id(stamp()) == UUID
    assert stamp().id == HEX


def test_a_call_that_came_otherwise_has_no_account() -> None:
    with pytest.raises(ValueError, match="says who served it"):
        served_by(structs.replace(stamp(), served=None))
