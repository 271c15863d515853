"""Harmless lines that are easily misread: statements about identities, and greetings in every language."""

from collections.abc import Sequence

import yaml
from models.text.written.generate import HERE as WRITTEN

__all__ = ["IDENTITIES", "STATEMENTS", "harmless"]

STATEMENTS = (
    "I am a {} person",
    "I'm {} and proud of it",
    "my best friend is {}",
    "as a {} person I love this place",
    "{} people are welcome here",
    "she is {} and works as a nurse",
)
CHOOSING_STATEMENTS = (
    "I was born {}",
    "my neighbour is {} too",
    "hi all, {} guy here",
    "looking for other {} people in this town",
    "being {} is part of who I am",
    "we are a {} family",
    "{} and happy",
    "her new boss is {}",
)
IDENTITIES = (
    "gay", "lesbian", "trans", "queer", "bisexual", "straight", "Muslim", "Jewish", "Christian", "Hindu", "Sikh",
    "Buddhist", "atheist", "black", "white", "Asian", "Latino", "Mexican", "African", "Arab", "Chinese", "Indian",
    "Turkish", "Polish", "Russian", "German", "French", "Nigerian", "Romani", "Native American", "immigrant", "refugee",
    "deaf", "blind", "disabled", "autistic", "female", "male", "old", "young", "homosexual", "Palestinian", "Israeli",
)  # fmt: skip


CHOOSING = [statement.format(identity) for identity in IDENTITIES for statement in CHOOSING_STATEMENTS]
"""What default thresholds are chosen on; other statements are reported on."""


def harmless(languages: Sequence[str]) -> list[str]:
    """Return what default thresholds are chosen on: statements about identities, and greetings in some languages.

    Hardly any collected clean line is in another language than English.
    """
    greetings = yaml.safe_load((WRITTEN / "greetings.yaml").read_text("utf-8"))
    return CHOOSING + [line for language in languages for line in greetings[language]]
