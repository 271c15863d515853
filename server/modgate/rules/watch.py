"""Reloads rules when their files change; a bad file leaves the old rules in force."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from watchfiles import Change, awatch

from modgate.rules.load import DEFAULT_RULES, Document, load_document
from modgate.rules.problems import Problem, RulesError
from modgate.rules.ruleset import Ruleset

__all__ = ["RulesSource"]


def _fingerprint(files: Iterable[Path]) -> str:
    """Return a digest of the content of files, as one reads them now; what is missing counts too."""
    hashed = hashlib.sha256()
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            content = str(error.errno).encode()
        hashed.update(f"\0{file}\0{len(content)}\0".encode())
        hashed.update(content)
    return hashed.hexdigest()


class RulesSource:
    """The rules in a file, and everything the file refers to.

    The folders are watched rather than the files: Kubernetes replaces a ConfigMap by swapping the `..data` link beside
    them. Every `recheck_s` the contents are compared as well, for file systems that tell nothing.

    Args:
        path: The rule file, or `builtin:default`.
        build: Compiles a document; runs in a thread, may take seconds, raises `RulesError`.
        on_ruleset: Receives every new ruleset, on the event loop.
        on_error: Receives the problems of a refused change, on the event loop.
        debounce_ms: Quiet time to wait for after a change, so that half-written files are not read.
        recheck_s: Seconds between comparisons of contents.
    """

    def __init__(
        self,
        path: Path | str,
        build: Callable[[Document], Ruleset],
        on_ruleset: Callable[[Ruleset], None],
        on_error: Callable[[RulesError], None],
        *,
        debounce_ms: int = 300,
        recheck_s: float = 10.0,
    ) -> None:
        self._path = path
        self._build = build
        self._on_ruleset = on_ruleset
        self._on_error = on_error
        self._debounce_ms = debounce_ms
        self._recheck_s = recheck_s
        self._files: tuple[Path, ...] = () if str(path) == DEFAULT_RULES else (Path(path),)
        self._fingerprint = ""

    def read(self) -> Ruleset:
        """Load and compile what the files hold now. Blocks.

        Raises:
            RulesError: With all problems.
        """
        # Taken before reading: a change in between is then seen as one at the next look, never missed.
        before = _fingerprint(self._files)
        self._fingerprint = before
        document = load_document(self._path)
        if document.files != self._files:
            self._files = document.files
            self._fingerprint = _fingerprint(self._files)
        return self._build(document)

    async def run(self, *, load_first: bool = True) -> None:
        """Load the rules, then reload them on every change, until cancelled.

        Args:
            load_first: False if the caller has called `read` already.
        """
        if load_first:
            await self._reload()
        if not self._files:
            return  # the package's own rules never change
        while True:
            folders = {file.absolute().parent for file in self._files} | {file.resolve().parent for file in self._files}
            async for changes in awatch(
                *sorted(folder for folder in folders if folder.is_dir()) or [Path.cwd()],
                watch_filter=lambda _change, _path: True,
                debounce=self._debounce_ms * 4,
                step=self._debounce_ms,
                rust_timeout=int(self._recheck_s * 1000),
                yield_on_timeout=True,
                recursive=False,
                ignore_permission_denied=True,
            ):
                if await self._look(changes):
                    break  # other files may be referred to now: watch those

    async def _look(self, changes: set[tuple[Change, str]]) -> bool:
        """Reload if the contents differ; return whether the files to watch may have changed."""
        del changes  # only says that something happened; the contents say whether it matters
        if await asyncio.to_thread(_fingerprint, self._files) == self._fingerprint:
            return False
        await self._reload()
        return True

    async def _reload(self) -> None:
        try:
            ruleset = await asyncio.to_thread(self.read)
        except RulesError as error:
            self._on_error(error)
        except Exception as error:  # noqa: BLE001  # whatever a detector does, the old rules must stay in force
            problem = Problem(str(self._path), 0, 0, "", f"cannot put the rules in force: {error}")
            self._on_error(RulesError([problem]))
        else:
            self._on_ruleset(ruleset)
