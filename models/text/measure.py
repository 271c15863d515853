"""The rows that a bundle is calibrated and reported on, none of which it was trained on."""

import re
from pathlib import Path

import numpy as np
from models.text.labels import LABELS
from models.text.mix import collect_real
from models.text.recipes import Recipe
from models.text.rows import Rows, concatenate, load, normal_key
from models.text.written.generate import languages, write
from models.text.written.style import HOT

from modgate.evaluation.corpus import Corpus

__all__ = ["as_corpus", "clean_lines", "labelled"]

CLEAN = {"irc_ubuntu": 9000, "clinc150": 4000, "banking77": 4000, "goemotions": 8000}
"""Lines of each source that are taken for clean, all left out of training.

Of GoEmotions the neutral ones without swear words or talk of killing oneself: some of its neutral lines are not clean
at all.
"""
DESPERATE = re.compile(
    r"suicid|kill\w* (?:my|your|him|her|them)sel|\bend (?:my|it)|want\w* to die|hang (?:my|your)sel", re.IGNORECASE
)

SPARE = ("edos", "toxic_spans", "jigsaw_ak")
"""Sources whose rows that training left out join the development rows: they hold most of the threats there are, and the
only comments of Wikipedia talk."""


def labelled(recipe: Recipe, data: Path, *, tiers: tuple[str, ...] = ("A", "A2")) -> Rows:
    """Return the development rows and held-out written sentences in a recipe's languages.

    Only what was annotated counts here: nothing is assumed, except that what is not toxic is no insult either.
    """
    rows = load(data / "text" / "dev.parquet", tiers=tiers, assume=False)
    spoken = {*recipe.languages, "hi-Latn"} if "hi" in recipe.languages else {*recipe.languages}
    rows = rows.take([i for i, language in enumerate(rows.languages) if language in spoken])
    spare = _unused(recipe, data)
    rows = concatenate([rows, spare.take([i for i, source in enumerate(spare.sources) if source in SPARE])])
    own = [
        write(language, data / "wordlists", part="dev", scale=recipe.written[language], seed=recipe.seed)
        for language in recipe.written
        if language in languages()
    ]
    return concatenate([rows, *own])


def clean_lines(recipe: Recipe, data: Path) -> Rows:
    """Return chat in which there is nothing to find and that the recipe has not seen."""
    rows = _unused(recipe, data)
    neutral = LABELS.index("sent_neutral")
    rng = np.random.default_rng(recipe.seed)
    chosen: list[int] = []
    for source, count in CLEAN.items():
        there = [
            i
            for i, name in enumerate(rows.sources)
            if name == source
            and (source != "goemotions" or rows.targets[i, neutral] >= 1)
            and not HOT.search(rows.texts[i])
            and not DESPERATE.search(rows.texts[i])
        ]
        wanted = count * (recipe.clean or recipe.measured) // 1000
        chosen += rng.permutation(np.array(there, np.int64))[:wanted].tolist()
    return rows.take(chosen)


def _unused(recipe: Recipe, data: Path) -> Rows:
    seen = {normal_key(text) for text in collect_real(data, recipe.mix, seed=recipe.seed).texts}
    rows = load(data / "text" / "train.parquet", assume=False)
    return rows.take([i for i, text in enumerate(rows.texts) if normal_key(text) not in seen])


def as_corpus(rows: Rows) -> Corpus:
    """Return rows in the form that the evaluation reads."""
    truths = np.where(rows.weights > 0, rows.targets, np.nan).astype(np.float64)
    return Corpus(rows.texts, rows.languages, rows.sources, {name: truths[:, i] for i, name in enumerate(LABELS)})
