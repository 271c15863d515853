"""`python -m benchmarks words`: false positives, evasions caught, and what matching costs.

Exits with 1 if a clean row is hit or fewer than 95 % of the evasions are caught.
"""

import argparse
import gc
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks._evasions import CARRIERS, Evasion, evasions
from modgate.detectors.base import Subject
from modgate.detectors.words import WordList, WordsInspector
from modgate.detectors.words_files import parse_entries, shipped, shipped_names
from modgate.message import Conversation, Message, Sender

DATA = Path(__file__).parents[1] / "tests/data"
CLEAN = ("clean_corpus_chat.txt", "clean_corpus_words.txt")
RECALL = 0.95
SEED = 20261121
MESSAGE = Message(id="", text="", sender=Sender(id=""), conversation=Conversation(id=""))
SYLLABLES = [
    first + vowel + last for first in "bcdfghklmnprstvw" for vowel in "aeiou" for last in ("", "n", "r", "s", "l")
]


def subject(text: str) -> Subject:
    """Return a subject whose only part is `text`."""
    return Subject(message=MESSAGE, parts={"text": text}, now=0.0)


def clean_rows() -> list[str]:
    """Return every row of the clean corpora."""
    return [row for name in CLEAN for row in parse_entries((DATA / name).read_text(encoding="utf-8"))]


def false_positives(inspector: WordsInspector, rows: Sequence[str]) -> list[tuple[str, str]]:
    """Return the clean rows that are hit, alone or within a sentence, with what hit them."""
    hits = []
    for row in rows:
        for text in (row, CARRIERS[1].format(row), row.lower()):
            for found in inspector.inspect(subject(text)).values():
                hits += [(text, f"{finding.label}: {finding.evidence}") for finding in found]
    return hits


def hidden_words(count: int) -> list[str]:
    """Return a seeded choice of single listed English words of 3 to 11 letters: those that people hide."""
    words = [word for name in ("profanity-en", "slurs-en", "sexual-en") for word in shipped(name).entries]
    plain = sorted({word for word in words if word.isascii() and word.isalpha() and 3 <= len(word) <= 11})
    always = [
        "fuck",
        "shit",
        "bitch",
        "cunt",
        "asshole",
        "nigger",
        "faggot",
        "dick",
        "pussy",
        "whore",
        "fucking",
        "slut",
    ]
    return always + random.Random(SEED).sample(sorted(set(plain) - set(always)), count - len(always))


def caught(inspector: WordsInspector, evasion: Evasion) -> bool:
    """Tell whether the spans found cover every letter of the hidden word."""
    end = evasion.start + len(evasion.text[evasion.start : evasion.end].rstrip("0123456789"))
    spans = [
        span
        for found in inspector.inspect(subject(evasion.text)).values()
        for finding in found
        for span in finding.spans
    ]
    return any(start <= evasion.start and end <= stop for start, stop in spans)


def entries(count: int, rng: random.Random) -> tuple[str, ...]:
    """Return distinct made-up words of two to four syllables, and a phrase now and then."""
    made: set[str] = set()
    while len(made) < count:
        word = "".join(rng.choices(SYLLABLES, k=rng.randint(2, 4)))
        made.add(f"{word} {rng.choice(SYLLABLES)}" if rng.random() < 0.1 else word)
    return tuple(sorted(made))


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def messages(rows: Sequence[str], *, ascii_only: bool) -> list[str]:
    """Return texts of 100 characters made of the clean rows that are ASCII, or of those that are not."""
    text = " ".join(row for row in rows if row.isascii() == ascii_only)
    return [text[at : at + 100] for at in range(0, min(len(text), 20_000), 100)]


def cost(count: int, rows: Sequence[str], *, rounds: int) -> dict[str, float]:
    """Return build time (processor), memory and the time per 100-character message with `count` entries in force."""
    words = WordList("made-up", entries(count, random.Random(SEED)))
    gc.collect()
    before = resident()
    start = time.process_time()
    inspector = WordsInspector.compile([words])
    built = time.process_time() - start
    figures: dict[str, float] = {
        "entries": count,
        "build_ms": built * 1e3,
        "memory_mib": (resident() - before) / 2**20,
    }
    plain = messages(rows, ascii_only=True)
    for name, texts in (("ascii", plain), ("other", messages(rows, ascii_only=False))):
        # The best of the rounds for each message: what it costs, not what else the machine was doing.
        times = [min(_time_us(inspector, one) for _ in range(rounds)) for one in map(subject, texts)]
        cuts = statistics.quantiles(times, n=100)
        figures |= {f"{name}_p50_us": cuts[49], f"{name}_mean_us": statistics.fmean(times), f"{name}_p99_us": cuts[98]}
    long = subject(" ".join(plain)[:10_000])
    figures["long_10k_us"] = min(_time_us(inspector, long) for _ in range(rounds))
    return figures


def _time_us(inspector: WordsInspector, one: Subject) -> float:
    start = time.perf_counter()
    inspector.inspect(one)
    return (time.perf_counter() - start) * 1e6


def main(argv: list[str]) -> int:
    """Print the figures; return 1 if a gate is missed."""
    options = argparse.ArgumentParser(prog="python -m benchmarks words", description=__doc__)
    options.add_argument("--smoke", action="store_true", help="fewer rounds and no 100,000 entries")
    options.add_argument("--json", type=Path, help="also write the figures to this file")
    options.add_argument("--misses", action="store_true", help="print every evasion that was missed")
    args = options.parse_args(argv)

    inspector = WordsInspector.compile([shipped(name) for name in shipped_names()])
    rows = clean_rows()
    hits = false_positives(inspector, rows)
    for text, why in hits:
        print(f"FALSE POSITIVE {text!r}: {why}")
    print(f"clean corpus: {len(rows)} rows, three ways each: {len(hits)} false positives (must be 0)")

    variants = evasions(hidden_words(60 if args.smoke else 120), seed=SEED)
    tried = Counter(variant.trick for variant in variants)
    missed = [variant for variant in variants if not caught(inspector, variant)]
    misses = Counter(variant.trick for variant in missed)
    recall = 1 - len(missed) / len(variants)
    for trick, count in tried.items():
        print(f"  {trick:26} {count - misses[trick]:4} of {count:4}  {1 - misses[trick] / count:7.1%}")
    if args.misses:
        for variant in missed:
            print(f"  missed {variant.word!r} by {variant.trick}: {variant.text!r}")
    print(f"evasions: {len(variants)} variants, {recall:.1%} caught (must be {RECALL:.0%})")

    costs = [
        cost(n, rows, rounds=3 if args.smoke else 30) for n in (1_000, 10_000, *(() if args.smoke else (100_000,)))
    ]
    for figures in costs:
        print("  " + ", ".join(f"{name} {value:.1f}" for name, value in figures.items()))
    if args.json:
        report = {
            "clean_rows": len(rows),
            "false_positives": len(hits),
            "evasions": len(variants),
            "recall": recall,
            "recall_by_trick": {trick: 1 - misses[trick] / count for trick, count in tried.items()},
            "cost": costs,
        }
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return int(bool(hits) or recall < RECALL)


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
