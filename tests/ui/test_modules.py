"""The page's pure parts, tested in Node: `tests/ui/**/*.test.mjs`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def test_pure_modules_and_structure() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node here: install nodejs (20 or newer)")
    suites = sorted(str(path) for path in HERE.rglob("*.test.mjs"))
    run = subprocess.run([node, "--test", *suites], capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
