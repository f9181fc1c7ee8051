"""`tollgate models`: the local models: what is there, what could be, get one, drop one, look into one."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from gateway import command_line
from gateway.settings import Settings, SettingsError, load
from local_llm.installed import bindings_environment
from local_llm.library import Library, Model
from local_llm.offered import OFFERS, find_offer
from local_llm.pull import PullFailed, pull
from local_llm.settings import ServiceSettings
from local_llm.status import label

_NO_BINDINGS = "this needs llama.cpp's bindings: run `make local` (or `tollgate local install`) first"


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    what = {
        "list": "the models that are there, and a few that could be",
        "pull": "download one of the list, or any GGUF file by its address; goes on where it was interrupted",
        "remove": "delete one",
        "inspect": "say what a model is, and how many tokens a text has for it",
        "bench": "measure how fast it reads and writes here",
        "quantize": "make a smaller one of it",
    }
    for name, text in what.items():
        action = actions.add_parser(name, help=text)
        command_line.arguments(action)
        if name != "list":
            action.add_argument("model", help="its name" if name != "pull" else "a name of the list, or an address")
        if name == "pull":
            action.add_argument("--name", help="file name to keep it under")
            action.add_argument("--sha256", help="its checksum, where you know it")
        if name == "inspect":
            action.add_argument("--count", metavar="TEXT", help="count this text's tokens")
        if name == "quantize":
            action.add_argument("type", help="such as Q4_K_M or Q8_0")


def main(options: argparse.Namespace) -> int:
    """Raises SettingsError."""
    settings = load(command_line.overrides_of(options))
    library = Library(settings.models_dir, settings.local.model)
    library.look()
    match options.action:
        case "list":
            return _list(library, settings)
        case "pull":
            return _pull(options, settings.models_dir)
        case "remove":
            return _remove(_find(library, options.model))
        case "inspect":
            return _inspect(_find(library, options.model), options.count)
        case "bench":
            return _with_bindings(["bench", str(_find(library, options.model).path)])
        case _:
            return _quantize(_find(library, options.model), options.type)


def _find(library: Library, name: str) -> Model:
    name = name.removesuffix(".gguf")
    if name in library.models:
        return library.models[name]
    raise SettingsError(library.problems.get(name) or f"there is no model {name!r}; `tollgate models list` shows them")


def _list(library: Library, settings: Settings) -> int:
    chosen = settings.local
    service = ServiceSettings(settings.models_dir, slots=chosen.slots, context=chosen.context, batch=chosen.batch)
    write = sys.stdout.write
    write(f"in {settings.models_dir}:\n")
    for model in library.models.values():
        facts = model.facts
        mark = "*" if model is library.default() else " "
        needed = model.needed_bytes(service) / 1e9
        size = f"{facts.file_bytes / 1e6:7,.0f} MB  {facts.quantisation or '-':8}"
        write(f" {mark} {model.name:40} {size} {facts.context:7} tokens  needs {needed:.1f} GB  {facts.licence}")
        write(f"  ({said})\n" if (said := label(model)) else "\n")
    for name, problem in library.problems.items():
        write(f" ! {name}: {problem}\n")
    if not library.models and not library.problems:
        write("   nothing yet\n")
    write("could be pulled, by name:\n")
    for offer in OFFERS:
        write(f"   {offer.name:16} {offer.size / 1e6:6,.0f} MB  {offer.licence:18}  {offer.about}\n")
    return 0


def _pull(options: argparse.Namespace, folder: Path) -> int:
    offer = find_offer(options.model)
    url = offer.url if offer else options.model
    if offer is None and "://" not in url:
        known = ", ".join(each.name for each in OFFERS)
        raise SettingsError(f"{url!r} is neither an address nor one of: {known}")
    try:
        got = pull(url, folder, name=options.name, sha256=options.sha256, show=_Bar())
    except PullFailed as error:
        raise SettingsError(str(error)) from None
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; run the same again to go on\n")
        raise
    said = "as it should be" if got.checked else "nobody said what it should be"
    sys.stdout.write(f"{got.path}\nsha256 {got.sha256} ({said})\n")
    return 0


class _Bar:
    """A line that is written again and again on a terminal; elsewhere a line every ten percent."""

    def __init__(self) -> None:
        self._said = -10.0
        self._at = 0.0

    def __call__(self, done: int, total: int | None, speed: float) -> None:
        percent = done * 100 / total if total else 0.0
        whole = f" of {total / 1e6:,.0f}" if total else ""
        line = f"{percent:3.0f} %  {done / 1e6:,.0f}{whole} MB  {speed / 1e6:.1f} MB/s"
        now = time.monotonic()
        if sys.stderr.isatty():
            if now - self._at > 0.2 or done == total:
                sys.stderr.write(f"\r{line}   " + ("\n" if done == total else ""))
                sys.stderr.flush()
                self._at = now
        elif percent - self._said >= 10 or done == total:
            sys.stderr.write(f"{line}\n")
            self._said = percent


def _remove(model: Model) -> int:
    for file in model.files:
        try:
            file.unlink()
        except OSError as error:
            raise SettingsError(f"{file}: {error.strerror}") from None
        sys.stdout.write(f"{file} is removed\n")
    return 0


def _inspect(model: Model, text: str | None) -> int:
    """What the file says, and what llama.cpp makes of it where its bindings are."""
    sys.stdout.write(json.dumps({"file": str(model.path), **asdict(model.facts)}, indent=2) + "\n")
    if text is None and bindings_environment(os.environ) is None:
        return 0
    return _with_bindings(["inspect", str(model.path), *([text] if text is not None else [])])


def _quantize(model: Model, kind: str) -> int:
    out = model.path.with_name(f"{model.name}-{kind}.gguf")
    if out.exists():
        raise SettingsError(f"{out} is there already")
    return _with_bindings(["quantize", str(model.path), str(out), kind])


def _with_bindings(words: list[str]) -> int:
    """In a process of its own: what llama.cpp cannot bear ends that one, not this."""
    environment = bindings_environment(os.environ)
    if environment is None:
        raise SettingsError(_NO_BINDINGS)
    done = subprocess.run([sys.executable, "-m", "local_llm.bindings", *words], env=environment, check=False)
    if done.returncode < 0:
        raise SettingsError(f"llama.cpp ended with signal {-done.returncode}")
    return done.returncode
