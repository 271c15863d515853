"""The bundles that can be built: encoder, mix, length, learning rate."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.text.bases import Base, MiniLM, SmallE5
from models.text.mix import ENGLISH, EVERY_LANGUAGE
from models.text.training import Plan

__all__ = ["RECIPES", "Recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to make one bundle.

    Attributes:
        name: The bundle's name.
        version: Of the weights; changes whenever they do.
        base: The encoder that it starts from.
        mix: Rows by source and language.
        written: Scale of the project's own sentences by language.
        longest: Tokens of a training row.
        anchors: Rows whose embedding is tied to the original encoder's.
        passages: Of harmless books.
        plans: Of the training loop, for each of its phases; the first one's seed is also that of the data.
        centred: Whether the embedding keeps to the original's less its mean. All of e5's embeddings lie in one narrow
            cone; without its axis, unlike sentences are unlike.
        solved: Anchored rows to which the projection is fitted exactly after training; 0 for not at all.
        languages: ISO 639-1 codes that are evaluated.
        measured: Rows of a source and language that are calibrated or reported on, at most.
        clean: Clean lines that strict thresholds are chosen or reported on, in the same measure; 0 for as many as that.
        most: Sentences out of one template, at the most.
        embeds: Whether the sentence embedding is good enough to be offered to `similar` conditions.
    """

    name: str
    version: str
    base: Base
    mix: Mapping[tuple[str, str], int]
    written: Mapping[str, float]
    longest: int
    anchors: int
    passages: int
    plans: tuple[Plan, ...]
    languages: tuple[str, ...]
    measured: int = 1000
    clean: int = 0
    most: int | None = None
    embeds: bool = True
    centred: bool = False
    solved: int = 0

    @property
    def seed(self) -> int:
        """Of sampling, and of the written sentences that are held out."""
        return self.plans[0].seed


WORLD = ("ar", "de", "es", "fr", "hi", "it", "ja", "ko", "nl", "pl", "pt", "ru", "tr", "zh")

RECIPES = {
    "text-en": Recipe(
        name="text-en",
        version="1.3.0",
        base=MiniLM(),
        mix=ENGLISH,
        written={"en": 2.0},
        longest=112,
        anchors=40000,
        passages=4000,
        plans=(Plan(steps=10500, rate=3e-4, anchor=4.0, relate=1.0, words=0.1),),
        most=30,
        languages=("en",),
        measured=600,
        clean=1000,
    ),
    "text-multi": Recipe(
        name="text-multi",
        version="0.4.0",
        base=SmallE5(layers=6, vocabulary=96000),
        mix=EVERY_LANGUAGE,
        written={"en": 1.0, **dict.fromkeys(WORLD, 1.3)},
        longest=96,
        anchors=60000,
        passages=1500,
        plans=(
            Plan(steps=10000, rate=3e-4, anchor=8.0, relate=2.0),
            Plan(steps=2000, rate=1.5e-4, anchor=8.0, relate=2.0, seed=18),
        ),
        most=30,
        centred=True,
        solved=15000,
        languages=("en", *WORLD),
        measured=150,
        clean=600,
        embeds=False,
    ),
}
