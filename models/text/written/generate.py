"""Rows out of the templates: every theme of every language, seeded, with templates held out for measuring.

A theme says which labels its sentences have. All labels that it names neither in `labels` nor in `unknown` are 0:
unlike most collected data these rows are annotated in full, which keeps rare labels from bleeding into each other.
"""

import gzip
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from models.text.labels import HARMS, LABELS
from models.text.rows import Rows, concatenate, normal_key
from models.text.written.grammar import Grammar
from models.text.written.style import blur, chatty, disguise, local

__all__ = ["HELD_OUT", "Theme", "languages", "themes", "write"]

HERE = Path(__file__).parent
WORLD = HERE / "world"
HELD_OUT = 9
"""Every ninth template of a theme is never trained on."""

ABUSIVE = ("hate", "abuse", "threat", "sexual")
ABUSIVE_THEMES = ("hate", "hate_threat", "insult", "obscene", "threat", "kys", "sexual")
"""The same in the other languages."""
FILLERS = ("fine.texting", "chat")
"""Themes whose sentences may stand around any other: nobody is judged in them."""

SLUR_CATEGORIES = ("racial / ethnic slurs", "sexual orientation / gender")
SLUR_SEVERITY = 2.7


@dataclass(frozen=True, slots=True)
class Theme:
    """Templates that share their labels.

    Attributes:
        name: `family.topic`; the family `fine` is what must not be found.
        labels: Targets of the labels that are present.
        unknown: Labels that the templates leave open; masked.
        rows: How many sentences to write.
        lines: The templates.
        sentiment: What the sentences say about it, if they do.
    """

    name: str
    labels: dict[str, float]
    unknown: tuple[str, ...]
    rows: int
    lines: tuple[str, ...]
    sentiment: Literal["negative", "neutral", "positive"] | None = None


def languages() -> list[str]:
    """Return the codes of all languages that have templates."""
    return ["en", *sorted(path.stem for path in WORLD.glob("*.yaml"))]


def themes(language: str) -> list[Theme]:
    """Return the themes of one language, in a fixed order.

    English has files of its own; the other languages share the meaning of their themes (`world.yaml`).
    """
    if language != "en":
        meanings = yaml.safe_load((HERE / "world.yaml").read_text())
        lines = yaml.safe_load((WORLD / f"{language}.yaml").read_text())["themes"]
        return [_theme(name, meanings[name], lines[name]) for name in meanings if name in lines]
    entries = [entry for path in _english() for entry in _read(path).get("themes", ())]
    return [_theme(entry["name"], entry, entry["lines"]) for entry in entries]


def _english() -> list[Path]:
    return sorted((HERE / "en").glob("*.yaml"))


def _read(path: Path) -> dict[str, Any]:
    """Return a file of English templates: `themes`, and the `slots` that they need beyond those of `words.yaml`."""
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def _theme(name: str, meaning: dict[str, Any], lines: str) -> Theme:
    return Theme(
        name=name,
        labels={label: float(value) for label, value in meaning["labels"].items()},
        unknown=tuple(meaning.get("unknown", ())),
        rows=int(meaning["rows"]),
        lines=tuple(line.strip() for line in lines.splitlines() if line.strip()),
        sentiment=meaning.get("sentiment"),
    )


def words(language: str, wordlists: Path) -> dict[str, list[str]]:
    """Return the slots of one language; severe slurs come from the word lists, not from this repository."""
    if language == "en":
        raw = {name: block for path in _english() for name, block in _read(path).get("slots", {}).items()}
    else:
        raw = yaml.safe_load((WORLD / f"{language}.yaml").read_text())["slots"]
    slots = {name: [line.strip() for line in block.splitlines() if line.strip()] for name, block in raw.items()}
    if language == "en":
        with gzip.open(wordlists / "wordlists.jsonl.gz", "rt") as file:
            rows = [json.loads(line) for line in file]
        slurs = {
            str(row["word"])
            for row in rows
            if row.get("category") in SLUR_CATEGORIES and (row.get("severity") or 0) >= SLUR_SEVERITY
        }
        plain = sorted(word for word in slurs if word.isalpha())
        slots["slur"] = [word for word in plain if not word.endswith("s")]
        slots["slurs"] = [word if word.endswith("s") else f"{word}s" for word in plain]
    return slots


