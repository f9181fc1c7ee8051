"""Whatever the schema of the API allows, and what it does not, is answered: never with a 500."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok

from tests.deployment import MASTER_KEY, Deployment
from tests.replay import Upstream

MANAGEMENT = "^/(v1/(keys|users|budgets|pricing|audit|usage)|api/(models|usage)|status|traces)"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with Upstream() as upstream, Deployment(tmp_path_factory.mktemp("schema"), upstream.url) as deployment:
        yield deployment


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_management_call_is_a_server_error(place: Deployment, mode: GenerationMode) -> None:
    described = httpx.get(f"{place.url}/openapi.json").json()
    api = schemathesis.openapi.from_dict(described).include(path_regex=MANAGEMENT)
    operations = [each.ok() for each in api.get_all_operations() if isinstance(each, Ok)]
    assert len(operations) > 20
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not (list(operation.iter_parameters()) or operation.body):
            continue  # nothing that could be wrong
        headers = {"Authorization": f"Bearer {MASTER_KEY}"}

        @given(operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=8,
            derandomize=True,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        def answered(case: Case[Any]) -> None:
            case.call_and_validate(base_url=place.url, headers=headers, checks=[not_a_server_error])  # noqa: B023

        answered()
