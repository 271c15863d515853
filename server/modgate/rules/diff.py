"""Which messages would change their verdict between two rule sets."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modgate.message import Conversation, ConversationType, Message, Sender
from modgate.rules.cases import START, Judge, Judged
from modgate.rules.problems import Problem, RulesError

__all__ = ["Change", "Difference", "compare", "read_corpus"]


@dataclass(frozen=True, slots=True)
class Change:
    """One message that is judged differently. Holds no text: its place in the corpus is enough to find it.

    Attributes:
        line: Line of the corpus, from 1.
        before: Verdict by the old rules, `+flag` if it was flagged.
        after: Verdict by the new rules.
        rules_before: Live rules that matched.
        rules_after: Live rules that match now.
    """

    line: int
    before: str
    after: str
    rules_before: tuple[str, ...]
    rules_after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """All that changes over a corpus."""

    messages: int
    changes: tuple[Change, ...]

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many messages go from one verdict to another."""
        return dict(Counter((change.before, change.after) for change in self.changes))


def read_corpus(path: Path) -> Iterator[tuple[int, Message]]:
    """Yield the messages of a JSON Lines file with their line numbers: objects with `text`, others are as in requests.

    Besides `text`, the keys `id`, `app_id`, `sender` (an id) and `conversation` (an id), `conversation_type`, `roles`
    are read; a line may also be a bare JSON string.

    Raises:
        RulesError: At the first line that is no message.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                yield number, _message(number, {"text": row} if isinstance(row, str) else row)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                cause = f"this is no message: {error}"
                example = 'write e.g. {"text": "hello"}'
                raise RulesError([Problem(str(path), number, 1, "", cause, example)]) from error


def _message(number: int, row: dict[str, object]) -> Message:
    text = row["text"]
    if not isinstance(text, str):
        raise TypeError("`text` is not text")
    kind = ConversationType(str(row.get("conversation_type", "group")))
    roles = row.get("roles", [])
    return Message(
        id=str(row.get("id", f"line-{number}")),
        text=text,
        sender=Sender(
            str(row.get("sender", f"sender-{number}")), roles=tuple(map(str, roles if isinstance(roles, list) else ()))
        ),
        conversation=Conversation(str(row.get("conversation", "corpus")), kind),
        app_id=str(row.get("app_id", "")),
    )


def _told(judged: Judged) -> tuple[str, tuple[str, ...]]:
    verdict = judged.verdict.name.lower() + ("+flag" if judged.flagged else "")
    return verdict, tuple(sorted({match.rule_id for match in judged.matches if not match.shadow}))


async def compare(corpus: Path, old: Judge, new: Judge) -> Difference:
    """Judge every message of a corpus by both rule sets.

    Args:
        corpus: JSON Lines file, as `read_corpus` reads it.
        old: Judges by the rules in force.
        new: Judges by the rules that are proposed.

    Raises:
        RulesError: If the corpus cannot be read.
    """
    changes = []
    count = 0
    for line, message in read_corpus(corpus):
        count += 1
        before, rules_before = _told(await old(message, START.timestamp()))
        after, rules_after = _told(await new(message, START.timestamp()))
        if before != after:
            changes.append(Change(line, before, after, rules_before, rules_after))
    return Difference(count, tuple(changes))
