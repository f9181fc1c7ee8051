"""What the service says of itself: the model list, `/status`, `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from local_llm.engine import Engine
from local_llm.fleet import Fleet
from local_llm.library import Model
from local_llm.machine import resident_memory

_DEMO_LABEL = "demo, knows only Tollgate"


def listing(fleet: Fleet) -> dict[str, Any]:
    """OpenAI's model list, the default first, with what llama-server's own says beside it."""
    rows = [_listed(model, fleet) for model in fleet.library.models.values()] if fleet.server else []
    return {"object": "list", "data": rows}


def status(fleet: Fleet) -> dict[str, Any]:
    state, reason = fleet.state()
    default = fleet.default
    settings = fleet.settings
    return {
        "status": state,
        "reason": reason,
        "engine": fleet.server is not None,
        "default": default.name if default else None,
        "memory_free_bytes": fleet.free_bytes(),
        "settings": {
            "slots": settings.slots,
            "context": settings.context,
            "batch": settings.batch,
            "queue": settings.queue,
            "idle_seconds": settings.idle_seconds,
        },
        "models": [_status(model, fleet) for model in fleet.library.models.values()],
        "problems": fleet.library.problems,
    }


def metrics_text(fleet: Fleet) -> str:
    """https://prometheus.io/docs/instrumenting/exposition_formats/"""
    samples: dict[str, list[str]] = {"up": [f"local_llm_up {int(fleet.state()[0] == 'ok')}"]}
    if (free := fleet.free_bytes()) is not None:
        samples["memory_free_bytes"] = [f"local_llm_memory_free_bytes {free}"]
    for name, engine in fleet.engines.items():
        label = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        for metric, extra, value in _samples(engine):
            samples.setdefault(metric, []).append(f'local_llm_{metric}{{model="{label}"{extra}}} {value}')
    kinds = {name: "counter" if name.endswith("_total") else "gauge" for name in samples}
    lines = [line for name, found in samples.items() for line in (f"# TYPE local_llm_{name} {kinds[name]}", *found)]
    return "\n".join(lines) + "\n"


def _samples(engine: Engine) -> Iterator[tuple[str, str, float]]:
    speed = engine.speed
    yield "ready", "", int(engine.state == "ready")
    yield "slots", "", engine.line.slots
    yield "slots_busy", "", engine.line.busy
    yield "queue", "", engine.line.waiting
    yield "restarts_total", "", engine.restarts
    if engine.load_seconds is not None:
        yield "load_seconds", "", round(engine.load_seconds, 3)
    memory = _memory(engine)
    if memory is not None:
        yield "memory_bytes", "", memory
    yield "tokens_total", ',type="prompt"', speed.prompt_tokens
    yield "tokens_total", ',type="generated"', speed.generated_tokens
    yield "tokens_per_second", ',type="prompt"', round(speed.prompt_per_second, 1)
    yield "tokens_per_second", ',type="generated"', round(speed.generated_per_second, 1)


def _memory(engine: Engine) -> int | None:
    return resident_memory(engine.pid) if engine.pid is not None else None


def label(model: Model) -> str | None:
    return _DEMO_LABEL if model.demo else None


def _listed(model: Model, fleet: Fleet) -> dict[str, Any]:
    facts = model.facts
    engine = fleet.engines.get(model.name)
    return {
        "id": model.name,
        "object": "model",
        "created": model.stamp[0][0] // 1_000_000_000,
        "owned_by": "local",
        "status": {"value": engine.state if engine else "unloaded"},
        "meta": {
            "n_ctx": model.context(fleet.settings),
            "n_ctx_train": facts.context,
            "n_params": facts.parameters,
            "size": facts.file_bytes,
            "n_vocab": facts.vocabulary,
        },
        "label": label(model),
    }


def _status(model: Model, fleet: Fleet) -> dict[str, Any]:
    facts = model.facts
    engine = fleet.engines.get(model.name)
    row: dict[str, Any] = {
        "name": model.name,
        "label": label(model),
        "state": engine.state if engine else "failed" if model.name in fleet.refusals else "unloaded",
        "reason": engine.reason if engine else fleet.refusals.get(model.name),
        "architecture": facts.architecture,
        "quantisation": facts.quantisation,
        "parameters": facts.parameters,
        "file_bytes": facts.file_bytes,
        "needed_bytes": model.needed_bytes(fleet.settings),
        "context": model.context(fleet.settings),
        "licence": facts.licence,
    }
    if engine is not None:
        row |= {
            "slots": engine.line.slots,
            "busy": engine.line.busy,
            "queue": engine.line.waiting,
            "restarts": engine.restarts,
            "load_seconds": engine.load_seconds,
            "memory_bytes": _memory(engine),
            "tokens_per_second": round(engine.speed.generated_per_second, 1),
            "prompt_tokens_per_second": round(engine.speed.prompt_per_second, 1),
        }
    return row
