"""`python -m tests.replay`: the written interactions on a port, for a stack that has no provider's key."""

from __future__ import annotations

import argparse
import signal
import threading

from tests.replay.answers import FIXTURES, written
from tests.replay.server import Upstream


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.replay", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9200)
    chosen = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Upstream(chosen.port, chosen.host) as upstream:
        # SOLAR and the local model have OpenAI's paths, so the provider's name stands in front.
        for path in sorted(FIXTURES.glob("*.json")):
            interaction = written(path.stem)
            upstream.add(interaction, prefix=f"/{interaction['provider']}", stream="stream" in interaction["kind"])
        print(f"replaying {len(list(FIXTURES.glob('*.json')))} interactions on {upstream.url}", flush=True)  # noqa: T201
        stop.wait()


if __name__ == "__main__":
    main()
