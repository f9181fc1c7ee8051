"""What keeps a gateway from starting is said in one line that tells what to do, with an exit code that is not zero."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = str(Path(__file__).resolve().parents[2])


def _run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": _ROOT, **environment}
    return subprocess.run(
        [sys.executable, "-m", "tollgate", *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("tollgate:")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("portt: 1\n", ("config.yaml", "'portt'", "did you mean 'port'")),
        ("providers:\n  openai:\n    api_kee: x\n", ("providers.openai.api_kee", "did you mean 'api_key'")),
        ("host: [\n", ("config.yaml", "line 2", "YAML")),
        ("- a\n- b\n", ("config.yaml", "mapping")),
        ("max_body_bytes: many\n", ("max_body_bytes",)),
        ("database_url: ${NOWHERE}\n", ("database_url", "${NOWHERE}")),
        ("log_level: loud\n", ("log_level", "loud")),
        ("providers: {mine: {type: magic}}\n", ("providers.mine.type", "magic")),
        ("models: {x: {provider: nowhere, model: y}}\n", ("models.x.provider", "'nowhere'", "providers.nowhere")),
        ("providers: {mine: {type: openai, api_base: ftp://x}}\n", ("providers.mine.api_base",)),
        ("providers: {mine: {type: openai, api_base: 'http://my host:99999/v1'}}\n", ("providers.mine.api_base",)),
    ],
)
def test_a_bad_config_is_one_line(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    _one_line(_run(tmp_path, "gateway", "--port", "0"), *words)


def test_a_missing_config_file_is_one_line(tmp_path: Path) -> None:
    _one_line(_run(tmp_path, "gateway", "--config", "nowhere.yaml"), "nowhere.yaml", "no such file")


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        _one_line(_run(tmp_path, "gateway", "--port", port), port, "--port")
        _one_line(_run(tmp_path, "up", "--port", port, "--no-ui"), port, "--port")


def test_a_database_that_is_away_is_one_line_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://someone:sentinel-password@127.0.0.1:1/nothing"
    done = _run(tmp_path, "gateway", "--port", "0", "--database-url", url)
    _one_line(done, "database", "cannot be reached", "database_url")
    assert "sentinel-password" not in done.stderr


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """A file in its place refuses root too."""
    (tmp_path / "data").write_text("", encoding="utf-8")
    _one_line(_run(tmp_path, "gateway", "--port", "0"), "data", "--data-dir")


def test_several_workers_need_redis(tmp_path: Path) -> None:
    _one_line(_run(tmp_path, "gateway", "--port", "0", "--workers", "2"), "--workers", "redis_url")


def test_what_the_local_models_container_does_not_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "providers: {local: {api_base: 'http://local_llm:11434/v1'}}\nlocal: {slots: 8, context: 2048}\n",
        encoding="utf-8",
    )
    said = _run(tmp_path, "gateway", "--port", "0", "--workers", "2").stderr  # which it does not start with
    assert "local.slots is not used by the local model at http://local_llm:11434/v1: set LOCAL_SLOTS there" in said
    assert "local.context" not in said


def test_an_any_llm_config_works_unchanged(tmp_path: Path) -> None:
    """Unused keys warn, foreign providers are unavailable with the reason, `pricing` may be null."""
    (tmp_path / "config.yaml").write_text(
        "database_url: sqlite:///./any-llm-gateway.db\nhost: 127.0.0.1\nport: 0\nmaster_key: ${MASTER}\n"
        "rate_limit_rpm: 60\ndb_pool_size: 5\ncors_allow_origins: []\nenable_metrics: true\n"
        "bootstrap_api_key: true\npricing:\n"
        "providers:\n  openai:\n    api_key: ${UNSET_KEY}\n  vertexai:\n    credentials: /x.json\n    project: p\n"
        "    location: us-central1\n  bedrock:\n    api_key: x\n    client_args: {timeout: 60}\n",
        encoding="utf-8",
    )
    done = _run(tmp_path, "doctor", MASTER="sk-1")
    assert "vertexai" in done.stdout
    assert "db_pool_size is not used here" in done.stderr
    assert "no API key" in done.stdout


def test_doctor_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "broken.gguf").write_bytes(b"not a model")
    (tmp_path / "config.yaml").write_text("redis_url: redis://127.0.0.1:1/0\n", encoding="utf-8")
    done = _run(tmp_path, "doctor")
    assert done.returncode == 1
    assert "broken.gguf: is not a GGUF file" in done.stdout
    assert "Redis: cannot be reached" in done.stdout
    assert "put `openai: <key>` in secrets/api_keys.yaml" in done.stdout


def test_a_key_is_made_on_the_command_line(tmp_path: Path) -> None:
    done = _run(tmp_path, "keys", "create", "--name", "ci", "--user", "ann")
    assert done.returncode == 0, done.stderr
    assert '"user_id": "ann"' in done.stdout
    assert _run(tmp_path, "link").stdout.startswith("http://127.0.0.1:3000/#key=gw-")
