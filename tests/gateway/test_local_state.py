from __future__ import annotations

import json
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from gateway.local_state import LocalCollector, parse_status

STATUS: dict[str, Any] = {
    "status": "ok",
    "reason": None,
    "engine": True,
    "default": "tiny",
    "memory_free_bytes": 5,
    "models": [
        {"name": "tiny", "state": "ready", "context": 512, "slots": 4, "busy": 1, "queue": 2, "tokens_per_second": 7.5},
        {"name": "big", "state": "failed", "reason": "big needs about 9 GB"},
    ],
    "problems": {"mine": "mine.gguf is cut off after 5 of 10 bytes"},
}


def test_reads_what_the_service_says() -> None:
    state = parse_status(json.dumps(STATUS).encode())
    assert state is not None
    tiny, big = state.models
    assert (tiny.context, tiny.trouble, big.trouble) == (512, None, "big needs about 9 GB")
    assert state.find("big") is big
    assert state.find("other") is None
    assert [state.trouble(name) for name in ("tiny", "big", "mine", "other")] == [
        None,
        "big needs about 9 GB",
        "mine.gguf is cut off after 5 of 10 bytes",
        None,
    ]
    assert state.default == "tiny"
    assert state.to_json()["models"][0]["queue"] == 2


def test_what_is_no_status_is_none() -> None:
    for body in (b"", b"[]", b'{"status": "ok"}', b'{"error": {"code": 404}}'):
        assert parse_status(body) is None


def test_prometheus_sees_slots_and_line() -> None:
    state = parse_status(json.dumps(STATUS).encode())
    assert state is not None
    registry = CollectorRegistry()
    registry.register(LocalCollector(lambda: {"local": state}))
    text = generate_latest(registry).decode()
    assert 'tollgate_local_up{provider="local"} 1.0' in text
    assert 'tollgate_local_queue{model="tiny",provider="local"} 2.0' in text
    assert 'tollgate_local_tokens_per_second{model="tiny",provider="local"} 7.5' in text
    assert 'model="big"' not in text
