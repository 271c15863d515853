"""Word lists as files: one entry a line, and the lists that ship with the package."""

from collections.abc import Iterator
from importlib import resources

from modgate.detectors.words import MatchMode, WordList

__all__ = ["parse_entries", "shipped", "shipped_names"]

_FOLDER = resources.files("modgate").joinpath("data", "lists")
_ALLOW = ".allow.txt"


def parse_entries(text: str) -> tuple[str, ...]:
    """Return the entries of a list file: one a line, blank lines and lines that begin with `#` left out."""
    return tuple(dict.fromkeys(_entries(text)))


def _entries(text: str) -> Iterator[str]:
    for line in text.removeprefix("\ufeff").splitlines():
        entry = line.strip()
        if entry and not entry.startswith("#"):
            yield entry


def shipped_names() -> tuple[str, ...]:
    """Return the names of the lists that ship with the package, such as `profanity-en`."""
    names = [file.name for file in _FOLDER.iterdir()]
    return tuple(sorted(name.removesuffix(".txt") for name in names if name.endswith(".txt") and not _is_allow(name)))


def shipped(name: str) -> WordList:
    """Return a shipped list with the phrases that it allows: whole words, obfuscation undone.

    Raises:
        KeyError: No list of this name ships.
    """
    if name not in shipped_names():
        raise KeyError(name)
    allow = _FOLDER.joinpath(name + _ALLOW)
    return WordList(
        name=name,
        entries=parse_entries(_FOLDER.joinpath(f"{name}.txt").read_text(encoding="utf-8")),
        match=MatchMode.WORD,
        obfuscation=True,
        allow=parse_entries(allow.read_text(encoding="utf-8")) if allow.is_file() else (),
    )


def _is_allow(name: str) -> bool:
    return name.endswith(_ALLOW)
