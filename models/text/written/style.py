"""How people type: case, missing apostrophes, shorthand, typos, emoji, stretched letters, and words in disguise."""

import random
import re
import unicodedata
from collections.abc import Sequence

__all__ = ["HOT", "blur", "casual", "chatty", "disguise", "local", "mention"]

SHORT = {
    "you": "u",
    "are": "r",
    "your": "ur",
    "you're": "ur",
    "please": "plz",
    "because": "cuz",
    "people": "ppl",
    "tomorrow": "tmrw",
    "really": "rly",
    "with": "w",
    "for": "4",
    "to": "2",
    "don't": "dont",
    "want to": "wanna",
    "going to": "gonna",
    "what": "wat",
    "the": "da",
    "that": "dat",
    "thanks": "thx",
    "okay": "ok",
    "about": "abt",
    "know": "kno",
}
OPENERS = (
    "lol", "bro", "honestly", "ngl", "tbh", "ok", "so", "well", "look", "yeah", "hey", "i mean", "bruh", "like", "and",
    "wait", "man", "haha", "fr", "also", "but", "no", "listen", "dude",
)  # fmt: skip
CLOSERS = (
    "lol",
    "tbh",
    "fr",
    "man",
    "bro",
    "haha",
    "ok",
    "now",
    "...",
    "!!",
    "!!!",
    "though",
    "right",
    "you know",
    "smh",
    "ffs",
)
EMOJI = ("😂", "🤣", "😭", "💀", "🙂", "😅", "🔥", "😡", "🙄", "👍", "❤️", "😊", "🤔", "😬", "👀", "🤷")

HANDLES = ("USER", "user", "anna_92", "mike", "everyone", "here", "dev_tom", "kit_kat77", "the_real_jo", "RT", "mods")

LEET = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7+", "b": "8", "g": "9", "l": "1"}
CONFUSABLE = {"a": "а", "e": "е", "o": "о", "c": "с", "p": "р", "x": "х", "y": "у", "i": "і", "u": "υ"}

HOT = re.compile(
    r"\b(\w*fuck\w*|\w*shit\w*|bitch\w*|cunt\w*|dick\w*|cock\w*|pussy|whore\w*|slut\w*|asshole\w*|bastard\w*|idiots?|morons?|stupid|"
    r"retard\w*|kill|die|nudes?|sex|porn|trash|garbage|loser|hate|scum|vermin|rape|fag\w*|nig\w+|murder|dumb|ugly|pathetic|worthless)\b",
    re.IGNORECASE,
)
"""Words that senders disguise."""


def _leet(word: str, _at: int, rng: random.Random) -> str:
    return "".join(rng.choice(LEET[c]) if c in LEET and rng.random() < 0.6 else c for c in word.lower())


def _spread(word: str, _at: int, rng: random.Random) -> str:
    return rng.choice(" .-_*").join(word)


def _star(word: str, _at: int, _rng: random.Random) -> str:
    return re.sub("[aeiou]", "*", word, count=1)


def _stretch(word: str, at: int, rng: random.Random) -> str:
    return word[:at] + word[at] * rng.randrange(2, 5) + word[at + 1 :]


def _split(word: str, at: int, rng: random.Random) -> str:
    return word[:at] + rng.choice([" ", "-", ".", "\u200b"]) + word[at:]


def _drop(word: str, at: int, _rng: random.Random) -> str:
    return word[:at] + word[at + 1 :]


def _confuse(word: str, _at: int, rng: random.Random) -> str:
    return "".join(CONFUSABLE.get(c, c) if rng.random() < 0.5 else c for c in word)


def _swap(word: str, at: int, _rng: random.Random) -> str:
    return word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :]


WAYS = (_leet, _spread, _star, _stretch, _split, _drop, _confuse, _swap)
LOCAL_WAYS = (_leet, _spread, _star, _stretch, _split, _drop, _swap)
SHORTEST = 3
"""Letters that a word needs to be bent and still be read."""


