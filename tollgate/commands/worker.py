"""`tollgate worker`: the usage worker alone, with the databases and the spool that the settings name."""

from __future__ import annotations

import argparse

from gateway.command_line import arguments, overrides_of
from gateway.settings import load
from tollgate.events import worker_flags
from usage_worker.__main__ import main as run_worker

__all__ = ["arguments", "main"]


def main(options: argparse.Namespace) -> int:
    """Raises SettingsError."""
    return run_worker(worker_flags(load(overrides_of(options))))
