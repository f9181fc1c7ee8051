"""Settings from flags and environment."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from usage_worker.__main__ import read_settings
from usage_worker.settings import SettingsError, WorkerSettings


def test_flags_beat_the_environment_and_the_rest_has_defaults() -> None:
    environment = {
        "GATEWAY_DATABASE_URL": "sqlite:///env.db",
        "GATEWAY_REDIS_URL": "redis://env",
        "USAGE_WORKER_BATCH": "7",
    }
    settings = read_settings(["--database-url", "sqlite:///flag.db", "--port", "0"], environment)
    assert settings.database_url == "sqlite:///flag.db"
    assert settings.redis_url == "redis://env"
    assert (settings.batch, settings.port) == (7, 0)
    assert (settings.stream, settings.group, settings.consumer) == (
        "tollgate:usage",
        "usage_worker",
        socket.gethostname(),
    )
    assert settings.retention_months is None


def test_every_flag_reaches_its_setting() -> None:
    flags = {
        "--database-url": "sqlite:///x",
        "--redis-url": "redis://x",
        "--spool-root": "spool",
        "--stream": "s",
        "--group": "g",
        "--consumer": "c",
        "--batch": "5",
        "--retention-months": "3",
        "--dead-letter-share": "0.25",
        "--max-deliveries": "9",
        "--peers-idle": "2.5",
        "--port": "1",
        "--host": "::1",
        "--log-level": "DEBUG",
    }
    settings = read_settings([word for pair in flags.items() for word in pair], {})
    assert settings == WorkerSettings(
        database_url="sqlite:///x",
        redis_url="redis://x",
        spool_root=Path("spool"),
        stream="s",
        group="g",
        consumer="c",
        batch=5,
        retention_months=3,
        dead_letter_share=0.25,
        max_deliveries=9,
        peers_idle=2.5,
        port=1,
        host="::1",
        log_level="DEBUG",
    )


def test_an_empty_variable_is_as_good_as_none() -> None:
    environment = {"GATEWAY_REDIS_URL": "", "USAGE_WORKER_SPOOL_ROOT": "spool"}
    assert read_settings(["--database-url", "sqlite:///x"], environment).redis_url is None


def test_urls_are_not_in_the_repr() -> None:
    settings = WorkerSettings(database_url="postgresql://u:hunter2@h/d", redis_url="redis://:hunter2@h")
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"redis_url": None}, "no source of events"),
        ({"batch": 0}, "--batch"),
        ({"batch": 20_001}, "--batch"),
        ({"retention_months": 0}, "--retention-months"),
        ({"dead_letter_share": 0.0}, "--dead-letter-share"),
        ({"dead_letter_share": 1.5}, "--dead-letter-share"),
        ({"port": 65_536}, "--port"),
        ({"max_deliveries": 0}, "--max-deliveries"),
        ({"peers_idle": 0.0}, "--peers-idle"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        WorkerSettings(**{"database_url": "sqlite:///x", "redis_url": "redis://x"} | changes)
    assert "\n" not in str(caught.value)


def test_a_number_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        read_settings(["--database-url", "x", "--batch", "many"], {})
    assert "--batch" in capsys.readouterr().err
