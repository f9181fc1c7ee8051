"""Which providers are near: reached without a proxy, whatever the environment says."""

from __future__ import annotations

import pytest

from gateway.routing.providers import build_providers, near
from gateway.settings import ProviderSettings, Settings


@pytest.mark.parametrize(
    ("name", "address", "origin"),
    [
        ("local", None, "http://127.0.0.1:11434/"),
        ("local", "http://local_llm:11434/v1", "http://local_llm:11434/"),
        ("ollama", "http://localhost:11435/v1", "http://localhost:11435/"),
        ("mine", "http://[::1]:9000", "http://[::1]:9000/"),
        ("mine", "https://127.0.0.2/deep/v1", "https://127.0.0.2/"),
        ("mine", "http://127.evil.example/v1", None),
        ("mine", "http://10.0.0.5:8080/v1", None),
    ],
)
def test_our_own_machine_and_our_own_model_are_near(name: str, address: str | None, origin: str | None) -> None:
    settings = Settings(providers={name: ProviderSettings(api_base=address, api_key="k")})  # type: ignore[arg-type]
    provider = build_providers(settings, lambda entry, names, variables: "key")[name]
    assert near([provider]) == ({origin} if origin else set())
