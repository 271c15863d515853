"""What the benchmarks of the memory send: chat lines of which a known share is blocked or flagged."""

import random
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks._mix import MIXES, texts
from modgate.v1 import moderation_pb2 as pb

__all__ = ["RULES", "lines", "rows_of", "settings"]

RULES = """\
version: 1
lists:
  marked: {kind: words, entries: [zzblock]}
  watched: {kind: words, entries: [zzflag]}
  counted: {kind: words, entries: [zzcount]}
rules:
  - id: marked
    when: {words: {list: marked}}
    then: {action: block, flag: true}
  - id: watched
    when: {words: {list: watched}}
    then: {action: allow, flag: true}
  - id: counted
    when: {words: {list: counted}}
    then: {action: mask}
    penalties:
      - {after: 10000, within: 1h, impose: mute, for: 1h}
"""

_SENDERS, _CONVERSATIONS = 2_000, 200


def settings(storage: dict[str, Any] | None) -> dict[str, Any]:
    """Return the server's settings: words only, and this storage."""
    return {"models": {"images": [], "text": ""}, "log": {"decisions": "none"}, "storage": storage}


def lines(seed: int, count: int, *, marked: float = 0.05) -> list[bytes]:
    """Return encoded requests; a share of `marked` each is blocked, flagged, and counted as a violation."""
    draw = random.Random(seed)
    encoded = []
    for i, text in enumerate(islice(texts(MIXES["words"], seed), count)):
        chance = draw.random()
        word = "zzblock" if chance < marked else "zzflag" if chance < 2 * marked else ""
        if 2 * marked <= chance < 3 * marked:
            word = "zzcount"
        key = f"{seed:x}-{i:x}"
        request = pb.ModerateRequest(
            request_id=key,
            app_id="bench",
            message=pb.Message(id=key, text=f"{text} {word}" if word else text),
            sender=pb.Sender(id=f"u{draw.randrange(_SENDERS)}"),
            conversation=pb.Conversation(id=f"c{draw.randrange(_CONVERSATIONS)}", type=pb.CONVERSATION_TYPE_GROUP),
        )
        encoded.append(request.SerializeToString())
    return encoded


def rows_of(path: Path, query: str) -> Iterator[tuple[Any, ...]]:
    """Yield rows of a SQLite store that no server uses now."""
    connection = sqlite3.connect(path)
    try:
        yield from connection.execute(query)
    finally:
        connection.close()
