"""Sections in the environment are JSON, and what is wrong with them is said by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from gateway.settings import Overrides, Settings, SettingsError, load
from gateway.settings.schema import Section


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


_PRICE = '{"input_price_per_million": 1, "output_price_per_million": 2}'
_SECTIONS = {
    "providers": '{"mine": {"type": "openai"}}',
    "models": '{"fast": {"provider": "openai", "model": "gpt-4o-mini"}}',
    "pricing": f'{{"openai:x": {_PRICE}}}',
    "limits": '{"*": {"requests_per_minute": 3}}',
    "spool": '{"fsync": "always"}',
    "upstream": '{"idle_timeout": 7}',
    "admission": '{"replicas": 2}',
    "byok": '{"llm_server": false}',
    "llm_server": '{"context_window": 512}',
    "auth": '{"anonymous": {"user": "guest", "surfaces": ["playground"]}}',
    "local": '{"slots": 2}',
}


def test_every_section_can_be_set_by_the_environment(tmp_path: Path) -> None:
    default = Settings()
    sections = {name for name in Settings.model_fields if isinstance(getattr(default, name), (dict, Section))}
    assert sections == set(_SECTIONS)
    for name, text in _SECTIONS.items():
        settings = load(Overrides(data_dir=tmp_path), {f"GATEWAY_{name.upper()}": text})
        assert getattr(settings, name) != getattr(default, name), name
    assert (
        load(Overrides(data_dir=tmp_path), {"GATEWAY_LIMITS": _SECTIONS["limits"]}).limits["*"].requests_per_minute == 3
    )


def test_sound_has_one_price(tmp_path: Path) -> None:
    twice = f'{{"openai:x": {_PRICE[:-1]}, "price_per_second": 0.0001, "price_per_audio_hour": 1}}}}'
    with pytest.raises(SettingsError, match=r"pricing\.openai:x\.price_per_second"):
        load(Overrides(data_dir=tmp_path), {"GATEWAY_PRICING": twice})


@pytest.mark.parametrize("password", ["plain", r"a\1\g<0>b", "p@ss/w:rd?#[%41] é"])
def test_the_password_file_is_for_the_url_of_the_config_file_too(tmp_path: Path, password: str) -> None:
    config, secret = tmp_path / "config.yaml", tmp_path / "password"
    config.write_text("database_url: postgresql://me@db:5432/x\n", encoding="utf-8")
    secret.write_text(f"{password}\n", encoding="utf-8")
    environ = {"GATEWAY_DATABASE_PASSWORD_FILE": str(secret)}
    for said in (Overrides(config=config), Overrides(database_url="postgresql+psycopg://me@db:5432/x")):
        url = make_url(load(said, environ).accounts_url)
        assert (url.username, url.password, url.host, url.port, url.database) == ("me", password, "db", 5432, "x")
    own = Overrides(database_url="postgresql://me:own@db/x")
    assert make_url(load(own, environ).accounts_url).password == "own"
    with pytest.raises(SettingsError, match="no database_url"):
        load(Overrides(data_dir=tmp_path), environ)
