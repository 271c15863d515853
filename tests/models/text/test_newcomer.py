"""What a newcomer would type first, at the default thresholds of the bundle that ships."""

from pathlib import Path

import pytest
from tests.models.text.firing import fired

from modgate.evaluation import TextScorer

BUNDLE = Path(__file__).parents[3] / "models" / "bundles" / "text-en"

CLEAN = (
    "hello",
    "good morning everyone",
    "gg wp",
    "you killed it",
    "that boss is sick",
    "I'm gay and proud",
    "I am a proud Muslim woman",
    "black lives matter",
    "the chicken breast was delicious",
    "this traffic kills me",
    "kill the process",
    "I want to die laughing",
    "my phone is dying",
    "shoot me a message",
    "see you at the bar tonight",
    "no way lol",
    "can I get a refund for my order?",
    "what is your wallet address support?",
    "",
    "🙂🙂🙂",
)

ABUSIVE = (
    ("you are a worthless piece of garbage", {"insult", "toxic"}),
    ("I will find you and kill you", {"threat"}),
    ("kill yourself", {"toxic", "self_harm", "threat"}),
    ("all immigrants are vermin", {"identity_hate"}),
    ("send me nudes", {"sexual"}),
    ("I want to end my life", {"self_harm"}),
    ("FREE crypto giveaway! send 0.1 ETH get 1 ETH back http://eth-gift.example", {"scam", "spam"}),
    ("you stupid idiot", {"insult", "toxic"}),
)

NOT = (
    ("I want to end my life", {"threat", "insult", "identity_hate", "sexual", "spam", "scam"}),
    ("send me nudes", {"threat", "identity_hate", "self_harm", "spam", "scam", "violence"}),
    ("FREE crypto giveaway! send 0.1 ETH get 1 ETH back http://eth-gift.example", {"toxic", "threat", "sexual"}),
    ("you are a worthless piece of garbage", {"identity_hate", "threat", "sexual", "spam", "scam"}),
    ("I will find you and kill you", {"identity_hate", "sexual", "self_harm", "spam", "scam"}),
)


@pytest.fixture(scope="module")
def scorer() -> TextScorer:
    """The English bundle."""
    return TextScorer(BUNDLE)


@pytest.mark.parametrize("text", CLEAN)
def test_clean_messages_stay_clean(scorer: TextScorer, text: str) -> None:
    """No harm label fires on an ordinary message, experimental ones included."""
    assert fired(scorer, text) == set()


@pytest.mark.parametrize(("text", "labels"), ABUSIVE)
def test_abuse_is_found(scorer: TextScorer, text: str, labels: set[str]) -> None:
    """At least one label that names the harm fires."""
    assert fired(scorer, text) & labels


@pytest.mark.parametrize(("text", "labels"), NOT)
def test_rare_labels_do_not_bleed(scorer: TextScorer, text: str, labels: set[str]) -> None:
    """A harm is not taken for another one."""
    assert not fired(scorer, text) & labels
