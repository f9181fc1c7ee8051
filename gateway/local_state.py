"""What a local model service says of itself in `/status`: models, slots, line, memory, tokens a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class LocalModel(msgspec.Struct, frozen=True, kw_only=True):
    """`context` is tokens of a slot. `busy` and `queue` are callers; the rest is None while it is not loaded."""

    name: str
    state: str
    reason: str | None = None
    label: str | None = None
    context: int | None = None
    slots: int | None = None
    busy: int | None = None
    queue: int | None = None
    restarts: int | None = None
    load_seconds: float | None = None
    memory_bytes: int | None = None
    tokens_per_second: float | None = None
    prompt_tokens_per_second: float | None = None

    @property
    def trouble(self) -> str | None:
        """Why no call can be sent to it just now; loading is none, calls wait for it."""
        return self.reason if self.state == "failed" else None


class LocalState(msgspec.Struct, frozen=True, kw_only=True):
    """`engine` False: there is no llama-server. `default`: the model that answers where none is named; `reason`: why it
    cannot, or why there is none. `problems`: what is wrong with the files that are no models, by name."""

    status: str
    engine: bool
    reason: str | None = None
    default: str | None = None
    problems: dict[str, str] = {}
    models: tuple[LocalModel, ...] = ()
    memory_free_bytes: int | None = None

    def find(self, model: str) -> LocalModel | None:
        return next((row for row in self.models if row.name == model), None)

    def trouble(self, model: str) -> str | None:
        """Why no call can be sent to a model of that name just now."""
        if (row := self.find(model)) is not None:
            return row.trouble
        return self.problems.get(model)

    def to_json(self) -> dict[str, Any]:
        state: dict[str, Any] = msgspec.to_builtins(self)
        return state


def parse_status(body: bytes) -> LocalState | None:
    """None for what is no such status: a bare llama-server has none."""
    try:
        return msgspec.json.decode(body, type=LocalState)
    except msgspec.MsgspecError:
        return None


_PER_MODEL = (
    ("slots", "Answers at once", "slots"),
    ("slots_busy", "Slots that are taken", "busy"),
    ("queue", "Callers that wait for a slot", "queue"),
    ("load_seconds", "How long the model took to load", "load_seconds"),
    ("memory_bytes", "Resident memory of its engine", "memory_bytes"),
    ("tokens_per_second", "Generated, of all callers together", "tokens_per_second"),
    ("prompt_tokens_per_second", "Read, of all callers together", "prompt_tokens_per_second"),
)


class LocalCollector(Collector):
    """The local models as they were seen last, for Prometheus."""

    def __init__(self, states: Callable[[], dict[str, LocalState]]) -> None:
        self._states = states

    def collect(self) -> Iterator[Metric]:
        states = self._states()
        up = GaugeMetricFamily("tollgate_local_up", "1 while the default model can be asked", labels=("provider",))
        for provider, state in states.items():
            up.add_metric((provider,), float(state.status == "ok"))
        yield up
        for name, text, field in _PER_MODEL:
            family = GaugeMetricFamily(f"tollgate_local_{name}", text, labels=("provider", "model"))
            for provider, state in states.items():
                for model in state.models:
                    if (value := getattr(model, field)) is not None:
                        family.add_metric((provider, model.name), float(value))
            yield family
