"""How much a model reads and writes, from llama-server's own counters."""

from __future__ import annotations

import asyncio
import re
import time

from local_llm.asking import NotReached, ask

_COUNTER = re.compile(rb"^llamacpp:(prompt_tokens_total|tokens_predicted_total) ([0-9.e+]+)$", re.M)


class Speed:
    """Totals since llama-server's start, and tokens a second of all callers together over the last two seconds."""

    def __init__(self) -> None:
        self.prompt_tokens = self.generated_tokens = 0
        self.prompt_per_second = self.generated_per_second = 0.0
        self._at = time.monotonic()

    async def measure(self, port: int) -> None:
        """Ask for the counters; an engine that is at a long prompt may not answer in time, and is asked again later."""
        try:
            async with asyncio.timeout(2):
                status, text = await ask(port, "GET", "/metrics")
        except (NotReached, TimeoutError):
            return
        found = {name: round(float(value)) for name, value in _COUNTER.findall(text)} if status == 200 else {}
        if len(found) == 2:
            self._take(found[b"prompt_tokens_total"], found[b"tokens_predicted_total"], time.monotonic())

    def _take(self, prompt: int, generated: int, now: float) -> None:
        seconds = max(now - self._at, 0.001)
        # After a restart the counters begin at nought again.
        self.prompt_per_second = max(0, prompt - self.prompt_tokens) / seconds
        self.generated_per_second = max(0, generated - self.generated_tokens) / seconds
        self.prompt_tokens, self.generated_tokens, self._at = prompt, generated, now
