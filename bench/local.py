"""Eight people at once on a local model: bare llama-server, our service, the gateway before it, and `llama_cpp.server`.

    python -m bench.local [--users 8] [--tokens 64] [--rounds 5] [--models tiny 58m] [--without-peer]

All stand side by side with the same settings (threads, slots, context, batch), and rounds go over them in turn, so that
a busy machine is busy for all. Prints medians as tables: tokens/s of all users together, time to the first token, what
the gateway adds to an event, what is left beside two processes that only compute. Ends with 1 where a bound is missed.
`llama_cpp.server` has no slots: it answers one after the other. It needs a few packages of its own, which are installed
into a folder of their own (requirements/peer.lock).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from local_llm.engine import server_arguments
from local_llm.installed import bindings_environment, find_server
from local_llm.library import Library
from local_llm.machine import usable_cores
from local_llm.settings import ServiceSettings
from tests.deployment import Deployment, until
from tests.local_llm import tiny_gguf
from tests.local_llm.serving import serving
from tests.services import free_port

_PEER_LOCK = Path(__file__).parents[1] / "requirements" / "peer.lock"
_SHAPES = {"tiny": tiny_gguf.TINY, "58m": tiny_gguf.MILLIONS_58}
_PROMPT = "please write one short sentence that explains how this system works for people who ask for help " * 3
_CONTEXT = 2048
_BARE, _PEER = "llama-server", "llama_cpp.server"
# What is promised of eight users at once (docs/local-model.md).
_OF_BARE = 0.95  # of its tokens a second, at least
_OF_PEER = 2.5  # times its tokens a second, at least
_ADDED = 0.001  # seconds that the gateway adds to an event, less than
_SLOWER = 2.5  # times slower beside two processes that only compute, at most


@dataclass(frozen=True)
class Target:
    name: str
    port: int
    path: str
    model: str
    key: str = "none"


@dataclass(frozen=True)
class Answer:
    """Times in seconds since the question. `whole`: it came to its proper end with all its tokens."""

    tokens: int
    first: float
    end: float
    whole: bool


@dataclass
class Round:
    tokens_per_second: float
    first: float
    whole: int


@dataclass(frozen=True)
class Bound:
    what: str
    wanted: str
    measured: str
    held: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", choices=sorted(_SHAPES), default=["tiny", "58m"])
    parser.add_argument("--without-peer", action="store_true", help="leave `llama_cpp.server` out, and its bound")
    chosen = parser.parse_args()
    server = find_server(os.environ)
    if server is None:
        sys.stderr.write("there is no llama-server: run `make local`\n")
        return 1
    bounds = []
    for model in chosen.models:
        with tempfile.TemporaryDirectory() as folder:
            bounds += _measure(model, Path(folder), server, chosen)
    _say("\n| bound | wanted | measured | |\n|---|---|---|---|")
    for bound in bounds:
        _say(f"| {bound.what} | {bound.wanted} | {bound.measured} | {'held' if bound.held else '**missed**'} |")
    return 0 if all(bound.held for bound in bounds) else 1


def _measure(model: str, folder: Path, server: str, chosen: argparse.Namespace) -> list[Bound]:
    models = folder / "models"
    models.mkdir()
    path = models / f"{model}.gguf"
    tiny_gguf.write(path, mean_tokens=0, context=_CONTEXT, shape=_SHAPES[model])
    with ExitStack() as stack:
        targets = list(_targets(stack, folder, server, model, chosen))
        rounds: dict[str, list[Round]] = {target.name: [] for target in targets}
        for number in range(chosen.rounds + 1):
            for target in targets:
                got = asyncio.run(_users(target, chosen.users, chosen.tokens))
                if number:  # the first one warms up
                    rounds[target.name].append(_round(got))
        by_name = {target.name: target for target in targets}
        added = _added_to_an_event(by_name["local_llm"], by_name["gateway"])
        beside = _beside_busy_processes(by_name["gateway"], chosen)
    _say(f"\n{model}: {path.stat().st_size / 1e6:.1f} MB, {chosen.users} users, {chosen.tokens} tokens each\n")
    _show(rounds, chosen.users)
    return list(_bounds(model, rounds, added, beside, chosen))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _speed(rounds: Sequence[Round]) -> float:
    return statistics.median(each.tokens_per_second for each in rounds)


def _show(rounds: Mapping[str, Sequence[Round]], users: int) -> None:
    bare = _speed(rounds[_BARE])
    _say("| asked | tokens/s of all | of bare | first token | whole answers |\n|---|---|---|---|---|")
    for name, got in rounds.items():
        first = statistics.median(each.first for each in got) * 1000
        whole = min(each.whole for each in got)
        _say(f"| {name} | {_speed(got):.0f} | {_speed(got) / bare:.2f} | {first:.0f} ms | {whole} of {users} |")


def _bounds(
    model: str, rounds: Mapping[str, Sequence[Round]], added: float, beside: Sequence[Round], chosen: argparse.Namespace
) -> Iterator[Bound]:
    """What was promised, and what came of it."""
    speed = {name: _speed(got) for name, got in rounds.items()}
    every = [*rounds["local_llm"], *rounds["gateway"], *beside]
    whole = min(each.whole for each in every)
    yield Bound(f"{model}: whole answers", f"{chosen.users}", f"{whole}", whole == chosen.users)
    for name in ("local_llm", "gateway"):
        share = speed[name] / speed[_BARE]
        yield Bound(f"{model}: {name}, of bare llama-server", f">= {_OF_BARE}", f"{share:.2f}", share >= _OF_BARE)
    if _PEER in speed:
        times = speed["gateway"] / speed[_PEER]
        yield Bound(f"{model}: gateway, times {_PEER}", f">= {_OF_PEER}", f"{times:.2f}", times >= _OF_PEER)
    elif not chosen.without_peer:
        yield Bound(f"{model}: gateway, times {_PEER}", f">= {_OF_PEER}", "no bindings: run `make local`", False)
    told = f"{added * 1000:.3f} ms"
    yield Bound(f"{model}: the gateway adds to an event", f"< {_ADDED * 1000:g} ms", told, added < _ADDED)
    slower = speed["gateway"] / _speed(beside)
    yield Bound(f"{model}: times slower beside two busy processes", f"<= {_SLOWER}", f"{slower:.2f}", slower <= _SLOWER)


def _added_to_an_event(direct: Target, gateway: Target) -> float:
    """Seconds, with one user, so that nobody waits for anybody: an event through the gateway, less one without."""

    def per_event(target: Target) -> float:
        [got] = asyncio.run(_users(target, 1, 256))
        return (got.end - got.first) / max(got.tokens - 1, 1)

    pairs = [(per_event(direct), per_event(gateway)) for _ in range(5)]
    return statistics.median(through - without for without, through in pairs)


def _beside_busy_processes(target: Target, chosen: argparse.Namespace) -> list[Round]:
    with _busy(2):
        return [_round(asyncio.run(_users(target, chosen.users, chosen.tokens))) for _ in range(3)]


def _targets(stack: ExitStack, folder: Path, server: str, model: str, chosen: argparse.Namespace) -> Iterator[Target]:
    settings = ServiceSettings(folder / "models", slots=chosen.users, context=_CONTEXT)
    library = Library(settings.models)
    library.look()
    port = free_port()
    command = [server, *server_arguments(library.models[model], settings, settings.cache_mib), "--port", str(port)]
    stack.enter_context(_process(command, {**os.environ, "GOMP_SPINCOUNT": "1000"}, port, "/health"))
    yield Target(_BARE, port, "/v1/chat/completions", model)
    service = stack.enter_context(serving(settings.models, server, "--slots", str(chosen.users)))
    service.await_ready(model)
    yield Target("local_llm", service.port, "/v1/chat/completions", model)
    config = {"providers": {"local": {"api_base": f"{service.url}/v1"}}}
    gateway = stack.enter_context(Deployment(folder / "gateway", service.url, config=config))
    until(lambda: model in gateway.get("/v1/models").text, "the gateway sees the model")
    own_port = int(gateway.url.rpartition(":")[2])
    yield Target("gateway", own_port, "/v1/chat/completions", f"local:{model}", gateway.key)
    environment = None if chosen.without_peer else _peer(folder)
    if environment is not None:
        port = free_port()
        flags = ["--model", str(folder / "models" / f"{model}.gguf"), "--port", str(port), "--n_ctx", str(_CONTEXT)]
        flags += ["--n_batch", str(settings.batch), "--n_threads", str(usable_cores())]
        flags += ["--interrupt_requests", "false", "--verbose", "false"]
        stack.enter_context(
            _process([sys.executable, "-m", "llama_cpp.server", *flags], environment, port, "/v1/models")
        )
        yield Target(_PEER, port, "/v1/chat/completions", model)


def _peer(folder: Path) -> dict[str, str] | None:
    """The environment in which `llama_cpp.server` runs, None without the bindings."""
    environment = bindings_environment(os.environ)
    if environment is None:
        _say("  llama_cpp.server is left out: there are no bindings, run `make local`")
        return None
    needed = folder / "peer"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(needed)]
    install += ["--require-hashes", "--requirement", str(_PEER_LOCK)]
    subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
    # Ours first: the bindings bring an older typing_extensions.
    environment["PYTHONPATH"] = os.pathsep.join((environment["PYTHONPATH"], str(needed)))
    return environment


@contextmanager
def _process(command: list[str], environment: dict[str, str], port: int, ready: str) -> Iterator[None]:
    running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        if running.poll() is not None:
            raise SystemExit(f"{command[0]} {command[1:3]} ended with {running.returncode}")
        try:
            return httpx.get(f"http://127.0.0.1:{port}{ready}", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(answers, f"{command[0]} answers", 120)
        yield
    finally:
        running.terminate()
        running.wait(30)


@contextmanager
def _busy(count: int) -> Iterator[None]:
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


async def _users(target: Target, users: int, tokens: int) -> list[Answer]:
    return list(await asyncio.gather(*(_ask(target, f"{number} {_PROMPT}", tokens) for number in range(users))))


async def _ask(target: Target, prompt: str, tokens: int) -> Answer:
    """By hand over a socket: a client library would cost more than what is measured."""
    body = json.dumps(
        {
            "model": target.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ).encode()
    head = (
        f"POST {target.path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {target.key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    writer.write(head.encode() + body)
    first, pieces, whole = 0.0, 0, False
    while piece := await reader.read(65536):
        written = piece.count(b'"content":"') + piece.count(b'"content": "')
        if written and not first:
            first = time.perf_counter() - began
        pieces += written
        whole = whole or b"[DONE]" in piece
    writer.close()
    return Answer(pieces, first, time.perf_counter() - began, whole and pieces >= tokens - 2)


def _round(answers: Sequence[Answer]) -> Round:
    seconds = max(answer.end for answer in answers)
    return Round(
        sum(answer.tokens for answer in answers) / seconds,
        statistics.median(answer.first for answer in answers),
        sum(answer.whole for answer in answers),
    )


if __name__ == "__main__":
    sys.exit(main())
