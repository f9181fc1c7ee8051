"""Producer folders: one writer each, held by `flock`, so that a dead one's can be told from a living one's.

A lock vanishes with its process, in whatever way that died; process ids and host names are never asked, since they mean
nothing across containers. An open file can outlive its folder entry, so a lock counts only while its path still leads
to it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from usage_contract.spool import LOCK_NAME, SUFFIX


def claim(folder: Path) -> int | None:
    """Hold a producer's folder: a descriptor to keep open, None when someone else holds it or it is gone.

    Raises OSError when the disk refuses.
    """
    path = folder / LOCK_NAME
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _leads_to(path, lock):
            return lock
    except BlockingIOError:
        pass
    os.close(lock)
    return None


def remove(folder: Path, lock: int) -> None:
    """Remove an empty folder whose lock is held, and let go of it. A folder with segments is only let go of."""
    try:
        if not any(folder.glob(f"*{SUFFIX}")):
            (folder / LOCK_NAME).unlink(missing_ok=True)
            folder.rmdir()
    except OSError:
        # Someone put a file there, or the disk is read-only: the folder stays, for the next who looks.
        pass
    finally:
        os.close(lock)


def sync_folder(folder: Path) -> None:
    """Make new and removed names in the folder durable. Raises OSError."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _leads_to(path: Path, lock: int) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(lock))
