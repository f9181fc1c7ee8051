"""What is shipped: the wheel, the lock files, what an image may be made of. Nothing of secrets/ or models/, ever."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from gateway.__main__ import GRACE_SECONDS
from gateway.app import SHIP_SECONDS
from gateway.calls.background import STOP_SECONDS
from tests.test_architecture import imported, parse
from tollgate.supervisor import Service

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("gateway", "ledger", "local_llm", "tollgate", "usage_contract", "usage_worker", "wire")
# Which extras each lock file covers.
LOCKS = {
    "dev": {"gateway", "worker", "sdk", "dev"},
    "up": {"gateway", "worker"},
    "gateway": {"gateway"},
    "worker": {"worker"},
    "local": {"local"},
}
PLANTED = ("secrets/api_keys.yaml", "secrets/master_key", "models/tiny.gguf", "config.yaml", ".env", "data/ledger.db")


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain copy of the files that git knows, with an operator's own files put where they go."""
    copy = tmp_path_factory.mktemp("checkout") / "tollgate"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip(f"git does not list the files here: {listed.stderr.strip()}")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    (copy / ".gitignore").unlink()  # it must hold without git, too
    for name in PLANTED:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("planted-by-a-test", encoding="utf-8")
    return copy


@pytest.fixture(scope="session")
def wheel(checkout: Path) -> Path:
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", cwd=checkout)
    [built] = (checkout / "dist").glob("*.whl")
    return built


def test_the_wheel_holds_all_packages_and_the_page(checkout: Path, wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {p.relative_to(checkout).as_posix() for name in PACKAGES for p in (checkout / name).rglob("*")}
    page = {p.relative_to(checkout / "ui/public") for p in (checkout / "ui/public").rglob("*") if p.is_file()}
    assert page
    assert {f"tollgate/page/{p.as_posix()}" for p in page} <= held
    assert {name for name in wanted if (checkout / name).is_file() and not name.endswith("/Dockerfile")} <= held


def test_wheel_and_sdist_hold_no_secret_and_no_model(checkout: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if b"planted-by-a-test" in archive.read(name)]
        assert not [name for name in archive.namelist() if name.startswith(("secrets/", "models/", "data/"))]
    shutil.unpack_archive(next((checkout / "dist").glob("*.tar.gz")), checkout / "unpacked")
    unpacked = [p for p in (checkout / "unpacked").rglob("*") if p.is_file()]
    assert len(unpacked) > 20
    assert not [p for p in unpacked if b"planted-by-a-test" in p.read_bytes()]


def test_the_wheel_with_sdk_alone_is_imported(wheel: Path, tmp_path: Path) -> None:
    python = str(tmp_path / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, "venv", cwd=tmp_path)
    run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, f"{wheel}[sdk]", cwd=tmp_path)
    imports = "import importlib.util as u, usage_contract.codec, wire.dialect, wire.providers, tollgate"
    absent = "print([n for n in ('fastapi', 'sqlalchemy', 'redis', 'pydantic', 'pyreqwest') if u.find_spec(n)])"
    every = "[getattr(tollgate, name) for name in tollgate.__all__]"
    call = "tollgate.Tollgate.create('openai', 'sk-1', 'http://127.0.0.1:9/v1').close()"
    assert run(python, "-I", "-c", f"{imports}; {every}; {call}; {absent}", cwd=tmp_path).strip() == "[]"


def test_images_are_made_of_listed_files_only() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    tops = {line.split("/")[0] for line in allowed}
    assert tops == {*PACKAGES, "ui", "requirements", "LICENSE", "README.md", "pyproject.toml"}


def requirements(name: str) -> dict[str, str]:
    """Requirement name -> its block of a lock file."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.M))
    return {re.split(r"[=\[ ]", block)[0]: block for block in blocks if block.strip()}


@pytest.mark.parametrize("name", [*LOCKS, "bootstrap", "clients"])
def test_every_locked_requirement_has_hashes_and_no_address(name: str) -> None:
    blocks = requirements(name)
    assert blocks
    assert [package for package, block in blocks.items() if "--hash=sha256:" not in block] == []
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", "".join(blocks.values()))


@pytest.mark.parametrize(("name", "extras"), LOCKS.items())
def test_locks_cover_what_pyproject_asks_for(name: str, extras: set[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {
        re.split(r"[^a-zA-Z0-9_.-]", line)[0].lower().replace("_", "-")
        for extra in extras
        for line in project["optional-dependencies"][extra]
    }
    assert wanted - set(requirements(name)) == set()
    assert project["dependencies"] == []


# What each service's image has on its path, and the extra that is all that is installed beside it.
IMAGES = {
    "gateway": ("gateway", "ledger", "local_llm", "tollgate", "usage_contract", "usage_worker", "wire"),
    "worker": ("ledger", "usage_contract", "usage_worker"),
}
# Run by developers, by callers, or in an environment of its own, not by a service.
TOOLS = ("gateway/catalogue_build.py", "local_llm/bindings.py", "tollgate/sdk/")


@pytest.mark.parametrize(("extra", "packages"), IMAGES.items())
def test_an_image_has_all_that_its_code_imports(extra: str, packages: tuple[str, ...]) -> None:
    distributions = importlib.metadata.packages_distributions()
    locked = set(requirements(extra))
    missing = set()
    for path in (path for package in packages for path in (ROOT / package).rglob("*.py")):
        if path.relative_to(ROOT).as_posix().startswith(TOOLS):
            continue
        for name in {name.split(".")[0] for node in ast.walk(parse(path)) for name in imported(node)}:
            if name not in sys.stdlib_module_names and name not in packages:
                provided_by = {found.lower().replace("_", "-") for found in distributions.get(name, [name])}
                if not provided_by & locked:
                    missing.add(f"{path.relative_to(ROOT)} imports {name}")
    assert missing == set()


def test_one_version_of_a_package_is_locked_everywhere() -> None:
    versions: dict[str, set[str]] = {}
    for name in ("dev", "up", "gateway", "worker"):
        for package, block in requirements(name).items():
            versions.setdefault(package, set()).add(block.split()[0].split("==")[1])
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


def test_make_lists_its_commands() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    listed = run("make", "--no-print-directory", "help", cwd=ROOT)
    for command in ("setup", "up", "test", "check", "lock", "bench", "compose-test"):
        assert f"make {command} " in listed


def test_a_gateway_that_is_stopped_has_the_time_to_ship_what_it_metered() -> None:
    """After its calls in flight; compose and the command would kill it otherwise."""
    needed = GRACE_SECONDS + STOP_SECONDS + SHIP_SECONDS
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert float(compose["services"]["gateway"]["stop_grace_period"].removesuffix("s")) > needed
    assert Service("gateway", "gateway").grace > needed