def disguise(text: str, rng: random.Random) -> str:
    """Return the text with the words that filters look for written so that they slip through."""

    def bend(match: re.Match[str]) -> str:
        word = match.group(0)
        if rng.random() < 0.2 or len(word) < SHORTEST:
            return word
        at = rng.randrange(1, len(word) - 1)
        return rng.choice(WAYS)(word, at, rng)

    out = HOT.sub(bend, text)
    if out != text and rng.random() < 0.1:
        out = out.replace(" ", "")
    return out


def mention(text: str, rng: random.Random) -> str:
    """Return the text as an answer to somebody, who is named at its beginning; what it says stays what it was."""
    named = " ".join(f"@{rng.choice(HANDLES)}" for _ in range(rng.choice((1, 1, 1, 2))))
    return f"{named}{rng.choice((' ', ' ', ': ', ', '))}{text}"


def chatty(text: str, rng: random.Random) -> str:
    """Return the text as somebody might type it in English."""
    out = text
    if rng.random() < 0.12:
        out = f"{rng.choice(OPENERS)}{rng.choice(['', ','])} {out}"
    if rng.random() < 0.1:
        out = f"{out} {rng.choice(CLOSERS)}"
    if rng.random() < 0.3:
        out = out.replace("'", "")
    if rng.random() < 0.1:
        out = " ".join(SHORT.get(word.lower(), word) if rng.random() < 0.6 else word for word in out.split(" "))
    if rng.random() < 0.03:
        out = re.sub(r"([aeiouy])(\W*)$", lambda m: m.group(1) * rng.randrange(2, 5) + m.group(2), out)
    return casual(out, rng)


UNLIKE = {"ß": "ss", "ł": "l", "Ł": "L", "ı": "i", "ø": "o"}
"""Latin letters that do not decompose."""


def local(text: str, rng: random.Random, openers: Sequence[str] = (), closers: Sequence[str] = ()) -> str:
    """Return the text as somebody might type it in a language with its own interjections."""
    out = text
    if openers and rng.random() < 0.12:
        out = f"{rng.choice(openers)}{rng.choice(['', ','])} {out}"
    if closers and rng.random() < 0.12:
        out = f"{out} {rng.choice(closers)}"
    if rng.random() < 0.12:
        out = _bare(out)
    if rng.random() < 0.04:
        out = re.sub(r"([aeiouyаеиоуы])(\W*)$", lambda m: m.group(1) * rng.randrange(2, 5) + m.group(2), out)
    return casual(out, rng)


def blur(text: str, rng: random.Random) -> str:
    """Return the text with a word or two bent, whatever they mean, or without its spaces."""
    if rng.random() < 0.15:
        return text.replace(" ", "")
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) > SHORTEST and word.isalpha()]
    for i in rng.sample(long, min(len(long), rng.randrange(1, 3))):
        words[i] = rng.choice(LOCAL_WAYS)(words[i], rng.randrange(1, len(words[i]) - 1), rng)
    return " ".join(words)


def _bare(text: str) -> str:
    """Return the text without accents on Latin letters; marks of other scripts are letters of their own."""
    plain = (unicodedata.normalize("NFD", c)[0] for c in text)
    return "".join(UNLIKE.get(c, base if base.isascii() else c) for c, base in zip(text, plain, strict=True))


def casual(text: str, rng: random.Random) -> str:
    """Return the text as somebody might type it, in any language with or without case."""
    out = text
    if rng.random() < 0.06:
        out = _typo(out, rng)
    case = rng.random()
    if case < 0.3:
        out = out.lower()
    elif case < 0.33:
        out = out.upper()
    elif case < 0.6:
        out = out[:1].upper() + out[1:] + (rng.choice("..!") if out[-1:].isalnum() else "")
    if rng.random() < 0.06:
        out = f"{out} {rng.choice(EMOJI)}"
    return out.strip()


def _typo(text: str, rng: random.Random) -> str:
    if len(text) < 6:
        return text
    at = rng.randrange(1, len(text) - 2)
    kind = rng.randrange(3)
    if kind == 0:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if kind == 1:
        return text[:at] + text[at + 1 :]
    return text[:at] + text[at] + text[at:]
