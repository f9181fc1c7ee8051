"""The recorded provider traffic that tests replay, where it is at hand.

Its folder is named by TOLLGATE_TRAFFIC, else it is looked for beside the repository. Nothing of it lies in the
repository, so tests that need it skip, visibly, where it is absent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(os.environ.get("TOLLGATE_TRAFFIC") or Path(__file__).resolve().parents[2] / "shared" / "traffic")

needs_traffic = pytest.mark.skipif(
    not (ROOT / "index.jsonl").is_file(), reason="no recorded traffic here: set TOLLGATE_TRAFFIC to its folder"
)


@cache
def index() -> tuple[dict[str, Any], ...]:
    """One row per interaction; empty where the folder is absent, so that parametrised tests collect to nothing."""
    path = ROOT / "index.jsonl"
    if not path.is_file():
        return ()
    with path.open(encoding="utf-8") as file:
        return tuple(json.loads(line) for line in file)


def load(row: dict[str, Any]) -> dict[str, Any]:
    """The interaction of an index row: `request`, `response` and what is known of them."""
    loaded: dict[str, Any] = json.loads((ROOT / row["file"]).read_text(encoding="utf-8"))
    return loaded


def interactions(wanted: Callable[[dict[str, Any]], bool]) -> Iterator[dict[str, Any]]:
    """Interactions whose index row is wanted."""
    return (load(row) for row in index() if wanted(row))
