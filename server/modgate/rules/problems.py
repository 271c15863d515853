"""What is wrong with a rule file, told so that its author can mend it: place, cause, corrected example."""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Problem", "RulesError"]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        source: File name, as the user gave it.
        line: Line from 1; 0 if the problem has no place in the file.
        column: Column from 1; 0 likewise.
        path: Where in the document: `rules[2].then.action`; empty for the whole document.
        cause: What is wrong, in a sentence without a full stop.
        example: What to write instead, or what to do; empty if there is nothing to suggest.
    """

    source: str
    line: int
    column: int
    path: str
    cause: str
    example: str = ""

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}" if self.line else self.source
        where = f" {self.path}:" if self.path else ""
        advice = f"; {self.example}" if self.example else ""
        return f"{place}:{where} {self.cause}{advice}"


class RulesError(Exception):
    """A rule file cannot be put in force. Carries all problems, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda p: (p.source, p.line, p.column, p.path, p.cause)))
        super().__init__("\n".join(map(str, self.problems)))
