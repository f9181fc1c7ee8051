"""`python -m local_llm.install`: build the engine once for this version and CPU, from pinned parts of PyPI.

llama.cpp's sources are those that the sdist of llama-cpp-python vendors, so one hash in requirements/local.lock pins
server, libraries and bindings. cmake and ninja come from PyPI (requirements/engine.lock), and a compiler does where the
system has none (`ziglang`). No root is needed.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from local_llm.installed import PACKAGE, Installation, NotPinned, installation, lock_file, pinned_version

# LLAMA_USE_PREBUILT_UI would download a page that nobody sees behind the gateway.
_CMAKE_FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON",
    "-DCMAKE_INSTALL_RPATH=$ORIGIN",
    "-DBUILD_SHARED_LIBS=ON",
    "-DGGML_NATIVE=ON",
    "-DGGML_CCACHE=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
)
_BINDINGS_FLAGS = "-DLLAMA_BUILD=OFF -DLLAVA_BUILD=OFF"
_PROGRESS = re.compile(r"^\[(\d+)/(\d+)\]")


class BuildFailed(Exception):
    """One line that says what went wrong, and where the whole of it is written."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0 with the server's path on standard output, 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m local_llm.install", description=__doc__)
    parser.add_argument("--jobs", type=int, default=None, help="compilers at once; else one a core")
    parser.add_argument("--check", action="store_true", help="build nothing: say whether it is there")
    chosen = parser.parse_args(arguments)
    try:
        wanted = installation(os.environ)
        if not wanted.whole and not chosen.check:
            build(wanted, os.environ, jobs=chosen.jobs, say=sys.stderr)
    except (NotPinned, BuildFailed, OSError) as error:
        sys.stderr.write(f"the local model's engine cannot be built: {error}\n")
        return 1
    sys.stdout.write(f"{wanted.server}\n" if wanted.whole else "the engine is not built yet\n")
    return 0 if wanted.whole else 1


