"""Entries straight from the spool: the embedded mode, where gateway and worker share a disk and need no Redis.

Only reads. The gateway deletes a segment once its receipts add up. Offsets live in memory: after a restart everything
that is still on disk is read again, and the store takes each event once.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from usage_contract.spool import SUFFIX, Line, read_lines
from usage_worker.entries import Entry
from usage_worker.errors import SourceUnavailable

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Progress:
    """How far a segment was read: whole lines up to `end`; `size` is the file's when nothing more was to be had."""

    end: int = 0
    size: int = -1


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
        """Nothing to do: the store's receipts are what the gateway goes by."""

    async def measure(self) -> None:
        """Nothing to do: how many events wait on the disk, only reading it would tell."""

    async def release(self) -> None:
        """Nothing to do: deliveries are not counted."""

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
        """Append the segment's events that are new, up to the batch's end. A torn last line waits for the next look."""
        file = Path(path)
        try:
            for line in read_lines(file, progress.end):
                progress.end = line.end
                if line.kind in ("E", None):
                    entries.append(_entry(file, line))
                    if len(entries) >= self._batch:
                        return
        except FileNotFoundError:
            return  # receipted and deleted between the two looks
        progress.size = size

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


def _entry(file: Path, line: Line) -> Entry:
    producer, segment = file.parent.name, int(file.stem) if file.stem.isdigit() else None
    if line.kind == "E":
        return Entry(None, line.payload, producer, segment)
    _log.error("damaged line in %s/%s before byte %d", producer, file.name, line.end)
    # Not counted: neither the writer's seal nor its recovery can call it an event.
    return Entry(None, line.payload, producer, segment, problem="damaged line in the spool", counted=False)
