"""Limits of the configuration go by the names that calls are counted under."""

from __future__ import annotations

import pytest

from gateway.accounts.policy import Limits
from gateway.accounts.scopes import canonical, configured_limits
from gateway.routing.providers import build_providers
from gateway.settings import LimitsSettings, ProviderSettings, Settings, SettingsError

FIVE = LimitsSettings(requests_per_minute=5)


def configured(*names: str) -> list[tuple[str, str]]:
    settings = Settings(
        limits=dict.fromkeys(names, FIVE), providers={"House": ProviderSettings(type="vllm", api_base="http://x/v1")}
    )
    providers = build_providers(settings, lambda entry, names, variables: None)
    found = configured_limits(settings, providers)
    assert set(found.values()) == {Limits(requests_per_minute=5)}
    return list(found)


def test_synonyms_slashes_and_capitals_mean_the_same() -> None:
    assert configured("claude", "upstage:solar-pro3", "Google/gemini-2.5-pro", "house/Org/Model:tag", "*") == [
        ("provider", "anthropic"),
        ("model", "solar:solar-pro3"),
        ("model", "gemini:gemini-2.5-pro"),
        ("model", "house:org/model:tag"),
        ("global", "*"),
    ]


@pytest.mark.parametrize("name", ["opnai", "opnai:gpt-4o", "gpt-4o"])
def test_a_name_that_means_no_provider_is_said_to_be_none(name: str) -> None:
    with pytest.raises(SettingsError, match=f"limits: '{name}' names no provider here"):
        configured(name)


def test_what_every_user_has() -> None:
    assert configured_limits(Settings(rate_limit_rpm=7), {}) == {("user", "*"): Limits(requests_per_minute=7)}


def test_other_scopes_keep_their_ids() -> None:
    assert canonical({}, "tag", "Team/A=b") == "Team/A=b"
