"""The multilingual bundle on what people write first, in the languages that it serves."""

from pathlib import Path

import pytest
from tests.models.text.firing import fired

from modgate.evaluation import TextScorer

BUNDLE = Path(__file__).parents[3] / "models" / "bundles" / "text-multi"

pytestmark = pytest.mark.skipif(not (BUNDLE / "manifest.json").exists(), reason="text-multi does not ship")

CLEAN = (
    "hello",
    "I'm gay and proud",
    "the chicken breast was delicious",
    "hola, qué tal",
    "guten Morgen zusammen",
    "je suis musulman et fier",
    "你好，今天天气不错",
    "привет, как дела",
    "كيف حالك اليوم",
    "आप कैसे हैं",
    "こんにちは",
    "안녕하세요",
    "tudo bem com você?",
    "buongiorno a tutti",
    "ik hou van mijn moeder",
    "kocham moją żonę",
    "nasılsın kanka",
    "",
    "🙂🙂🙂",
)

ABUSIVE = (
    ("you are a worthless piece of garbage", "insult"),
    ("Du bist ein wertloser Idiot", "toxic"),
    ("ich bringe dich um", "threat"),
    ("tous les arabes sont des rats", "identity_hate"),
    ("odeio os negros", "identity_hate"),
    ("я тебя убью", "threat"),
    ("मैं तुझे मार डालूंगा", "threat"),
    ("seni öldüreceğim", "threat"),
    ("你这个白痴", "toxic"),
    ("我想死", "self_harm"),
    ("أريد أن أموت", "self_harm"),
    ("jij bent een sukkel", "insult"),
)


@pytest.fixture(scope="module")
def scorer() -> TextScorer:
    """The multilingual bundle."""
    return TextScorer(BUNDLE)


@pytest.mark.parametrize("text", CLEAN)
def test_greetings_stay_clean(scorer: TextScorer, text: str) -> None:
    """No harm label fires on an ordinary message in any language."""
    assert fired(scorer, text) == set()


@pytest.mark.parametrize(("text", "label"), ABUSIVE)
def test_abuse_is_found(scorer: TextScorer, text: str, label: str) -> None:
    """The label that names the harm fires, also in languages with hardly any collected rows."""
    assert label in fired(scorer, text)
