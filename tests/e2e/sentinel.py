"""Everything that a deployment has written down: where a text that must be nowhere is looked for."""

from __future__ import annotations

from pathlib import Path

import httpx
import psycopg
from psycopg import sql
from redis import Redis

from tests.deployment import MASTER_KEY, Deployment

PAGES = ("/metrics", "/traces?limit=1000", "/v1/usage?limit=1000", "/v1/audit?limit=1000", "/health", "/status")


def places_with(
    deployment: Deployment, text: str, *, redis_url: str | None = None, postgres_url: str | None = None
) -> list[str]:
    """Names of files, Redis keys, tables and pages that hold it. The configuration and its secrets are left out."""
    needle = text.encode()
    found = [str(path) for path in _files(deployment.folder) if needle in path.read_bytes()]
    master = {"authorization": f"Bearer {MASTER_KEY}"}
    for page in PAGES:
        response = httpx.get(deployment.url + page, headers=master, timeout=30)
        assert response.status_code == 200, f"{page}: {response.text}"
        if needle in response.content + str(response.headers).encode():
            found.append(page)
    if redis_url is not None:
        found += _in_redis(redis_url, needle)
    if postgres_url is not None:
        found += _in_postgres(postgres_url, text)
    return found


def _files(folder: Path) -> list[Path]:
    """Databases with their write-ahead logs, the spool, the services' logs."""
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "config.yaml"]


def _in_redis(url: str, needle: bytes) -> list[str]:
    with Redis.from_url(url) as redis:
        return [f"redis {key!r}" for key in redis.scan_iter() if needle in key or needle in (redis.dump(key) or b"")]


def _in_postgres(url: str, text: str) -> list[str]:
    found = []
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, table in tables:
            whole = sql.SQL("SELECT count(*) FROM {} AS t WHERE strpos(t::text, %s) > 0").format(
                sql.Identifier(schema, table)
            )
            counted = connection.execute(whole, (text,)).fetchone()
            if counted is not None and counted[0]:
                found.append(f"postgres {table}")
    return found
