"""Where a call goes: to a provider itself, or through a gateway. A gateway is a provider that speaks every dialect.

A call goes through a gateway when

* its provider is called `tollgate` (or `gateway`, `otari`), or
* its key is a gateway's (`gw-...`), or
* no key was given and the environment has `TOLLGATE_KEY` or `ANY_LLM_KEY`: no provider's key is looked for then, or
* no provider was named, and an address was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from tollgate.sdk.errors import (
    AuthenticationError,
    InvalidRequestError,
    MissingApiKeyError,
    UnsupportedOperationError,
    UnsupportedProviderError,
)
from wire.dialect import Dialect
from wire.providers import IMPLIED_TYPES, ROWS, Operation, ProviderRow

GATEWAY = ProviderRow(
    name="tollgate",
    label="Tollgate",
    base_url="http://127.0.0.1:8000",
    auth="bearer",
    dialects=("openai_chat", "openai_responses", "anthropic_messages"),
    paths={
        "openai_chat": "/v1/chat/completions",
        "openai_responses": "/v1/responses",
        "anthropic_messages": "/v1/messages",
        "embeddings": "/v1/embeddings",
        "models": "/v1/models",
    },
)
_GATEWAY_NAMES = frozenset({"tollgate", "gateway", "otari"})
_GATEWAY_KEYS = ("TOLLGATE_KEY", "ANY_LLM_KEY")
_OLD_KEYS = ("GATEWAY_API_KEY", "OTARI_API_KEY")  # any-llm's, for a provider that is named so
_GATEWAY_BASES = ("TOLLGATE_API_BASE", "GATEWAY_API_BASE", "OTARI_API_BASE")
_GATEWAY_KEY = "gw-"
_SEPARATOR = re.compile("[:/]")
_KEY = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`name` is the provider as the caller calls it; of a gateway, what is put before a bare model's name."""

    name: str | None
    row: ProviderRow
    base_url: str = field(repr=False)  # may hold a password
    key: str | None = field(default=None, repr=False)

    @property
    def is_gateway(self) -> bool:
        return self.row is GATEWAY

    @property
    def label(self) -> str:
        """Who answers, for errors."""
        return "tollgate" if self.is_gateway else self.name or self.row.name

    def sent_model(self, model: str) -> str:
        """The model's name as it goes out. A gateway gets the provider's before it, unless it stands there."""
        if self.name is None:
            return model
        named = model.lower().startswith((f"{self.name}:", f"{self.name}/"))
        if self.is_gateway:
            return model if named else f"{self.name}:{model}"
        # With a slash it may well be the model's own name (openrouter/auto).
        return model[len(self.name) + 1 :] if named and model[len(self.name)] == ":" else model

    def asked_model(self, model: str) -> str:
        """The model as a gateway would call it: answers that are translated here say the same as there."""
        return self.sent_model(model) if self.is_gateway else f"{self.name}:{self.sent_model(model)}"

    def url(self, operation: Operation, model: str = "") -> str:
        """Raises UnsupportedOperationError."""
        path = self.row.paths.get(operation)
        if path is None:
            what = operation.removeprefix("openai_").replace("_", " ")
            raise UnsupportedOperationError(f"This provider has no {what}", provider=self.label)
        return self.base_url + path.format(model=quote(model, safe=""))

    def headers(self) -> dict[str, str]:
        """The credential and what the provider asks for in every request."""
        headers = dict(self.row.headers)
        if self.key and self.row.auth == "bearer":
            headers["authorization"] = f"Bearer {self.key}"
        elif self.key and self.row.auth != "none":
            headers[self.row.auth] = self.key
        return headers

    def speaks(self, dialect: Dialect) -> bool:
        return dialect.name in self.row.dialects


def split_model(model: str, provider: str | None) -> tuple[str | None, str]:
    """Provider and model of `provider:model` or `provider/model`. None: what stands before is no provider's name.

    Raises InvalidRequestError.
    """
    checked_model(model)
    if provider is not None:
        return provider, model
    name, separator, rest = _partition(model)
    if separator and rest and _is_known(name):
        return name, rest
    return None, model


def checked_model(model: object) -> None:
    """Raises InvalidRequestError."""
    if not isinstance(model, str) or not model.strip():
        raise InvalidRequestError("model: name one, such as 'openai:gpt-4o-mini'", param="model")


def _partition(model: str) -> tuple[str, str, str]:
    found = _SEPARATOR.search(model)
    return (model[: found.start()], found.group(), model[found.end() :]) if found else (model, "", "")


