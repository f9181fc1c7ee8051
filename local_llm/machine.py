"""What this process may really use: cores and memory as the scheduler and the control groups grant them.

https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def usable_cores() -> int:
    """The cores that the scheduler and the control groups' quotas grant, at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *granted_cores(_ROOT)]))


def granted_cores(root: Path) -> Iterator[int]:
    """What each quota of the control groups grants, a part of a core as a whole one. `root` holds proc and sys."""
    for folder in _own_groups(root, "cpu"):
        quota, period = ([*_words(folder / "cpu.max"), "max", ""])[:2]
        if not quota.isdigit():
            quota = " ".join(_words(folder / "cpu.cfs_quota_us"))  # version 1; -1 is no limit
            period = " ".join(_words(folder / "cpu.cfs_period_us"))
        if quota.isdigit() and period.isdigit() and int(period):
            yield math.ceil(int(quota) / int(period))


def free_memory() -> int | None:
    """Bytes that could be had without another process losing any; None where nobody says.

    Pages of files count as free, also those that a running engine maps: they can be read again. Who wants those to stay
    takes them off (`resident_memory` less `own_memory`).
    """
    free = [_of_table(Path("/proc/meminfo"), "MemAvailable"), *map(_free_in, _own_groups(_ROOT, "memory"))]
    known = [value for value in free if value is not None]
    return max(0, min(known)) if known else None


def resident_memory(pid: int) -> int | None:
    """Bytes of a process that are in memory, pages of files included; None when it has gone."""
    return _of_table(Path(f"/proc/{pid}/status"), "VmRSS")


def own_memory(pid: int) -> int | None:
    """Bytes of a process that no file holds too; None when it has gone."""
    return _of_table(Path(f"/proc/{pid}/status"), "RssAnon")


def _own_groups(root: Path, controller: str) -> Iterator[Path]:
    """The control group of this process and those around it, of either version: the tightest limit counts."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, own = ([*line.split(":", 2), "", ""])[:3]
        if controllers and controller not in controllers.split(","):
            continue
        groups = root / "sys/fs/cgroup" / (controller if controllers else "")
        folder = groups / own.lstrip("/")
        # In a container the own group is mounted as the root, and its path is one of the host.
        yield from (place for place in (folder, *folder.parents) if place.is_relative_to(groups))


def _free_in(folder: Path) -> int | None:
    limit = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
    used = _words(folder / "memory.current") or _words(folder / "memory.usage_in_bytes")
    if not limit or not used or not limit[0].isdigit():
        return None
    # Pages of files are given back when they are needed. Version 1 has the whole below it under `total_`.
    counts = dict(line.split() for line in _lines(folder / "memory.stat") if line.count(" ") == 1)
    files = sum(int(counts.get(f"total_{name}", counts.get(name, 0))) for name in ("inactive_file", "active_file"))
    return int(limit[0]) - int(used[0]) + files


def _of_table(path: Path, name: str) -> int | None:
    found = re.search(rf"^{name}:\s+(\d+) kB$", "\n".join(_lines(path)), re.M)
    return int(found[1]) * 1024 if found else None


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
