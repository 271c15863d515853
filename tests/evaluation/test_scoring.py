"""Scoring with the bundle that ships."""

import json
from pathlib import Path

import numpy as np
import pytest

from modgate.evaluation import TextScorer, evaluate_bundle

BUNDLE = Path(__file__).parents[2] / "models" / "bundles" / "text-en"


@pytest.fixture(scope="module")
def scorer() -> TextScorer:
    """The English bundle."""
    return TextScorer(BUNDLE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "🙂",
        "🙂" * 500,
        "\ud800 lone \udfff",
        "ᚠᛇᚻ ᛒᛦᚦ",
        "\x00\x01",
        "مرحبا \u202e שלום",
        "a" * 8000,
        "word " * 1600,
    ],
    ids=["empty", "space", "emoji", "emojis", "surrogates", "runes", "control", "right-to-left", "letters", "words"],
)
def test_any_text_gets_scores(scorer: TextScorer, text: str) -> None:
    """Whatever the text, every label gets a probability."""
    scores = scorer.score([text])
    assert np.isfinite(scores.probabilities).all()
    assert ((scores.probabilities >= 0) & (scores.probabilities <= 1)).all()


def test_sentiment_adds_up(scorer: TextScorer) -> None:
    """Of a text of one window, negative, neutral and positive share one."""
    scores = scorer.score(["what a lovely day"])
    sentiment = sum(scores.of(name)[0] for name in ("sent_negative", "sent_neutral", "sent_positive"))
    assert sentiment == pytest.approx(1, abs=1e-4)


def test_worst_window_decides(scorer: TextScorer) -> None:
    """An insult at the end of a long message is found, and the window that it was found in is reported."""
    harmless = "we went to the market and bought some bread and the weather was nice. " * 40
    insult = "you are a worthless piece of garbage"
    calm, rude = scorer.score([harmless, harmless + insult]).of("insult")
    scores = scorer.score([harmless + insult])
    assert scores.windows[0] > 1
    assert rude > calm + 0.3
    assert scores.worst[0][scores.labels.index("insult")] == scores.windows[0] - 1


def test_a_batch_changes_nothing(scorer: TextScorer) -> None:
    """A text's scores hardly depend on what it is padded together with."""
    texts = ["hello there", "you are an idiot", "a much longer harmless sentence about the garden and the bees in it"]
    together = scorer.score(texts).probabilities
    alone = np.concatenate([scorer.score([text]).probabilities for text in texts])
    # Activations are quantised by the batch's own range, hence not exactly equal.
    assert np.abs(together - alone).max() < 0.15


def test_embeddings_are_unit_vectors(scorer: TextScorer) -> None:
    """The similarity embedding has length one, and paraphrases are nearer than strangers."""
    a, b, c = scorer.embed(["my parcel never arrived", "the package has not been delivered", "he plays the violin"])
    assert np.linalg.norm(a) == pytest.approx(1, abs=1e-3)
    assert float(a @ b) > float(a @ c) + 0.2


def test_report(tmp_path: Path) -> None:
    """The evaluation of a file gives figures by label and counts fires on clean lines."""
    rows: list[dict[str, object]] = [{"text": f"you are an idiot number {i}", "toxic": 1} for i in range(25)]
    rows += [{"text": f"see you at {i} o'clock", "toxic": 0, "source": "chat"} for i in range(25)]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    report = evaluate_bundle(BUNDLE, file, rounds=20, picture=tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    figures = report.of("toxic")
    assert figures is not None
    assert figures.auc.value > 0.95
    assert [(clean.source, clean.lines) for clean in report.clean] == [("all", 25), ("chat", 25)]
    assert "| toxic | all | 25 / 25 |" in report.as_markdown()
    json.dumps(report.as_json())
