"""How many cores this process may really use: the container's quota, not the host's count."""

import os
from pathlib import Path

__all__ = ["cpu_quota"]

_ROOT = Path("/sys/fs/cgroup")


def cpu_quota(root: Path = _ROOT, self_cgroup: Path = Path("/proc/self/cgroup")) -> float:
    """Return the number of cores that the scheduler grants: the least of affinity and cgroup quotas, v1 or v2.

    Args:
        root: Where cgroups are mounted.
        self_cgroup: The file that tells which cgroups this process is in.
    """
    affinity = float(len(os.sched_getaffinity(0)))
    quotas = [quota for folder in _folders(root, self_cgroup) if (quota := _quota(folder)) is not None]
    return min([affinity, *quotas])


def _folders(root: Path, self_cgroup: Path) -> list[Path]:
    """Return every folder, from this process's cgroup up to the root, that may hold a quota."""
    bases: list[tuple[Path, str]] = []
    try:
        for line in self_cgroup.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                bases.append((root, path))
            elif "cpu" in controllers.split(","):
                bases += [(root / "cpu", path), (root / controllers, path)]
    except (OSError, ValueError):
        pass
    # Inside a container the namespace's root is what is mounted, so the root itself is always looked at.
    folders = [root, root / "cpu"]
    for base, path in bases:
        folder = base / path.lstrip("/")
        while folder != base and base in folder.parents:
            folders.append(folder)
            folder = folder.parent
    return list(dict.fromkeys(folders))


def _quota(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        micros, of = float(quota), float(period)
    except ValueError:
        return None  # "max": no limit here
    return micros / of if micros > 0 and of > 0 else None
