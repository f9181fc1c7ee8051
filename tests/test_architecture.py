"""The house rules that no linter knows: who may import what, where, and how long things may grow. See DESIGN section 8.

Directions between packages are contracts of import-linter in pyproject.toml. Here: what the pure rooms may take from
the standard library and from outside, imports inside functions, lengths, names, and what no file may mention.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("gateway", "ledger", "local_llm", "tollgate", "usage_contract", "usage_worker", "wire")
MODULE_LINES = 500
FUNCTION_LINES = 60
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base_handler"}

# Rooms without network, clock, randomness and environment: those come in as arguments.
PURE = ("wire", "usage_contract", "gateway/routing", "gateway/admission/rules.py", "gateway/pricing.py")
IMPURE_MODULES = {
    "asyncio", "concurrent", "http", "multiprocessing", "os", "random", "secrets", "select", "selectors", "shutil",
    "signal", "socket", "socketserver", "ssl", "subprocess", "tempfile", "threading", "time", "urllib.request", "uuid",
}  # fmt: skip
IMPURE_CALLS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
# What these packages may import besides the standard library and themselves. Absent: anything.
OUTSIDE = {
    "wire": {"msgspec", "orjson"},
    "usage_contract": set[str](),
    "local_llm": {"llama_cpp"},  # in `bindings` alone, which is a program of its own
    "tollgate/sdk": {"httpx", "msgspec", "orjson", "wire"},
}
# Reads its own segment files: usage_contract's only touch of the disk.
READS_FILES = ("usage_contract/spool.py",)


def imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports_inside_functions(tree: ast.AST) -> list[int]:
    functions = (f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef))
    inner = (n for f in functions for n in ast.walk(f) if isinstance(n, ast.Import | ast.ImportFrom))
    return sorted({node.lineno for node in inner})


def impurities(tree: ast.AST, *, files_allowed: bool = False) -> list[str]:
    """Imports and calls through which a clock, randomness, the environment or a network would come in."""
    banned = IMPURE_MODULES - ({"os"} if files_allowed else set())
    found = []
    for node in ast.walk(tree):
        found += [name for name in imported(node) if name in banned or name.split(".")[0] in banned]
        if isinstance(node, ast.Call) and (text := ast.unparse(node.func)).endswith(tuple(IMPURE_CALLS)):
            found.append(text)
    return found


def outsiders(tree: ast.AST, package: str, allowed: set[str]) -> list[str]:
    tops = {name.split(".")[0] for node in ast.walk(tree) for name in imported(node)}
    return sorted(tops - allowed - {package} - sys.stdlib_module_names)


def long_functions(tree: ast.AST) -> list[str]:
    functions = (f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef))
    lengths = ((f, (f.end_lineno or f.lineno) - f.lineno + 1) for f in functions)
    return [f"{f.name}, {length} lines" for f, length in lengths if length > FUNCTION_LINES]


def sources(*places: str) -> list[Path]:
    found = []
    for place in places:
        path = ROOT / place
        found += [path] if path.suffix == ".py" and path.is_file() else sorted(path.rglob("*.py"))
    return found


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked() -> list[Path]:
    """Files that git knows or would add; every file where there is no git (an unpacked sdist)."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"git does not list the files here: {done.stderr.strip()}")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_import_stands_inside_a_function() -> None:
    assert {name_of(p): lines for p in sources(*PACKAGES) if (lines := imports_inside_functions(parse(p)))} == {}


def test_pure_rooms_have_no_clock_randomness_environment_or_network() -> None:
    found = {name_of(p): impurities(parse(p), files_allowed=name_of(p) in READS_FILES) for p in sources(*PURE)}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize("package", OUTSIDE)
def test_the_pure_packages_need_next_to_nothing(package: str) -> None:
    top = package.split("/")[0]
    found = {name_of(p): outsiders(parse(p), top, OUTSIDE[package]) for p in sources(package)}
    assert {name: what for name, what in found.items() if what} == {}


def test_only_one_module_knows_the_http_client_of_the_hot_path() -> None:
    users = {
        name_of(p)
        for p in sources(*PACKAGES)
        if any(name.split(".")[0] == "pyreqwest" for node in ast.walk(parse(p)) for name in imported(node))
    }
    assert users <= {"gateway/upstream.py"}


def test_modules_and_functions_stay_readable() -> None:
    scripts = [p for p in sorted((ROOT / "ui" / "public").rglob("*.js")) if "vendor" not in p.parts]
    modules = {name_of(p): len(p.read_text(encoding="utf-8").splitlines()) for p in [*sources(*PACKAGES), *scripts]}
    assert {name: lines for name, lines in modules.items() if lines > MODULE_LINES} == {}
    functions = {name_of(p): long_functions(parse(p)) for p in sources(*PACKAGES)}
    assert {name: found for name, found in functions.items() if found} == {}


def test_names_say_what_is_inside() -> None:
    folders = {parent for p in sources(*PACKAGES) for parent in p.parents if parent.is_relative_to(ROOT)}
    assert [name_of(p) for p in [*sources(*PACKAGES), *folders] if p.stem in VAGUE and p != ROOT] == []


_FORBIDDEN_TEXT = {
    "a path of the machine it was written on": re.compile(r"(?<![\w.-])/(?:w[o]rk|f[a]rm|r[o]ot)/"),
    "the host of a package registry": re.compile(
        r'"resolved":\s*"https?:|registry\s*=\s*"?https?:|index-url[ =]+https?:|https?://\S+\.(?:whl|tar\.gz|tgz|deb)\b'
        r"|files\.python[h]osted\.org|registry\.npm[j]s\.org"
    ),
}


def test_no_file_names_this_machine_or_a_package_registry() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name_of(path)}: {what}" for what, pattern in _FORBIDDEN_TEXT.items() if pattern.search(text)]
    assert found == []


class TestTheChecker:
    """Each rule finds its breach, or the tests above would prove nothing."""

    def test_finds_an_import_inside_a_function(self) -> None:
        source = "import json\n\nasync def f():\n    if 1:\n        from os import path\n"
        assert imports_inside_functions(ast.parse(source)) == [5]

    @pytest.mark.parametrize(
        "source",
        ["import time", "from os import environ", "import urllib.request", "from urllib import request",
         "import random as r", "from datetime import datetime\ndatetime.now()", "import datetime as d\nd.date.today()"],
    )  # fmt: skip
    def test_finds_impurity(self, source: str) -> None:
        assert impurities(ast.parse(source))

    @pytest.mark.parametrize("source", ["from urllib.parse import quote", "from datetime import datetime, UTC"])
    def test_lets_pure_parts_through(self, source: str) -> None:
        assert impurities(ast.parse(source)) == []

    def test_finds_outsiders(self) -> None:
        source = "import msgspec, httpx\nfrom wire.sse import x\nfrom gateway import y\nimport json"
        assert outsiders(ast.parse(source), "wire", {"msgspec"}) == ["gateway", "httpx"]

    def test_finds_long_functions(self) -> None:
        source = "def short():\n    pass\n\ndef long():\n" + "    x = 1\n" * FUNCTION_LINES
        assert long_functions(ast.parse(source)) == [f"long, {FUNCTION_LINES + 1} lines"]
