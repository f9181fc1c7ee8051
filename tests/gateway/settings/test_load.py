"""Sections in the environment are JSON, and what is wrong with them is said by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings import Overrides, Settings, SettingsError, load


def _loaded(tmp_path: Path, **environment: str) -> Settings:
    return load(Overrides(data_dir=tmp_path), environment)


def test_callers_without_a_key_can_be_let_in_by_the_environment(tmp_path: Path) -> None:
    text = '{"anonymous": {"user": "guest", "surfaces": ["playground", "llm_server", "cpu_stack"]}}'
    anonymous = _loaded(tmp_path, GATEWAY_AUTH=text).auth.anonymous
    assert anonymous is not None
    assert (anonymous.user, anonymous.hosts) == ("guest", ())
    assert anonymous.surfaces == ("playground", "llm_server", "cpu_stack")
    assert _loaded(tmp_path).auth.anonymous is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "GATEWAY_AUTH: must be JSON"),
        ('{"anonymous": {"user": "guest"}}', "auth.anonymous.surfaces"),
        ('{"anonymous": {"user": "guest", "surfaces": []}}', "auth.anonymous.surfaces"),
        ('{"anonymous": {"user": "", "surfaces": ["playground"]}}', "auth.anonymous.user"),
        ('{"anonymous": {"user": "guest", "surfaces": ["openai_chat"]}}', "auth.anonymous.surfaces.0"),
        ('{"anonymous": {"users": "guest", "surfaces": ["playground"]}}', "did you mean 'user'?"),
        ('{"anonymus": null}', "did you mean 'anonymous'?"),
    ],
)
def test_a_slip_in_it_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        _loaded(tmp_path, GATEWAY_AUTH=text)
    assert words in str(raised.value)
