"""Cores that a container really has."""

import os
from pathlib import Path

import pytest

from modgate.inference.cores import cpu_quota


@pytest.fixture
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


def tree(root: Path, files: dict[str, str], membership: str) -> tuple[Path, Path]:
    for name, content in files.items():
        path = root / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (root / "cgroup").mkdir(exist_ok=True)
    (root / "self").write_text(membership)
    return root / "cgroup", root / "self"


@pytest.mark.usefixtures("many_cores")
@pytest.mark.parametrize(
    ("files", "membership", "cores"),
    [
        ({}, "", 16.0),
        ({"cpu.max": "max 100000\n"}, "0::/\n", 16.0),
        ({"cpu.max": "150000 100000\n"}, "0::/\n", 1.5),
        ({"kubepods/pod/c/cpu.max": "50000 100000\n"}, "0::/kubepods/pod/c\n", 0.5),
        (
            {"kubepods/pod/c/cpu.max": "max 100000\n", "kubepods/cpu.max": "200000 100000\n"},
            "0::/kubepods/pod/c\n",
            2.0,
        ),
        ({"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu,cpuacct:/\n", 2.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu,cpuacct:/\n", 16.0),
        (
            {"cpu,cpuacct/docker/c/cpu.cfs_quota_us": "100000", "cpu,cpuacct/docker/c/cpu.cfs_period_us": "50000"},
            "4:cpu,cpuacct:/docker/c\n0::/docker/c\n",
            2.0,
        ),
        ({"cpu.max": "nonsense"}, "not a cgroup line", 16.0),
        ({"cpu.max": "6400000 100000\n"}, "0::/\n", 16.0),
    ],
)
def test_the_least_of_all_quotas_counts(tmp_path: Path, files: dict[str, str], membership: str, cores: float) -> None:
    """Version 1 and 2, at any level up to the root, never more than the affinity, garbage ignored."""
    assert cpu_quota(*tree(tmp_path, files, membership)) == cores


def test_this_machine_has_a_quota() -> None:
    """On real files, too, the answer is between nothing and the cores that the process may use."""
    assert 0 < cpu_quota() <= len(os.sched_getaffinity(0))
