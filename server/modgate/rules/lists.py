"""The entries of lists: from the rule file, from text files beside it, from the package."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from modgate.rules.schema import ListKind, ListModel

__all__ = ["BUILTIN", "allowed_of", "builtin_names", "entries_of", "list_path", "parse_entries"]

BUILTIN = "builtin:"
_ALLOW = ".allow.txt"
MAX_BYTES = 64 * 1024 * 1024
MAX_ENTRY = 500
"""Characters of one entry; sentences and patterns fit, pasted documents do not."""


def parse_entries(raw: bytes) -> tuple[str, ...]:
    """Return the entries of a list file: one a line, blank lines and lines that start with `# ` left out.

    Raises:
        ValueError: If the file is too large, not UTF-8, or has an entry that is too long; names the line.
    """
    if len(raw) > MAX_BYTES:
        raise ValueError(f"it has {len(raw):,} bytes; the limit is {MAX_BYTES:,}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {place} is not UTF-8 text") from error
    entries: dict[str, None] = {}
    # Not splitlines(): that breaks at U+2028 and the like, and the line numbers would differ from an editor's.
    for number, line in enumerate(text.split("\n"), start=1):
        entry = line.strip()
        if not entry or entry == "#" or entry.startswith("# "):
            continue
        if len(entry) > MAX_ENTRY:
            raise ValueError(f"line {number} has {len(entry):,} characters; an entry has at most {MAX_ENTRY}")
        entries[entry] = None
    return tuple(entries)


def _builtin_folder() -> Traversable:
    return resources.files("modgate") / "data" / "lists"


def builtin_names() -> list[str]:
    """Return the lists that the package ships, for `builtin:NAME`."""
    folder = _builtin_folder()
    if not folder.is_dir():
        return []
    files = (item.name for item in folder.iterdir())
    return sorted(name.removesuffix(".txt") for name in files if name.endswith(".txt") and not name.endswith(_ALLOW))


def list_path(file: str, base: Path | None) -> Path | Traversable:
    """Return where a list's file is.

    Args:
        file: The `file` key of the list.
        base: Folder of the rule file; None if the rules did not come from a file.

    Raises:
        ValueError: If there can be no such file.
    """
    if file.startswith(BUILTIN):
        name = file.removeprefix(BUILTIN)
        if name not in builtin_names():
            raise ValueError(f'the package has no list "{name}"; it has {", ".join(builtin_names()) or "none"}')
        return _builtin_folder() / f"{name}.txt"
    if base is None:
        raise ValueError("rules that do not come from a file cannot refer to files; upload the list instead")
    return base / file


def allowed_of(model: ListModel) -> tuple[str, ...]:
    """Return the phrases that are fine although an entry is inside: the list's own, and those of a built-in file."""
    if model.file is None or not model.file.startswith(BUILTIN):
        return model.allow
    path = _builtin_folder() / f"{model.file.removeprefix(BUILTIN)}{_ALLOW}"
    if not path.is_file():
        return model.allow
    return tuple(dict.fromkeys((*model.allow, *parse_entries(path.read_bytes()))))


def entries_of(model: ListModel, base: Path | None) -> tuple[str, ...]:
    """Return all entries of a list, those of its file first, each once.

    Raises:
        ValueError: If its file cannot be read, with the reason.
    """
    from_file: tuple[str, ...] = ()
    if model.file is not None:
        path = list_path(model.file, base)
        try:
            from_file = parse_entries(path.read_bytes())
        except OSError as error:
            raise ValueError(f"cannot read {model.file}: {error.strerror or error}") from error
        except ValueError as error:
            raise ValueError(f"{model.file}: {error}") from error
        if not from_file and not model.entries:
            raise ValueError(f"{model.file} has no entries")
    if model.kind is ListKind.DOMAINS:
        return tuple(dict.fromkeys(entry.lower() for entry in (*from_file, *model.entries)))
    return tuple(dict.fromkeys((*from_file, *model.entries)))
