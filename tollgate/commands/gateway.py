"""`tollgate gateway` (or `serve`): the gateway alone."""

from __future__ import annotations

import argparse

from gateway.__main__ import serve
from gateway.command_line import arguments, overrides_of
from gateway.settings import load

__all__ = ["arguments", "main"]


def main(options: argparse.Namespace) -> int:
    """Raises SettingsError."""
    overrides = overrides_of(options)
    serve(load(overrides), options.workers, overrides)
    return 0
