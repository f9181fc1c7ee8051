"""Money is exact."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_contract.money import PICO, decimal_from_pico, json_number, pico_from_decimal, six_places, tokens_cost

_pico = st.integers(-(10**24), 10**24)


@given(_pico)
def test_there_and_back_and_as_json_without_loss(pico: int) -> None:
    assert pico_from_decimal(decimal_from_pico(pico)) == pico
    text = json_number(pico)
    assert json.loads(text, parse_float=Decimal, parse_int=Decimal) == decimal_from_pico(pico)
    assert "e" not in text.lower()
    assert not ("." in text and text.endswith(("0", ".")))


@pytest.mark.parametrize(
    ("pico", "text"),
    [
        (1_500_000, "0.0000015"),
        (0, "0"),
        (PICO, "1"),
        (-PICO // 2, "-0.5"),
        (1, "0.000000000001"),
        (12 * PICO + 10, "12.00000000001"),
    ],
)
def test_json_numbers(pico: int, text: str) -> None:
    assert json_number(pico) == text


def test_halves_go_to_the_even_neighbour() -> None:
    assert [
        pico_from_decimal(Decimal(text)) for text in ("0.0000000000005", "0.0000000000015", "-0.0000000000025")
    ] == [0, 2, -2]
    assert [tokens_cost(count, Decimal("0.0000005")) for count in (1, 3, 5)] == [0, 2, 2]


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity"])
def test_an_amount_that_is_none(amount: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        pico_from_decimal(Decimal(amount))


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_prices_of_six_decimals_are_exact_for_every_token(tokens: int, micro: int) -> None:
    price = Decimal(micro).scaleb(-6)
    assert decimal_from_pico(tokens_cost(tokens, price)) == price * tokens / 1_000_000


def test_six_places_round_half_up() -> None:
    assert [str(six_places(pico)) for pico in (500_000, 499_999, 1_500_000, 0)] == [
        "0.000001",
        "0.000000",
        "0.000002",
        "0.000000",
    ]
