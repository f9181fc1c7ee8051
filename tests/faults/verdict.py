"""Holds the ledger against what the upstream accepted and what the callers got, and counts it for the table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.admission.at_rest import holds_left
from ledger.engine import make_engine
from ledger.tables import TOKEN_COLUMNS
from tests.faults.bills import BILLS, FREE, Bill
from tests.faults.cluster import LEASE, Cluster, Death
from tests.faults.counts import Counts
from tests.faults.load import MARKER, Load, Made
from tests.replay import Call
from usage_worker.verify import verify

AFTERWARDS = 2.0  # seconds: a stream's caller may have its last byte a little before the row is written


@dataclass(frozen=True, slots=True)
class Row:
    bill: Bill
    marker: str
    kind: str
    status: str
    estimated: bool
    cost_pico: int | None
    event_id: str
    request_id: str
    attempt: int
    response_id: str | None
    http_status: int | None


def accepted(cluster: Cluster, load: Load) -> dict[str, list[Call]]:
    """What the upstream counted, by the call's marker."""
    prefix = f"call-{load.label}-".encode()
    found: dict[str, list[Call]] = defaultdict(list)
    for call in cluster.upstream.calls:
        if (match := MARKER.search(call.body)) and match[0].startswith(prefix):
            found[match[0].decode()].append(call)
    return found


def rows(cluster: Cluster, load: Load) -> dict[str, list[Row]]:
    """The ledger's rows of the load's calls."""
    columns = "session_id, kind, status, estimated, cost_pico, event_id, request_id, attempt, response_id, http_status"
    classes = tuple(TOKEN_COLUMNS.values())
    found: dict[str, list[Row]] = defaultdict(list)
    query = f"SELECT {', '.join(classes)}, {columns} FROM usage_events WHERE session_id LIKE %s"
    for values in cluster.sql(query, f"call-{load.label}-%"):
        counted, row = values[: len(classes)], values[len(classes) :]
        tokens = {name: count for name, count in zip(classes, counted, strict=True) if count}
        found[row[0]].append(Row(Bill(tokens, row[4]), *row))
    return found


def judge(
    cluster: Cluster,
    load: Load,
    case: str,
    *,
    seconds: float,
    deaths: Sequence[Death] = (),
    may_lack: Callable[[Call], bool] = lambda _call: False,
    may_be_lost: Callable[[Made], bool] | None = None,
    estimates: bool = False,
) -> Counts:
    """Wait until all is settled, then assert what the ledger promises.

    `deaths` are when gateways died. `may_lack` says which accepted calls a played crash of the machine
    may have cost their row, `may_be_lost` which calls may be `lost` rows: by default those in flight at a death.
    `estimates`: the upstream was cut off before it said what its answers cost.
    """
    cluster.settled(seconds)
    asked, written = accepted(cluster, load), rows(cluster, load)
    by_marker = {made.marker: made for made in load.made}
    in_flight = may_be_lost or (
        lambda made: any(made.started <= end and began <= made.ended + AFTERWARDS for began, end in deaths)
    )
    problems: list[str] = []
    unasked = missing = 0
    for marker, made in by_marker.items():
        calls, found = asked.get(marker, []), written.get(marker, [])
        lost = [row for row in found if row.kind == "lost"]
        more = len(found) - len(calls)
        lacks = more < 0 and all(may_lack(call) for call in sorted(calls, key=lambda call: call.at)[more:])
        if (more < 0 and not lacks) or more > len(lost):
            problems.append(f"{marker} ({made.outcome}): {len(calls)} accepted, {len(found)} rows: {found}")
        if len(lost) > 1 or (lost and not in_flight(made)):
            problems.append(f"{marker}: lost, but not in flight at a death: {made}")
        finals = sum(row.kind == "final" for row in found)
        if finals > 1 or (made.outcome == "answered" and not finals and not lost and not lacks):
            problems.append(f"{marker} ({made.outcome}): {finals} final rows: {found}")
        problems += _answers_without_their_row(made, calls, found)
        problems += [] if estimates else _not_exact(made, found)
        unasked += max(0, more)
        missing += max(0, -more)
    every = [row for found in written.values() for row in found]
    problems += [f"neither estimated nor priced: {row}" for row in every if row.kind == "lost" and not _priced(row)]
    problems += [f"rows of nobody's call: {marker}" for marker in set(written) - set(by_marker)]
    problems += _twice(every)
    problems += ledger_problems(cluster)
    letters = cluster.sql("SELECT reason, event_id, resolution FROM usage_dead_letters LIMIT 20") if problems else []
    said = [f"{len(problems)} problems", *problems[:20], *(f"dead letter: {letter}" for letter in letters)]
    assert not problems, "\n".join([*said, cluster.log_tail()])
    return _counted(case, load, sum(map(len, asked.values())), every, unasked, missing)


