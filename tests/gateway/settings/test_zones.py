"""Zones by name, and the one that reports are in."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.settings import Overrides, SettingsError, load
from gateway.settings.zones import zone_of


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "America", "", "utc "])
def test_a_zone_that_does_not_exist(name: str) -> None:
    with pytest.raises(ValueError, match="not a time zone"):
        zone_of(name)


def test_the_reporting_zone_is_a_setting(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("reporting_zone: Asia/Seoul\n", encoding="utf-8")
    assert load(Overrides(config=config), {}).zone == ZoneInfo("Asia/Seoul")
    assert load(Overrides(config=config), {"GATEWAY_REPORTING_ZONE": "UTC"}).zone is UTC
    config.write_text("reporting_zone: Asia/Soul\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"reporting_zone: .*'Asia/Soul' is not a time zone"):
        load(Overrides(config=config), {})
