"""The project's own sentences: templates that expand, labels that exist, parts that do not overlap."""
# ruff: noqa: S311 - seeded on purpose

import gzip
import json
import random
from pathlib import Path

import pytest
from models.text.labels import HARMS, LABELS
from models.text.probe import probe
from models.text.rows import normal_key
from models.text.statements import harmless
from models.text.written.generate import languages, themes, write
from models.text.written.grammar import Grammar
from models.text.written.style import blur, casual, chatty, disguise, local


@pytest.fixture(scope="module")
def wordlists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A word list with one made-up slur."""
    folder = tmp_path_factory.mktemp("wordlists")
    row = {"word": "zorbling", "category": "racial / ethnic slurs", "severity": 3.0}
    with gzip.open(folder / "wordlists.jsonl.gz", "wt") as file:
        file.write(json.dumps(row) + "\n")
    return folder


@pytest.mark.parametrize("language", languages())
def test_every_theme_writes(language: str, wordlists: Path) -> None:
    """Every template of every language expands, and no bracket or slot is left in a sentence."""
    rows = write(language, wordlists, part="train", scale=0.1, seed=1)
    assert {f"written/{theme.name}" for theme in themes(language)} == set(rows.sources)
    assert not [text for text in rows.texts if set(text) & set("[]{}|")]
    assert all(rows.texts)


@pytest.mark.parametrize("language", languages())
def test_labels_exist(language: str) -> None:
    """A theme names labels that the model has, none of them twice, with values between 0 and 1."""
    for theme in themes(language):
        assert {*theme.labels, *theme.unknown} <= set(HARMS), theme.name
        assert not set(theme.labels) & set(theme.unknown), theme.name
        assert all(0 <= value <= 1 for value in theme.labels.values()), theme.name


def test_same_seed_same_rows(wordlists: Path) -> None:
    """The generator is a function of its seed."""
    first, second, other = (write("en", wordlists, part="train", scale=0.02, seed=s).texts for s in (1, 1, 2))
    assert first == second
    assert first != other


def test_held_out_templates_are_not_trained_on(wordlists: Path) -> None:
    """Hardly a sentence of the held-out part is among the training sentences: they come from other templates."""
    train = {normal_key(text) for text in write("en", wordlists, part="train", scale=0.3, seed=1).texts}
    held = [normal_key(text) for text in write("en", wordlists, part="dev", scale=0.3, seed=1).texts]
    assert len(held) > 500
    assert sum(key in train for key in held) < len(held) * 0.02


def test_grammar_nests() -> None:
    """Choices may hold choices and slots, and slots may hold choices."""
    grammar = Grammar({"pet": ["[old |]cat"]})
    seen = {grammar.expand("[a [big|small] {pet}|none]", random.Random(i)) for i in range(60)}
    assert seen == {"a big cat", "a small cat", "a big old cat", "a small old cat", "none"}


@pytest.mark.parametrize("template", ["[a|b", "a]", "{nothing}"])
def test_grammar_refuses(template: str) -> None:
    """A broken template is an error, not a strange sentence."""
    with pytest.raises(ValueError, match=r"unbalanced|no slot"):
        Grammar({}).expand(template, random.Random(0))


def test_styles_never_fail() -> None:
    """Chat style and disguises take any text."""
    rng = random.Random(5)
    for text in ("", "a", "ok", "fuck this shit", "du bist ein Idiot", "🙂", "you are an idiot and a loser") * 40:
        chatty(text, rng)
        casual(text, rng)
        disguise(text, rng)
        blur(text, rng)
        local(text, rng, ["ey"], ["lol"])


def test_accents_go_from_latin_letters_only() -> None:
    """People leave out accents, never the vowel signs of Devanagari or the marks of other scripts."""
    rng = random.Random(2)
    typed = {local("après", rng).casefold() for _ in range(200)}
    assert {"après", "apres"} <= {text.strip(".!") for text in typed}
    for text in ("आप कैसे हैं", "がんばれ"):
        seen = [local(text, rng) for _ in range(200)]
        assert sum(text in each for each in seen) > 150


@pytest.mark.parametrize("language", [language for language in languages() if language != "en"])
def test_every_language_has_both_sides(language: str, wordlists: Path) -> None:
    """Hate never comes without counter-speech and harmless talk of the same groups, and moods come in all three."""
    rows = write(language, wordlists, part="train", scale=0.2, seed=1)
    hateful = rows.targets[:, LABELS.index("identity_hate")] >= 0.5
    harmless = [source in ("written/identity", "written/counter") for source in rows.sources]
    assert hateful.sum() > 100
    assert sum(harmless) > 0.7 * hateful.sum()
    assert {"written/pleased", "written/displeased", "written/plain"} <= set(rows.sources)


def test_probe_is_not_trained_on(wordlists: Path) -> None:
    """The probe has as many hateful as harmless lines in each of ten languages, and no template writes any of them."""
    lines = probe()
    assert len(lines) == 10
    for language, (hateful, fine) in lines.items():
        assert len(hateful) == len(fine) >= 10
        written = {normal_key(text) for text in write(language, wordlists, part="train", scale=0.3, seed=1).texts}
        assert not written & {normal_key(text) for text in [*hateful, *fine]}


def test_greetings_are_there_for_every_language() -> None:
    """Thresholds of a bundle are chosen on statements about identities and on greetings in each of its languages."""
    english, all_of_them = harmless(["en"]), harmless(languages())
    assert len(all_of_them) - len(english) == 6 * (len(languages()) - 1)
    assert len(set(all_of_them)) == len(all_of_them)
