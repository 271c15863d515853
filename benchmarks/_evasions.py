"""Hide listed words the way chat users do: seeded variants by every trick that folding undoes, and by pairs of them."""

import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["CARRIERS", "TRICKS", "Evasion", "evasions"]

Trick = Callable[[str, random.Random], str]

# The everyday alphabet of leet; not all of it is undone (a bracket at the start of a word is not).
_LEET = {
    "a": "4@",
    "b": "8",
    "c": "(",
    "e": "3",
    "g": "9",
    "i": "1!|",
    "l": "1|",
    "o": "0",
    "s": "5$",
    "t": "7+",
    "u": "v",
}
_TWINS = {
    "a": "аαɑ",
    "b": "Ьᏼ",
    "c": "сϲⅽ",
    "d": "ԁⅾ",
    "e": "еҽ",
    "f": "ƒẝ",
    "g": "ɡԍ",
    "h": "һհ",
    "i": "іɪıι",
    "j": "јϳ",
} | {
    "k": "κк",
    "l": "ⅼӏ",
    "m": "ⅿм",
    "n": "ոη",
    "o": "οоօ",
    "p": "рρ",
    "q": "ԛ",
    "r": "гᴦ",
    "s": "ѕꜱ",
    "t": "тτ",
    "u": "υսʋ",
    "v": "νѵ",
    "w": "ԝѡ",
    "x": "хχ",
    "y": "уγ",
    "z": "ᴢ",
}
_ACCENTS = "\u0300\u0301\u0302\u0303\u0308\u030c"
_STROKES = "\u0335\u0336\u0337\u0338\u0332\u0333\u0489"
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e"
_VOWELS = "aeiou"
_ALPHABETS = (0x1D400, 0x1D41A), (0x1D56C, 0x1D586), (0x1D5D4, 0x1D5EE), (0x1D670, 0x1D68A), (0x1D4D0, 0x1D4EA)


def _case(word: str, rng: random.Random) -> str:
    return "".join(rng.choice((letter, letter.upper())) for letter in word)


def _width(word: str, _: random.Random) -> str:
    return "".join(chr(ord(letter) + 0xFEE0) for letter in word)


def _mathematical(word: str, rng: random.Random) -> str:
    first = rng.choice(rng.choice(_ALPHABETS))
    return "".join(chr(first + ord(letter) - ord("a")) for letter in word)


def _enclosed(word: str, rng: random.Random) -> str:
    first = rng.choice((0x24D0, 0x249C, 0x1F130, 0x1F150, 0x1F170))
    return "".join(chr(first + ord(letter) - ord("a")) for letter in word)


def _some(word: str, rng: random.Random, table: dict[str, str], *, most: int) -> str:
    places = [at for at, letter in enumerate(word) if letter in table]
    for at in rng.sample(places, min(len(places), rng.randint(1, most))):
        word = word[:at] + rng.choice(table[word[at]]) + word[at + 1 :]
    return word


def _confusables(word: str, rng: random.Random) -> str:
    return _some(word, rng, _TWINS, most=3)


def _all_confusables(word: str, rng: random.Random) -> str:
    return _some(word, rng, _TWINS, most=len(word))


def _leet(word: str, rng: random.Random) -> str:
    return _some(word, rng, _LEET, most=2)


def _zero_width(word: str, rng: random.Random) -> str:
    at = rng.randint(1, len(word) - 1)
    return word[:at] + rng.choice(_INVISIBLE) * rng.randint(1, 3) + word[at:]


def _combining(word: str, rng: random.Random) -> str:
    return "".join(letter + "".join(rng.choices(_STROKES, k=rng.randint(0, 4))) for letter in word)


def _accents(word: str, rng: random.Random) -> str:
    at = rng.choice([at for at, letter in enumerate(word) if letter in _VOWELS + "nscz"] or [0])
    return unicodedata.normalize("NFC", word[: at + 1] + rng.choice(_ACCENTS) + word[at + 1 :])


def _stretched(word: str, rng: random.Random) -> str:
    places = rng.sample(range(len(word)), rng.randint(1, 2))
    return "".join(letter * (rng.randint(3, 7) if at in places else 1) for at, letter in enumerate(word))


def _separated(word: str, rng: random.Random) -> str:
    return rng.choice((".", "-", " ", "*", "_", "/", ". ", " - ", "  ")).join(word)


def _sign_inside(word: str, rng: random.Random) -> str:
    at = rng.randint(1, len(word) - 1)
    return word[:at] + rng.choice("-_*~") + word[at:]


def _censored(word: str, rng: random.Random) -> str:
    places = [at for at in range(1, len(word) - 1) if word[at] in _VOWELS] or [1]
    at = rng.choice(places)
    return word[:at] + rng.choice("***#@%-") + word[at + 1 :]


def _censored_twice(word: str, rng: random.Random) -> str:
    at = rng.randint(1, max(1, len(word) - 3))
    return word[:at] + "**" + word[at + 2 :] if len(word) > 3 else _censored(word, rng)


def _digits_behind(word: str, rng: random.Random) -> str:
    return word + str(rng.randint(1, 999))


def _both(first: Trick, second: Trick) -> Trick:
    return lambda word, rng: second(first(word, rng), rng)


TRICKS: dict[str, Trick] = {
    "case": _case,
    "full width": _width,
    "mathematical letters": _mathematical,
    "enclosed letters": _enclosed,
    "confusables": _confusables,
    "confusables throughout": _all_confusables,
    "leet": _leet,
    "zero-width": _zero_width,
    "combining marks": _combining,
    "accents": _accents,
    "stretched": _stretched,
    "separated letters": _separated,
    "sign inside": _sign_inside,
    "asterisk for a vowel": _censored,
    "two letters starred": _censored_twice,
    "digits behind": _digits_behind,
    "case + leet": _both(_case, lambda word, rng: _leet(word.lower(), rng).title()),
    "stretched + zero-width": _both(_stretched, _zero_width),
    "leet + stretched": _both(_leet, _stretched),
    "confusables + combining": _both(_confusables, _combining),
    "confusables + separated": _both(_confusables, _separated),
    "leet + separated": _both(_leet, _separated),
}
"""How words are hidden, by name."""

CARRIERS = (
    "{}",
    "you are such a {} today",
    "well, {}!",
    "what the {} was that?",
    "OK... \U0001f600 {} \U0001f600",
    "«{}»",
)
"""Messages that a hidden word is put into."""


@dataclass(frozen=True, slots=True)
class Evasion:
    """A hidden word in a message, at `start` to `end`."""

    trick: str
    word: str
    text: str
    start: int
    end: int


def evasions(words: list[str], *, seed: int) -> list[Evasion]:
    """Return one variant of every word by every trick, in a carrier each. A trick that changes nothing is left out."""
    rng = random.Random(seed)
    found = []
    for word in words:
        for name, trick in TRICKS.items():
            hidden = trick(word, rng)
            if hidden == word:
                continue
            carrier = rng.choice(CARRIERS)
            start = carrier.index("{")
            found.append(Evasion(name, word, carrier.format(hidden), start, start + len(hidden)))
    return found
