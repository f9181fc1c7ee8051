"""`tollgate init`: make the credentials of a whole stack, each in a file of its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gateway.accounts.first_keys import make_secrets


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to keep them in")


def main(options: argparse.Namespace) -> int:
    """Raises SettingsError."""
    make_secrets(options.out)
    sys.stdout.write(f"Secrets are in {options.out}\n")
    return 0
