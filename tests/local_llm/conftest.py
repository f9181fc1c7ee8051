from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from local_llm.installed import find_server


@pytest.fixture(scope="session")
def llama_server() -> str:
    """A real one, for real inference."""
    found = find_server(os.environ)
    if found is None or shutil.which(found) is None:
        pytest.skip("there is no llama-server here: run `make local`")
    return found


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder
