"""Loading a bundle: its manifest is valid and every file is exactly the one that the manifest names.

BundleError     a folder is not a bundle that can be served; the message names bundle, file and remedy
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from modgate.inference.manifest import FileEntry, Manifest

__all__ = ["MANIFEST", "Bundle", "BundleError", "digest_of", "find_bundles", "read_manifest"]

MANIFEST = "manifest.json"
_CHUNK = 1 << 20


class BundleError(Exception):
    """A bundle cannot be used. The message is one line, fit for an operator."""

    def __init__(self, bundle: str, detail: str) -> None:
        super().__init__(f"bundle {bundle}: {detail}")
        self.bundle = bundle


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files were checked.

    Attributes:
        manifest: What the model is.
        path: The folder.
        digest: SHA-256 of `manifest.json`, which names the digest of every file: it identifies the bundle as a whole.
    """

    manifest: Manifest
    path: Path
    digest: str

    @property
    def model(self) -> Path:
        """The ONNX file."""
        return self.path / self.manifest.model

    def file(self, name: str) -> Path:
        """The path of a file that the manifest lists."""
        if name not in self.manifest.files:
            raise BundleError(self.manifest.name, f"the manifest lists no file {name!r}")
        return self.path / name

    @staticmethod
    def load(path: Path) -> "Bundle":
        """Read and check the bundle in a folder. Files that the manifest does not list are ignored.

        Reads every listed file once to hash it: about 50 ms for 25 MB. Not for the event loop.

        Raises:
            BundleError: If the manifest is missing or invalid, or a file is missing or differs from it.
        """
        manifest = read_manifest(path)
        for name, entry in manifest.files.items():
            _check(manifest.name, path / name, entry)
        digest = hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest()
        return Bundle(manifest, path, digest)


def read_manifest(path: Path) -> Manifest:
    """Read and validate a folder's `manifest.json` without looking at the other files.

    Raises:
        BundleError: If it is missing, unreadable or invalid.
    """
    try:
        raw = (path / MANIFEST).read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BundleError(path.name, f"cannot read {path / MANIFEST}: {reason}; is this a bundle's folder?") from error
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "the document"
        raise BundleError(path.name, f"{MANIFEST} is not valid: {where}: {first['msg']}") from error


def find_bundles(dirs: Iterable[Path]) -> dict[str, Path]:
    """Return the bundles in some folders, by name; of two with one name, that of the later folder.

    A manifest that cannot be read is listed under its folder's name: loading it then tells what is wrong with it.
    Folders that do not exist are left out.
    """
    found: dict[str, Path] = {}
    for directory in dirs:
        if not directory.is_dir():
            continue
        for manifest in sorted(directory.glob(f"*/{MANIFEST}")):
            found[_name(manifest)] = manifest.parent
    return found


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _name(manifest: Path) -> str:
    try:
        name = json.loads(manifest.read_bytes())["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return manifest.parent.name
    return name if isinstance(name, str) else manifest.parent.name


def _check(bundle: str, path: Path, entry: FileEntry) -> None:
    remedy = f"run `{entry.recipe}`" if entry.recipe else "restore the file or correct its entry"
    if entry.source:
        remedy = f"run `modgate models fetch {bundle}`"
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BundleError(bundle, f"{path} is missing; {remedy}") from error
    if size != entry.bytes:
        raise BundleError(bundle, f"{path} has {size} bytes, the manifest says {entry.bytes}; {remedy}")
    found = digest_of(path)
    if found != entry.sha256:
        raise BundleError(bundle, f"{path} has SHA-256 {found}, the manifest says {entry.sha256}; {remedy}")
