"""The worker's settings. `tollgate` hands them in as flags; alone, flags and environment variables set them."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path


class SettingsError(ValueError):
    """One line for a person: what is wrong and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Where events come from (a Redis stream, else a spool folder) and where they go. Immutable."""

    database_url: str = field(repr=False)
    redis_url: str | None = field(default=None, repr=False)
    spool_root: Path | None = None
    stream: str = "tollgate:usage"
    group: str = "usage_worker"
    consumer: str = field(default_factory=socket.gethostname)  # the same after a restart, so its own pending come first
    batch: int = 2000  # entries in one transaction at most
    retention_months: int | None = None  # whole UTC months that are kept besides the current one; None: all
    dead_letter_share: float = 0.5  # more than this share of bad entries stops the worker; 1 never does
    max_deliveries: int = 25  # deaths with a Redis entry in hand after which it is tried alone
    peers_idle: float = 60.0  # seconds after which what another worker left in Redis is taken over
    port: int | None = None  # of /metrics and /health; None: neither is served
    host: str = "127.0.0.1"
    log_level: str = "INFO"

    def __post_init__(self) -> None:
        if not self.redis_url and self.spool_root is None:
            raise SettingsError("no source of events: give --redis-url or --spool-root")
        if not 1 <= self.batch <= 20_000:
            raise SettingsError(f"--batch must be between 1 and 20000, not {self.batch}")
        if self.port is not None and not 0 <= self.port <= 65535:
            raise SettingsError(f"--port must be between 0 and 65535, not {self.port}")
        if self.retention_months is not None and self.retention_months < 1:
            raise SettingsError("--retention-months must be at least 1; leave it out to keep everything")
        if self.max_deliveries < 1:
            raise SettingsError("--max-deliveries must be at least 1")
        if not self.peers_idle > 0:
            raise SettingsError("--peers-idle must be above 0")
        if not 0 < self.dead_letter_share <= 1:
            raise SettingsError("--dead-letter-share must be above 0 and at most 1")