def _counted(case: str, load: Load, asked: int, every: Sequence[Row], unasked: int, missing: int) -> Counts:
    kinds, outcomes = Counter(row.kind for row in every), load.outcomes()
    return Counts(
        case=case,
        calls=len(load.made),
        streamed=sum(made.shape.stream for made in load.made),
        answered=outcomes["answered"],
        refused=outcomes["refused"],
        cut=outcomes["cut"],
        left=outcomes["left"],
        accepted=asked,
        rows=len(every),
        final=kinds["final"],
        attempt=kinds["attempt"],
        lost=kinds["lost"],
        unasked=unasked,
        estimated=sum(row.estimated for row in every),
        missing=missing,
        meanwhile=sum(any(window.whole(made) for window in load.windows) for made in load.made),
    )


def _answers_without_their_row(made: Made, calls: Sequence[Call], found: Sequence[Row]) -> list[str]:
    """Each row that names an answer names one that the upstream gave to this very call, no two name the same, and
    whoever was answered has such a row."""
    given, named = [call.answer_id for call in calls], [row.response_id for row in found if row.response_id]
    problems = []
    if len(set(named)) != len(named) or not set(named) <= set(given):
        problems.append(f"{made.marker}: the upstream gave {given}, the rows name {named}")
    whole = len(found) >= len(calls) and all(row.kind != "lost" for row in found)
    if made.outcome == "answered" and whole and not named:
        problems.append(f"{made.marker}: answered, and no row names the answer: {found}")
    return problems


def _not_exact(made: Made, found: Sequence[Row]) -> list[str]:
    """Each row but a `lost` one has the tokens that the upstream told, to the token and the pico-dollar."""
    due = BILLS[made.shape.model]
    return [
        f"{made.marker} ({made.outcome}, {made.shape.path}): {due} is due, the row says {row}"
        for row in found
        if row.kind != "lost" and (row.estimated or row.bill != (FREE if row.http_status == 503 else due))
    ]


def _priced(row: Row) -> bool:
    return row.estimated and row.cost_pico is not None and row.cost_pico > 0


def _twice(every: Sequence[Row]) -> list[str]:
    """No event and no attempt of a call is there a second time."""
    ids = Counter(row.event_id for row in every)
    attempts = Counter((row.request_id, row.attempt) for row in every)
    return [f"twice: {name}" for counted in (ids, attempts) for name, count in counted.items() if count > 1]


def ledger_problems(cluster: Cluster) -> list[str]:
    """sum(events) = sum(rollups) = sum(receipts), by SQL of our own; and what `tollgate usage verify` finds."""
    [(events, cost)] = cluster.sql("SELECT count(*), coalesce(sum(cost_pico), 0) FROM usage_events")
    problems = []
    for table in ("hourly_usage", "daily_usage", "monthly_usage"):
        query = f"SELECT coalesce(sum(events), 0), coalesce(sum(cost_pico), 0) FROM {table}"
        [sums] = cluster.sql(query)
        if sums != (events, cost):
            problems.append(f"{table}: {sums}, events: {(events, cost)}")
    [(stored,)] = cluster.sql("SELECT coalesce(sum(stored), 0) FROM usage_receipts")
    if stored != events:
        problems.append(f"receipts for {stored} events, there are {events}")
    engine = make_engine(cluster.database_url)
    try:
        return [*problems, *map(str, verify(engine)), *holds_left(cluster.redis_url, LEASE)]
    finally:
        engine.dispose()
