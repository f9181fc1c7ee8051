"""Where the engine is: llama.cpp's server, its libraries and their Python bindings, as `local_llm.install` leaves them.

One folder a version and CPU, outside the clone: `<cache>/llama-cpp-python-<version>-<machine>-<CPU>/` with `bin/` (the
server and the libraries beside it) and `python-<version>/` (the bindings and what they need).
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "llama-cpp-python"
_LOCKS = (Path(__file__).parent / "requirements", Path(__file__).parents[1] / "requirements")


class NotPinned(Exception):
    """The lock files are missing, so nobody can say which engine belongs to this version."""


@dataclass(frozen=True, slots=True)
class Installation:
    """`folder` need not exist yet."""

    folder: Path

    @property
    def server(self) -> Path:
        return self.folder / "bin" / ("llama-server.exe" if sys.platform == "win32" else "llama-server")

    @property
    def libraries(self) -> Path:
        return self.folder / "bin"

    @property
    def bindings(self) -> Path:
        """For this version of Python; the server serves all."""
        return self.folder / f"python-{sys.version_info.major}.{sys.version_info.minor}"

    @property
    def whole(self) -> bool:
        return self.server.is_file() and (self.bindings / "llama_cpp").is_dir()


def lock_file(name: str) -> Path:
    """`name`.lock of the checkout, or of the wheel. Raises NotPinned."""
    for folder in _LOCKS:
        if (folder / f"{name}.lock").is_file():
            return folder / f"{name}.lock"
    raise NotPinned(f"there is no {name}.lock here; run this from a checkout or an installed wheel of Tollgate")


def pinned_version() -> str:
    """Of llama-cpp-python, whose sources hold llama.cpp. Raises NotPinned."""
    found = re.search(rf"^{PACKAGE}==(\S+)", lock_file("local").read_text(encoding="utf-8"), re.M)
    if found is None:
        raise NotPinned(f"{lock_file('local')} does not name {PACKAGE}")
    return found[1]


def cache_folder(environ: Mapping[str, str]) -> Path:
    """`TOLLGATE_ENGINE_DIR`, else a folder of the user's cache."""
    if named := environ.get("TOLLGATE_ENGINE_DIR"):
        return Path(named)
    base = Path(environ["XDG_CACHE_HOME"]) if environ.get("XDG_CACHE_HOME") else Path.home() / ".cache"
    return base / "tollgate" / "engine"


def installation(environ: Mapping[str, str]) -> Installation:
    """The one of this version on this CPU, built or not. Raises NotPinned."""
    name = f"{PACKAGE}-{pinned_version()}-{platform.machine().lower()}-{_cpu()}"
    return Installation(cache_folder(environ) / name)


def find_server(environ: Mapping[str, str]) -> str | None:
    """`LLAMA_SERVER_BIN`, else the one on the PATH, else the one built here."""
    named = environ.get("LLAMA_SERVER_BIN")
    if named:
        return named
    if on_path := shutil.which("llama-server", path=environ.get("PATH")):
        return on_path
    try:
        built = installation(environ).server
    except NotPinned:
        return None
    return str(built) if built.is_file() else None


def bindings_environment(environ: Mapping[str, str]) -> dict[str, str] | None:
    """The environment in which this Python imports `llama_cpp` from the built engine; None where it is not built."""
    try:
        built = installation(environ)
    except NotPinned:
        return None
    if not built.whole:
        return None
    path = os.pathsep.join(filter(None, (str(built.bindings), environ.get("PYTHONPATH"))))
    # As for the server: spinning threads starve each other on busy cores.
    own = {"PYTHONPATH": path, "LLAMA_CPP_LIB_PATH": str(built.libraries)}
    return {"GOMP_SPINCOUNT": "1000", **environ, **own}


def _cpu() -> str:
    """Changes when the CPU's instruction sets do: code built for one may end another with an illegal instruction."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        text = platform.processor()
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.M)
    # The kernel's own notes come and go with its version; instruction sets are what counts.
    known = r"(?:sse|ssse|avx|fma|f16c|bmi|amx|asimd|sve|sme|i8mm|bf16|fphp|neon)\w*"
    sets = sorted(set(re.findall(rf"\b{known}\b", flags[1]))) if flags else [text]
    return hashlib.sha256(" ".join(sets).encode()).hexdigest()[:8]
