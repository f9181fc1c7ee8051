from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from gateway.machine import Limits, Machine, read_limits


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return folder


def test_the_limits_of_control_groups_version_2(tmp_path: Path) -> None:
    write(
        tmp_path,
        cpu_dot_max="150000 100000\n",
        memory_dot_max="536870912\n",
        memory_dot_current="1048576\n",
        cpu_dot_stat="usage_usec 2500000\nuser_usec 1\n",
    )
    assert read_limits(tmp_path) == Limits(memory=536870912, memory_used=1048576, cpus=1.5, cpu_seconds=2.5)


def test_the_limits_of_control_groups_version_1(tmp_path: Path) -> None:
    write(
        tmp_path,
        cpu__cpu_dot_cfs_quota_us="50000",
        cpu__cpu_dot_cfs_period_us="100000",
        memory__memory_dot_limit_in_bytes="1073741824",
        memory__memory_dot_usage_in_bytes="5000",
        cpuacct__cpuacct_dot_usage="3000000000",
    )
    assert read_limits(tmp_path) == Limits(memory=1073741824, memory_used=5000, cpus=0.5, cpu_seconds=3.0)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"cpu_dot_max": "max 100000", "memory_dot_max": "max"},
        {"cpu__cpu_dot_cfs_quota_us": "-1", "cpu__cpu_dot_cfs_period_us": "100000"},
        {"memory__memory_dot_limit_in_bytes": "9223372036854771712"},
        {"cpu_dot_max": "nonsense", "memory_dot_max": ""},
    ],
)
def test_no_limit_is_none(tmp_path: Path, files: dict[str, str]) -> None:
    found = read_limits(write(tmp_path, **files))
    assert (found.memory, found.cpus) == (None, None)


def test_cpus_that_a_group_is_bound_to_and_memory_that_the_kernel_may_take_back(tmp_path: Path) -> None:
    count = os.cpu_count() or 1
    two = write(
        tmp_path / "two",
        memory_dot_current="5000",
        memory_dot_stat="anon 100\ninactive_file 3000\nactive_file 7",
        cpu_dot_max=f"{count * 200000} 100000",
    )
    (two / "cpuset.cpus.effective").write_text("0\n")
    found = read_limits(two)
    assert (found.memory_used, found.cpus) == (2000, 1.0 if count > 1 else 2.0)
    (two / "cpuset.cpus.effective").write_text(f"0-{count - 1}\n")
    assert read_limits(two).cpus == 2.0 * count
    one = write(
        tmp_path / "one", memory__memory_dot_usage_in_bytes="5000", memory__memory_dot_stat="total_inactive_file 4000"
    )
    write(one, cpuset__cpuset_dot_effective_cpus="0")
    assert read_limits(one).memory_used == 1000
    assert read_limits(one).cpus == (1.0 if count > 1 else None)


def test_in_a_container_its_limits_count(tmp_path: Path) -> None:
    group = write(
        tmp_path / "group",
        cpu_dot_max="50000 100000",
        memory_dot_max="104857600",
        memory_dot_current="52428800",
        cpu_dot_stat="usage_usec 1000000",
    )
    found = Machine(tmp_path, cgroup=group).look()
    assert found["memory"] == {
        "total_bytes": 104857600,
        "used_bytes": 52428800,
        "available_bytes": 52428800,
        "percent": 50.0,
    }
    assert found["cpu"]["available"] == 0.5
    assert found["cpu"]["percent"] == 0.0  # nothing of its time was used since the start
    assert found["container"] == {"memory_limit_bytes": 104857600, "cpu_limit": 0.5}


def test_without_one_the_machine_s_own_numbers_stand(tmp_path: Path) -> None:
    found = Machine(tmp_path, cgroup=tmp_path / "none").look()
    assert found["memory"]["total_bytes"] == psutil.virtual_memory().total
    assert found["cpu"]["available"] == found["cpu"]["count"] == os.cpu_count()
    assert found["container"] == {"memory_limit_bytes": None, "cpu_limit": None}
    assert found["process"]["pid"] == os.getpid()
    assert found["process"]["memory_bytes"] > 0
    assert found["uptime_seconds"] >= 0