def _is_known(name: str) -> bool:
    return name.strip().lower() in ROWS.keys() | IMPLIED_TYPES.keys() or is_gateway_name(name)


def is_gateway_name(provider: str | None) -> bool:
    return provider is not None and provider.strip().lower() in _GATEWAY_NAMES


def find_endpoint(
    provider: str | None, api_key: str | None, api_base: str | None, environment: Mapping[str, str]
) -> Endpoint:
    """Raises MissingApiKeyError, UnsupportedProviderError, InvalidRequestError for an address that is none."""
    name = provider.strip().lower() if provider is not None else None
    if name == "":
        raise UnsupportedProviderError("provider: is empty; name one, such as 'openai'")
    key = _checked(api_key, name)
    named_gateway = is_gateway_name(name)
    ours = _first(environment, _GATEWAY_KEYS)
    meant = ours is not None and not _is_server_without_key(name, api_base, environment)
    if named_gateway or (key or "").startswith(_GATEWAY_KEY) or (key is None and meant):
        old = _first(environment, _OLD_KEYS) if named_gateway else None
        return _gateway(
            None if named_gateway else name, key or _checked(ours or old, "tollgate"), api_base, environment
        )
    if name is None and api_base:
        return _gateway(None, key, api_base, environment, keyless=True)
    if name is None:
        raise UnsupportedProviderError(
            "Which provider? Write the model as 'provider:model', give provider=, or set TOLLGATE_KEY for a gateway"
        )
    return _direct(name, key, api_base, environment)


def _is_server_without_key(name: str | None, api_base: str | None, environment: Mapping[str, str]) -> bool:
    """Whether a provider that needs no key was named with an address of its own: it shall not see the gateway's key.
    Without that address, or at the gateway's, the gateway is meant."""
    if name is None or api_base is None or ROWS.get(IMPLIED_TYPES.get(name, name), ROWS["openai_compatible"]).needs_key:
        return False
    return _gateway_base(api_base) != _gateway_base(_first(environment, _GATEWAY_BASES) or GATEWAY.base_url or "")


def _gateway_base(address: str) -> str:
    return _address(address).removesuffix("/v1")


def _gateway(
    name: str | None, key: str | None, api_base: str | None, environment: Mapping[str, str], *, keyless: bool = False
) -> Endpoint:
    """`keyless`: a server that may want no key."""
    if key is None and not keyless:
        raise MissingApiKeyError("No key for the gateway: give api_key=, or set TOLLGATE_KEY", provider="tollgate")
    base = _gateway_base(api_base or _first(environment, _GATEWAY_BASES) or GATEWAY.base_url or "")
    return Endpoint(name, GATEWAY, base, key)


def _direct(name: str, key: str | None, api_base: str | None, environment: Mapping[str, str]) -> Endpoint:
    row = ROWS.get(IMPLIED_TYPES.get(name, name))
    if row is None and not api_base:
        known = ", ".join(sorted(ROWS))
        raise UnsupportedProviderError(
            f"'{name}' is not a known provider ({known}); give api_base= if it is compatible with OpenAI"
        )
    row = row or ROWS["openai_compatible"]
    key = key or _checked(_first(environment, row.environment), name)
    if key is None and row.needs_key:
        where = f"api_key=, or set {row.environment[0]}" if row.environment else "api_key="
        raise MissingApiKeyError(f"No API key for {row.label}: give {where}", provider=name)
    variables = (each.removesuffix("_API_KEY") + "_BASE_URL" for each in row.environment)
    base = api_base or _first(environment, variables) or row.base_url
    if base is None:
        raise InvalidRequestError(f"{row.label} has another address everywhere: give api_base=", param="api_base")
    return Endpoint(name, row, _address(base), key)


def _first(environment: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((value for name in names if (value := environment.get(name, "").strip())), None)


def _checked(key: str | None, provider: str | None) -> str | None:
    """What can stand in a header. Never says what the key is."""
    if key is None:
        return None
    key = key.strip()
    if not key:
        return None
    if not _KEY.fullmatch(key):
        raise AuthenticationError(
            "The API key holds characters that no key has; was it copied whole?", provider=provider
        )
    return key


def _address(base: str) -> str:
    address = base.strip().rstrip("/")
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        raise InvalidRequestError("api_base: must be an address such as http://127.0.0.1:8000/v1", param="api_base")
    return address
