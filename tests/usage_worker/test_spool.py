"""Straight from the spool: new lines of any segment, torn tails left alone, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.usage_worker.events import PRODUCER, usage_event
from usage_contract.codec import encode
from usage_contract.spool import frame, frame_seal, segment_path
from usage_worker.errors import SourceUnavailable
from usage_worker.spool import SpoolSource

OTHER = "0193b7a0-0000-7000-8000-00000000000b"


def _source(root: Path, batch: int = 100) -> SpoolSource:
    return SpoolSource(root, batch=batch, poll=0.001)


def _write(root: Path, segment: int, *lines: bytes, producer: str = PRODUCER) -> Path:
    folder = root / producer
    folder.mkdir(parents=True, exist_ok=True)
    path = segment_path(folder, segment)
    with path.open("ab") as file:
        file.write(b"".join(lines))
    return path


def _line(number: int) -> bytes:
    return frame("E", encode(usage_event(number)))


async def _payloads(source: SpoolSource) -> list[bytes]:
    return [entry.payload for entry in await source.read()]


async def test_a_folder_that_does_not_exist_yet_is_empty(tmp_path: Path) -> None:
    assert await _source(tmp_path / "later").read() == []


async def test_only_events_are_read_each_once_oldest_segment_first(tmp_path: Path) -> None:
    _write(tmp_path, 2, _line(2), frame_seal(1))
    _write(tmp_path, 1, frame("I", b"{}"), _line(1), frame("I", b"{}"))
    _write(tmp_path, 1, _line(3), producer=OTHER)
    (tmp_path / "a file").write_text("not a producer")
    source = _source(tmp_path)
    entries = await source.read()
    assert [(entry.producer, entry.segment) for entry in entries] == [(PRODUCER, 1), (PRODUCER, 2), (OTHER, 1)]
    assert [entry.payload for entry in entries] == [encode(usage_event(n)) for n in (1, 2, 3)]
    await source.ack(entries)
    assert await source.read() == []


async def test_lines_are_seen_as_they_are_appended_and_a_torn_one_when_it_is_whole(tmp_path: Path) -> None:
    line = _line(2)
    _write(tmp_path, 1, _line(1), line[:20])
    source = _source(tmp_path)
    assert await _payloads(source) == [encode(usage_event(1))]
    assert await source.read() == []
    _write(tmp_path, 1, line[20:], _line(3))
    assert await _payloads(source) == [encode(usage_event(2)), encode(usage_event(3))]


async def test_a_full_batch_goes_on_where_it_stopped(tmp_path: Path) -> None:
    _write(tmp_path, 1, *(_line(n) for n in range(5)))
    _write(tmp_path, 2, *(_line(n) for n in range(5, 7)))
    source = _source(tmp_path, batch=3)
    batches = [await _payloads(source) for _ in range(4)]
    assert [len(batch) for batch in batches] == [3, 3, 1, 0]
    assert [payload for batch in batches for payload in batch] == [encode(usage_event(n)) for n in range(7)]


async def test_a_restart_reads_all_that_is_still_there(tmp_path: Path) -> None:
    _write(tmp_path, 1, _line(1))
    assert len(await _source(tmp_path).read()) == 1
    assert len(await _source(tmp_path).read()) == 1


async def test_a_segment_that_is_deleted_and_one_that_comes_under_the_same_name(tmp_path: Path) -> None:
    path = _write(tmp_path, 1, _line(1))
    source = _source(tmp_path)
    assert len(await source.read()) == 1
    path.unlink()
    assert await source.read() == []
    _write(tmp_path, 1, _line(2))
    assert await _payloads(source) == [encode(usage_event(2))]


async def test_a_damaged_line_is_told_but_not_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _write(tmp_path, 1, b"E00000000 {}\n", _line(1))
    damaged, sound = await _source(tmp_path).read()
    assert (damaged.problem, damaged.counted) == ("damaged line in the spool", False)
    assert sound.payload == encode(usage_event(1))
    assert "damaged line" in caplog.text


async def test_a_root_that_is_no_folder_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("")
    with pytest.raises(SourceUnavailable, match="spool"):
        await _source(tmp_path / "root").read()
