from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.metering.adoption import adopt
from gateway.metering.folders import claim
from gateway.metering.settlement import Attempt, Metering
from gateway.metering.spool import Spool, SpoolSettings
from tests.gateway.metering.ledgers import SUCCESS, begin, fill, lines, spooled_events, spooled_intents
from usage_contract.spool import read_lines, sealed_count, segment_path, segments
from wire.errors import NotReady


@contextmanager
def opened(root: Path, **settings: object) -> Iterator[tuple[Spool, Metering]]:
    spool = Spool(SpoolSettings(root=root, **settings))  # type: ignore[arg-type]
    spool.open()
    try:
        yield spool, Metering(spool)
    finally:
        spool.close()


def begin_until_refused(metering: Metering) -> tuple[list[Attempt], NotReady]:
    attempts: list[Attempt] = []
    while len(attempts) < 2_000:
        try:
            attempts.append(begin(metering))
        except NotReady as refusal:
            return attempts, refusal
    pytest.fail("never refused")


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


@pytest.mark.parametrize("fsync", ["never", "always", 20])
def test_what_is_written_can_be_read_by_another_process_at_once(tmp_path: Path, fsync: object) -> None:
    with opened(tmp_path, fsync=fsync) as (spool, metering):
        attempt = begin(metering)
        assert [each.event_id for each in spooled_intents(spool.folder)] == [attempt.event_id]
        event = attempt.finish(SUCCESS)
        assert spooled_events(spool.folder) == [event]
        assert (event.producer, event.segment) == (spool.producer, 1)
        assert spool.open_intents == 0
    assert [kind for _, kind, _ in lines(spool.folder)] == ["I", "E", "S"]


def test_a_spool_that_wrote_nothing_leaves_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as (spool, _):
        assert spool.folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_held_while_the_spool_is_open(tmp_path: Path) -> None:
    with opened(tmp_path) as (spool, metering):
        begin(metering)
        assert claim(spool.folder) is None
    lock = claim(spool.folder)
    assert lock is not None
    os.close(lock)


def test_two_spools_share_a_root(tmp_path: Path) -> None:
    with opened(tmp_path) as (one, first), opened(tmp_path) as (two, second):
        assert one.producer != two.producer
        begin(first).finish(SUCCESS)
        begin(second).finish(SUCCESS)
        assert len(spooled_events(one.folder)) == len(spooled_events(two.folder)) == 1


def test_segments_are_sealed_by_size_and_state_their_count(tmp_path: Path) -> None:
    with opened(tmp_path, segment_bytes=5_000) as (spool, metering):
        for _ in range(40):
            begin(metering).finish(SUCCESS)
        sealed = spool.sealed()
        assert len(sealed) > 3
        for number, state in sealed.items():
            read = list(read_lines(segment_path(spool.folder, number)))
            assert sealed_count(read[-1]) == state.events == sum(line.kind == "E" for line in read)
            assert read[-1].end == state.size == segment_path(spool.folder, number).stat().st_size
        assert sum(state.events for state in sealed.values()) + spool.segment_events == 40
        for event in spooled_events(spool.folder):
            numbers = [
                number
                for number, kind, payload in lines(spool.folder)
                if kind == "E" and event.event_id.encode() in payload
            ]
            assert numbers == [event.segment]


def test_a_segment_is_sealed_when_it_is_old_but_not_without_an_event(tmp_path: Path) -> None:
    with opened(tmp_path, segment_seconds=0.05) as (spool, metering):
        attempt = begin(metering)
        time.sleep(0.6)  # two looks of the spool's thread: nothing to wait for can be observed
        assert spool.sealed() == {}
        attempt.finish(SUCCESS)
        until(spool.sealed)
        assert spool.segment == 2


def test_an_open_intent_moves_out_of_a_segment_that_is_released(tmp_path: Path) -> None:
    with opened(tmp_path) as (spool, metering):
        attempt = begin(metering)
        begin(metering).finish(SUCCESS)
        spool.seal()
        spool.release(1)
        assert segments(spool.folder) == [2]
        assert [each.event_id for each in spooled_intents(spool.folder)] == [attempt.event_id]
        spool.seal()
        spool.release(2)
        event = attempt.finish(SUCCESS)
        assert event.segment == 3
        assert spooled_events(spool.folder) == [event]


def test_releasing_gives_the_bytes_back(tmp_path: Path) -> None:
    with opened(tmp_path) as (spool, metering):
        begin(metering).finish(SUCCESS)
        spool.seal()
        used = spool.bytes_used
        assert used == segment_path(spool.folder, 1).stat().st_size
        spool.release(1)
        assert spool.bytes_used == 0


def test_only_synced_bytes_may_leave_the_machine(tmp_path: Path) -> None:
    with opened(tmp_path, fsync=300) as (spool, metering):
        begin(metering).finish(SUCCESS)
        assert spool.durable_end(1) == 0
        until(lambda: spool.durable_end(1) == spool.bytes_used)
        spool.seal()
        begin(metering).finish(SUCCESS)
        until(lambda: spool.durable_end(1) == spool.sealed()[1].size and spool.durable_end(2) > 0)


