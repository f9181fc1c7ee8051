"""What may share limits and budgets beside keys and users, by the names that calls are counted under. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.accounts.budget_rows import EVERYBODY
from gateway.accounts.policy import Limits, Scope, model_scope
from gateway.models import model_key
from gateway.routing.providers import Provider, entry_name
from gateway.settings import Settings, SettingsError


def canonical(providers: Mapping[str, Provider], scope: Scope, scope_id: str) -> str:
    """The id that calls are counted under: a provider has the name of its entry, a model is `provider:model` in small
    letters."""
    if scope == "provider":
        return entry_name(providers, scope_id)
    if scope == "model":
        head, _, model = model_key(scope_id).partition(":")
        return model_scope(entry_name(providers, head), model)
    return scope_id


def configured_limits(settings: Settings, providers: Mapping[str, Provider]) -> dict[tuple[Scope, str], Limits]:
    """The `limits` section by scope and id, and `rate_limit_rpm` as what every user has.

    Raises SettingsError for a provider that is not there: a slip would go unnoticed.
    """
    found: dict[tuple[Scope, str], Limits] = {}
    if settings.rate_limit_rpm is not None:
        found["user", EVERYBODY] = Limits(requests_per_minute=settings.rate_limit_rpm)
    for name, limits in settings.limits.items():
        scope: Scope = "global" if name == EVERYBODY else "model" if ":" in model_key(name) else "provider"
        scope_id = canonical(providers, scope, name)
        if scope != "global" and scope_id.partition(":")[0] not in providers:
            raise SettingsError(f"limits: {name!r} names no provider here; add it to `providers`, or mend it")
        found[scope, scope_id] = Limits(**limits.model_dump())
    return found
