"""Prometheus metrics. Names that start with `gateway_` are the any-llm gateway's; labels are bounded: route templates
instead of paths, and neither users nor keys. https://prometheus.io/docs/practices/naming/"""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from usage_contract.event import UsageEvent
from usage_contract.money import decimal_from_pico

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_DOLLARS = (0.0001, 0.001, 0.01, 0.1, 1, 10)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """One registry per app, so that two apps can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "gateway_requests", "HTTP requests", ("method", "endpoint", "status"), registry=self.registry
        )
        self.duration = Histogram(
            "gateway_request_duration_seconds",
            "Time to the end of the answer",
            ("method", "endpoint"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.active = Gauge("gateway_active_requests", "HTTP requests in progress", registry=self.registry)
        self.tokens = Counter(
            "gateway_tokens", "Tokens used upstream", ("provider", "model", "type"), registry=self.registry
        )
        self.cost = Histogram(
            "gateway_request_cost_dollars",
            "Cost of an upstream attempt, US dollars (for graphs: the ledger has the exact amounts)",
            ("provider", "model"),
            buckets=_DOLLARS,
            registry=self.registry,
        )
        self.auth_failures = Counter(
            "gateway_auth_failures", "Requests with a missing or wrong credential", ("reason",), registry=self.registry
        )
        self.limit_hits = Counter(
            "gateway_rate_limit_hits", "Calls refused by a limit", ("scope",), registry=self.registry
        )
        self.budget_exceeded = Counter(
            "gateway_budget_exceeded", "Calls refused by a budget", ("scope",), registry=self.registry
        )
        self.budget_warnings = Counter(
            "tollgate_budget_warnings",
            "Calls of which a budget was past its soft threshold",
            ("scope",),
            registry=self.registry,
        )
        self.attempts = Counter(
            "tollgate_upstream_attempts", "Upstream attempts", ("provider", "kind", "status"), registry=self.registry
        )
        self.first_token = Histogram(
            "tollgate_first_token_seconds",
            "Time to the first generated token of a stream",
            ("provider",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.overhead = Histogram(
            "tollgate_overhead_seconds",
            "Time in the gateway before the upstream request was sent",
            buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 1),
            registry=self.registry,
        )
        self._keep_series()

    def _keep_series(self) -> None:
        """Looking a series up by its labels costs more than counting in it."""
        self._of_route = cache(
            lambda method, endpoint, status: (
                self.requests.labels(method, endpoint, str(status)),
                self.duration.labels(method, endpoint),
            )
        )
        self._of_attempt = cache(self.attempts.labels)
        self._cost_of = cache(self.cost.labels)
        self._tokens_of = cache(
            lambda provider, model: (
                self.tokens.labels(provider, model, "input"),
                self.tokens.labels(provider, model, "output"),
            )
        )

    def request(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        count, duration = self._of_route(method, endpoint, status)
        count.inc()
        duration.observe(seconds)

    def auth_failed(self, code: str | None) -> None:
        """`code` of an `Unauthenticated` error; the any-llm gateway has a word of its own for a key that is none."""
        self.auth_failures.labels("invalid_key" if code in (None, "invalid_api_key") else code).inc()

    def event(self, event: UsageEvent, model: str) -> None:
        """A settled attempt. `model` is what it is counted under: a name of few (`Models.label`), which a caller's own
        is not."""
        self._of_attempt(event.provider, event.kind, event.status).inc()
        if event.overhead_us is not None:
            self.overhead.observe(event.overhead_us / 1e6)
        if event.first_token_us is not None:
            self.first_token.labels(event.provider).observe(event.first_token_us / 1e6)
        if event.status != "success":
            return
        read, written = self._tokens_of(event.provider, model)
        read.inc(event.tokens.input)
        written.inc(event.tokens.output)
        if event.cost_pico is not None:
            self._cost_of(event.provider, model).observe(float(decimal_from_pico(event.cost_pico)))

    def render(self) -> bytes:
        return generate_latest(self.registry)
