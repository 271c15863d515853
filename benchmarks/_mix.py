"""Chat-like messages from a seed: lengths as measured on real chat, words of the project's own, natural repetition.

Where the numbers come from is told in benchmarks/mix/README.md.
"""

import bisect
import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modgate.v1 import moderation_pb2 as pb

__all__ = ["MIXES", "Mix", "requests", "texts"]

_FOLDER = Path(__file__).parent / "mix"
_STOCK_SHARE, _FORWARDED_SHARE = 0.35, 0.06  # together the 41 % of mix/README.md
_SPICE_SHARE = 0.03
_SENDERS, _CONVERSATIONS = 2_000, 200


@dataclass(frozen=True, slots=True)
class Mix:
    """What is sent, and whether the server needs its text model for it.

    Attributes:
        name: As on the command line.
        models: Whether the text model serves.
        repeats: Whether lines repeat as they do in chat; otherwise no two are the same.
        about: One line for the report.
    """

    name: str
    models: bool
    repeats: bool
    about: str


MIXES = {
    mix.name: mix
    for mix in (
        Mix("words", models=False, repeats=True, about="chat lines with natural repetition; words and patterns only"),
        Mix("chat", models=True, repeats=True, about="chat lines with natural repetition; full text path"),
        Mix("unique", models=True, repeats=False, about="chat lines, no two the same; full text path"),
    )
}


class _Writer:
    """Writes fresh lines: common words, most of them often, to a drawn length."""

    def __init__(self, draw: random.Random) -> None:
        content = json.loads((_FOLDER / "lines.json").read_text())
        lengths = json.loads((_FOLDER / "lengths.json").read_text())
        self._draw = draw
        self.stock: list[str] = content["stock"]
        self._words: list[str] = content["words"]
        self._endings: list[str] = content["endings"]
        self._spice: list[str] = content["spice"]
        self._edges: list[int] = lengths["edges"]
        self._bands = list(itertools.accumulate(lengths["shares"]))
        self._common = list(itertools.accumulate(1 / (rank + 8) for rank in range(len(self._words))))
        self._popular = list(itertools.accumulate(1 / rank for rank in range(1, len(self.stock) + 1)))

    def popular(self) -> str:
        """Return a stock line, by Zipf's law."""
        return self.stock[bisect.bisect(self._popular, self._draw.random() * self._popular[-1] * 0.999999)]

    def fresh(self) -> str:
        """Return a line that very likely was not written before."""
        draw = self._draw
        band = min(bisect.bisect(self._bands, draw.random() * self._bands[-1]), len(self._edges) - 2)
        length = draw.randrange(self._edges[band], self._edges[band + 1])
        parts: list[str] = []
        size = 0
        if draw.random() < _SPICE_SHARE:
            parts.append(draw.choice(self._spice))
            size = len(parts[0])
        while size < length or not parts:
            place = bisect.bisect(self._common, draw.random() * self._common[-1])
            word = self._words[min(place, len(self._words) - 1)]
            if draw.random() < 0.06:
                word = f"{word}{draw.randrange(2, 2000)}" if draw.random() < 0.5 else f"{word},"
            if draw.random() < 0.05:
                word = word.capitalize()
            parts.insert(draw.randint(0, len(parts)) if len(parts) == 1 else len(parts), word)
            size += len(word) + 1
        return " ".join(parts)[: max(length, 1)].strip() + draw.choice(self._endings)


def texts(mix: Mix, seed: int) -> Iterator[str]:
    """Yield texts for ever, the same for the same seed."""
    # Seeded samples, no secrets.
    draw = random.Random(f"{mix.name}{seed}")
    writer = _Writer(draw)
    if not mix.repeats:
        yield from _distinct(writer.fresh, draw)
        return
    recent: list[str] = []
    while True:
        kind = draw.random()
        if kind < _STOCK_SHARE:
            yield writer.popular()
        elif kind < _STOCK_SHARE + _FORWARDED_SHARE and recent:
            yield draw.choice(recent)
        else:
            text = writer.fresh()
            recent.append(text)
            if len(recent) > 200:
                del recent[:100]
            yield text


def _distinct(fresh: Callable[[], str], draw: random.Random) -> Iterator[str]:
    seen: set[str] = set()
    while True:
        text = fresh()
        # Short lines run out: a word more keeps them apart, at the cost of a little length.
        while text.lower() in seen:
            text = f"{text} {draw.randrange(1_000_000):x}"
        seen.add(text.lower())
        yield text


def requests(mix: Mix, seed: int, count: int, *, apps: int = 1) -> list[bytes]:
    """Return encoded requests, each with a message id of its own.

    Args:
        mix: What is sent.
        seed: Chooses the texts and, with them, the ids: two seeds never share a message.
        count: How many.
        apps: Tenants to spread them over.
    """
    draw = random.Random(seed)
    encoded = []
    for i, text in enumerate(itertools.islice(texts(mix, seed), count)):
        key = f"{seed:x}-{i:x}"
        request = pb.ModerateRequest(
            request_id=key,
            app_id=f"app{i % apps}",
            message=pb.Message(id=key, text=text),
            sender=pb.Sender(id=f"u{draw.randrange(_SENDERS)}"),
            conversation=pb.Conversation(id=f"c{draw.randrange(_CONVERSATIONS)}", type=pb.CONVERSATION_TYPE_GROUP),
        )
        encoded.append(request.SerializeToString())
    return encoded
