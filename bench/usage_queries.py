"""How long the questions of `GET /v1/usage*` take on a large ledger.

    python -m bench.usage_queries --events 10000000

Fills a Postgres of its own, makes the rollups from the events, and prints the median of each question.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, text

from bench.worker import fill_ledger
from ledger import migrate
from ledger.engine import make_engine
from ledger.filters import UsageFilter
from ledger.partitions import midnight, month_of
from ledger.queries import usage_count, usage_page
from ledger.summaries import series, summary, totals
from tests.services import session_postgres
from usage_worker.rebuild import rebuild

_REPEATS = 7


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    with session_postgres() as url:
        migrate.upgrade(url)
        fill_ledger(url, options.events)
        engine = make_engine(url)
        rebuild(engine)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        print(f"{options.events:,} events")  # noqa: T201
        for name, question in _questions(engine).items():
            print(f"  {_median_ms(question):8.1f} ms  {name}")  # noqa: T201
        engine.dispose()
    return 0


def _questions(engine: Engine) -> dict[str, Callable[[], object]]:
    month = midnight(month_of(datetime.now(UTC)))
    odd = UsageFilter(start=month + timedelta(hours=3, minutes=20), end=month + timedelta(days=11, hours=7, minutes=41))
    seoul, kolkata = ZoneInfo("Asia/Seoul"), ZoneInfo("Asia/Kolkata")
    deep = usage_page(engine, UsageFilter(end=month + timedelta(days=9)), limit=100).next_cursor
    return {
        "page: newest 100": lambda: usage_page(engine, UsageFilter(), limit=100),
        "page: one user's newest 100": lambda: usage_page(engine, UsageFilter(user_id="user-7"), limit=100),
        "page: one key's newest 100": lambda: usage_page(engine, UsageFilter(key_id="key-77"), limit=100),
        "page: one session": lambda: usage_page(engine, UsageFilter(session_id="session-4242"), limit=100),
        "page: deep, by cursor": lambda: usage_page(engine, UsageFilter(), limit=100, cursor=deep),
        "page: skip 10,000": lambda: usage_page(engine, UsageFilter(), limit=100, skip=10_000),
        "count: all": lambda: usage_count(engine, UsageFilter()),
        "count: one user between odd times": lambda: usage_count(engine, _of_user(odd)),
        "totals: all between odd times": lambda: totals(engine, odd),
        "totals: one user": lambda: totals(engine, UsageFilter(user_id="user-7")),
        "summary: by model": lambda: summary(engine, UsageFilter(start=month), ("model",)),
        "summary: by user and model": lambda: summary(engine, UsageFilter(start=month), ("user_id", "model")),
        "summary: by key, of one model": lambda: summary(
            engine, UsageFilter(start=month, model="gpt-4o-mini"), ("key_id",)
        ),
        "series: days by model, Seoul": lambda: series(engine, UsageFilter(start=month), "day", ("model",), zone=seoul),
        "series: days of one key, Seoul": lambda: series(
            engine, UsageFilter(key_id="key-77", start=month), "day", zone=seoul
        ),
        "series: days, UTC": lambda: series(engine, UsageFilter(start=month), "day"),
        "series: days, Seoul": lambda: series(engine, UsageFilter(start=month), "day", zone=seoul),
        "series: days, Kolkata (:30)": lambda: series(engine, UsageFilter(start=month), "day", zone=kolkata),
        "series: hours of one user": lambda: series(engine, UsageFilter(user_id="user-7", start=month), "hour"),
    }


def _of_user(wanted: UsageFilter) -> UsageFilter:
    return UsageFilter(start=wanted.start, end=wanted.end, user_id="user-7")


def _median_ms(question: Callable[[], object]) -> float:
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        question()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
