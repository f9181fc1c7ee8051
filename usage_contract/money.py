"""Money: whole pico-dollars (1e-12 USD) in an int. No float ever holds an amount.

A price of one dollar for a million tokens is exactly 1,000,000 pico-dollars a token, so every price list with up to six
decimals a million tokens is exact per token; finer ones are rounded once per token class, half to even.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

PICO = 10**12
_MILLION = 1_000_000


def pico_from_decimal(usd: Decimal) -> int:
    """US dollars to pico-dollars, half to even. Raises ValueError for NaN and infinities."""
    if not usd.is_finite():
        raise ValueError("an amount of money must be finite")
    return int((usd * PICO).to_integral_value(rounding=ROUND_HALF_EVEN))


def decimal_from_pico(pico: int) -> Decimal:
    """Pico-dollars to US dollars, exact."""
    return Decimal(pico).scaleb(-12)


def tokens_cost(tokens: int, usd_per_million: Decimal) -> int:
    """Pico-dollars for `tokens` at a price per million tokens: the one rounding of a token class."""
    return int((usd_per_million * tokens * (PICO // _MILLION)).to_integral_value(rounding=ROUND_HALF_EVEN))


def json_number(pico: int) -> str:
    """The exact amount in US dollars as JSON number text, no exponent, no trailing zeros: 1500000 -> "0.0000015"."""
    sign = "-" if pico < 0 else ""
    whole, fraction = divmod(abs(pico), PICO)
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:012d}".rstrip("0")


def six_places(pico: int) -> Decimal:
    """US dollars rounded half up to six places, as the playground API shows them."""
    return decimal_from_pico(pico).quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP)
