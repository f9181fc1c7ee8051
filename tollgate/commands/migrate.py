"""`tollgate migrate` (or `init-db`): bring the databases to this version's schema."""

from __future__ import annotations

import argparse
import sys

from gateway.__main__ import migrate
from gateway.command_line import arguments, check_folder, overrides_of
from gateway.settings import load

__all__ = ["arguments", "main"]


def main(options: argparse.Namespace) -> int:
    """Raises SettingsError."""
    settings = load(overrides_of(options))
    if settings.accounts_url.startswith("sqlite"):
        check_folder(settings.data_dir, "data_dir")
    migrate(settings)
    sys.stdout.write("The databases have the schema of this version.\n")
    return 0