def write(
    language: str,
    wordlists: Path,
    *,
    part: Literal["train", "dev"],
    scale: float,
    seed: int,
    most: int | None = None,
) -> Rows:
    """Return the rows of one language.

    Args:
        language: Which templates.
        wordlists: Folder of `wordlists.jsonl.gz`.
        part: `train` expands the templates that are not held out, `dev` the others.
        scale: Times each theme's number of rows.
        seed: Same seed, same rows.
        most: Sentences of one template, at the most.
    """
    rng = random.Random(f"{seed}:{language}:{part}")
    grammar = Grammar(words(language, wordlists))
    filler = _fillers(language, grammar, rng)
    parts = [
        _theme_rows(theme, language, grammar, filler, part=part, scale=scale, rng=rng, most=most)
        for theme in themes(language)
    ]
    return concatenate(parts)


def _fillers(language: str, grammar: Grammar, rng: random.Random) -> list[str]:
    every = [line for theme in themes(language) if theme.name in FILLERS for line in theme.lines]
    return [grammar.expand(rng.choice(every), rng) for _ in range(400)] if every else []


def _theme_rows(
    theme: Theme,
    language: str,
    grammar: Grammar,
    filler: list[str],
    *,
    part: str,
    scale: float,
    rng: random.Random,
    most: int | None,
) -> Rows:
    held = [line for i, line in enumerate(theme.lines) if i % HELD_OUT == HELD_OUT - 2]
    lines = held if part == "dev" else [line for line in theme.lines if line not in held]
    wanted = int(theme.rows * scale * (len(held) / len(theme.lines) if part == "dev" else 1))
    wanted = wanted if most is None else min(wanted, most * len(lines))
    texts: dict[str, str] = {}
    abusive = theme.name.split(".")[0] in (ABUSIVE if language == "en" else ABUSIVE_THEMES)
    for attempt in range(wanted * 3 if lines else 0):
        if len(texts) >= wanted:
            break
        text = grammar.expand(lines[attempt % len(lines)], rng)
        if filler and rng.random() < 0.12:
            text = _embed(text, filler, rng)
        if language == "en":
            text = chatty(text, rng)
            text = disguise(text, rng) if abusive and rng.random() < 0.14 else text
        else:
            text = local(text, rng, grammar.alternatives("open"), grammar.alternatives("close"))
            text = blur(text, rng) if rng.random() < (0.12 if abusive else 0.02) else text
        texts.setdefault(normal_key(text), text)
    out = list(texts.values())
    targets = np.zeros((len(out), len(LABELS)), np.float32)
    weights = np.zeros_like(targets)
    weights[:, : len(HARMS)] = 1
    for name, value in theme.labels.items():
        targets[:, LABELS.index(name)] = value
    for name in theme.unknown:
        weights[:, LABELS.index(name)] = 0
    if theme.sentiment is not None:
        targets[:, LABELS.index(f"sent_{theme.sentiment}")] = 1
        weights[:, len(HARMS) :] = 1
    return Rows(out, [language] * len(out), [f"written/{theme.name}"] * len(out), targets, weights)


def _embed(text: str, filler: list[str], rng: random.Random) -> str:
    """Return the sentence inside a longer message; what is around it is harmless, so the labels stay."""
    before = [rng.choice(filler) for _ in range(rng.randrange(3))]
    after = [rng.choice(filler) for _ in range(rng.randrange(3))]
    return rng.choice([". ", ", ", " ", "! "]).join([*before, text, *after])
