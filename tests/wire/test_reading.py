from __future__ import annotations

from typing import Any

import orjson
import pytest

from wire.dialects.gemini.shape import optional_integer
from wire.reading import WrongType, integer_or_none


@pytest.mark.parametrize("read", [integer_or_none, optional_integer])
@pytest.mark.parametrize("value", [0, -(2**63), 2**64 - 1, 16.0, None])
def test_an_integer_is_what_can_be_written_again(read: Any, value: Any) -> None:
    found = read({"n": value}, "n", "")
    assert found == value
    assert orjson.loads(orjson.dumps(found)) == value


@pytest.mark.parametrize("read", [integer_or_none, optional_integer])
@pytest.mark.parametrize("value", [1e30, -1e30, 2**64, -(2**63) - 1, 1.5, True, []])
def test_what_cannot_is_named(read: Any, value: Any) -> None:
    with pytest.raises(WrongType) as raised:
        read({"n": value}, "n", "settings")
    assert raised.value.path == "settings.n"
