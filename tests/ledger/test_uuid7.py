"""The time inside a UUIDv7."""

from __future__ import annotations

import pytest

from ledger.tables import to_us
from ledger.uuid7 import event_time_us, is_uuid7
from tests.usage_worker.events import NOON, event_id


def test_the_time_inside_an_id() -> None:
    assert event_time_us(event_id(NOON, 1)) == to_us(NOON)
    assert is_uuid7(event_id(NOON, 1))
    assert not is_uuid7(event_id(NOON, 1).upper())
    assert not is_uuid7(event_id(NOON, 1).replace("-", ""))
    with pytest.raises(ValueError, match="not a UUIDv7"):
        event_time_us("c56a4180-65aa-42ec-a945-5fd21dec0538")
