"""How usage events reach the worker under given settings, and how long they are kept."""

from __future__ import annotations

from gateway.settings import Settings


def worker_flags(settings: Settings) -> list[str]:
    """The worker reads the spool itself when there is no Redis to carry events."""
    source = ["--redis-url", settings.redis_url] if settings.redis_url else ["--spool-root", str(settings.spool_root)]
    kept = ["--retention-months", str(settings.retention_months)] if settings.retention_months else []
    return ["--database-url", settings.ledger_url, *source, *kept]
