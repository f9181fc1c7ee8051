"""How the machine under this process is: CPU, memory, disk, uptime. In a container what counts are its limits.

Linux tells these in the files of control groups, version 2 or 1; elsewhere, and without limits, the machine's own
numbers stand. https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_CGROUP = Path("/sys/fs/cgroup")
_NO_LIMIT = 2**60  # version 1 writes a huge number for "none"


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the control group: bytes, and CPUs' worth of time. None: no limit."""

    memory: int | None
    memory_used: int | None  # without file contents that the kernel drops when it needs the room
    cpus: float | None
    cpu_seconds: float | None  # used so far


class Machine:
    """Looks when asked. CPU shares are those since the last look, at first since the start. One per process."""

    def __init__(self, data_dir: Path, *, cgroup: Path = _CGROUP) -> None:
        self._data_dir = data_dir
        self._cgroup = cgroup
        self._process = psutil.Process()
        self._last = (time.monotonic(), read_limits(cgroup).cpu_seconds)
        psutil.cpu_percent()
        self._process.cpu_percent()

    def look(self) -> dict[str, Any]:
        """Blocks for some milliseconds. Raises OSError when the data folder's disk is not there."""
        limits = read_limits(self._cgroup)
        return {
            "cpu": self._cpu(limits),
            "memory": _memory(limits),
            "disk": self._disk(),
            "process": self._of_process(),
            "uptime_seconds": round(time.time() - self._process.create_time(), 1),
            "machine_uptime_seconds": round(time.time() - psutil.boot_time(), 1),
            "container": {"memory_limit_bytes": limits.memory, "cpu_limit": limits.cpus},
        }

    def _cpu(self, limits: Limits) -> dict[str, Any]:
        """`percent` of what may be used: of the container's share where it has one."""
        count = os.cpu_count() or 1
        percent = psutil.cpu_percent()
        now, before = (time.monotonic(), limits.cpu_seconds), self._last
        self._last = now
        if limits.cpus and limits.cpu_seconds is not None and before[1] is not None and now[0] > before[0]:
            used = (limits.cpu_seconds - before[1]) / (now[0] - before[0])
            percent = min(100.0, 100 * used / limits.cpus)
        load = [round(each, 2) for each in psutil.getloadavg()]
        return {"percent": round(percent, 1), "count": count, "available": limits.cpus or count, "load_average": load}

    def _disk(self) -> dict[str, Any]:
        """Of the disk that the data folder is on."""
        usage = psutil.disk_usage(str(self._data_dir))
        return {
            "total_bytes": usage.total,
            "used_bytes": usage.used,
            "free_bytes": usage.free,
            "percent": usage.percent,
        }

    def _of_process(self) -> dict[str, Any]:
        with self._process.oneshot():
            return {
                "pid": self._process.pid,
                "memory_bytes": self._process.memory_info().rss,
                "cpu_percent": round(self._process.cpu_percent(), 1),
                "threads": self._process.num_threads(),
                "open_files": _open_files(self._process),
            }


def read_limits(cgroup: Path) -> Limits:
    """What is not there, or not readable, is no limit."""
    quota, _, period = (_text(cgroup / "cpu.max") or "max 100000").partition(" ")
    cpus = _share(quota, period)
    if cpus is None:
        cpus = _share(_text(cgroup / "cpu/cpu.cfs_quota_us"), _text(cgroup / "cpu/cpu.cfs_period_us"))
    if (bound := _bound_cpus(cgroup)) is not None and bound < (os.cpu_count() or 1):
        cpus = float(bound) if cpus is None else min(cpus, bound)
    used = _number(_text(cgroup / "memory.current")) or _number(_text(cgroup / "memory/memory.usage_in_bytes"))
    memory = _number(_text(cgroup / "memory.max")) or _number(_text(cgroup / "memory/memory.limit_in_bytes"))
    return Limits(
        memory=memory if memory is not None and memory < _NO_LIMIT else None,
        memory_used=None if used is None else max(0, used - _reclaimable(cgroup)),
        cpus=cpus,
        cpu_seconds=_cpu_seconds(cgroup),
    )


def _memory(limits: Limits) -> dict[str, Any]:
    """Of the container where it is smaller than the machine."""
    found = psutil.virtual_memory()
    total, used = found.total, found.total - found.available
    if limits.memory is not None and limits.memory < total:
        total, used = limits.memory, limits.memory_used if limits.memory_used is not None else used
    used = min(used, total)
    return {
        "total_bytes": total,
        "used_bytes": used,
        "available_bytes": total - used,
        "percent": round(100 * used / total, 1),
    }


def _open_files(process: psutil.Process) -> int | None:
    """File descriptors; None where the system does not count them."""
    try:
        return int(process.num_fds())
    except (AttributeError, psutil.Error):
        return None


def _cpu_seconds(cgroup: Path) -> float | None:
    for line in (_text(cgroup / "cpu.stat") or "").splitlines():
        name, _, value = line.partition(" ")
        if name == "usage_usec" and (found := _number(value)) is not None:
            return found / 1e6
    nanoseconds = _number(_text(cgroup / "cpuacct/cpuacct.usage"))
    return None if nanoseconds is None else nanoseconds / 1e9


def _bound_cpus(cgroup: Path) -> int | None:
    """How many CPUs its processes may run on, as `0-3,8`."""
    listed = _text(cgroup / "cpuset.cpus.effective") or _text(cgroup / "cpuset/cpuset.effective_cpus")
    count = 0
    for span in (listed or "").split(","):
        first, _, last = span.partition("-")
        start, end = _number(first), _number(last or first)
        if start is None or end is None or end < start:
            return None
        count += end - start + 1
    return count


def _reclaimable(cgroup: Path) -> int:
    """As `docker stats` counts: https://docs.docker.com/reference/cli/docker/container/stats/"""
    stat = _text(cgroup / "memory.stat") or _text(cgroup / "memory/memory.stat") or ""
    found = dict(line.partition(" ")[::2] for line in stat.splitlines())
    return _number(found.get("total_inactive_file") or found.get("inactive_file")) or 0


def _share(quota: str | None, period: str | None) -> float | None:
    allowed, of = _number(quota), _number(period)
    return None if allowed is None or not of or allowed <= 0 else round(allowed / of, 3)


def _number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
