"""The models of this deployment: names to targets, what they cost, what is listed. Config joined with the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

from gateway.catalogue import Catalogue, CatalogueEntry
from gateway.local_state import LocalState
from gateway.pricing import Price, from_config, to_config
from gateway.routing.providers import ALWAYS_LISTED, Provider
from gateway.routing.resolve import RoutingTable, Target
from gateway.settings import PriceSettings, Settings
from wire.errors import NotFound
from wire.providers import IMPLIED_TYPES

Source = Literal["database", "config", "catalogue"]
Now = Callable[[], datetime]
# What a model may be known to do, as `GET /v1/models/{id}` has it.
CAPABILITIES = (
    "chat",
    "streaming",
    "tools",
    "json_schema",
    "reasoning",
    "image_input",
    "audio_input",
    "document_input",
    "audio_output",
    "image_output",
    "embeddings",
)
NO_MODEL = "default"  # what stands in the list for a provider that has no model just now


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A row of the model list. `created` are Unix seconds; `pricing` are US dollars a million tokens by config name,
    None when unknown; `label` is what a local model should be known for, such as that it is a demo."""

    id: str
    provider: str
    created: int
    unavailable_reason: str | None
    context_window: int | None
    max_output_tokens: int | None
    pricing: Mapping[str, Decimal] | None
    label: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "model",
            "created": self.created,
            "owned_by": self.provider,
            "available": self.unavailable_reason is None,
            "unavailable_reason": self.unavailable_reason,
            "context_window": self.context_window,
            "max_output_tokens": self.max_output_tokens,
            "pricing": None if self.pricing is None else dict(self.pricing),
            **({} if self.label is None else {"label": self.label}),
        }


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a provider itself says of one of its models. `context_window` is tokens of a call."""

    label: str | None = None
    context_window: int | None = None


class SetPrices(Protocol):
    """Prices that were set while the gateway runs, by `price_key`; letters count in either case. They beat all
    others."""

    def at(self, model_key: str, moment: datetime) -> Price | None: ...
    def keys(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class EffectivePrice:
    """What `provider:model` (or an alias) costs, and who says so: for `database`, under the key `set_for`."""

    model_key: str
    price: Price
    source: Source
    set_for: str | None = None


class Models:
    """Resolves, prices and lists. `discovered`: models that a provider says it has, the default first;
    `down`: why one cannot serve; `local`: what a local model service says of itself."""

    def __init__(
        self,
        settings: Settings,
        providers: Mapping[str, Provider],
        catalogue: Catalogue,
        set_prices: SetPrices,
        now: Now,
    ) -> None:
        self.providers = providers
        self._set_prices = set_prices
        self._aliases = settings.models
        self._priced_names = [price_key(providers, name) for name in settings.pricing]
        self._prices = {price_key(providers, name).lower(): _price(entry) for name, entry in settings.pricing.items()}
        self._alias_prices = {
            name: _price(entry.pricing) for name, entry in settings.models.items() if entry.pricing is not None
        }
        self._catalogue = catalogue
        self._now = now
        self.started_at = now()
        self._created = int(self.started_at.timestamp())
        self._table = RoutingTable(providers, settings.models, self._find_bare, self._default_model)
        targets = [target for name in settings.models for target in self._table.resolve(name)]
        self._named = {f"{target.provider.name}:{target.model}" for target in targets}
        self._named |= {f"{provider.name}:{provider.default_model}" for provider in providers.values()}
        self.discovered: dict[str, Mapping[str, Discovered]] = {}
        self.down: dict[str, str] = {}
        self.local: dict[str, LocalState] = {}

    def use(self, catalogue: Catalogue) -> None:
        """Go by another price list from now on."""
        self._catalogue = catalogue

    def resolve(self, asked: str) -> Sequence[Target]:
        """Targets in order of preference, at least one; those that cannot serve just now only if none can.

        Raises NotFound.
        """
        targets = self.targets(asked)
        return [target for target in targets if self.unavailable(target.provider, target.model) is None] or targets[:1]

    def targets(self, asked: str) -> Sequence[Target]:
        """All targets of a name in the operator's order, whether they can serve or not. Raises NotFound."""
        return self._table.resolve(asked)

    def means(self, name: str, target: Target) -> bool:
        """Whether a name stands for this target before all others."""
        try:
            first = self._table.resolve(name)[0]
        except NotFound:
            return False
        return (first.provider.name, first.model) == (target.provider.name, target.model)

    def price(self, target: Target) -> Price | None:
        """What the target costs now; None when nobody knows."""
        found = self._priced(target, self._now())
        return found.price if found else None

    def effective_price(self, name: str, at: datetime) -> EffectivePrice | None:
        """What a model of any name costs at a time; None when nobody knows or it does not exist."""
        try:
            return self._priced(self._table.resolve(name)[0], at)
        except NotFound:
            key = price_key(self.providers, name)  # of a provider that is not configured (yet)
            if own := self._set_prices.at(key, at):
                return EffectivePrice(key, own, "database", key)
            return EffectivePrice(key, own, "config") if (own := self._prices.get(key.lower())) else None

    def price_list(self, at: datetime) -> list[EffectivePrice]:
        """All models that have a price at a time, by key."""
        own = {name.lower(): name for name in (*self._priced_names, *self._set_prices.keys())}
        listed = [row.id for row in self.listing()]
        for name in listed:
            own.pop(name.lower(), None)  # under the model's own spelling
        names = [*self._aliases, *own.values(), *listed]
        found = {price.model_key: price for name in names if (price := self.effective_price(name, at))}
        return [found[key] for key in sorted(found)]

    def _priced(self, target: Target, at: datetime) -> EffectivePrice | None:
        """The database beats the config, which beats the catalogue."""
        provider, model = target.provider, target.model
        key = target.asked if target.alias is not None else f"{provider.name}:{model}"
        keys = tuple(dict.fromkeys((f"{provider.name}:{model}", f"{provider.row.name}:{model}")))
        for each in keys:
            if own := self._set_prices.at(each, at):
                return EffectivePrice(key, own, "database", each)
        if target.alias is not None and (own := self._alias_prices.get(target.asked)):
            return EffectivePrice(key, own, "config")
        for each in keys:
            if own := self._prices.get(each.lower()):
                return EffectivePrice(key, own, "config")
        entry = self._catalogue.lookup(provider.row.name, model, at)
        return EffectivePrice(key, entry.price, "catalogue") if entry and entry.price else None

    def output_cap(self, target: Target) -> int | None:
        """The most tokens that an answer of the target may hold, where that is known."""
        if target.alias is not None and target.alias.max_output_tokens is not None:
            return target.alias.max_output_tokens
        entry = self._entry(target.provider, target.model)
        return entry.max_output_tokens if entry else None

    def context_window(self, target: Target) -> int | None:
        """The most tokens that a call of the target may hold, where that is known."""
        if target.alias is not None and target.alias.context_window is not None:
            return target.alias.context_window
        if (own := self._discovered(target)) is not None:
            return own.context_window
        entry = self._entry(target.provider, target.model)
        return entry.context_window if entry else None

    def is_known(self, target: Target) -> bool:
        """Whether anybody has said of the model that it exists: an alias, the catalogue or a price, not the caller."""
        if target.alias is not None or self.price(target) is not None:
            return True
        return self._entry(target.provider, target.model) is not None

    def label(self, provider: str, model: str) -> str:
        """A model's name where names must be few: many upstreams take whatever a caller makes up."""
        kind = self.providers[provider].row.name
        keys = (f"{provider}:{model}", f"{kind}:{model}")
        if model in self.discovered.get(provider, ()) or any(key in self._named for key in keys):
            return model
        now = self._now()
        if any(key.lower() in self._prices or self._set_prices.at(key, now) for key in keys):
            return model.lower()  # a price is found under any spelling
        entry = None if kind == "local" else self._catalogue.lookup(kind, model, now)
        return "other" if entry is None else entry.model

    def listing(self) -> list[ListedModel]:
        """Every model that can be named here, by provider, aliases first."""
        rows = [self._target_row(self._table.resolve(name)[0]) for name in self._aliases]
        for provider in self.providers.values():
            if provider.name in self.discovered:
                rows += self._discovered_rows(provider)
            else:
                entries = self._catalogue.models(provider.row.name, self._now())
                # What a bare provider name means comes first: it is what a newcomer should meet.
                entries.sort(key=lambda entry: entry.model != provider.default_model)
                rows += [self._row(provider, entry) for entry in entries if not entry.deprecated]
        return rows

    def find(self, asked: str) -> ListedModel:
        """The row of a model under any name that means it. Raises NotFound, for an id that nobody lists too."""
        target = self._table.resolve(asked)[0]
        if not self.is_known(target):
            raise NotFound(f"Model '{asked}' not found", param="model", code="model_not_found")
        return self._target_row(target)

    def capabilities(self, asked: str) -> dict[str, bool | None]:
        """What the model that a name means can do through its provider; None: not known. Raises NotFound."""
        target = self._table.resolve(asked)[0]
        entry = self._entry(target.provider, target.model)
        known = {} if entry is None else dict(entry.capabilities)
        if not target.provider.row.quirks.json_schema:
            known["json_schema"] = False
        return {name: known.get(name) for name in CAPABILITIES}

    def _target_row(self, target: Target) -> ListedModel:
        price = self.price(target)
        return ListedModel(
            id=target.asked,
            provider=target.provider.name,
            created=self._created,
            unavailable_reason=self.unavailable(target.provider, target.model),
            context_window=self.context_window(target),
            max_output_tokens=self.output_cap(target),
            pricing=_listed(price),
            label=own.label if (own := self._discovered(target)) else None,
        )

    def _row(self, provider: Provider, entry: CatalogueEntry) -> ListedModel:
        name = f"{provider.name}:{entry.model}"
        price = self.price(Target(provider, entry.model, name))
        return ListedModel(
            id=name,
            provider=provider.name,
            created=self._created,
            unavailable_reason=self.unavailable(provider),
            context_window=entry.context_window,
            max_output_tokens=entry.max_output_tokens,
            pricing=_listed(price),
        )

    def _discovered_rows(self, provider: Provider) -> list[ListedModel]:
        """What the provider has, and what it cannot serve, with the reason."""
        found = dict(self.discovered[provider.name])
        state = self.local.get(provider.name)
        if not found or (state is not None and state.default is None):
            found[NO_MODEL] = Discovered()
        for broken in state.problems if state is not None and state.engine else ():
            found.setdefault(broken, Discovered())
        return [
            ListedModel(
                id=f"{provider.name}:{model}",
                provider=provider.name,
                created=self._created,
                unavailable_reason=self.unavailable(provider, model),
                context_window=said.context_window,
                max_output_tokens=None,
                pricing=_listed(self.price(Target(provider, model, model))),
                label=said.label,
            )
            for model, said in found.items()
        ]

    def unavailable(self, provider: Provider, model: str | None = None) -> str | None:
        """Why no call can be sent to a provider just now, or to a model of it that it says something of."""
        reason = provider.unavailable or self.down.get(provider.name)
        if reason is not None or model is None:
            return reason
        state = self.local.get(provider.name)
        if model == NO_MODEL and provider.name in self.discovered and (state is None or state.default is None):
            return (state.reason if state else None) or "no model is loaded: put a GGUF file in models/"
        return state.trouble(model) if state is not None else None

    def _entry(self, provider: Provider, model: str) -> CatalogueEntry | None:
        return self._catalogue.lookup(provider.row.name, model, self._now())

    def _discovered(self, target: Target) -> Discovered | None:
        return self.discovered.get(target.provider.name, {}).get(target.model)

    def _default_model(self, provider: Provider) -> str | None:
        found = self.discovered.get(provider.name)
        if found is None:
            return provider.default_model
        if (state := self.local.get(provider.name)) is not None and found:
            return state.default or NO_MODEL
        return next(iter(found)) if found else provider.default_model or NO_MODEL

    def any_default(self) -> str | None:
        """The model that the first provider that can serve means by its own name, the standard ones first."""
        names = [*(name for name in ALWAYS_LISTED if name in self.providers), *self.providers]
        for name in names:
            provider = self.providers[name]
            model = self._default_model(provider)
            if model is not None and self.unavailable(provider, model) is None:
                return f"{name}:{model}"
        return None

    def _find_bare(self, model: str, among: Collection[str]) -> str | None:
        for name, found in self.discovered.items():
            if model in found and (kind := self.providers[name].row.name) in among:
                return kind
        return self._catalogue.find_provider(model, among)


def _listed(price: Price | None) -> Mapping[str, Decimal] | None:
    """Input and output always: clients of the any-llm gateway read both. What has no price costs nothing."""
    nothing = dict.fromkeys(("input_price_per_million", "output_price_per_million"), Decimal(0))
    return None if price is None else nothing | to_config(price)


def model_key(name: str) -> str:
    """`provider/model` means `provider:model`."""
    head, slash, rest = name.partition("/")
    return f"{head}:{rest}" if slash and ":" not in head else name


def price_key(providers: Mapping[str, Provider], name: str) -> str:
    """`provider:model` as prices are kept under: the provider is an entry, or else a type whose entries all have it."""
    head, colon, model = model_key(name.strip()).partition(":")
    low = head.strip().lower()
    return f"{low if low in providers else IMPLIED_TYPES.get(low, low)}{colon}{model.strip()}"


def _price(entry: PriceSettings) -> Price:
    return from_config(entry.model_dump(exclude_none=True))
