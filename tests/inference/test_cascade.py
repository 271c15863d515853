"""The first stage and the full model behind it, with the weights that ship."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from modgate.inference.bundle import Bundle, BundleError
from modgate.inference.cascade import Cascade
from modgate.inference.runner import Runner
from modgate.inference.text_model import TextModel

BUNDLES = Path(__file__).parents[2] / "models" / "bundles"
ABUSE = ("you are a worthless idiot", "I will find you and kill you")
SECONDS = 60.0


@pytest.fixture(scope="module")
def models() -> Iterator[tuple[TextModel, TextModel]]:
    runner = Runner(1)
    first, full = (TextModel(Bundle.load(BUNDLES / name), runner) for name in ("text-first", "text-en"))
    yield first, full
    runner.close()


def test_what_is_passed_on_scores_as_without_a_first_stage(models: tuple[TextModel, TextModel]) -> None:
    """Abuse, short, empty of meaning or in several windows: the full model's very scores, and its embedding."""
    first, full = models
    texts = [*ABUSE, " ".join([*["we talked about the weather and the garden"] * 40, *ABUSE]), "😡 " * 30 + ABUSE[0]]

    async def both() -> None:
        for text in texts:
            cascade = Cascade(first, full, cache_entries=0)
            passed_on = await cascade.score(text, time.monotonic() + SECONDS)
            (alone,) = full.score_now([text])
            assert cascade.passed_on == 1
            assert np.array_equal(passed_on.probabilities, alone.probabilities)
            assert passed_on.spans == alone.spans
            assert passed_on.embedding is not None

    asyncio.run(both())


def test_a_plain_line_never_reaches_the_full_model(models: tuple[TextModel, TextModel]) -> None:
    """Nothing is asked of it: no score of it is known afterwards, and there is no embedding."""
    first, full = models
    cascade = Cascade(first, full)
    line = "where is my order"

    async def ask() -> bool:
        scores = await cascade.score(line, time.monotonic() + SECONDS)
        return scores.embedding is None

    assert asyncio.run(ask())
    assert (cascade.plain, cascade.passed_on) == (1, 0)
    assert full.cache.peek(line) is None


def test_a_first_stage_of_another_model_is_refused(models: tuple[TextModel, TextModel]) -> None:
    """What it is certain of says nothing about a model that it was not made for."""
    first, full = models
    with pytest.raises(BundleError, match="not of text-first"):
        Cascade(first, first)
    assert full.reads_like(first)
