from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local_llm import install
from local_llm.installed import (
    bindings_environment,
    cache_folder,
    find_server,
    installation,
    lock_file,
    pinned_version,
)

ROOT = Path(__file__).resolve().parents[2]


def test_one_folder_a_version_and_cpu_outside_the_clone(tmp_path: Path) -> None:
    here = installation({"TOLLGATE_ENGINE_DIR": str(tmp_path)})
    assert here.folder.parent == tmp_path
    assert here.folder.name.startswith(f"llama-cpp-python-{pinned_version()}-")
    assert here == installation({"TOLLGATE_ENGINE_DIR": str(tmp_path)})
    assert cache_folder({"XDG_CACHE_HOME": "/var/cache/me"}) == Path("/var/cache/me/tollgate/engine")
    assert not cache_folder({}).is_relative_to(ROOT)


def test_finds_the_named_one_then_the_path_then_what_was_built(tmp_path: Path) -> None:
    environ = {"TOLLGATE_ENGINE_DIR": str(tmp_path), "PATH": str(tmp_path / "bin")}
    assert find_server(environ) is None
    assert bindings_environment(environ) is None
    built = installation(environ)
    for path in (built.server, tmp_path / "bin" / "llama-server"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        if path == built.server:
            assert find_server(environ) == str(built.server)
    assert find_server(environ) == str(tmp_path / "bin" / "llama-server")
    assert find_server({**environ, "LLAMA_SERVER_BIN": "/opt/mine"}) == "/opt/mine"
    assert not built.whole
    (built.bindings / "llama_cpp").mkdir(parents=True)
    assert installation(environ).whole
    with_bindings = bindings_environment(environ)
    assert with_bindings is not None
    assert with_bindings["LLAMA_CPP_LIB_PATH"] == str(built.libraries)


def test_what_is_built_twice_is_built_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLGATE_ENGINE_DIR", str(tmp_path))
    assert install.main(["--check"]) == 1
    assert list(tmp_path.iterdir()) == []
    wanted = installation(os.environ)
    for folder in (wanted.libraries, wanted.bindings / "llama_cpp"):
        folder.mkdir(parents=True)
    wanted.server.write_text("")
    assert install.main([]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(wanted.server)


def test_a_build_that_fails_says_where_to_look(tmp_path: Path) -> None:
    """Its tools cannot be fetched: pip is told of no index and an empty folder."""
    environ = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PATH": os.environ["PATH"]}
    wanted = installation({"TOLLGATE_ENGINE_DIR": str(tmp_path)})
    said = io.StringIO()
    with pytest.raises(install.BuildFailed, match=r"see the end of .*\.log") as problem:
        install.build(wanted, environ, jobs=1, say=said)
    log = Path(str(problem.value).rpartition("see the end of ")[2])
    assert "No matching distribution found" in log.read_text()
    assert said.getvalue().startswith("fetching build tools")
    assert not wanted.folder.exists()


_CMAKE = """
import json, os, pathlib, subprocess, sys
work = pathlib.Path({work!r})
if "--build" not in sys.argv:
    said = subprocess.run([os.environ["CXX"], "-c", "a.cpp"], capture_output=True, text=True, check=True).stdout
    work.joinpath("seen.json").write_text(json.dumps({{"argv": sys.argv[1:], "cc": os.environ["CC"], "said": said}}))
else:
    for done in range(1, 41):
        print(f"[{{done}}/40] Building CXX object")
    work.joinpath("build/bin").mkdir(parents=True)
    work.joinpath("build/bin/llama-server").touch()
"""


def test_without_a_compiler_it_builds_with_zig_and_shows_how_far_it_is(tmp_path: Path) -> None:
    """It goes on where another build had the tools, of which cmake and zig are stand-ins here, and ends for want of
    the bindings' requirements."""
    wanted = installation({"TOLLGATE_ENGINE_DIR": str(tmp_path)})
    work = wanted.folder.with_name(f"{wanted.folder.name}.building")
    for path, text in {
        work / "tools/bin/cmake": f"#!{sys.executable}{_CMAKE.format(work=str(work))}",
        work / "tools/ziglang/zig": '#!/bin/sh\necho "zig $*"\n',
        work / "steps.json": json.dumps(
            dict.fromkeys(["tools-zig", "sources"], f"{pinned_version()} {sys.version_info[:2]}")
        ),
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    said = io.StringIO()
    environ = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PATH": str(tmp_path / "empty")}
    with pytest.raises(install.BuildFailed, match="pip"):
        install.build(wanted, environ, jobs=None, say=said)
    seen = json.loads((work / "seen.json").read_text())
    assert seen["said"] == "zig c++ -c a.cpp\n"
    assert seen["cc"] == str(work / "tools/zig-cc")
    assert f"-DCMAKE_AR={work / 'tools/zig-ar'}" in seen["argv"]
    assert f"-DCMAKE_RANLIB={work / 'tools/zig-ranlib'}" in seen["argv"]
    building, *progress, bindings = said.getvalue().splitlines()
    assert building.startswith("building llama.cpp's server")
    assert progress == [f"  {percent} %" for percent in (2, *range(10, 101, 10))]
    assert bindings == "building the Python bindings"


def test_everything_that_is_fetched_is_pinned_by_hash() -> None:
    for name in ("engine", "local"):
        text = lock_file(name).read_text(encoding="utf-8")
        assert text.count("--hash=sha256:") >= text.count("==")
    assert "llama-cpp-python==" in lock_file("local").read_text(encoding="utf-8")


def test_the_command_says_what_would_be_used(tmp_path: Path) -> None:
    environ = {"TOLLGATE_ENGINE_DIR": str(tmp_path), "PATH": "/nowhere", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tollgate", "local", "where"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "none: run `make local` or `tollgate local install`\n")


def test_the_engine_that_was_built_answers() -> None:
    built = installation(os.environ)
    if not built.whole:
        pytest.skip("the engine is not built here: run `make local`")
    assert shutil.which(built.server)
    done = subprocess.run([built.server, "--version"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
