from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gateway.settings import LocalSection, Settings
from local_llm.installed import find_server
from local_llm.settings import ServiceSettings
from tests.deployment import until
from tests.local_llm import tiny_gguf
from tests.services import free_port
from tollgate.commands.up import local_service

ROOT = str(Path(__file__).resolve().parents[2])


def test_the_configuration_and_the_service_have_the_same_settings_and_defaults(tmp_path: Path) -> None:
    own = LocalSection().model_dump(exclude={"port"})
    service = {name: getattr(ServiceSettings(tmp_path), name) for name in own}
    assert own == service


def test_what_the_configuration_says_reaches_the_service_and_the_environment_beats_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOCAL_SLOTS", "7")
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("LOCAL_SLOTS=8\nLOCAL_BATCH=64\n", encoding="utf-8")
    chosen = LocalSection(slots=2, batch=32, context=512, model="mine", port=12345)
    service = local_service(Settings(models_dir=tmp_path, local=chosen))
    assert list(service.arguments) == ["--port", "12345", "--models-dir", str(tmp_path)]
    assert service.environment["LOCAL_CONTEXT"] == "512"
    assert service.environment["LOCAL_MODEL"] == "mine"
    assert service.environment["LOCAL_SLOTS"] == "7"
    assert service.environment["LOCAL_BATCH"] == "64"
    assert "LOCAL_THREADS" not in service.environment


def test_up_serves_a_local_model_with_no_account_anywhere(tmp_path: Path) -> None:
    server = find_server(os.environ)
    if server is None or shutil.which(server) is None:
        pytest.skip("there is no llama-server here: run `make local`")
    (tmp_path / "models").mkdir()
    tiny_gguf.write(tmp_path / "models" / "tiny.gguf")
    local, port, page = free_port(), free_port(), free_port()
    (tmp_path / "config.yaml").write_text(f"local: {{port: {local}, slots: 2, threads: 1}}\n", encoding="utf-8")
    command = [sys.executable, "-m", "tollgate", "up", "--port", str(port), "--ui-port", str(page)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": ROOT, "LLAMA_SERVER_BIN": server}
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        key_file = tmp_path / "secrets" / "bootstrap_key"
        until(key_file.exists, "the first key is there")
        headers = {"authorization": f"Bearer {key_file.read_text().strip()}"}

        def listed() -> bool:
            try:
                rows = httpx.get(f"{url}/v1/models", headers=headers, timeout=5).json()["data"]
            except httpx.TransportError:
                assert running.poll() is None, (tmp_path / "log").read_text()
                return False
            return any(row["id"] == "local:tiny" and row["available"] for row in rows)

        until(listed, "the model is there", 60)
        body = {"model": "local", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
        answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["completion_tokens"] <= 4
    finally:
        running.terminate()
        running.wait(60)
    assert not re.search(rb"tiny\.gguf", b"".join(_command_lines()))


def _command_lines() -> list[bytes]:
    """Of the processes that serve this test's model."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if b"llama-server" in line and b"test_up_serves_a_local_model" in line:
            found.append(line)
    return found
