"""Two models side by side, with the weights that ship: who reads what, and on which scale."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from modgate.detectors.base import DetectorError, Problem
from modgate.inference.alignment import Alignment
from modgate.inference.bundle import Bundle
from modgate.inference.by_language import ByLanguage
from modgate.inference.languages import ForeignShare
from modgate.inference.manifest import Manifest
from modgate.inference.runner import Runner
from modgate.inference.text_model import TextModel, TextScores

BUNDLES = Path(__file__).parents[2] / "models" / "bundles"
SECONDS = 60.0
OTHERS = ("ar", "de", "es", "fr", "hi", "it", "ja", "ko", "nl", "pl", "pt", "ru", "tr", "zh")


@pytest.fixture(scope="module")
def models() -> Iterator[tuple[TextModel, TextModel]]:
    runner = Runner(1)
    yield tuple(TextModel(Bundle.load(BUNDLES / name), runner) for name in ("text-en", "text-multi"))  # type: ignore[misc]
    runner.close()


@pytest.fixture(scope="module")
def foreign() -> ForeignShare:
    return ForeignShare(("en",), ("en", *OTHERS))


def ask(scorer: ByLanguage, text: str) -> TextScores:
    async def one() -> TextScores:
        return await scorer.score(text, time.monotonic() + SECONDS)

    return asyncio.run(one())


@pytest.mark.parametrize(
    "text",
    [
        "Kommst du morgen zum Training oder bist du krank?",
        "¿quedamos mañana en la plaza para tomar algo?",
        "on se retrouve devant la gare à huit heures",
        "вы завтра придёте на тренировку?",
        "明天一起去看电影吧",
        "هل ستأتي إلى الحفلة غدا؟",
        "क्या तुम कल आ रहे हो?",
    ],
)
def test_other_languages_are_foreign(foreign: ForeignShare, text: str) -> None:
    """Ordinary lines of languages that the second model reads are surely its own."""
    assert foreign(text) > 0.95


@pytest.mark.parametrize(
    "text", ["see you at the station at nine", "", "🙂", "gg", "lol", "123 456", "\ud800", "x" * 9000]
)
def test_english_and_what_is_no_language_stay(foreign: ForeignShare, text: str) -> None:
    """English, and texts without words, are left to the first model."""
    assert foreign(text) < 0.95


def test_each_language_has_its_model(models: tuple[TextModel, TextModel], foreign: ForeignShare) -> None:
    """English scores as by the first model alone; what the second one read says so, in the first one's order."""
    full, others = models
    scorer = ByLanguage(full, full, others, foreign)
    (alone,) = full.score_now(["you are a worthless idiot"])
    assert np.allclose(ask(scorer, "you are a worthless idiot").probabilities, alone.probabilities, atol=1e-5)
    assert scorer.passed_on == 0
    insult = ask(scorer, "eres un idiota inútil, cállate de una vez")
    assert scorer.passed_on == 1
    assert insult.by == f"text-multi {others.manifest.version}"
    assert insult.probabilities[full.labels["toxic"]] > 0.5
    assert insult.probabilities.shape == (len(full.labels),)
    assert insult.probabilities[
        [full.labels[f"sent_{mood}"] for mood in ("negative", "neutral", "positive")]
    ].sum() == (pytest.approx(1, abs=1e-3))


def test_a_tool_gets_the_same(models: tuple[TextModel, TextModel], foreign: ForeignShare) -> None:
    """Scoring many texts at once tells the languages apart as scoring one does."""
    full, others = models
    scorer = ByLanguage(full, full, others, foreign)
    texts = ["nice to meet you", "Du bist so ein Idiot, halt die Klappe", "mañana no puedo, lo siento mucho"]
    together = scorer.score_now(texts)
    for text, scores in zip(texts, together, strict=True):
        alone = ask(scorer, text)
        assert alone.by == scores.by
        # Texts that share a batch share the range of its int8 activations.
        assert np.allclose(alone.probabilities, scores.probabilities, atol=0.2)
    assert scorer.score_now([]) == []


def test_in_doubt_the_worst_decides(models: tuple[TextModel, TextModel]) -> None:
    """Both models are asked, and every label gets the higher score; long texts keep the window that decided."""
    full, others = models
    scorer = ByLanguage(full, full, others, lambda _: 0.7)
    text = " ".join(["we talked about the weather"] * 60) + " eres una puta mierda, te voy a matar"
    scores = ask(scorer, text)
    mine, theirs = full.score_now([text])[0], others.score_now([text])[0]
    aligned = Alignment(others.manifest, full.manifest)(theirs.probabilities)
    assert np.allclose(scores.probabilities, np.maximum(mine.probabilities, aligned), atol=0.02)
    assert scores.spans is not None
    assert len(scores.spans) == len(full.labels)


class Failing:
    """A model that has no time."""

    async def score(self, text: str, deadline: float) -> TextScores:
        """Refuse."""
        raise DetectorError(Problem.OVERLOAD, f"no time for {len(text)} characters by {deadline}")


def test_in_doubt_the_first_model_is_enough(
    models: tuple[TextModel, TextModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the second model has no time the first one's answer counts; without the first one's there is none."""
    full, others = models
    monkeypatch.setattr(others, "score", Failing().score)
    (alone,) = full.score_now(["bonjour everybody"])
    scorer = ByLanguage(full, full, others, lambda _: 0.7)
    assert np.allclose(ask(scorer, "bonjour everybody").probabilities, alone.probabilities, atol=1e-5)
    with pytest.raises(DetectorError, match="no time"):
        ask(ByLanguage(Failing(), full, others, lambda _: 0.7), "bonjour everybody")


def manifest(*labels: dict[str, object]) -> Manifest:
    """Return a text bundle's manifest with these labels."""
    raw = Manifest.model_validate_json((BUNDLES / "text-en" / "manifest.json").read_bytes()).model_dump(mode="json")
    return Manifest.model_validate({**raw, "labels": [*labels]})


def test_thresholds_are_aligned() -> None:
    """What is at one bundle's thresholds is at the other's, higher scores stay higher, missing labels score nothing."""
    of = manifest({"name": "toxic", "threshold": 0.6, "strict": 0.9}, {"name": "spam", "threshold": 0.4})
    to = manifest(
        {"name": "insult", "threshold": 0.5}, {"name": "spam"}, {"name": "toxic", "threshold": 0.3, "strict": 0.99}
    )
    aligned = Alignment(of, to)
    scores = [aligned(np.array([x, 0.7], np.float32)) for x in (0.0, 0.3, 0.6, 0.75, 0.9, 1.0)]
    assert [round(float(s[2]), 3) for s in scores] == [0.0, 0.15, 0.3, 0.645, 0.99, 1.0]
    assert {float(s[0]) for s in scores} == {0.0}
    assert {round(float(s[1]), 3) for s in scores} == {0.7}


def test_an_experimental_label_never_blocks() -> None:
    """It reaches the default threshold, and stays below the strict one."""
    of = manifest({"name": "toxic", "threshold": 0.6, "strict": 0.9, "experimental": True})
    to = manifest({"name": "toxic", "threshold": 0.3, "strict": 0.8})
    aligned = Alignment(of, to)
    assert 0.3 <= aligned(np.array([0.7], np.float32))[0] < 0.8
    assert np.float32(aligned(np.array([1.0], np.float32))[0]) < 0.8