def test_without_syncing_and_with_always_everything_may_leave_at_once(tmp_path: Path) -> None:
    for fsync in ("never", "always"):
        with opened(tmp_path, fsync=fsync) as (spool, metering):
            begin(metering).finish(SUCCESS)
            assert spool.durable_end(1) == spool.bytes_used > 0
            spool.seal()
            begin(metering)
            assert spool.durable_end(1) == spool.sealed()[1].size
            assert spool.durable_end(2) > 0


def test_at_the_quota_new_calls_are_refused_and_open_ones_still_settled(tmp_path: Path) -> None:
    with opened(tmp_path, quota_bytes=2_000) as (spool, metering):
        attempts, refusal = begin_until_refused(metering)
        assert refusal.status == 503
        assert "quota" in refusal.message
        assert not spool.writable
        assert spool.reason is not None
        assert "2000" in spool.reason
        events = [attempt.finish(SUCCESS) for attempt in attempts]
        assert spooled_events(spool.folder) == events
        assert spool.counts.refused == 1
        spool.seal()
        spool.release(1)
        begin(metering)


def test_other_producers_count_against_the_quota(tmp_path: Path) -> None:
    with opened(tmp_path, quota_bytes=10_000) as (spool, metering):
        spool.count_others(10_000)
        with pytest.raises(NotReady):
            begin(metering)
        spool.count_others(0)
        begin(metering)


def test_unmetered_calls_go_on_with_an_alarm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(tmp_path, quota_bytes=1, on_full="unmetered") as (spool, metering):
        first = begin(metering)  # an empty spool is below any quota
        second = begin(metering)
        assert spool.counts.unmetered == 1
        assert "UNMETERED" in caplog.text
        second.finish(SUCCESS)
        first.finish(SUCCESS)
        assert [event.event_id for event in spooled_events(spool.folder)] == [first.event_id]


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("fsync", ["never", "always", 20])
def test_a_disk_that_refuses_loses_no_event_and_tears_no_line(tmp_path: Path, fsync: object) -> None:
    with opened(tmp_path, fsync=fsync) as (spool, metering):
        attempts = [begin(metering) for _ in range(5)]
        with file_size_limit(spool.bytes_used + 700):  # room for one event and a part of the next
            settled = [attempt.finish(SUCCESS) for attempt in attempts]
            assert spool.backlog == 4
            with pytest.raises(NotReady, match="disk"):
                begin(metering)
            assert not spool.writable
        until(lambda: spool.backlog == 0)
        begin(metering).finish(SUCCESS)
        kinds = [kind for _, kind, _ in lines(spool.folder)]
        assert None not in kinds
        written = {event.event_id for event in spooled_events(spool.folder)}
        assert {event.event_id for event in settled} < written
        assert len(written) == 6
        assert spool.counts.unwritten == 0


def test_events_that_the_disk_never_took_are_counted_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(SpoolSettings(root=tmp_path, fsync="never"))
    spool.open()
    attempt = begin(Metering(spool))
    with file_size_limit(spool.bytes_used):
        attempt.finish(SUCCESS)
        spool.close()
    assert spool.counts.unwritten == 1
    assert "disk refused" in caplog.text
    found = adopt(spool.folder)
    assert found is not None
    assert found.settle() == 1
    assert [(event.event_id, event.kind) for event in spooled_events(spool.folder)] == [(attempt.event_id, "lost")]
    found.close()
    late = begin_on_closed(spool)
    assert "closed" in late


def begin_on_closed(spool: Spool) -> str:
    with pytest.raises(NotReady) as refusal:
        begin(Metering(spool))
    return refusal.value.message


def test_a_full_file_system(small_disk: Path) -> None:
    with opened(small_disk, fsync="never", segment_bytes=64_000) as (spool, metering):
        attempts = [begin(metering) for _ in range(20)]
        filler = fill(small_disk)
        attempts += begin_until_refused(metering)[0]
        for attempt in attempts:
            attempt.finish(SUCCESS)
        filler.unlink()
        until(lambda: spool.backlog == 0)
        assert {event.event_id for event in spooled_events(spool.folder)} == {each.event_id for each in attempts}
        assert None not in [kind for _, kind, _ in lines(spool.folder)]


def test_a_full_disk_lets_no_segment_go_that_holds_what_is_only_in_memory(small_disk: Path) -> None:
    """A kill then would leave nothing of the call; what holds nothing open goes, and makes room."""
    with opened(small_disk, fsync="never") as (spool, metering):
        attempt = begin(metering)
        spool.seal()
        for _ in range(20):
            begin(metering).finish(SUCCESS)
        spool.seal()
        fill(small_disk)
        attempt.finish(SUCCESS)
        assert spool.backlog == 1
        with pytest.raises(OSError, match="No space"):
            spool.release(1)
        assert attempt.event_id in {intent.event_id for intent in spooled_intents(spool.folder)}
        spool.release(2)
        until(lambda: spool.backlog == 0)
        spool.release(1)
        assert [event.event_id for event in spooled_events(spool.folder)] == [attempt.event_id]


def test_a_root_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OSError, match="file"):
        Spool(SpoolSettings(root=blocked / "spool")).open()


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    with opened(tmp_path) as (spool, metering):
        begin(metering).finish(SUCCESS)
        spool.close()
    assert [kind for _, kind, _ in lines(spool.folder)] == ["I", "E", "S"]
