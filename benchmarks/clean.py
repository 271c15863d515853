"""`python -m benchmarks clean`: what the default rules do to chat in which there is nothing to find.

Rows come from JSON lines or Parquet with `text` (`modgate.evaluation.corpus`). Of rows with labels those are taken in
which every harm is annotated as absent, and those that raters found neutral; of rows without any labels, all. Every
line is judged on its own, as by `modgate check`, by the rules and models of the settings. Exits with 1 if more than
`--at-most` of 10,000 lines are blocked.
"""

import argparse
import asyncio
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from modgate.assembly import build_engine
from modgate.evaluation import Corpus, read_corpus
from modgate.gate import Gate
from modgate.message import Conversation, ConversationType, Message, Sender
from modgate.rules import Document, load_document
from modgate.settings import load_settings

ROOT = Path(__file__).parents[1]
SMOKE = ROOT / "tests/data/accuracy_smoke.jsonl"
PATIENCE = 60.0
"""Seconds for a line: this is about verdicts, not about deadlines."""


def options(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks clean", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/text"), help="file or folder of rows")
    parser.add_argument("--rules", default="builtin:default", help="rule file")
    parser.add_argument("--text", help="name of the text bundle; that of the settings by default")
    parser.add_argument("--languages", default="en", help="only these, such as en,de")
    parser.add_argument("--per-source", type=int, default=3000, help="at most so many rows of a source, seeded")
    parser.add_argument("--at-most", type=float, metavar="N", help="exit with 1 if more of 10,000 lines are blocked")
    parser.add_argument("--smoke", action="store_true", help="a few rows that come with the sources")
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args(argv)


def clean(corpus: Corpus, languages: str, per_source: int) -> Corpus:
    """Return rows with nothing to find in the languages asked for, at most so many of each source."""
    spoken = {code for code in languages.split(",") if code}
    right = np.array([not spoken or not code or code in spoken for code in corpus.languages])
    mood = corpus.truths.get("sent_neutral", np.full(len(corpus), np.nan))
    harms = [truth for label, truth in corpus.truths.items() if not label.startswith("sent_")]
    if corpus.truths:
        known = np.stack(harms) if harms else np.full((1, len(corpus)), np.nan)
        quiet = (np.nan_to_num(known, nan=1.0) < 0.5).all(0)
        right &= quiet | (np.isnan(known).all(0) & (np.nan_to_num(mood) >= 1))
    rng = np.random.default_rng(1)
    by_source: dict[str, list[int]] = {}
    for i in rng.permutation(np.flatnonzero(right)):
        by_source.setdefault(corpus.sources[i], []).append(int(i))
    return corpus.take(np.array(sorted(i for found in by_source.values() for i in found[:per_source]), np.int64))


async def judged(gate: Gate, corpus: Corpus) -> list[tuple[str, str, bool, tuple[str, ...]]]:
    """Return source, verdict, whether flagged, and the live rules that matched, of every line."""
    conversation = Conversation("clean", ConversationType.GROUP)
    out = []
    for i, (text, source) in enumerate(zip(corpus.texts, corpus.sources, strict=True)):
        now = time.monotonic()
        message = Message(f"m{i}", text, Sender(f"s{i}"), conversation)
        decision = await gate.judge(message, arrived=now, deadline=now + PATIENCE, explain=False)
        rules = tuple(sorted({match.rule_id for match in decision.matches if not match.shadow}))
        out.append((source, decision.verdict.name, decision.flagged, rules))
    return out


def table(rows: Sequence[tuple[str, str, bool, tuple[str, ...]]]) -> list[dict[str, object]]:
    """Return the figures of all lines and of each source."""
    out: list[dict[str, object]] = []
    for name in ("all", *sorted({source for source, *_ in rows if source})):
        mine = [row for row in rows if name in ("all", row[0])]
        blocked = sum(verdict == "BLOCK" for _, verdict, _, _ in mine)
        by_rule = Counter(rule for _, verdict, _, rules in mine if verdict == "BLOCK" for rule in rules)
        out.append(
            {
                "source": name,
                "lines": len(mine),
                "blocked": blocked,
                "blocked_per_10_000": round(1e4 * blocked / len(mine), 1),
                "masked": sum(verdict == "MASK" for _, verdict, _, _ in mine),
                "flagged": sum(flagged for _, _, flagged, _ in mine),
                "rules_of_blocked": dict(by_rule),
            }
        )
    return out


def main(argv: Sequence[str]) -> int:
    """Judge, print, and say whether the threshold was met."""
    given = options(argv)
    try:
        corpus = clean(read_corpus(SMOKE if given.smoke else given.data), given.languages, given.per_source)
        document: Document = load_document(given.rules)
        settings = load_settings(None)
        models = {"images": (), "ocr": None, **({"text": given.text} if given.text else {})}
        engine = build_engine(settings.model_copy(update={"models": settings.models.model_copy(update=models)}))
    except (OSError, ValueError) as error:
        print(f"clean: {error}", file=sys.stderr)
        return 2
    try:
        rows = asyncio.run(judged(Gate(engine.compile(document)), corpus))
    finally:
        engine.close()
    figures = table(rows)
    print("| lines of | lines | blocked | per 10,000 | masked | flagged | rules of the blocked |\n" + "|---" * 7 + "|")
    for row in figures:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    if given.json:
        when = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": platform.machine()}
        given.json.write_text(json.dumps({**when, "figures": figures}, indent=1) + "\n")
    share = float(str(figures[0]["blocked_per_10_000"]))
    if given.at_most is not None and share > given.at_most:
        print(f"missed: {share} of 10,000 clean lines are blocked, wanted at most {given.at_most}", file=sys.stderr)
        return 1
    return 0
