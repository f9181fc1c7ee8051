"""Entries straight from the spool: the embedded mode, where gateway and worker share a disk and need no Redis.

Only reads. The gateway deletes a segment once its receipts add up. Offsets live in memory: after a restart everything
still on disk is read again, and the store takes each event once.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from usage_contract.spool import SUFFIX, Line, read_lines
from usage_worker.entries import Entry
from usage_worker.errors import SourceUnavailable

_log = logging.getLogger(__name__)


class Position(NamedTuple):
    """Just past a line of a segment."""

    path: str
    end: int


@dataclass(slots=True)
class _Progress:
    """How far a segment was read and acknowledged."""

    acked: int = 0
    size: int = 0  # of the file when it was last read to its end


class SpoolSource:
    """Reads `<root>/<producer>/*.seg`, oldest segment first. `poll` is the wait in seconds when nothing is new."""

    def __init__(self, root: Path, *, batch: int = 2000, poll: float = 0.1) -> None:
        self._root = root
        self._batch = batch
        self._poll = poll
        self._segments: dict[str, _Progress] = {}

    async def read(self) -> Sequence[Entry]:
        try:
            entries = await asyncio.to_thread(self._read)
        except OSError as error:
            raise SourceUnavailable(f"the spool cannot be read: {error.strerror}") from error
        if not entries:
            await asyncio.sleep(self._poll)
        return entries

    async def ack(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            position: Position = entry.token
            if progress := self._segments.get(position.path):
                progress.acked = max(progress.acked, position.end)

    def _read(self) -> list[Entry]:
        entries: list[Entry] = []
        seen: set[str] = set()
        for path, size in self._found():
            seen.add(path)
            progress = self._segments.setdefault(path, _Progress())
            if len(entries) < self._batch and size != progress.size:
                self._read_segment(path, size, progress, entries)
        for path in self._segments.keys() - seen:
            del self._segments[path]
        return entries

    def _read_segment(self, path: str, size: int, progress: _Progress, entries: list[Entry]) -> None:
        """Append the segment's events from where they are acknowledged. A torn last line waits for the next look."""
        room = self._batch - len(entries)
        file = Path(path)
        before = len(entries)
        try:
            entries.extend(islice(_entries(file, read_lines(file, progress.acked)), room))
        except FileNotFoundError:
            return  # receipted and deleted between the two looks
        if len(entries) == before:
            progress.size = size  # nothing but intents and what is known; look again when it has grown

    def _found(self) -> Iterator[tuple[str, int]]:
        """Path and size of every segment, by producer and number."""
        try:
            with os.scandir(self._root) as folders:
                names = sorted(folder.path for folder in folders if folder.is_dir())
        except FileNotFoundError:
            return  # no gateway has started yet
        for name in names:
            try:
                with os.scandir(name) as files:
                    found = sorted((file.path, file.stat().st_size) for file in files if file.name.endswith(SUFFIX))
            except FileNotFoundError:
                continue
            yield from found


def _entries(file: Path, lines: Iterator[Line]) -> Iterator[Entry]:
    producer, segment = file.parent.name, int(file.stem) if file.stem.isdigit() else None
    for line in lines:
        token = Position(str(file), line.end)
        if line.kind == "E":
            yield Entry(token, line.payload, producer, segment)
        elif line.kind is None:
            # Neither the writer's seal nor its recovery counts it as an event that can be read.
            _log.error("damaged line in %s/%s before byte %d", producer, file.name, line.end)
            yield Entry(token, line.payload, producer, segment, problem="damaged line in the spool", counted=False)
