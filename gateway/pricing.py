"""Tokens to money: a price list's row as exact decimals, and the one place that multiplies it out.

Prices are US dollars per million tokens unless the field says otherwise. A class of tokens without a price of its own
is charged as the class it is a part of: reasoning as output, a one-hour cache write as a five-minute one, that and a
cache read as input. Nothing is charged twice: a class that has its own price is taken out of its parent first. Every
class is rounded once, half to even, to whole pico-dollars (`usage_contract.money`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Protocol

from usage_contract.money import pico_from_decimal, tokens_cost

_SECONDS_PER_HOUR: Final = 3_600
_MILLISECONDS_PER_HOUR: Final = 1_000 * _SECONDS_PER_HOUR
_PICO_PER_TOKEN: Final = 1_000_000  # of a price of one dollar a million
_ZERO: Final = Decimal(0)


class PriceInvalid(ValueError):
    """A price that is not a finite, non-negative decimal, or a field that no price has."""


class UsageCounts(Protocol):
    """What is charged for; `wire.neutral.Usage` has it all (see there for what each counts)."""

    @property
    def input(self) -> int: ...
    @property
    def cache_read(self) -> int: ...
    @property
    def cache_write_5m(self) -> int: ...
    @property
    def cache_write_1h(self) -> int: ...
    @property
    def input_audio(self) -> int: ...
    @property
    def input_image(self) -> int: ...
    @property
    def output(self) -> int: ...
    @property
    def reasoning(self) -> int: ...
    @property
    def output_audio(self) -> int: ...
    @property
    def output_image(self) -> int: ...
    @property
    def web_searches(self) -> int: ...
    @property
    def images(self) -> int: ...
    @property
    def seconds(self) -> float: ...


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the tokens of one direction are charged: a rate for the whole, and those of its parts that have their own.

    A rate is whole pico-dollars a token where the price is that exact, which nearly all are; else dollars a million.
    """

    whole: int | Decimal
    parts: tuple[tuple[str, int | Decimal], ...]

    @classmethod
    def of(cls, whole: Decimal | None, **parts: Decimal | None) -> _Plan:
        return cls(
            _per_token(_ZERO if whole is None else whole),
            tuple((name, _per_token(rate)) for name, rate in parts.items() if rate is not None),
        )

    def cost(self, count: int, usage: UsageCounts) -> int:
        """Parts are taken out of the whole in order, each at most what is left: nothing is charged twice."""
        cost = 0
        for name, rate in self.parts:
            part = getattr(usage, name)
            if part:
                part = min(part, count)
                count -= part
                cost += part * rate if type(rate) is int else _rounded(part, rate)
        if not count:
            return cost
        return cost + (count * self.whole if type(self.whole) is int else _rounded(count, self.whole))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """US dollars per million tokens of each class; None: charged as the class it is a part of."""

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    input_audio: Decimal | None = None
    output_audio: Decimal | None = None
    input_image: Decimal | None = None
    output_image: Decimal | None = None
    reasoning: Decimal | None = None
    _input: _Plan = field(init=False, repr=False, compare=False)
    _output: _Plan = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        short_write = _first(self.cache_write_5m, self.input)
        long_write = _first(self.cache_write_1h, short_write)
        object.__setattr__(
            self,
            "_input",
            _Plan.of(
                self.input,
                cache_read=self.cache_read,
                cache_write_5m=self.cache_write_5m,
                cache_write_1h=long_write,
                input_audio=self.input_audio,
                input_image=self.input_image,
            ),
        )
        object.__setattr__(
            self,
            "_output",
            _Plan.of(
                self.output,
                reasoning=self.reasoning,
                output_audio=self.output_audio,
                output_image=self.output_image,
            ),
        )

    def cost(self, usage: UsageCounts) -> int:
        """Pico-dollars for the tokens of `usage`."""
        return self._input.cost(usage.input, usage) + self._output.cost(usage.output, usage)

    def output_cost(self, usage: UsageCounts) -> int:
        """Pico-dollars for the generated tokens of `usage`."""
        return self._output.cost(usage.output, usage)

    def over(self, base: Rates) -> Rates:
        """These rates where they are set, else `base`'s."""
        return Rates(**{name: _first(getattr(self, name), getattr(base, name)) for name in RATE_NAMES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Rates of the whole request once its input has more than `above` tokens; unset ones stay as they were."""

    above: int
    rates: Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model costs at one time. All amounts are US dollars.

    `tiers` ascend by `above`. `variants` are the service tiers with prices of their own (`batch`, `flex`, `priority`,
    `fast`); `variant` says which one this price is, if any. `per_web_search`, `per_image` and `per_request` are for
    one; `per_audio_hour` is for an hour of audio and `minimum_audio_ms` the least that is charged of it.
    """

    rates: Rates = field(default_factory=Rates)
    tiers: tuple[Tier, ...] = ()
    per_web_search: Decimal | None = None
    per_image: Decimal | None = None
    per_request: Decimal | None = None
    per_audio_hour: Decimal | None = None
    minimum_audio_ms: int = 0
    variant: str | None = None
    variants: Mapping[str, Price] = field(default_factory=dict)
    _standard: Price = field(init=False, repr=False, compare=False)
    _json: dict[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_standard", replace(self, variants={}) if self.variants else self)
        object.__setattr__(self, "_json", _to_json(self))

    def for_tier(self, service_tier: str | None) -> Price:
        """The price under a service tier, without further variants; the standard one where that has no other."""
        if service_tier is None:
            return self._standard
        return self.variants.get(service_tier, self._standard)

    def to_json(self) -> dict[str, Any]:
        """The event's `price` field: exact decimal text, only what is set. `from_json` reads it back. Shared: do not
        change it."""
        return self._json


RATE_NAMES: Final = tuple(spec.name for spec in fields(Rates) if spec.init)
_AMOUNT_NAMES: Final = ("per_web_search", "per_image", "per_request", "per_audio_hour")

# Names in config files and in `/v1/pricing` -> rate. The first two are the any-llm gateway's.
CONFIG_RATES: Final[Mapping[str, str]] = {
    "input_price_per_million": "input",
    "output_price_per_million": "output",
    "cache_read_price_per_million": "cache_read",
    "cache_write_price_per_million": "cache_write_5m",
    "cache_write_1h_price_per_million": "cache_write_1h",
    "reasoning_price_per_million": "reasoning",
    "input_audio_price_per_million": "input_audio",
    "output_audio_price_per_million": "output_audio",
    "input_image_price_per_million": "input_image",
    "output_image_price_per_million": "output_image",
}
CONFIG_AMOUNTS: Final[Mapping[str, str]] = {
    "price_per_web_search": "per_web_search",
    "price_per_image": "per_image",
    "price_per_request": "per_request",
    "price_per_audio_hour": "per_audio_hour",
}
_PER_SECOND: Final = "price_per_second"  # of audio, said instead of an hour's


def cost_pico(price: Price, usage: UsageCounts) -> int:
    """Pico-dollars for `usage` at the price's standard rates (call `for_tier` first)."""
    cost = _rates_due(price, usage).cost(usage)
    if price.per_web_search and usage.web_searches:
        cost += pico_from_decimal(price.per_web_search * usage.web_searches)
    if price.per_image and usage.images:
        cost += pico_from_decimal(price.per_image * usage.images)
    if price.per_request:
        cost += pico_from_decimal(price.per_request)
    if price.per_audio_hour and usage.seconds:
        milliseconds = max(round(usage.seconds * 1000), price.minimum_audio_ms)
        cost += pico_from_decimal(price.per_audio_hour * milliseconds / _MILLISECONDS_PER_HOUR)
    return cost


def output_cost_pico(price: Price, usage: UsageCounts) -> int:
    """How much of `cost_pico` is for what was generated: output tokens and images."""
    cost = _rates_due(price, usage).output_cost(usage)
    if price.per_image and usage.images:
        cost += pico_from_decimal(price.per_image * usage.images)
    return cost


def _rates_due(price: Price, usage: UsageCounts) -> Rates:
    rates = price.rates
    total = usage.input
    for tier in price.tiers:
        if total > tier.above:
            rates = tier.rates
    if price.per_audio_hour and usage.seconds and rates.input_audio is None:
        return replace(rates, input_audio=_ZERO)  # sound is charged by the hour: not by its tokens as well
    return rates


def from_json(data: Mapping[str, Any]) -> Price:
    """Raises PriceInvalid."""
    known = {*RATE_NAMES, *_AMOUNT_NAMES, "minimum_audio_ms", "variant", "tiers"}
    _refuse_unknown(data, known)
    rates = _rates(data)
    tiers = tuple(
        Tier(above=int(row["above"]), rates=_rates({k: v for k, v in row.items() if k != "above"}).over(rates))
        for row in sorted(data.get("tiers", ()), key=lambda row: int(row["above"]))
    )
    return _with_amounts(
        Price(
            rates=rates,
            tiers=tiers,
            variant=data.get("variant"),
            minimum_audio_ms=int(data.get("minimum_audio_ms", 0)),
        ),
        {name: amount(data[name], name) for name in _AMOUNT_NAMES if data.get(name) is not None},
    )


def from_config(data: Mapping[str, Any]) -> Price:
    """A price as config files and `/v1/pricing` write it. Raises PriceInvalid, naming the field."""
    _refuse_unknown(data, {*CONFIG_RATES, *CONFIG_AMOUNTS, _PER_SECOND})
    given = {name: value for name, value in data.items() if value is not None}
    rates = {into: amount(given[name], name) for name, into in CONFIG_RATES.items() if name in given}
    amounts = {into: amount(given[name], name) for name, into in CONFIG_AMOUNTS.items() if name in given}
    if _PER_SECOND in given:
        amounts["per_audio_hour"] = amount(given[_PER_SECOND], _PER_SECOND) * _SECONDS_PER_HOUR
    return _with_amounts(Price(rates=Rates(**rates)), amounts)


def to_config(price: Price) -> dict[str, Decimal]:
    """The standard rates under their config names; only what is set."""
    out = {name: getattr(price.rates, into) for name, into in CONFIG_RATES.items()}
    out |= {name: getattr(price, into) for name, into in CONFIG_AMOUNTS.items()}
    return {name: value for name, value in out.items() if value is not None}


def amount(value: Any, name: str) -> Decimal:
    """A decimal from a config value. A float means the decimal it was written as. Raises PriceInvalid."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise PriceInvalid(f"{name}: not a number: {value!r}")
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise PriceInvalid(f"{name}: not a number: {value!r}") from error
    if not number.is_finite() or number < 0:
        raise PriceInvalid(f"{name}: must be a finite number of at least 0, not {value!r}")
    return number


def _per_token(usd_per_million: Decimal) -> int | Decimal:
    pico = usd_per_million * _PICO_PER_TOKEN
    return int(pico) if pico == pico.to_integral_value() else usd_per_million


def _rounded(count: int, rate: int | Decimal) -> int:
    return tokens_cost(count, Decimal(rate))


def _with_amounts(price: Price, amounts: Mapping[str, Decimal]) -> Price:
    return replace(
        price,
        per_web_search=amounts.get("per_web_search"),
        per_image=amounts.get("per_image"),
        per_request=amounts.get("per_request"),
        per_audio_hour=amounts.get("per_audio_hour"),
    )


def _first(value: Decimal | None, other: Decimal | None) -> Decimal | None:
    return other if value is None else value


def _rates(data: Mapping[str, Any]) -> Rates:
    return Rates(**{name: amount(data[name], name) for name in RATE_NAMES if data.get(name) is not None})


def _refuse_unknown(data: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(data) - known)
    if unknown:
        raise PriceInvalid(f"{unknown[0]}: not a field of a price")


def _to_json(price: Price) -> dict[str, Any]:
    out: dict[str, Any] = _rates_json(price.rates)
    if price.tiers:
        out["tiers"] = [{"above": tier.above, **_rates_json(tier.rates)} for tier in price.tiers]
    for name in _AMOUNT_NAMES:
        value = getattr(price, name)
        if value is not None:
            out[name] = str(value)
    if price.minimum_audio_ms:
        out["minimum_audio_ms"] = price.minimum_audio_ms
    if price.variant is not None:
        out["variant"] = price.variant
    return out


def _rates_json(rates: Rates) -> dict[str, Any]:
    return {name: str(value) for name in RATE_NAMES if (value := getattr(rates, name)) is not None}


# What needs the functions above to be made.
FREE: Final = Price(rates=Rates(input=Decimal(0), output=Decimal(0)))
