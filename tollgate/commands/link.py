"""`tollgate link`: print the link that signs a browser in."""

from __future__ import annotations

import argparse
import sys

from gateway.command_line import arguments, overrides_of
from gateway.settings import load
from tollgate.link import link_of

__all__ = ["arguments", "main"]


def main(options: argparse.Namespace) -> int:
    """Raises SettingsError."""
    sys.stdout.write(link_of(load(overrides_of(options))) + "\n")
    return 0
