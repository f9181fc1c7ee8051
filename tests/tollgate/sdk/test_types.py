"""Typed objects hold all that the wire held: every recorded answer and event comes back as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recorded import documents
from tests.traffic import interactions, needs_traffic
from tollgate.sdk.types import (
    ChatCompletion,
    ChatCompletionChunk,
    MessageResponse,
    MessageStreamEvent,
    Response,
    ResponseStreamEvent,
)
from tollgate.sdk.types.shape import Answer, Shape, WrongForm, read

KINDS: dict[str, tuple[type[Answer], type[Shape]]] = {
    "chat/completions": (ChatCompletion, ChatCompletionChunk),
    "messages": (MessageResponse, MessageStreamEvent),
    "responses": (Response, ResponseStreamEvent),
}


def without_nulls(value: Any) -> Any:
    """Typed fields do not tell null from absent; what no type knows is kept as it was."""
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def _recorded(endpoint: str) -> Iterator[tuple[str, type[Shape], dict[str, Any]]]:
    whole, event = KINDS[endpoint]
    for found in interactions(lambda row: row["endpoint"] == endpoint and row["status"] == 200):
        body = found["response"]["body_text"]
        kind: type[Shape] = whole if body.lstrip().startswith("{") else event
        for document in documents(body):
            if isinstance(document, dict):
                yield found["id"], kind, document


@needs_traffic
@pytest.mark.parametrize("endpoint", KINDS)
def test_nothing_recorded_is_lost_in_a_type(endpoint: str) -> None:
    seen, problems = 0, []
    for name, kind, document in _recorded(endpoint):
        made = read(kind, document)
        back = without_nulls(json.loads(json.dumps(made.model_dump(exclude_none=True))))
        seen += 1
        if back != without_nulls(document):
            problems.append(f"{name}: {back}\n  {document}"[:2000])
        assert set(made.model_dump()) >= set(document)
    assert not problems, f"{len(problems)} of {seen}\n" + "\n".join(problems[:3])
    assert seen > 100


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    kind=st.sampled_from([kind for pair in KINDS.values() for kind in pair]),
    value=st.dictionaries(
        st.sampled_from(["id", "choices", "usage", "content", "output", "delta", "item", "message", "x", "__class__"]),
        _JSON,
        max_size=5,
    ),
)
def test_any_object_is_read_whole_or_refused_by_its_place(kind: type[Shape], value: dict[str, Any]) -> None:
    refused = ""
    made: Shape | None = None
    try:
        made = read(kind, value)
    except WrongForm as error:
        refused = str(error)
    if made is None:
        assert refused.startswith("the answer.")
        return
    assert without_nulls(made.model_dump(exclude_none=True)) == without_nulls(value)
    repr(made)


def test_fields_can_be_set_and_are_dumped() -> None:
    made = ChatCompletion(id="x")
    assert made.model_dump(exclude_none=True)["id"] == "x"
    assert made.model_dump()["usage"] is None
    made.choices = []
    made.model = "m"
    assert json.loads(made.model_dump_json(exclude_none=True))["model"] == "m"
    assert "tollgate" not in made.model_dump()
    assert made.dropped == ()
