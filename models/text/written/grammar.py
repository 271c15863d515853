"""Templates to sentences: `[a|b|]` chooses one alternative and may nest, `{slot}` becomes one of a slot's lines."""

import random
import re
from collections.abc import Mapping, Sequence

__all__ = ["Grammar"]

SLOT = re.compile(r"\{([a-z_]+)\}")
DEPTH = 12


class Grammar:
    """Expands templates.

    Args:
        slots: The alternatives of every slot; they may hold choices and slots themselves.
    """

    def __init__(self, slots: Mapping[str, Sequence[str]]) -> None:
        self._slots = slots

    def expand(self, template: str, rng: random.Random) -> str:
        """Return one sentence.

        Raises:
            ValueError: Unbalanced brackets, an unknown slot, or slots that never end.
        """
        text = template
        for _ in range(DEPTH):
            text = self._choose(text, rng)
            if not SLOT.search(text):
                return re.sub(r"\s+([,.!?])", r"\1", re.sub(r"\s+", " ", text)).strip()
            text = SLOT.sub(lambda match: self._fill(match.group(1), rng), text)
        raise ValueError(f"template does not end: {template!r}")

    def alternatives(self, slot: str) -> list[str]:
        """Return the plain alternatives of a slot; of one that does not exist, none."""
        return [word for line in self._slots.get(slot, ()) for word in line.strip("[]").split("|")]

    def _fill(self, slot: str, rng: random.Random) -> str:
        if slot not in self._slots:
            raise ValueError(f"no slot named {slot!r}; add it to words.yaml")
        return rng.choice(self._slots[slot])

    def _choose(self, text: str, rng: random.Random) -> str:
        while True:
            end = text.find("]")
            start = text.rfind("[", 0, end)
            if end < 0 and "[" not in text:
                return text
            if start < 0 or end < 0:
                raise ValueError(f"unbalanced brackets: {text!r}")
            text = text[:start] + rng.choice(text[start + 1 : end].split("|")) + text[end + 1 :]
