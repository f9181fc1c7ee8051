"""Framing: whole lines are read, torn ones wait, damaged ones are told apart, whatever is cut or flipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usage_contract.spool import (
    SUFFIX,
    Line,
    frame,
    frame_seal,
    read_lines,
    sealed_count,
    segment_path,
    segments,
)

_payloads = st.binary(max_size=30).filter(lambda payload: b"\n" not in payload)
_lines = st.lists(st.tuples(st.sampled_from(["I", "E"]), _payloads), max_size=6)
_on_disk = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def _write(folder: Path, data: bytes) -> Path:
    path = folder / "segment"
    path.write_bytes(data)
    return path


@_on_disk
@given(lines=_lines)
def test_what_was_framed_is_read_from_any_line_on(tmp_path: Path, lines: list[tuple[Any, bytes]]) -> None:
    path = _write(tmp_path, b"".join(frame(kind, payload) for kind, payload in lines))
    read = list(read_lines(path))
    assert [(line.kind, line.payload) for line in read] == lines
    offsets = [0, *(line.end for line in read)]
    for number, offset in enumerate(offsets):
        assert list(read_lines(path, offset)) == read[number:]


@_on_disk
@given(lines=_lines.filter(bool), data=st.data())
def test_a_cut_at_any_byte_leaves_the_whole_lines(
    tmp_path: Path, lines: list[tuple[Any, bytes]], data: st.DataObject
) -> None:
    framed = [frame(kind, payload) for kind, payload in lines]
    whole = b"".join(framed)
    cut = data.draw(st.integers(0, len(whole)))
    complete = whole[:cut].count(b"\n")
    read = list(read_lines(_write(tmp_path, whole[:cut])))
    assert [(line.kind, line.payload) for line in read] == lines[:complete]


@_on_disk
@given(payload=_payloads, data=st.data())
def test_one_wrong_byte_never_makes_another_payload(tmp_path: Path, payload: bytes, data: st.DataObject) -> None:
    line = bytearray(frame("E", payload))
    at = data.draw(st.integers(0, len(line) - 2))
    line[at] ^= data.draw(st.integers(1, 255))
    # Kind, space and spelling of the checksum are not under it; a payload that is trusted is the one written.
    trusted = [each.payload for each in read_lines(_write(tmp_path, bytes(line))) if each.kind is not None]
    assert trusted in ([], [payload])


def test_a_kind_that_is_none_of_ours_is_damage(tmp_path: Path) -> None:
    path = _write(tmp_path, frame(cast(Any, "X"), b"{}") + b"E\n" + b"\n" + b"Ezzzzzzzz {}\n")
    assert [line.kind for line in read_lines(path)] == [None] * 4


def test_the_seal_states_the_count(tmp_path: Path) -> None:
    (line,) = read_lines(_write(tmp_path, frame_seal(42)))
    assert line == Line("S", b'{"events":42}', line.end)
    assert sealed_count(line) == 42


def test_segments_are_found_by_number_and_other_files_are_not(tmp_path: Path) -> None:
    for number in (10, 2, 123_456_789):
        segment_path(tmp_path, number).touch()
    for name in ("lock", f"x{SUFFIX}", "00000003.tmp"):
        (tmp_path / name).touch()
    assert segments(tmp_path) == [2, 10, 123_456_789]
    assert segment_path(tmp_path, 2).name == "00000002.seg"


def test_a_segment_that_is_not_there_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_lines(tmp_path / "none"))
