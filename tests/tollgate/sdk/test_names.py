"""What `tollgate` exports, and what importing it costs whom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tollgate
from tollgate import sdk

ROOT = Path(__file__).resolve().parents[3]


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_package_has_the_sdks_names() -> None:
    assert tollgate.__all__ == sdk.__all__
    assert set(tollgate.__all__) <= set(dir(tollgate))
    assert all(getattr(tollgate, name) is getattr(sdk, name) for name in tollgate.__all__)
    with pytest.raises(AttributeError, match="no attribute 'competion'"):
        tollgate.competion  # type: ignore[attr-defined]  # noqa: B018
    assert (ROOT / "tollgate" / "py.typed").exists()


def test_the_command_does_not_wait_for_the_sdk() -> None:
    loaded = "print([n for n in ('httpx', 'tollgate.sdk') if n in sys.modules])"
    assert python(f"import sys, tollgate.__main__; {loaded}") == "[]"
    assert python(f"import sys; from tollgate import link, supervisor; {loaded}") == "[]"


def test_the_sdk_does_not_need_the_services() -> None:
    services = ("gateway", "ledger", "usage_worker", "local_llm", "usage_contract", "fastapi", "sqlalchemy", "pydantic")
    assert python(f"import sys; from tollgate import *; print([n for n in {services} if n in sys.modules])") == "[]"