def build(wanted: Installation, environ: Mapping[str, str], *, jobs: int | None, say: TextIO) -> None:
    """Make `wanted`. What an interrupted build has done is used by the next. Raises BuildFailed, OSError."""
    work = wanted.folder.with_name(f"{wanted.folder.name}.building")
    work.mkdir(parents=True, exist_ok=True)
    with _alone(work, say):
        if wanted.whole:
            return
        began = time.monotonic()
        builder = _Builder(work, environ, say)
        tools = builder.tools()
        sources = builder.sources(tools)
        if not wanted.server.is_file():
            say.write("building llama.cpp's server: once, about six minutes on two cores\n")
            builder.server(sources, tools, jobs)
        staged = Installation(work / "done")
        if wanted.folder.is_dir():
            shutil.copytree(wanted.libraries, staged.libraries, symlinks=True, dirs_exist_ok=True)
        builder.bindings(sources, tools, staged)
        _put(staged.folder, wanted.folder)
        say.write(f"the engine is built, in {time.monotonic() - began:.0f} s: {wanted.folder}\n")
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _alone(work: Path, say: TextIO) -> Iterator[None]:
    """Only one builds at a time; the others wait and find it done."""
    with work.with_name(f"{work.name}.lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say.write("another process is building it; waiting\n")
            fcntl.flock(held, fcntl.LOCK_EX)
        work.mkdir(parents=True, exist_ok=True)
        yield


def _put(staged: Path, place: Path) -> None:
    """Beside what another version of Python has put there, or as a whole."""
    if not place.is_dir():
        staged.rename(place)
        return
    for folder in staged.iterdir():
        if not (place / folder.name).exists():
            folder.rename(place / folder.name)


class _Builder:
    """Each step leaves a mark, so that it is done once."""

    def __init__(self, work: Path, environ: Mapping[str, str], say: TextIO) -> None:
        self._work = work
        self._say = say
        self._log = work / "build.log"
        self._tools = work / "tools"
        path = os.pathsep.join(filter(None, (str(self._tools / "bin"), environ.get("PATH"))))
        self._environ = {**environ, "PATH": path, "PYTHONPATH": str(self._tools)}

    def tools(self) -> dict[str, str]:
        """cmake, ninja and the bindings' build system; a compiler where there is none. Gives the compiler's flags."""
        own = not any(shutil.which(name, path=self._environ["PATH"]) for name in ("c++", "g++", "clang++"))
        names = ["cmake", "ninja", "packaging", "pathspec", "scikit-build-core", *(["ziglang"] if own else [])]
        if self._once(f"tools{'-zig' if own else ''}"):
            self._say.write(f"fetching build tools{' and a compiler' if own else ''}\n")
            shutil.rmtree(self._tools, ignore_errors=True)
            chosen = self._requirements("engine", names)
            self._pip("install", "--target", str(self._tools), "--require-hashes", "--no-deps", "-r", chosen)
            self._did(f"tools{'-zig' if own else ''}")
        return self._zig() if own else {}

    def sources(self, tools: Mapping[str, str]) -> Path:
        place = self._work / "sources"
        if self._once("sources"):
            self._say.write(f"fetching {PACKAGE} {pinned_version()}, 77 MB of sources\n")
            shutil.rmtree(place, ignore_errors=True)
            chosen = self._requirements("local", [PACKAGE])
            flags = ("--no-deps", "--no-binary", PACKAGE, "--no-build-isolation", "--require-hashes")
            self._pip("download", "--dest", str(self._work), *flags, "-r", chosen, environ=tools)
            [archive] = self._work.glob("llama_cpp_python-*.tar.gz")
            with tarfile.open(archive) as packed:
                if hasattr(tarfile, "data_filter"):  # Python 3.11 has it from 3.11.4 on
                    packed.extraction_filter = tarfile.data_filter
                packed.extractall(self._work)
            archive.unlink()
            (self._work / archive.name.removesuffix(".tar.gz")).rename(place)
            self._did("sources")
        return place

    def server(self, sources: Path, tools: Mapping[str, str], jobs: int | None) -> None:
        made = self._work / "build"
        llama = sources / "vendor" / "llama.cpp"
        extra = [f"-D{name}={value}" for name, value in tools.items() if name.startswith("CMAKE_")]
        self._run(["cmake", "-S", str(llama), "-B", str(made), "-G", "Ninja", *_CMAKE_FLAGS, *extra], environ=tools)
        command = ["cmake", "--build", str(made), "--target", "llama-server"]
        self._watch([*command, "--parallel", str(jobs)] if jobs else command)
        libraries = Installation(self._work / "done").libraries
        shutil.rmtree(libraries, ignore_errors=True)
        libraries.mkdir(parents=True)
        for file in (made / "bin").iterdir():
            if file.name == "llama-server" or ".so" in file.name or file.suffix == ".dylib":
                shutil.copy2(file, libraries, follow_symlinks=False)

    def bindings(self, sources: Path, tools: Mapping[str, str], staged: Installation) -> None:
        """They load the server's own libraries; only Python code and its requirements are added."""
        self._say.write("building the Python bindings\n")
        shutil.rmtree(staged.bindings, ignore_errors=True)
        needed = self._requirements("local", [], but=PACKAGE)
        into = ("--target", str(staged.bindings))
        self._pip("install", *into, "--require-hashes", "--only-binary", ":all:", "-r", needed)
        flags = {"CMAKE_ARGS": _BINDINGS_FLAGS, **tools}
        own = ("--no-deps", "--no-index", "--no-build-isolation", str(sources))
        self._pip("install", *into, *own, environ=flags)

    def _requirements(self, lock: str, names: Sequence[str], *, but: str = "") -> str:
        """A file with the blocks of `names` (all without names) from a lock file, hashes included."""
        text = lock_file(lock).read_text(encoding="utf-8")
        blocks = re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.M))
        found = {block: re.split(r"[=\[ ]", block)[0] for block in blocks}
        kept = [block for block, name in found.items() if (name in names if names else name != but)]
        place = self._work / f"{lock}.txt"
        place.write_text("\n".join(kept) + "\n", encoding="utf-8")
        return str(place)

    def _zig(self) -> dict[str, str]:
        """Zig is a C and C++ compiler, an archiver and a linker in one program, which cmake wants as several."""
        zig = self._tools / "ziglang" / "zig"
        for name, word in {"cc": "cc", "c++": "c++", "ar": "ar", "ranlib": "ranlib"}.items():
            script = self._tools / f"zig-{name}"
            script.write_text(f'#!/bin/sh\nexec "{zig}" {word} "$@"\n', encoding="utf-8")
            script.chmod(0o755)
        names = {"CC": "cc", "CXX": "c++", "CMAKE_AR": "ar", "CMAKE_RANLIB": "ranlib"}
        return {variable: str(self._tools / f"zig-{name}") for variable, name in names.items()}

    def _pip(self, *words: str, environ: Mapping[str, str] | None = None) -> None:
        self._run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], environ=environ or {})

    def _run(self, command: Sequence[str], *, environ: Mapping[str, str]) -> None:
        with self._log.open("ab") as log:
            done = subprocess.run(
                command, env={**self._environ, **environ}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            )
        self._check(command, done.returncode)

    def _watch(self, command: Sequence[str]) -> None:
        """Run ninja and show how far it is."""
        shown = -1
        with (
            self._log.open("ab") as log,
            subprocess.Popen(
                command, env=self._environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            ) as running,
        ):
            assert running.stdout is not None  # noqa: S101
            for line in running.stdout:
                log.write(line)
                if (found := _PROGRESS.match(line.decode(errors="replace"))) is not None:
                    shown = self._progress(int(found[1]), int(found[2]), shown)
        self._check(command, running.returncode)

    def _progress(self, done: int, total: int, shown: int) -> int:
        percent = done * 100 // total
        if self._say.isatty():
            self._say.write(f"\r  {percent:3d} %  {done} of {total} files" + ("\n" if done == total else ""))
        elif percent // 10 > shown // 10 or shown < 0:
            self._say.write(f"  {percent} %\n")
        else:
            return shown
        self._say.flush()
        return percent

    def _check(self, command: Sequence[str], code: int) -> None:
        if code:
            kept = self._work.with_name(f"{self._work.name}.log")
            shutil.copyfile(self._log, kept)
            what = " ".join(command[:4] if command[0] != sys.executable else command[2:5])
            raise BuildFailed(f"`{what} ...` ended with {code}; see the end of {kept}")

    def _once(self, step: str) -> bool:
        return self._marks().get(step) != self._stamp()

    def _did(self, step: str) -> None:
        (self._work / "steps.json").write_text(json.dumps({**self._marks(), step: self._stamp()}), encoding="utf-8")

    def _stamp(self) -> str:
        """The tools are tied to the Python that fetched them."""
        return f"{pinned_version()} {sys.version_info[:2]}"

    def _marks(self) -> dict[str, str]:
        try:
            marks: dict[str, str] = json.loads((self._work / "steps.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return marks


if __name__ == "__main__":
    sys.exit(main())
