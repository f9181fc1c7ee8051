"""A real Redis and a real Postgres for tests: found, started, or installed; never left behind.

The session's servers (`session_redis`, `session_postgres`) are those that TOLLGATE_TEST_REDIS_URL and
TOLLGATE_TEST_POSTGRES_URL name, else ones started here from installed binaries on free loopback ports, else installed
with apt-get where root may. `RedisServer` and `PostgresServer` are also for fault tests: they can be stopped, killed,
paused and started again on the same port. They are made to die with the thread that started them, so start them from
the main thread, not from a pool.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

START_SECONDS = 60.0  # nine busy neighbours on two cores are normal here
STOP_SECONDS = 20.0


class ServiceUnavailable(Exception):
    """Neither found, nor startable, nor installable here; the text is the reason a test shows when it skips."""


class Server(Protocol):
    """What a fault test may do to a server."""

    @property
    def url(self) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


def free_port() -> int:
    """A loopback port that nobody listens on, below the range from which outgoing connections take theirs.

    A port of that range could be taken between two starts of a server, or a client that retries a dead server could
    even connect to itself.
    """
    for _ in range(200):
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServiceUnavailable("no free loopback port between 20000 and 32000")


def wait_until(ready: Callable[[], bool], *, seconds: float = START_SECONDS, what: str) -> None:
    """Poll `ready` every 20 ms. Raises TimeoutError naming `what` when the time is over."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


class _Process:
    """A child in its own session that ends with this process, its output kept in a file for error messages."""

    def __init__(self, command: list[str], log: Path, *, end_signal: str, user: str | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                _bound(command, end_signal, user),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-1500:].strip()

    def signal_tree(self, number: signal.Signals) -> None:
        """Signal the process and its children; Postgres puts each backend into a session of its own."""
        for pid in (self._popen.pid, *_children(self._popen.pid)):
            with _gone_is_fine():
                os.kill(pid, number)

    def end(self, number: signal.Signals) -> None:
        """Signal the process alone and wait for its end; kill what does not end."""
        with _gone_is_fine():
            self._popen.send_signal(number)
        try:
            self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL the process and its children at once; returns when none is left."""
        children = _children(self._popen.pid)
        self.signal_tree(signal.SIGKILL)
        self._popen.wait(STOP_SECONDS)
        wait_until(lambda: not any(map(_alive, children)), seconds=STOP_SECONDS, what=f"end of {children}")


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except ProcessLookupError:
        return


def _bound(command: list[str], end_signal: str, user: str | None) -> list[str]:
    """The command, run as `user` and tied to this process by PR_SET_PDEATHSIG where setpriv is there (Linux)."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        if user is not None:
            raise ServiceUnavailable("setpriv is missing (util-linux), so a server cannot be started as another user")
        return command
    options = [setpriv, f"--pdeathsig={end_signal}"]
    if user is not None:
        options += [f"--reuid={user}", f"--regid={user}", "--init-groups"]
    return [*options, *command]


