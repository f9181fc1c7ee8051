from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Literal

import pytest

from gateway.metering.adoption import Adopted, adopt, producers, size_of
from gateway.metering.lines import intent_line
from gateway.metering.settlement import Metering
from gateway.metering.spool import Spool, SpoolSettings
from tests.gateway.metering.ledgers import PRICE, SUCCESS, begin, fill, lines, spooled_events, spooled_intents
from usage_contract.event import Intent
from usage_contract.spool import frame, segment_path, segments

ROOT = Path(__file__).resolve().parents[3]

CHILD = """
import sys, itertools
from pathlib import Path
from gateway.metering.settlement import Metering
from gateway.metering.spool import Spool, SpoolSettings
from tests.gateway.metering.ledgers import SUCCESS, begin

spool = Spool(SpoolSettings(root=Path(sys.argv[1]), segment_bytes=20_000, fsync="never"))
spool.open()
metering = Metering(spool)
waiting = []
for number in itertools.count():
    waiting.append(begin(metering))
    if len(waiting) > 5:
        waiting.pop(0).finish(SUCCESS)
    if number == 200:
        print("writing", flush=True)
"""


def killed_while_writing(root: Path) -> Path:
    """The folder of a real process that was killed in the middle of its work."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(root)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == "writing\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    (folder,) = producers(root)
    return folder


def left_behind(root: Path, *, settled: int = 1, open_calls: int = 2) -> Path:
    """The folder of a spool that was closed with calls still open, as a death leaves it, whole lines only."""
    spool = Spool(SpoolSettings(root=root, fsync="never"))
    spool.open()
    metering = Metering(spool)
    for _ in range(settled):
        begin(metering).finish(SUCCESS)
    for _ in range(open_calls):
        begin(metering, output_cap=100)
    spool.close()
    return spool.folder


def tear(folder: Path, tail: bytes) -> None:
    last = segment_path(folder, segments(folder)[-1])
    last.write_bytes(last.read_bytes() + tail)


def unseal(folder: Path) -> None:
    last = segment_path(folder, segments(folder)[-1])
    whole = last.read_bytes().splitlines(keepends=True)
    assert whole[-1].startswith(b"S")
    last.write_bytes(b"".join(whole[:-1]))


def adopted(folder: Path, *, lost: int | None = None) -> Adopted:
    """Adopted and settled, with so many lost calls."""
    found = adopt(folder)
    assert found is not None
    assert found.settle() == lost or lost is None
    assert found.open == found.settle() == 0
    return found


def check_whole(found: Adopted) -> None:
    """Every intent has exactly one event, every segment states its count, no line is torn."""
    events = spooled_events(found.folder)
    ids = [event.event_id for event in events]
    assert len(ids) == len(set(ids))
    assert {intent.event_id for intent in spooled_intents(found.folder)} <= set(ids)
    assert {event.producer for event in events} <= {found.producer}
    for number, state in found.sealed().items():
        mine = [kind for segment, kind, _ in lines(found.folder) if segment == number]
        assert mine[-1] == "S"
        assert mine.count("E") == state.events == sum(event.segment == number for event in events)
        assert segment_path(found.folder, number).stat().st_size == state.size
        assert segment_path(found.folder, number).read_bytes().endswith(b"\n")


def test_a_process_killed_while_writing_leaves_no_call_without_a_row(tmp_path: Path) -> None:
    folder = killed_while_writing(tmp_path)
    before = {event.event_id for event in spooled_events(folder)}
    found = adopted(folder)
    check_whole(found)
    lost = [event for event in spooled_events(folder) if event.kind == "lost"]
    assert 4 <= len(lost) <= 7  # those in flight
    assert not before & {event.event_id for event in lost}
    found.close()


def test_a_lost_call_is_priced_by_its_estimate(tmp_path: Path) -> None:
    folder = left_behind(tmp_path, settled=0, open_calls=1)
    (intent,) = spooled_intents(folder)
    found = adopted(folder)
    (event,) = spooled_events(folder)
    assert (event.event_id, event.request_id, event.started_us) == (
        intent.event_id,
        intent.request_id,
        intent.started_us,
    )
    assert (event.kind, event.status, event.estimated) == ("lost", "lost", True)
    assert (event.tokens.input, event.tokens.output) == (100, 50)  # half of the cap of 100
    assert event.cost_pico == intent.cost_estimate_pico == 100 * 1_000_000 + 50 * 2_000_000
    assert event.price == PRICE.to_json()
    found.close()


@pytest.mark.parametrize("tail", [b"E", b"E0000", b'I12345678 {"event_id":"x', b"\0" * 100, b"\xff\xfe"])
def test_a_torn_tail_is_cut(tmp_path: Path, tail: bytes) -> None:
    folder = left_behind(tmp_path)
    unseal(folder)
    tear(folder, tail)
    found = adopted(folder, lost=2)
    check_whole(found)
    found.close()


def test_a_damaged_line_costs_only_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = left_behind(tmp_path, settled=3, open_calls=0)
    path = segment_path(folder, 1)
    whole = path.read_bytes().splitlines(keepends=True)
    event = next(number for number, line in enumerate(whole) if line.startswith(b"E"))
    whole[event] = whole[event].replace(b"success", b"sUccess")
    whole[event] = whole[event].replace(b'"m"', b'"n"')
    path.write_bytes(b"".join(whole))
    found = adopted(folder, lost=1)  # its intent is whole, so its row is an estimate
    assert found.sealed()[1].events == 2
    assert "1 damaged lines" in caplog.text
    found.close()


def test_adopting_twice_adds_nothing(tmp_path: Path) -> None:
    folder = left_behind(tmp_path)
    first = adopted(folder)
    events = spooled_events(folder)
    sealed = first.sealed()
    first.close()
    again = adopted(folder, lost=0)
    assert again.sealed() == sealed
    assert spooled_events(folder) == events
    again.close()


def test_an_adopter_that_dies_while_it_writes_lost_events_is_followed_by_another(tmp_path: Path) -> None:
    folder = left_behind(tmp_path, open_calls=5)
    first = adopted(folder)
    first.close()
    last = segment_path(folder, segments(folder)[-1])
    whole = last.read_bytes().splitlines(keepends=True)
    last.write_bytes(b"".join(whole[:2]) + whole[2][:40])  # two of five, and a part
    second = adopted(folder, lost=3)
    check_whole(second)
    second.close()


def test_an_adopter_that_died_before_its_first_line_is_followed_by_another(tmp_path: Path) -> None:
    folder = left_behind(tmp_path)
    segment_path(folder, segments(folder)[-1] + 1).write_bytes(b"")
    found = adopted(folder, lost=2)
    check_whole(found)
    found.close()


def test_a_folder_has_one_holder(tmp_path: Path) -> None:
    spool = Spool(SpoolSettings(root=tmp_path))
    spool.open()
    assert adopt(spool.folder) is None
    begin(Metering(spool))
    spool.close()
    found = adopted(spool.folder)
    assert adopt(spool.folder) is None
    found.close()


def test_a_child_of_a_dead_gateway_does_not_keep_its_lock(tmp_path: Path) -> None:
    spool = Spool(SpoolSettings(root=tmp_path))
    spool.open()
    begin(Metering(spool))
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    spool.close()
    found = adopt(spool.folder)
    child.communicate(b"\n")
    assert found is not None
    found.close()


def test_an_empty_folder_of_a_gateway_that_died_at_its_start_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "01a1f94b-a720-7767-9bec-2eedb6fc6a24"
    folder.mkdir()
    found = adopted(folder)
    assert found.sealed() == {}
    found.close()
    assert not folder.exists()
    assert adopt(folder) is None


def test_a_lock_on_a_removed_folder_does_not_count(tmp_path: Path) -> None:
    folder = left_behind(tmp_path)
    found = adopted(folder)
    stale = os.open(folder / "lock", os.O_RDWR)
    for number in sorted(found.sealed()):
        found.release(number)
    found.close()
    os.close(stale)
    assert not folder.exists()


def test_segments_are_released_and_the_folder_goes_with_the_last(tmp_path: Path) -> None:
    folder = left_behind(tmp_path)
    found = adopted(folder)
    assert found.bytes_used == size_of(folder) > 0
    for number in sorted(found.sealed()):
        assert folder.exists()
        found.release(number)
    assert found.bytes_used == 0
    found.close()
    assert not folder.exists()


@pytest.mark.parametrize("fsync", ["always", 30])
def test_an_os_crash_costs_only_calls_younger_than_the_last_sync(
    tmp_path: Path, fsync: Literal["always"] | int
) -> None:
    """What was not synced is gone: the files as they were at the last sync are what the next gateway finds."""
    spool = Spool(SpoolSettings(root=tmp_path / "before", fsync=fsync, segment_bytes=3_000))
    spool.open()
    metering = Metering(spool)
    early = [begin(metering) for _ in range(20)]
    deadline = time.monotonic() + 20
    while sum(spool.durable_end(number) for number in segments(spool.folder)) < spool.bytes_used:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    late = [begin(metering) for _ in range(3)]
    early[0].finish(SUCCESS)
    after = tmp_path / "after" / spool.producer
    after.mkdir(parents=True)
    for number in segments(spool.folder):
        durable = segment_path(spool.folder, number).read_bytes()[: spool.durable_end(number)]
        segment_path(after, number).write_bytes(durable)
    spool.close()
    found = adopted(after)
    check_whole(found)
    rows = {event.event_id for event in spooled_events(after)}
    assert {attempt.event_id for attempt in early} <= rows
    if fsync == "always":
        assert {attempt.event_id for attempt in late} <= rows
        assert [event.event_id for event in spooled_events(after) if event.kind == "final"] == [early[0].event_id]
    found.close()


def test_a_full_disk_keeps_only_what_holds_calls_without_an_event(small_disk: Path) -> None:
    """What is whole goes to the ledger and makes the room that the lost calls need."""
    spool = Spool(SpoolSettings(root=small_disk, fsync="never"))
    spool.open()
    metering = Metering(spool)
    open_call = begin(metering)
    begin(metering).finish(SUCCESS)
    spool.seal()
    for _ in range(20):
        begin(metering).finish(SUCCESS)
    spool.seal()
    spool.close()
    segment_path(spool.folder, 3).touch()  # made, and died before its first line
    fill(small_disk)
    found = adopt(spool.folder)
    assert found is not None
    assert {number: each.events for number, each in found.sealed().items()} == {1: 1, 2: 20, 3: 0}
    with pytest.raises(OSError, match="No space"):
        found.settle()
    with pytest.raises(OSError, match="no `lost` events"):
        found.release(1)
    assert (found.open, segments(spool.folder)) == (1, [1, 2, 3])
    found.release(2)
    assert found.settle() == 1
    found.release(1)
    assert [event.event_id for event in spooled_events(spool.folder)] == [open_call.event_id]
    for number in found.sealed():
        found.release(number)
    found.close()
    assert not spool.folder.exists()


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    folder = left_behind(tmp_path)
    assert producers(tmp_path) == [folder]


def test_an_intent_of_a_newer_gateway_is_priced_and_a_broken_one_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = left_behind(tmp_path, settled=1, open_calls=0)
    unseal(folder)
    intent = Intent(
        event_id="01a1f94b-a720-7767-9bec-2eedb6fc6a24",
        request_id="r",
        started_us=1,
        surface="/s",
        provider="p",
        model_asked="m",
        model_used="m",
        cost_estimate_pico=7,
    )
    newer = intent_line(intent)[10:-1].replace(b'"started_us"', b'"of_tomorrow":1,"started_us"')
    tear(folder, frame("I", newer) + frame("I", b'{"event_id":"01a1f94b-a720-7767-9bec-2eedb6fc6a25"}'))
    found = adopted(folder, lost=1)
    assert spooled_events(folder)[-1].cost_pico == 7
    assert "its call has no row" in caplog.text
    found.close()


def test_a_disk_that_refuses_lets_go_of_the_folder(tmp_path: Path) -> None:
    folder = left_behind(tmp_path)
    (folder / "00000002.seg").mkdir()  # cannot be read as a file
    with pytest.raises(IsADirectoryError):
        adopt(folder)
    (folder / "00000002.seg").rmdir()
    adopted(folder).close()
