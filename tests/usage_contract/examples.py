"""The example messages of every schema version, which both services are tested against."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "usage_contract" / "examples"


def event_examples() -> list[Path]:
    """Files that hold an event; `intent.json` holds an intent."""
    return sorted(path for path in FOLDER.glob("v*/*.json") if path.stem != "intent")
