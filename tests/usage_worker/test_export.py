"""Exports hold every event with exact amounts, and read back as what was stored."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from ledger.filters import UsageFilter
from tests.usage_worker.events import NOON, save, usage_event
from usage_contract.event import Caller
from usage_worker.export import COLUMNS, CannotExport, export


@pytest.fixture
def filled(ledger: Engine) -> Engine:
    save(
        ledger,
        [
            usage_event(1, cost_pico=1_234_567_890_123_456_789 // 10, dropped=("seed", "n")),
            usage_event(
                2, NOON + timedelta(seconds=1), cost_pico=None, price=None, caller=Caller(tags={"a": "빨강,\n"})
            ),
            usage_event(3, NOON + timedelta(seconds=2), cost_pico=0, caller=Caller(end_user="=HYPERLINK(1)")),
        ],
        NOON + timedelta(seconds=9),
    )
    return ledger


def _written(engine: Engine, form: str, wanted: UsageFilter | None = None) -> bytes:
    target = io.BytesIO()
    export(engine, wanted or UsageFilter(), form, target)
    return target.getvalue()


def test_csv_has_a_header_one_line_an_event_and_exact_dollars(filled: Engine) -> None:
    rows = list(csv.DictReader(io.StringIO(_written(filled, "csv").decode(), newline="")))
    assert len(rows) == 3
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["cost_usd"] == "123456.789012345678"
    assert (rows[1]["cost_usd"], rows[1]["cost_pico"], rows[1]["price"]) == ("", "", "")
    assert rows[2]["cost_usd"] == "0"
    assert json.loads(rows[1]["tags"]) == {"a": "빨강,\n"}
    assert json.loads(rows[0]["dropped"]) == ["seed", "n"]
    assert datetime.fromisoformat(rows[0]["event_time"]) == NOON
    assert rows[0]["stream"] == "false"


def test_a_callers_text_is_no_formula(filled: Engine) -> None:
    rows = list(csv.DictReader(io.StringIO(_written(filled, "csv").decode(), newline="")))
    assert rows[2]["end_user"] == "'=HYPERLINK(1)"


def test_jsonl_amounts_are_exact_numbers(filled: Engine) -> None:
    lines = _written(filled, "jsonl").decode().splitlines()
    rows = [json.loads(line, parse_float=Decimal) for line in lines]
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["cost_usd"] == Decimal("123456.789012345678")
    assert rows[1]["cost_usd"] is None
    assert rows[2]["cost_usd"] == 0
    assert rows[0]["price"] == {"input": "0.15", "output": "0.6"}
    assert rows[2]["end_user"] == "=HYPERLINK(1)"


@pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="pyarrow, 55 MB, is not installed: tollgate[export]"
)
def test_parquet_has_types_and_exact_decimals(filled: Engine) -> None:
    parquet = importlib.import_module("pyarrow.parquet")
    rows = parquet.read_table(io.BytesIO(_written(filled, "parquet"))).to_pylist()
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["cost_usd"] == Decimal("123456.789012345678")
    assert rows[0]["event_time"] == NOON
    assert rows[1]["cost_usd"] is None
    assert json.loads(rows[0]["price"]) == {"input": "0.15", "output": "0.6"}
    empty = parquet.read_table(io.BytesIO(_written(filled, "parquet", UsageFilter(user_id="nobody"))))
    assert (empty.num_rows, tuple(empty.column_names)) == (0, COLUMNS)


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is not None, reason="pyarrow is installed")
def test_parquet_without_its_library_says_what_to_do(filled: Engine) -> None:
    with pytest.raises(CannotExport, match=r"pip install 'tollgate\[export\]'"):
        _written(filled, "parquet")


def test_only_what_matches(filled: Engine) -> None:
    wanted = UsageFilter(start=NOON + timedelta(seconds=1), end=NOON + timedelta(seconds=2))
    assert len(_written(filled, "jsonl", wanted).splitlines()) == 1
    assert len(_written(filled, "csv", UsageFilter(user_id="nobody")).splitlines()) == 1
