"""Events as CSV, JSON lines or Parquet: the columns of `usage_events`, and the cost in US dollars, exact."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import io
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import Any, BinaryIO

from sqlalchemy import Engine

from ledger.queries import UsageFilter, UsageRow, each_event
from ledger.tables import TOKEN_COLUMNS
from usage_contract.money import decimal_from_pico, json_number

# An extra of its own: large, and of use to few.
_pyarrow: Any = importlib.import_module("pyarrow") if importlib.util.find_spec("pyarrow") else None
_parquet: Any = importlib.import_module("pyarrow.parquet") if _pyarrow else None

_PARQUET_ROWS = 20_000


class CannotExport(Exception):
    """One line for a person."""


def export(engine: Engine, wanted: UsageFilter, form: str, target: BinaryIO) -> int:
    """Write all matching events, oldest first, in one consistent view; `form` is a key of FORMATS. Returns how many.

    Raises CannotExport when Parquet is asked for and its library is not there.
    """
    return FORMATS[form](each_event(engine, wanted), target)


# Column to where it is in a UsageRow.
_PATHS = {
    "event_time": "at",
    **{name: f"event.{name}" for name in ("event_id", "request_id", "kind", "status")},
    **{name: f"event.caller.{name}" for name in ("user_id", "key_id", "session_id", "end_user", "tags")},
    **{name: f"event.{name}" for name in ("surface", "provider", "model_asked", "model_used", "attempt", "stream")},
    **{name: f"event.{name}" for name in ("byok", "http_status", "error_code", "finish_reason", "response_id")},
    "service_tier": "event.service_tier",
    **{column: f"event.tokens.{name}" for name, column in TOKEN_COLUMNS.items()},
    **{name: f"event.{name}" for name in ("estimated", "cost_pico", "provider_cost_pico", "price", "dropped")},
    "started_at": "started_at",
    **{name: f"event.{name}" for name in ("duration_us", "first_token_us", "overhead_us", "producer", "segment")},
    "received_at": "received_at",
    "schema_version": "event.schema_version",
}
COLUMNS = (*_PATHS, "cost_usd")
_values = attrgetter(*_PATHS.values())


def flat(row: UsageRow) -> dict[str, Any]:
    """One event as columns, all of COLUMNS but the dollars, which each format writes in its own exact way."""
    return dict(zip(_PATHS, _values(row), strict=True))


def _csv(rows: Iterator[UsageRow], target: BinaryIO) -> int:
    text = io.TextIOWrapper(target, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    count = 0
    for row in rows:
        cost = row.event.cost_pico
        dollars = "" if cost is None else json_number(cost)
        writer.writerow([*(_csv_field(value) for value in _values(row)), dollars])
        count += 1
    text.detach()
    return count


def _csv_field(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict | tuple):
        return json.dumps(value, ensure_ascii=False) if value else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    # A spreadsheet would run what begins so as a formula, and callers choose some of these texts.
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _jsonl(rows: Iterator[UsageRow], target: BinaryIO) -> int:
    count = 0
    for row in rows:
        values = flat(row)
        cost = values["cost_pico"]
        line = json.dumps(values, ensure_ascii=False, default=datetime.isoformat, separators=(",", ":"))
        # Spliced in as text: a float would not hold the amount.
        target.write(f'{line[:-1]},"cost_usd":{"null" if cost is None else json_number(cost)}}}\n'.encode())
        count += 1
    return count


def _to_parquet(rows: Iterator[UsageRow], target: BinaryIO) -> int:
    if _parquet is None:
        raise CannotExport("Parquet needs pyarrow: pip install 'tollgate[export]' (or pyarrow), or export csv or jsonl")
    count = 0
    schema = _parquet_schema()
    with _parquet.ParquetWriter(target, schema) as writer:
        while chunk := [_parquet_values(row) for row in islice(rows, _PARQUET_ROWS)]:
            writer.write_table(_pyarrow.Table.from_pylist(chunk, schema=schema))
            count += len(chunk)
    return count


def _parquet_values(row: UsageRow) -> dict[str, Any]:
    values = flat(row)
    cost = values["cost_pico"]
    values["cost_usd"] = None if cost is None else decimal_from_pico(cost)
    for name in ("tags", "price", "dropped"):
        values[name] = json.dumps(values[name], ensure_ascii=False) if values[name] else None
    return values


def _parquet_schema() -> Any:
    arrow = _pyarrow
    times, booleans = ("event_time", "started_at", "received_at"), ("stream", "byok", "estimated")
    numbers = (
        *("attempt", "http_status", "cost_pico", "provider_cost_pico", "duration_us", "first_token_us", "overhead_us"),
        *("segment", "schema_version", *TOKEN_COLUMNS.values()),
    )
    kinds = {
        **dict.fromkeys(times, arrow.timestamp("us", tz="UTC")),
        **dict.fromkeys(booleans, arrow.bool_()),
        **dict.fromkeys(numbers, arrow.int64()),
        "cost_usd": arrow.decimal128(38, 12),
    }
    return arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])


FORMATS: dict[str, Callable[[Iterator[UsageRow], BinaryIO], int]] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "parquet": _to_parquet,
}
