"""The upstreams of this deployment: rows of `wire.providers` joined with what the operator configured."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from urllib.parse import urlsplit

from gateway.settings import ProviderSettings, Settings, SettingsError
from wire.neutral import DialectName
from wire.providers import IMPLIED_TYPES, ROWS, Operation, ProviderRow

# Always listed, with a reason when they cannot be used, so that a newcomer sees what a key would bring.
ALWAYS_LISTED = ("openai", "anthropic", "gemini", "solar", "local")

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")  # https://www.rfc-editor.org/rfc/rfc9110#name-tokens

FindKey = Callable[[ProviderSettings, tuple[str, ...], tuple[str, ...]], str | None]


@dataclass(frozen=True, slots=True)
class Provider:
    """One configured upstream. `unavailable` is the reason why no call can be sent there, None when it can."""

    name: str
    row: ProviderRow
    base_url: str
    key: str | None = field(repr=False)
    dialects: tuple[DialectName, ...]
    default_model: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeout: float | None = None  # seconds, instead of the total timeout
    unavailable: str | None = None

    def url(self, operation: Operation, model: str) -> str:
        """Address of an operation. `model` is already quoted for a path."""
        path = self.row.paths[operation].format(model=model)
        if path.startswith("/../"):
            return self.base_url.removesuffix("/v1") + path[3:]
        return self.base_url + path

    def auth_headers(self) -> list[tuple[str, str]]:
        """The credential and fixed headers of a call."""
        headers = [*self.row.headers.items(), *self.headers]
        if self.key and self.row.auth == "bearer":
            headers.append(("authorization", f"Bearer {self.key}"))
        elif self.key and self.row.auth != "none":
            headers.append((self.row.auth, self.key))
        return headers

    def with_key(self, key: str) -> Provider:
        """The same upstream for another account: without the operator's headers, which may name or hold theirs."""
        return replace(self, key=key, headers=(), unavailable=None if self.base_url else self.unavailable)


def build_providers(settings: Settings, find_key: FindKey) -> dict[str, Provider]:
    """All providers by name: the configured ones, the five standard ones, those that an alias names, and presets whose
    usual key is set.

    Raises SettingsError for a `type` that does not exist, an address that is none, an alias of a provider that is not
    there.
    """
    built: dict[str, Provider] = {}
    for name, entry in settings.providers.items():
        built[name.lower()] = _build(name.lower(), entry, find_key, settings.local.port)
    types = {provider.row.name for provider in built.values()}
    aliased = {_kind(name) for _, name in _alias_providers(settings)}
    for row in ROWS.values():
        if row.name in types or row.base_url is None:
            continue
        provider = _build(row.name, ProviderSettings(), find_key, settings.local.port)
        wanted = row.name in ALWAYS_LISTED or row.name in aliased
        if wanted or (row.needs_key and provider.unavailable is None):
            built[row.name] = provider
    for alias, name in _alias_providers(settings):
        if entry_name(built, name) not in built:
            raise SettingsError(f"models.{alias}.provider: {name!r} is not a provider here; add `providers.{name}`")
    return built


