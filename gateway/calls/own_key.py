"""A caller's own provider key: for one call, to that provider alone. Never kept, never logged, never a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from gateway.routing.providers import Provider
from gateway.routing.resolve import Target
from gateway.settings import ByokSection, SettingsError
from wire.errors import BadRequest, GatewayError, NotAllowed, UpstreamCredentials, UpstreamUnavailable
from wire.providers import IMPLIED_TYPES

HEADER = b"x-tollgate-provider-key"


@dataclass(frozen=True, slots=True)
class OwnKey:
    """`where` names the field or header that it stood in; `only`: it is meant for that kind of provider."""

    key: str = field(repr=False)
    where: str = HEADER.decode()
    only: str | None = None


_WELL_FORMED = re.compile(r"[!-~]{8,512}")


def read_own_key(header: Callable[[bytes], str | None]) -> OwnKey | None:
    """The key that a call brings along, None when it brings none. Raises BadRequest for what cannot be one."""
    value = header(HEADER)
    return None if value is None else OwnKey(checked_key(value, HEADER.decode()))


def checked_key(value: str, field: str) -> str:
    """Raises BadRequest, which does not repeat it: a header is one line of visible ASCII."""
    key = value.strip()
    if not _WELL_FORMED.fullmatch(key):
        raise BadRequest(f"'{field}' does not hold a provider's key", param=field, code="invalid_provider_key")
    return key


def with_own_key(targets: Sequence[Target], own: OwnKey, settings: ByokSection) -> Sequence[Target]:
    """The targets at the first one's provider, called with this key: no other provider may ever see it.

    Raises NotAllowed where the operator does not let callers bring keys, BadRequest where the provider takes none.
    """
    provider = targets[0].provider
    # By name, too: an entry of that type at another address is somebody else's server.
    if own.only is not None and not (provider.row.name == own.only and _means(own.only, provider.name)):
        raise BadRequest(
            f"'{own.where}' is for OpenAI's models, '{targets[0].asked}' is of provider '{provider.name}'",
            param=own.where,
            code="own_key_other_provider",
        )
    if not (settings.llm_server if own.only else _allowed(provider, settings)):
        raise NotAllowed(
            f"This gateway takes no caller's key for provider '{provider.name}'", code="own_key_not_allowed"
        )
    if provider.row.auth == "none":
        raise BadRequest(f"Provider '{provider.name}' takes no key", param=own.where, code="own_key_not_used")
    theirs = provider.with_key(own.key)
    return [replace(target, provider=theirs) for target in targets if target.provider.name == provider.name]


def check_names(settings: ByokSection, providers: Iterable[str]) -> None:
    """Raises SettingsError for a provider that is not there: a slip would go unnoticed."""
    known = list(providers)
    for name in settings.providers:
        if name != "*" and not any(_means(name, each) for each in known):
            raise SettingsError(f"byok.providers: {name!r} is not a provider here; add `providers.{name}`, or mend it")


def _allowed(provider: Provider, settings: ByokSection) -> bool:
    return "*" in settings.providers or any(_means(name, provider.name) for name in settings.providers)


def _means(name: str, provider: str) -> bool:
    """`claude` and `anthropic` are one, whichever of them the operator's entry is called."""
    one, other = name.strip().lower(), provider.lower()
    return IMPLIED_TYPES.get(one, one) == IMPLIED_TYPES.get(other, other)


def in_our_words(error: GatewayError, provider: Provider, status: int, *, own_key: bool) -> GatewayError:
    """An upstream's refusal, answered with `status`, without what it says about a credential.

    The operator's key is nobody's business. That the caller's own was refused is told with the upstream's status. That
    too many wait for one of our own few slots is no failure: 503, and when to come again.
    """
    if provider.row.few_slots and status == 503:
        return UpstreamUnavailable(
            error.message, status=503, type="service_unavailable", code="local_busy", retry_after=error.retry_after
        )
    if isinstance(error, UpstreamCredentials):
        if not own_key:
            return UpstreamCredentials(f"The provider '{provider.name}' refused the gateway's credentials")
        return UpstreamCredentials(
            f"The provider '{provider.name}' refused your key",
            status=status if status in (402, 403) else 401,
            type="authentication_error",
            code="own_key_refused",
        )
    error.message = error.detail = without_key(error.message, provider) or ""
    error.code, error.param = without_key(error.code, provider), without_key(error.param, provider)
    error.type = without_key(error.type, provider) or error.default_type
    return error


def without_key(text: str | None, provider: Provider) -> str | None:
    """What an upstream says, with the key that it was called with blotted out."""
    return text.replace(provider.key, "***") if text and provider.key else text
