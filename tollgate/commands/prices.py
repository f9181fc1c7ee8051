"""`tollgate prices`: see what a newer price list would change, then take it over."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway import command_line
from gateway.catalogue import Catalogue, catalogue_path, refreshed_path
from gateway.settings import SettingsError, load

Rows = dict[tuple[str, str], dict[str, Any]]
_PARTS = {
    "p": "prices",
    "v": "service tiers",
    "w": "context window",
    "o": "most output",
    "d": "deprecated",
    "c": "capabilities",
    "m": "names",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    for name, text in (("diff", "show what would change"), ("apply", "take it over")):
        action = actions.add_parser(name, help=text)
        command_line.arguments(action)
        action.add_argument("file", type=Path, help="a price list that `python -m gateway.catalogue_build FILE` wrote")


def main(options: argparse.Namespace) -> int:
    """Raises SettingsError."""
    settings = load(command_line.overrides_of(options))
    old = _rows(catalogue_path(settings.data_dir))
    new = _rows(options.file)
    changes = list(differences(old, new))
    sys.stdout.write("".join(f"{line}\n" for line in changes) or "Nothing would change.\n")
    if options.action == "apply" and changes:
        _replace(refreshed_path(settings.data_dir), options.file.read_bytes())
        sys.stdout.write(
            "Taken over: gateways of this data folder go by it now. Prices set over the API still come first.\n"
        )
    return 0


def differences(old: Rows, new: Rows) -> Iterator[str]:
    """One line for each model that is new, gone or different, by price list and id."""
    for provider, model in sorted(old.keys() | new.keys()):
        before, after = old.get((provider, model)), new.get((provider, model))
        if before is None:
            yield f"+ {provider} {model}: {_text((after or {}).get('p'))}"
        elif after is None:
            yield f"- {provider} {model}"
        else:
            for part, name in _PARTS.items():
                if before.get(part) != after.get(part):
                    yield f"~ {provider} {model}: {name} {_text(before.get(part))} -> {_text(after.get(part))}"


def _rows(path: Path) -> Rows:
    """Raises SettingsError for a file that is no price list of ours."""
    try:
        Catalogue(path).check()
        models = json.loads(path.read_bytes())["models"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path}: not a price list ({type(error).__name__})") from None
    return {(provider, row["id"]): row for provider, rows in models.items() for row in rows}


def _replace(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.write_bytes(data)
        fresh.replace(path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written ({error.strerror})") from None


def _text(value: Any) -> str:
    return "none" if value is None else json.dumps(value, separators=(",", ":"), default=str)
