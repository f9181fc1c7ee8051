"""How long `GET /v1/usage` and its sums take on a large ledger, as a client of the gateway meets them.

    python -m bench.usage_queries --events 10000000

Fills a Postgres of its own, makes the rollups from the events, starts a gateway on it, and prints for each question the
median and the slowest answer, over one connection that is kept open.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from bench.worker import fill_ledger
from ledger import migrate
from ledger.engine import make_engine
from ledger.partitions import midnight, month_of
from tests.deployment import MASTER_KEY, Deployment
from tests.services import session_postgres
from usage_worker.rebuild import rebuild

_GOAL_MS = 50.0
_NO_PROVIDER = "http://127.0.0.1:9"  # nobody calls a model here
Question = tuple[str, dict[str, Any]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    with session_postgres() as url, tempfile.TemporaryDirectory() as folder:
        _fill(url, options.events)
        with Deployment(Path(folder), _NO_PROVIDER, database_url=url) as served:
            headers = {"authorization": f"Bearer {MASTER_KEY}"}
            with httpx.Client(base_url=served.url, headers=headers, timeout=600) as client:
                _report(client, options.events, options.repeats)
    return 0


def _fill(url: str, events: int) -> None:
    began = time.perf_counter()
    migrate.upgrade(url)
    fill_ledger(url, events)
    engine = make_engine(url)
    rebuild(engine)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()
    print(f"{events:,} events, made in {time.perf_counter() - began:.0f} s")  # noqa: T201


def _report(client: httpx.Client, events: int, repeats: int) -> None:
    month = midnight(month_of(datetime.now(UTC)))
    slow = 0
    print(f"{'median ms':>10}  {'slowest ms':>10}  question")  # noqa: T201
    for name, (path, params) in _questions(client, month, events).items():
        times = [_milliseconds(client, path, params) for _ in range(repeats)]
        median = statistics.median(times)
        slow += median > _GOAL_MS
        mark = "  over the goal" if median > _GOAL_MS else ""
        print(f"{median:10.1f}  {max(times):10.1f}  {name}{mark}", flush=True)  # noqa: T201
    print(f"{slow} questions over {_GOAL_MS:.0f} ms")  # noqa: T201


def _milliseconds(client: httpx.Client, path: str, params: dict[str, Any]) -> float:
    began = time.perf_counter()
    response = client.get(path, params=params)
    took = (time.perf_counter() - began) * 1000
    response.raise_for_status()
    return took


def _questions(client: httpx.Client, month: datetime, events: int) -> dict[str, Question]:
    odd = _between(month + timedelta(hours=3, minutes=20), month + timedelta(days=11, hours=7, minutes=41))
    day = _between(month + timedelta(days=7), month + timedelta(days=8))
    since = {"start_date": month.isoformat()}
    session = {"session_id": f"session-{events // 20}"}
    [row] = client.get("/v1/usage", params={**session, "limit": 1}).json()
    deep = client.get("/v1/usage", params={"end_date": (month + timedelta(days=9)).isoformat()})
    return {
        **_rows(session, row["request_id"], deep.headers["x-next-cursor"]),
        **_counts(odd, session),
        "summary: all": ("/v1/usage/summary", {}),
        "summary: all between odd times": ("/v1/usage/summary", odd),
        "summary: by model": ("/v1/usage/summary", {**since, "group_by": "model"}),
        "summary: by user and model": ("/v1/usage/summary", {**since, "group_by": ["user_id", "model"]}),
        "summary: by key, of one model": (
            "/v1/usage/summary",
            {**since, "model": "gpt-4o-mini", "group_by": "api_key_id"},
        ),
        "summary: by session, of one user's day": (
            "/v1/usage/summary",
            {**day, "user_id": "user-7", "group_by": "session_id"},
        ),
        "summary: by session, of a day": ("/v1/usage/summary", {**day, "group_by": "session_id"}),
        "summary: by session, of the month": ("/v1/usage/summary", {**since, "group_by": "session_id"}),
        "summary: one end user": ("/v1/usage/summary", {"end_user": "end-user-77"}),
        "summary: one tag, by model": ("/v1/usage/summary", {**since, "tag": "team=team-7", "group_by": "model"}),
        **_series(since),
    }


def _between(start: datetime, end: datetime) -> dict[str, Any]:
    return {"start_date": start.isoformat(), "end_date": end.isoformat()}


def _rows(session: dict[str, Any], request_id: str, deep: str) -> dict[str, Question]:
    return {
        "rows: newest 100": ("/v1/usage", {}),
        "rows: one user's newest 100": ("/v1/usage", {"user_id": "user-7"}),
        "rows: one key's newest 100": ("/v1/usage", {"api_key_id": "key-77"}),
        "rows: one session": ("/v1/usage", session),
        "rows: one request": ("/v1/usage", {"request_id": request_id}),
        "rows: one end user's newest 100": ("/v1/usage", {"end_user": "end-user-77"}),
        "rows: newest 100 of a tag": ("/v1/usage", {"tag": "team=team-7"}),
        "rows: newest 100 of a kind": ("/v1/usage", {"kind": "attempt"}),
        "rows: deep, by cursor": ("/v1/usage", {"cursor": deep}),
        "rows: skip 10,000": ("/v1/usage", {"skip": 10_000}),
    }


def _counts(odd: dict[str, Any], session: dict[str, Any]) -> dict[str, Question]:
    return {
        "count: all": ("/v1/usage/count", {}),
        "count: one user between odd times": ("/v1/usage/count", {**odd, "user_id": "user-7"}),
        "count: one session": ("/v1/usage/count", session),
        "count: one end user": ("/v1/usage/count", {"end_user": "end-user-77"}),
        "count: one kind": ("/v1/usage/count", {"kind": "attempt"}),
        "count: one tag": ("/v1/usage/count", {"tag": "team=team-7"}),
    }


def _series(since: dict[str, Any]) -> dict[str, Question]:
    path, seoul, kolkata = "/v1/usage/series", {"timezone": "Asia/Seoul"}, {"timezone": "Asia/Kolkata"}
    return {
        "series: days, UTC": (path, since),
        "series: days, Seoul": (path, {**since, **seoul}),
        "series: days, Kolkata (:30)": (path, {**since, **kolkata}),
        "series: days by model, Seoul": (path, {**since, **seoul, "group_by": "model"}),
        "series: days of one key, Seoul": (path, {**since, **seoul, "api_key_id": "key-77"}),
        "series: hours of one user": (path, {**since, "bucket": "hour", "user_id": "user-7"}),
        "series: days of one kind": (path, {**since, "kind": "attempt"}),
        "series: days of one end user": (path, {**since, "end_user": "end-user-77"}),
    }


if __name__ == "__main__":
    sys.exit(main())