def _children(parent: int) -> list[int]:
    """Direct children, from /proc; none where there is no /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # "pid (name) state ppid ...": the name may hold spaces and parentheses
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(entry.parent.name))
    return found


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class RedisServer:
    """One Redis on a port of its own. `options` are redis-server arguments, such as "--appendonly", "yes"."""

    def __init__(self, directory: Path, *options: str) -> None:
        self._binary = binary("redis-server")
        self._directory = directory
        self._options = options
        self.port = free_port()
        self._process: _Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, and return when it answers PING. What an earlier run stored is there only with persistence on."""
        command = [str(self._binary), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory)]
        command += ["--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"]
        process = _Process([*command, *self._options], self._directory / "redis.log", end_signal="KILL")
        self._process = process
        with Redis(port=self.port, socket_timeout=5, retry=Retry(NoBackoff(), 0)) as client:

            def answers() -> bool:
                if not process.running:
                    raise ServiceUnavailable(f"redis-server ended at once: {process.tail()}")
                try:
                    return bool(client.ping())
                except RedisError:
                    return False

            wait_until(answers, what="redis-server answers")

    def stop(self) -> None:
        """SIGTERM: Redis says goodbye to its clients."""
        if self._process is not None:
            self._process.signal_tree(signal.SIGCONT)
            self._process.end(signal.SIGTERM)
            self._process = None

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, connections are reset."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        if self._process is not None:
            self._process.signal_tree(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.signal_tree(signal.SIGCONT)


class PostgresServer:
    """One Postgres cluster on a port of its own, user `postgres`, no password, fsync off."""

    def __init__(self, directory: Path, *options: str, fsync: bool = False) -> None:
        self._bin = postgres_binaries()
        self._user = unprivileged_user()
        self._directory = directory
        self._data = directory / "data"
        self._options = [*options, "-c", f"fsync={'on' if fsync else 'off'}"]
        self.port = free_port()
        self._process: _Process | None = None

    @property
    def url(self) -> str:
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start, and return when it takes connections. The first start makes the cluster (about a second)."""
        if not self._data.exists():
            self._initialise()
        command = [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port), "-h", "127.0.0.1"]
        command += ["-k", str(self._directory), "-c", "max_connections=200", "-c", "logging_collector=off"]
        command += ["-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "jit=off", *self._options]
        # SIGQUIT is Postgres's immediate shutdown: the postmaster takes its backends with it.
        process = _Process(command, self._directory / "postgres.log", end_signal="QUIT", user=self._user)
        self._process = process

        def answers() -> bool:
            if not process.running:
                raise ServiceUnavailable(f"postgres ended at once: {process.tail()}")
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError:
                return False
            return True

        wait_until(answers, what="postgres takes connections")

    def _initialise(self) -> None:
        if self._user is not None:
            shutil.chown(self._directory, self._user, self._user)
        command = [str(self._bin / "initdb"), "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        command += ["--locale=C", "--no-sync", "--no-instructions"]
        done = subprocess.run(
            _bound(command, "KILL", self._user), capture_output=True, text=True, cwd="/", timeout=120, check=False
        )
        if done.returncode:
            raise ServiceUnavailable(f"initdb failed: {(done.stderr or done.stdout).strip()[-1500:]}")

    def stop(self) -> None:
        """SIGINT, the fast shutdown: sessions are told and ended."""
        if self._process is not None:
            self._process.signal_tree(signal.SIGCONT)
            self._process.end(signal.SIGINT)
            self._process = None

    def kill(self) -> None:
        """SIGKILL of the postmaster and every backend; the next start recovers from the write-ahead log."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP of the postmaster and every backend: connections stay open and nothing answers."""
        if self._process is not None:
            self._process.signal_tree(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.signal_tree(signal.SIGCONT)


class _Kind(Protocol):
    """Makes a server in the folder it is given."""

    def __call__(self, directory: Path, *options: str) -> Server: ...


@contextmanager
def running(kind: _Kind, *options: str) -> Iterator[Server]:
    """A started server of the kind in a temporary folder; both are gone at the end, however it ends."""
    # Not below pytest's own folder: that is closed to the user that Postgres runs as.
    with tempfile.TemporaryDirectory(prefix="tollgate-test-", ignore_cleanup_errors=True) as name:
        server = kind(Path(name), *options)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextmanager
def session_redis() -> Iterator[str]:
    """The URL of a Redis database that tests may empty."""
    named = os.environ.get("TOLLGATE_TEST_REDIS_URL")
    if named:
        yield named
        return
    with running(RedisServer) as server:
        yield server.url


@contextmanager
def session_postgres() -> Iterator[str]:
    """The URL of a Postgres database whose user may create other databases."""
    named = os.environ.get("TOLLGATE_TEST_POSTGRES_URL")
    if named:
        yield named
        return
    with running(PostgresServer) as server:
        yield server.url


@contextmanager
def fresh_database(server_url: str, template: str = "template1") -> Iterator[str]:
    """The URL of a new database on that server, copied from the template; dropped at the end, sessions and all."""
    name = f"tollgate_test_{secrets.token_hex(6)}"
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield f"{server_url.rpartition('/')[0]}/{name}"
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@cache
def binary(name: str) -> Path:
    """An installed server program, installed first where root may. Raises ServiceUnavailable with the reason."""
    found = shutil.which(name)
    if found is None:
        _install(f"{name}={name}")
        found = shutil.which(name)
    if found is None:
        raise ServiceUnavailable(f"{name} is not installed")
    return Path(found)


@cache
def postgres_binaries() -> Path:
    """The folder of the newest installed Postgres's programs. Raises ServiceUnavailable with the reason."""
    if not _postgres_folders():
        _install("/usr/lib/postgresql/*/bin/initdb=postgresql")
    folders = _postgres_folders()
    if not folders:
        raise ServiceUnavailable("postgresql is not installed")
    return folders[0]


def _postgres_folders() -> list[Path]:
    """Debian keeps them off the PATH, one folder per version."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]), reverse=True)
    on_path = shutil.which("initdb")
    return [p.parent for p in versions] + ([Path(on_path).resolve().parent] if on_path else [])


def unprivileged_user() -> str | None:
    """Who Postgres runs as: it refuses root. None means whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        if f"\n{name}:" in "\n" + Path("/etc/passwd").read_text():
            return name
    raise ServiceUnavailable("postgres refuses to run as root, and there is no user postgres or nobody")


def _install(package: str) -> None:
    """The project's own script for system packages; it says why it cannot."""
    script = Path(__file__).resolve().parents[1] / "scripts" / "system-packages"
    done = subprocess.run(["/bin/sh", str(script), package], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise ServiceUnavailable((done.stderr or done.stdout).strip()[-500:])


__all__ = [
    "PostgresServer",
    "RedisServer",
    "Server",
    "ServiceUnavailable",
    "free_port",
    "fresh_database",
    "running",
    "session_postgres",
    "session_redis",
    "wait_until",
]
