"""What is known of models without any configuration: windows, limits, and prices by date.

Read from `gateway/data/catalogue.json`, which `gateway.catalogue_build` compiles from `genai-prices` and own rows (see
there for its form). A provider's models are decoded when it is first asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.pricing import FREE, RATE_NAMES, Price, Rates, Tier, from_json
from wire.providers import IMPLIED_TYPES, ROWS

_PATH: Final = Path(__file__).parent / "data" / "catalogue.json"
_COMPACT_DATE: Final = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")
_LOOKUPS_KEPT: Final = 4096
LONGEST_ID: Final = 255  # characters; ids come from callers, and no model has so long a one

Rule = Callable[[str], bool]
Classes = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """A model of a provider. `provider` is the name that was asked for, `model` the price list's own id of it.

    None means not known: `price` at the time asked for, `context_window` and `max_output_tokens` in tokens.
    `capabilities` has what is known of what it can and cannot do.
    """

    provider: str
    model: str
    context_window: int | None
    max_output_tokens: int | None
    deprecated: bool
    price: Price | None
    capabilities: Mapping[str, bool] = field(default_factory=dict)


class _Row(msgspec.Struct, frozen=True):
    id: str
    m: list[Any]
    p: list[tuple[Any, Classes]]
    w: int | None = None
    o: int | None = None
    d: int = 0
    v: list[tuple[str, Any, Classes]] = []
    c: list[str] = []


class _File(msgspec.Struct, frozen=True):
    source: str
    owners: dict[str, list[Any]]
    fallbacks: dict[str, list[str]]
    models: dict[str, msgspec.Raw]


class _Model:
    """A row with its rule compiled and its prices built once per set of conditions that hold."""

    __slots__ = ("_prices", "capabilities", "matches", "row")

    def __init__(self, row: _Row) -> None:
        self.row = row
        self.capabilities = {name.removeprefix("-"): not name.startswith("-") for name in row.c}
        self.matches = _rule(row.m)
        self._prices: dict[tuple[int, ...], Price] = {}

    def price_at(self, when: datetime) -> Price | None:
        if not self.row.p:
            return None
        chosen = 0
        for number, (condition, _) in enumerate(self.row.p):
            if _holds(condition, when):
                chosen = number
        active = tuple(number for number, (_, condition, _) in enumerate(self.row.v) if _holds(condition, when))
        key = (chosen, *active)
        price = self._prices.get(key)
        if price is None:
            price = self._prices[key] = _price(self.row.p[chosen][1], [self.row.v[number] for number in active])
        return price


class Catalogue:
    """The compiled table. Providers are named as in `wire.providers` or as in the price list."""

    def __init__(self, path: Path = _PATH) -> None:
        self._file = msgspec.json.decode(path.read_bytes(), type=_File)
        self._lists: dict[str, tuple[_Model, ...]] = {}
        self._owners = {name: _rule(rule) for name, rule in self._file.owners.items()}
        self._found: dict[tuple[str, str], _Model | None] = {}
        self._owned: dict[tuple[str, tuple[str, ...]], str | None] = {}
        self._recent: dict[tuple[str, str], tuple[int, CatalogueEntry | None]] = {}

    @property
    def source(self) -> str:
        """The price list and its version."""
        return self._file.source

    def check(self) -> None:
        """Read it whole. Raises ValueError (msgspec.ValidationError, PriceInvalid) where it is not well-formed."""
        for name in self._file.models:
            for row in self._list(name):
                for classes in (*(each[1] for each in row.row.p), *(each[2] for each in row.row.v)):
                    _plain_price(classes)

    def lookup(self, provider: str, model: str, at: datetime) -> CatalogueEntry | None:
        """What is known of a model at a time (aware); None when the catalogue does not know it. A local model is known
        and free, whatever its name."""
        if len(model) > LONGEST_ID:
            return None
        if _list_name(provider) == "local":
            return CatalogueEntry(
                provider=provider,
                model=model,
                context_window=None,
                max_output_tokens=None,
                deprecated=False,
                price=FREE,
            )
        minute = int(at.timestamp()) // 60  # no condition is finer
        key = (provider, model)
        recent = self._recent.get(key)
        if recent is None or recent[0] != minute:
            found = self._find(_list_name(provider), model)
            recent = (minute, None if found is None else _entry(provider, found, at))
            if len(self._recent) >= _LOOKUPS_KEPT:  # ids come from callers: keep the memory bounded
                self._recent.clear()
            self._recent[key] = recent
        return recent[1]

    def price_at(self, provider: str, model: str, when: datetime) -> Price | None:
        """The price of a model at a time (aware); None when it is not known."""
        entry = self.lookup(provider, model, when)
        return None if entry is None else entry.price

    def find_provider(self, model: str, among: Collection[str] | None = None) -> str | None:
        """Whose model a bare id is: first by the makers' own naming, then by who lists it; None when nobody does.

        `among` are the names that count, in any of their forms, and the answer is one of them; all lists by default.
        """
        if len(model) > LONGEST_ID:
            return None
        names = tuple(self._file.models) if among is None else tuple(among)
        key = (model, names)
        if key not in self._owned:
            if len(self._owned) >= _LOOKUPS_KEPT:
                self._owned.clear()
            self._owned[key] = self._owner(model, names)
        return self._owned[key]

    def _owner(self, model: str, names: Sequence[str]) -> str | None:
        by_list = {_list_name(name): name for name in reversed(names)}
        listed = [name for name in self._file.models if name in by_list]
        owned = [name for name in listed if name in self._owners and self._owners[name](model.lower())]
        for name in (*owned, *listed):
            if self._find(name, model) is not None:
                return by_list[name]
        return None

    def models(self, provider: str, at: datetime) -> list[CatalogueEntry]:
        """All models of a provider, in the price list's order; empty when it has no list."""
        return [_entry(provider, model, at) for model in self._list(_list_name(provider))]

    def _list(self, name: str) -> tuple[_Model, ...]:
        if name not in self._lists:
            raw = self._file.models.get(name)
            rows = [] if raw is None else msgspec.json.decode(raw, type=list[_Row])
            self._lists[name] = tuple(_Model(row) for row in rows)
        return self._lists[name]

    def _find(self, name: str, model: str) -> _Model | None:
        key = (name, model)
        if key not in self._found:
            if len(self._found) >= _LOOKUPS_KEPT:
                self._found.clear()
            self._found[key] = self._match(name, model.lower())
        return self._found[key]

    def _match(self, name: str, model: str) -> _Model | None:
        """As genai-prices does it: the list itself, then those it falls back to, then the same with a date as `-2025-
        12-11` where the id has `-20251211`."""
        for ref in dict.fromkeys((model, _COMPACT_DATE.sub(r"-\1-\2-\3", model))):
            for each in (name, *self._file.fallbacks.get(name, ())):
                for row in self._list(each):
                    if row.matches(ref):
                        return row
        return None


