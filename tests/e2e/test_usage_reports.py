"""`/v1/usage/summary|series`: sums of the ledger over HTTP, in the reporting zone, for whoever may see them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from ledger.engine import make_engine
from tests.deployment import MASTER_KEY, Deployment
from tests.replay import Upstream
from tests.usage_worker.events import save, usage_event
from usage_contract.event import Caller

# In New York the day of 8 March 2026 has 23 hours, that of 1 November 25.
SPRING = datetime(2026, 3, 8, 5, tzinfo=UTC)
AUTUMN = datetime(2026, 11, 1, 4, tzinfo=UTC)
PRICE = 1_500_000_000_001  # pico-dollars


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Calls in every hour of two odd days and one hour on either side of each."""
    config = {"reporting_zone": "America/New_York"}
    with Upstream() as upstream, Deployment(tmp_path_factory.mktemp("reports"), upstream.url, config=config) as made:
        engine = make_engine(f"sqlite:///{made.folder / 'data' / 'ledger.db'}")
        hours = [SPRING + timedelta(hours=n) for n in range(-1, 24)] + [AUTUMN + timedelta(hours=n) for n in range(26)]
        hours.append(AUTUMN - timedelta(hours=1))
        events = [
            usage_event(
                number,
                at,
                cost_pico=PRICE,
                caller=Caller(user_id=f"user-{number % 2}", session_id="s", tags={"team": "red" if number else "blue"}),
                provider="openai" if number % 3 else "anthropic",
                kind="attempt" if number == 5 else "final",
            )
            for number, at in enumerate(hours)
        ]
        save(engine, events, AUTUMN + timedelta(days=2))
        engine.dispose()
        yield made


def _ask(place: Deployment, path: str, key: str = MASTER_KEY, **params: Any) -> Any:
    """Floats would not hold the amounts."""
    response = httpx.get(place.url + path, params=params, headers={"Authorization": f"Bearer {key}"}, timeout=30)
    assert response.status_code == 200, response.text
    return response.json(parse_float=Decimal)


def test_days_of_the_reporting_zone_have_23_and_25_hours(place: Deployment) -> None:
    found = _ask(place, "/v1/usage/series")
    assert (found["bucket"], found["timezone"]) == ("day", "America/New_York")
    assert [(day["start"], day["rows"]) for day in found["series"]] == [
        ("2026-03-07T00:00:00-05:00", 1),
        ("2026-03-08T00:00:00-05:00", 23),
        ("2026-03-09T00:00:00-04:00", 1),
        ("2026-10-31T00:00:00-04:00", 1),
        ("2026-11-01T00:00:00-04:00", 25),
        ("2026-11-02T00:00:00-05:00", 1),
    ]
    assert found["series"][1]["cost"] == Decimal(23 * PRICE).scaleb(-12)


def test_the_zone_is_a_matter_of_the_question(place: Deployment) -> None:
    in_utc = _ask(place, "/v1/usage/series", timezone="UTC")
    assert [(day["start"], day["rows"]) for day in in_utc["series"]] == [
        ("2026-03-08T00:00:00Z", 20),
        ("2026-03-09T00:00:00Z", 5),
        ("2026-11-01T00:00:00Z", 21),
        ("2026-11-02T00:00:00Z", 6),
    ]
    months = _ask(place, "/v1/usage/series", bucket="month", group_by="provider")
    assert [(each["start"][:7], each["provider"], each["rows"]) for each in months["series"]] == [
        ("2026-03", "openai", 16),
        ("2026-03", "anthropic", 9),
        ("2026-10", "anthropic", 1),
        ("2026-11", "openai", 18),
        ("2026-11", "anthropic", 8),
    ]


def test_a_summary_groups_and_adds_up(place: Deployment) -> None:
    found = _ask(place, "/v1/usage/summary", group_by=["user_id", "provider"])
    assert found["totals"]["rows"] == 52
    assert found["totals"]["calls"] == 51
    assert found["totals"]["cost"] == Decimal(52 * PRICE).scaleb(-12)
    assert sum(group["cost"] for group in found["groups"]) == found["totals"]["cost"]
    assert {(group["user_id"], group["provider"]) for group in found["groups"]} == {
        (user, provider) for user in ("user-0", "user-1") for provider in ("openai", "anthropic")
    }
    assert not found["more_groups"]
    first = _ask(place, "/v1/usage/summary", group_by=["user_id", "provider"], limit=1)
    assert (first["groups"], first["more_groups"]) == (found["groups"][:1], True)
    assert first["totals"] == found["totals"]


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({"provider": "openai"}, 34),
        ({"user_id": "user-1"}, 26),
        ({"kind": "attempt"}, 1),
        ({"tag": "team=blue"}, 1),
        ({"session_id": "s", "model": "gpt-4o-mini-1"}, 26),
        ({"start_date": "2026-03-08T05:00:00", "end_date": "2026-03-09"}, 19),
    ],
)
def test_all_four_take_the_same_filters(place: Deployment, wanted: dict[str, str], rows: int) -> None:
    assert _ask(place, "/v1/usage/count", **wanted) == {"count": rows}
    assert len(_ask(place, "/v1/usage", limit=1000, **wanted)) == rows
    assert _ask(place, "/v1/usage/summary", **wanted)["totals"]["rows"] == rows
    assert sum(each["rows"] for each in _ask(place, "/v1/usage/series", **wanted)["series"]) == rows


def test_a_virtual_key_sees_its_own_users_sums(place: Deployment) -> None:
    made = place.post("/v1/keys", {"user_id": "user-1"}, key=MASTER_KEY)
    assert made.status_code == 200, made.text
    key = made.json()["key"]
    for wanted in ({}, {"user_id": "user-0"}):
        found = _ask(place, "/v1/usage/summary", key, group_by="user_id", **wanted)
        assert [(group["user_id"], group["rows"]) for group in found["groups"]] == [("user-1", 26)]
        assert sum(day["rows"] for day in _ask(place, "/v1/usage/series", key, **wanted)["series"]) == 26


@pytest.mark.parametrize(
    ("path", "wrong", "words"),
    [
        ("series", {"timezone": "Mars/Olympus"}, "time zone"),
        ("series", {"bucket": "week"}, "bucket"),
        ("series", {"bucket": "hour", "start_date": "2001-01-01", "end_date": "2026-01-01"}, "choose a shorter time"),
        ("summary", {"group_by": "colour"}, "group_by"),
        ("summary", {"kind": "odd"}, "kind"),
        ("summary", {"tag": "team"}, "tag"),
    ],
)
def test_what_cannot_be_asked(place: Deployment, path: str, wrong: dict[str, str], words: str) -> None:
    response = place.get(f"/v1/usage/{path}", **wrong)
    assert response.status_code in (400, 422)
    assert words in response.text
