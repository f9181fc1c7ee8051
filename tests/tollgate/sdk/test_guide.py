"""What the guide shows of direct calls, typed as it stands; its other blocks run in tests/test_docs.py."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.replay import Upstream, written

ROOT = Path(__file__).resolve().parents[3]
BLOCKS = re.findall(
    r"<!-- direct: (.*?) -->\n```python\n(.*?)```", (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8"), re.S
)


@pytest.mark.parametrize(("expected", "block"), BLOCKS)
def test_direct_calls_of_the_guide_work(upstream: Upstream, expected: str, block: str) -> None:
    for name in ("openai-chat", "gemini-generate"):
        upstream.add(written(name))
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "OPENAI_API_KEY": "sk-1",
        "OPENAI_BASE_URL": f"{upstream.url}/v1",
        "GEMINI_API_KEY": "g",
        "GEMINI_BASE_URL": upstream.url,
    }
    done = subprocess.run(
        [sys.executable, "-c", block], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(expected) == 2


def test_the_guide_shows_direct_calls() -> None:
    assert BLOCKS
