"""A model's name to a target, as DESIGN §3.3: alias, then a configured provider's prefix, then a bare catalogue id,
then a bare provider name; else 404."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from gateway.routing.providers import Provider, entry_name
from gateway.settings import ModelSettings
from wire.errors import NotFound


@dataclass(frozen=True, slots=True)
class Target:
    """One upstream model. `alias` holds the operator's facts when the name was an alias."""

    provider: Provider
    model: str
    asked: str
    alias: ModelSettings | None = None


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """`find_bare(model, among)` says which of these kinds of providers has a model of that id; `default_model` which
    one a bare provider name means."""

    providers: Mapping[str, Provider]
    aliases: Mapping[str, ModelSettings]
    find_bare: Callable[[str, Collection[str]], str | None]
    default_model: Callable[[Provider], str | None]

    def resolve(self, asked: str) -> tuple[Target, ...]:
        """Targets in the order in which they are to be tried, at least one. Raises NotFound.

        An unavailable provider still resolves: the call then says why it cannot be made.
        """
        if alias := self.aliases.get(asked):
            first = Target(self._provider(alias.provider, asked), alias.model, asked, alias)
            others = (Target(self._provider(each.provider, asked), each.model, asked) for each in alias.fallbacks)
            return (first, *others)
        return (self._single(asked),)

    def _single(self, asked: str) -> Target:
        prefix, model = _split(asked)
        if model and (provider := self._named(prefix)):
            return Target(provider, model, asked)
        if target := self._bare_model(asked):
            return target
        if (provider := self._named(asked)) and (default := self.default_model(provider)):
            return Target(provider, default, asked)
        raise _unknown(asked)

    def _named(self, name: str) -> Provider | None:
        return self.providers.get(entry_name(self.providers, name))

    def _provider(self, name: str, asked: str) -> Provider:
        provider = self._named(name)
        if provider is None:
            raise _unknown(asked)
        return provider

    def _bare_model(self, asked: str) -> Target | None:
        by_list: dict[str, Provider] = {}
        for provider in self.providers.values():
            by_list.setdefault(provider.row.name, provider)
        found = self.find_bare(asked, by_list)
        return Target(by_list[found], asked, asked) if found else None


def _split(asked: str) -> tuple[str, str]:
    """Before and after the first `:` or `/`, whichever comes first."""
    cuts = [at for at in (asked.find(":"), asked.find("/")) if at > 0]
    if not cuts:
        return asked, ""
    at = min(cuts)
    return asked[:at], asked[at + 1 :]


def _unknown(asked: str) -> NotFound:
    shown = asked if len(asked) <= 200 else asked[:200] + "..."
    return NotFound(
        f"Model {shown!r} is not known here. GET /v1/models lists what is.",
        param="model",
        code="model_not_found",
        detail=f"Model '{shown}' not found",
    )
