from __future__ import annotations

from pathlib import Path

import pytest

from local_llm.machine import granted_cores, usable_cores

OWN = "system.slice/docker-1.scope"


def _lay(root: Path, files: dict[str, str]) -> list[int]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return list(granted_cores(root))


@pytest.mark.parametrize(
    ("limit", "cores"),
    [("max 100000", []), ("200000 100000", [2]), ("150000 100000", [2]), ("5000 100000", [1]), ("", []), ("max", [])],
)
def test_quotas_of_version_2(tmp_path: Path, limit: str, cores: list[int]) -> None:
    own = {"proc/self/cgroup": f"0::/{OWN}", f"sys/fs/cgroup/{OWN}/cpu.max": limit}
    assert _lay(tmp_path, own) == cores


def test_the_groups_around_count_and_in_a_container_the_own_one_is_the_root(tmp_path: Path) -> None:
    around = {
        "proc/self/cgroup": f"0::/{OWN}",
        f"sys/fs/cgroup/{OWN}/cpu.max": "400000 100000",
        "sys/fs/cgroup/system.slice/cpu.max": "100000 100000",
    }
    assert _lay(tmp_path / "around", around) == [4, 1]
    inside = {"proc/self/cgroup": f"0::/{OWN}", "sys/fs/cgroup/cpu.max": "250000 100000"}
    assert _lay(tmp_path / "inside", inside) == [3]


@pytest.mark.parametrize(("quota", "cores"), [("-1", []), ("300000", [3]), ("50000", [1])])
def test_quotas_of_version_1(tmp_path: Path, quota: str, cores: list[int]) -> None:
    own = {
        "proc/self/cgroup": f"5:memory:/{OWN}\n4:cpu,cpuacct:/{OWN}\n0::/",
        f"sys/fs/cgroup/cpu/{OWN}/cpu.cfs_quota_us": quota,
        f"sys/fs/cgroup/cpu/{OWN}/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/memory/cpu.max": "100000 100000",
    }
    assert _lay(tmp_path, own) == cores


def test_without_control_groups_it_is_what_the_scheduler_grants(tmp_path: Path) -> None:
    assert list(granted_cores(tmp_path)) == []
    assert usable_cores() >= 1
