"""A newer price list in the data folder is taken over while the gateway serves."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.catalogue import Catalogue, catalogue_path, refreshed_path
from gateway.models import Models
from gateway.price_list import PriceList
from gateway.routing.providers import build_providers
from gateway.settings import Settings
from tests.gateway.calls.places import NoPrices


def place(data_dir: Path) -> tuple[Models, PriceList]:
    settings = Settings(data_dir=data_dir)
    providers = build_providers(settings, lambda entry, names, variables: "key")
    prices = Catalogue(catalogue_path(data_dir))
    models = Models(settings, providers, prices, NoPrices(), lambda: datetime.now(UTC))
    return models, PriceList(models, data_dir)


def put(data_dir: Path, input_price: str) -> None:
    """As `tollgate prices apply` does."""
    data: dict[str, Any] = json.loads(Path(catalogue_path(Path("nowhere"))).read_bytes())
    row = next(row for row in data["models"]["openai"] if row["id"] == "gpt-4o-mini")
    row["p"][0][1]["input"] = input_price
    fresh = data_dir / "fresh"
    fresh.write_text(json.dumps(data), encoding="utf-8")
    fresh.replace(refreshed_path(data_dir))


def rate(models: Models) -> Decimal | None:
    price = models.price(models.resolve("gpt-4o-mini")[0])
    return None if price is None else price.rates.input


def test_it_counts_from_the_next_look_on(tmp_path: Path) -> None:
    models, prices = place(tmp_path)
    prices.look()
    assert rate(models) == Decimal("0.15")
    for text in ("0.2", "0.3"):
        put(tmp_path, text)
        prices.look()
        assert rate(models) == Decimal(text)
    refreshed_path(tmp_path).unlink()
    prices.look()
    assert rate(models) == Decimal("0.15")


def test_what_is_no_price_list_changes_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models, prices = place(tmp_path)
    refreshed_path(tmp_path).write_text('{"models": 5}', encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        prices.look()
        prices.look()
    assert len(caplog.records) == 1
    assert "not a price list" in caplog.text
    assert rate(models) == Decimal("0.15")