def near(providers: Iterable[Provider]) -> frozenset[str]:
    """Origins, with a slash at their end, that are reached without a proxy: this machine's, and our own model's."""
    parts = [(provider, urlsplit(provider.base_url)) for provider in providers]
    return frozenset(
        f"{url.scheme}://{url.netloc}/"
        for provider, url in parts
        if url.hostname and (provider.row.name == "local" or _is_loopback(url.hostname))
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _alias_providers(settings: Settings) -> Iterator[tuple[str, str]]:
    for alias, entry in settings.models.items():
        yield alias, entry.provider
        yield from ((alias, other.provider) for other in entry.fallbacks)


def _kind(name: str) -> str:
    low = name.strip().lower()
    return IMPLIED_TYPES.get(low, low)


def _build(name: str, entry: ProviderSettings, find_key: FindKey, local_port: int) -> Provider:
    row = _row_of(name, entry)
    key = find_key(entry, _names_of(name, row), row.environment)
    timeout = entry.client_args.get("timeout")
    custom = entry.client_args.get("custom_headers") or entry.client_args.get("default_headers") or {}
    headers = tuple((str(header).lower(), str(value)) for header, value in custom.items())
    if not all(_HEADER_NAME.fullmatch(header) and value.isprintable() for header, value in headers):
        raise SettingsError(f"providers.{name}.client_args: a header's name or value is none that HTTP can carry")
    return Provider(
        name=name,
        row=row,
        base_url=_base_url(name, entry, row, local_port),
        key=key,
        dialects=_dialects(name, entry, row),
        default_model=entry.default_model or row.default_model,
        headers=headers,
        timeout=float(timeout) if isinstance(timeout, int | float) else None,
        unavailable=_unavailable(name, entry, row, key),
    )


def _row_of(name: str, entry: ProviderSettings) -> ProviderRow:
    kind = (entry.type or IMPLIED_TYPES.get(name, name)).lower()
    kind = IMPLIED_TYPES.get(kind, kind)
    if kind in ROWS:
        return ROWS[kind]
    if entry.type:
        raise SettingsError(f"providers.{name}.type: {entry.type!r} does not exist; known: {', '.join(sorted(ROWS))}")
    return ROWS["openai_compatible"]


def _names_of(name: str, row: ProviderRow) -> tuple[str, ...]:
    synonyms = (short for short, kind in IMPLIED_TYPES.items() if kind == row.name and name in (row.name, short))
    return tuple(dict.fromkeys((name, *((row.name,) if name in IMPLIED_TYPES else ()), *synonyms)))


def _base_url(name: str, entry: ProviderSettings, row: ProviderRow, local_port: int) -> str:
    own = f"http://127.0.0.1:{local_port}/v1" if row.name == "local" else row.base_url
    url = entry.api_base or own or ""
    if url and not url.startswith(("http://", "https://")):
        raise SettingsError(f"providers.{name}.api_base: must start with http:// or https://")
    if url and not _is_address(url):
        raise SettingsError(f"providers.{name}.api_base: is not an address: its host, port or a space in it is wrong")
    return url.rstrip("/")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # is read only now
    except ValueError:
        return False
    return bool(parts.hostname) and url.isprintable() and " " not in url


def _dialects(name: str, entry: ProviderSettings, row: ProviderRow) -> tuple[DialectName, ...]:
    if entry.dialects is None:
        return row.dialects
    if not entry.dialects:
        raise SettingsError(f"providers.{name}.dialects: name at least one, or leave it away")
    for dialect in entry.dialects:
        if dialect not in row.paths:
            raise SettingsError(f"providers.{name}.dialects: a provider of type {row.name!r} does not speak {dialect}")
    return entry.dialects


def _unavailable(name: str, entry: ProviderSettings, row: ProviderRow, key: str | None) -> str | None:
    if not entry.api_base and row.base_url is None:
        return f"provider {name!r} is not known here: set providers.{name}.type and api_base"
    if row.needs_key and key is None:
        variable = f" or {row.environment[0]} in the environment" if row.environment else ""
        return f"no API key: put `{name}: <key>` in secrets/api_keys.yaml{variable}"
    if key is not None and not key.isprintable():
        return "its API key holds a line end or another control character: write it on one line"
    return None


def entry_name(providers: Mapping[str, Provider], name: str) -> str:
    """The name of the entry that a provider's name or a synonym of it means; where there is none, the name itself."""
    low = name.strip().lower()
    synonym = IMPLIED_TYPES.get(low, low)
    if low in providers or synonym in providers:
        return low if low in providers else synonym
    return next((each for each in providers if IMPLIED_TYPES.get(each) == synonym), low)


def reasons(providers: Mapping[str, Provider]) -> dict[str, bool]:
    """Provider name -> whether a key is present (or none is needed)."""
    return {name: provider.unavailable is None for name, provider in providers.items()}