@cache
def catalogue() -> Catalogue:
    """The one that comes with the gateway, read at its first use."""
    return Catalogue()


def refreshed_path(data_dir: Path) -> Path:
    """Where `tollgate prices apply` puts a newer price list."""
    return data_dir / "catalogue.json"


def catalogue_path(data_dir: Path) -> Path:
    """The price list in use: the newer one where that was taken over, else the one that comes with the gateway."""
    refreshed = refreshed_path(data_dir)
    return refreshed if refreshed.is_file() else _PATH


def _list_name(provider: str) -> str:
    name = IMPLIED_TYPES.get(provider, provider)
    row = ROWS.get(name)
    return name if row is None or row.price_list is None else row.price_list


def _entry(provider: str, model: _Model, at: datetime) -> CatalogueEntry:
    return CatalogueEntry(
        provider=provider,
        model=model.row.id,
        context_window=model.row.w,
        max_output_tokens=model.row.o,
        deprecated=bool(model.row.d),
        price=model.price_at(at),
        capabilities=model.capabilities,
    )


def _holds(condition: Any, when: datetime) -> bool:
    if condition is None:
        return True
    when = when.astimezone(UTC)
    if isinstance(condition, str):
        return when.date() >= date.fromisoformat(condition)
    begin, end = time.fromisoformat(condition[0]), time.fromisoformat(condition[1])
    now = when.time()
    return begin <= now < end if begin <= end else now >= begin or now < end


def _price(classes: Classes, variants: list[tuple[str, Any, Classes]]) -> Price:
    """The first variant of a tier that names a class decides it."""
    tiers: dict[str, Classes] = {}
    for tier, _, changes in variants:
        tiers[tier] = changes | tiers.get(tier, {})
    standard = _plain_price(classes)
    if not tiers:
        return standard
    return replace(
        standard,
        variants={tier: replace(_plain_price(classes | changes), variant=tier) for tier, changes in tiers.items()},
    )


def _plain_price(classes: Classes) -> Price:
    """Thresholds of single classes become whole rates from each threshold on."""
    base = {name: value[0] if isinstance(value, list) else value for name, value in classes.items()}
    price = from_json(base)
    starts = sorted({above for value in classes.values() if isinstance(value, list) for above, _ in value[1]})
    return replace(price, tiers=tuple(Tier(above=above, rates=_rates_above(classes, above)) for above in starts))


def _rates_above(classes: Mapping[str, Any], above: int) -> Rates:
    rates: dict[str, Decimal] = {}
    for name in RATE_NAMES:
        value = classes.get(name)
        if isinstance(value, list):
            rates[name] = Decimal(next((text for start, text in reversed(value[1]) if start <= above), value[0]))
        elif value is not None:
            rates[name] = Decimal(value)
    return Rates(**rates)


def _rule(rule: list[Any]) -> Rule:
    kind, value = rule
    match kind:
        case "=":
            return lambda text: bool(text == value)
        case "^":
            return lambda text: text.startswith(value)
        case "$":
            return lambda text: text.endswith(value)
        case "in":
            return lambda text: value in text
        case "re":
            pattern = re.compile(value)
            return lambda text: pattern.search(text) is not None
        case "or":
            any_of = [_rule(each) for each in value]
            return lambda text: any(matches(text) for matches in any_of)
        case "and":
            all_of = [_rule(each) for each in value]
            return lambda text: all(matches(text) for matches in all_of)
    raise ValueError(f"a match rule of a kind not known here: {kind!r}")
