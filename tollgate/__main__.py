"""The `tollgate` command."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from gateway import __version__
from gateway.settings import SettingsError

# Command -> its module in `tollgate.commands`, and what it does. Only the module that is asked for is imported:
# `up` must not wait for the libraries of the others.
COMMANDS = {
    "up": ("up", "start everything on this machine"),
    "gateway": ("gateway", "the gateway alone"),
    "serve": ("gateway", "the same as gateway"),
    "worker": ("worker", "the usage worker alone"),
    "migrate": ("migrate", "bring the databases to this version's schema"),
    "init-db": ("migrate", "the same as migrate"),
    "init": ("init", "make the credentials of a whole stack"),
    "keys": ("keys", "virtual keys, without a running gateway"),
    "link": ("link", "print the link that signs a browser in"),
    "doctor": ("doctor", "look for what is wrong, and say what to do"),
    "prices": ("prices", "see what a newer price list would change, and take it over"),
    "local": ("local", "build and look at the local model's engine"),
    "models": ("models", "the local models: list, pull, remove, look into one"),
    "usage": ("usage", "check, mend and export the ledger"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when all is well, 1 with one line on standard error for what must be mended, 2 for wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0] if words and words[0] in COMMANDS else None
    parser = _parser()
    if name is None:
        parser.parse_args(words)  # help, version, or the complaint about what is no command
        return 2
    command = importlib.import_module(f"tollgate.commands.{COMMANDS[name][0]}")
    own = argparse.ArgumentParser(prog=f"tollgate {name}", description=COMMANDS[name][1])
    command.arguments(own)
    try:
        code: int = command.main(own.parse_args(words[1:]))
        return code
    except SettingsError as error:
        sys.stderr.write(f"tollgate: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<10} {text}" for name, (_, text) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="tollgate",
        description="A self-hosted LLM gateway whose bill is exact",
        epilog=f"commands:\n{listed}\n\n`tollgate COMMAND --help` says what a command takes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tollgate {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    return parser


if __name__ == "__main__":
    sys.exit(main())
