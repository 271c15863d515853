"""Unit tests for rules: messages and what must become of them, in a YAML file.

```yaml
version: 1
cases:
  - name: swear words are masked
    text: what the fuck
    expect: {verdict: mask, masked: "what the ****", rules: [profanity]}
```

On top of a file's own cases, everyday lines that no rule set should touch are judged as well: a rule that
blocks "good morning" fails its tests, whatever its author wrote.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field, ValidationError

from modgate.message import Conversation, ConversationType, Media, Message, Receiver, Sender
from modgate.rules.advice import advise
from modgate.rules.problems import Problem, RulesError
from modgate.rules.ruleset import Verdict
from modgate.rules.values import Duration, Strict
from modgate.rules.yaml_source import read_yaml

__all__ = [
    "Case",
    "CaseFile",
    "Judge",
    "Judged",
    "Outcome",
    "everyday_lines",
    "load_cases",
    "run_cases",
    "run_everyday",
]

START = datetime(2026, 1, 1, tzinfo=UTC)
"""When every case file begins; `at` counts from here, so ages and windows are the same on every day."""


class JudgedMatch(Protocol):
    """What a case needs to know of a match."""

    @property
    def rule_id(self) -> str:
        """The rule that was true."""
        ...

    @property
    def shadow(self) -> bool:
        """Whether it was in shadow."""
        ...


class Judged(Protocol):
    """What a case needs to know of a decision."""

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        ...

    @property
    def flagged(self) -> bool:
        """Whether a moderator should look."""
        ...

    @property
    def masked_text(self) -> str:
        """What to deliver if the verdict is MASK."""
        ...

    @property
    def matches(self) -> Sequence[JudgedMatch]:
        """Matches of live and shadow rules."""
        ...


Judge = Callable[[Message, float], Awaitable[Judged]]
"""Judges a message at a wall-clock time in seconds, without recording anything."""


class CaseSender(Strict):
    """Who posts; somebody new in every case unless an id is given."""

    id: str | None = None
    name: str = ""
    roles: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    account_age: Duration | None = Field(default=None, examples=["10d"])


class CaseReceiver(Strict):
    """Who receives, in a one-to-one conversation."""

    id: str = "receiver"
    name: str = ""
    tags: tuple[str, ...] = ()


class CaseConversation(Strict):
    """Where it is posted."""

    id: str = "conversation"
    type: ConversationType = ConversationType.GROUP
    name: str = ""
    tags: tuple[str, ...] = ()
    receiver: CaseReceiver | None = None


class Expect(Strict):
    """What must become of a message; only what is given is compared."""

    verdict: Literal["allow", "mask", "block"] | None = Field(default=None, examples=["block"])
    flagged: bool | None = Field(default=None, examples=[True])
    masked: str | None = Field(default=None, description="The text to deliver.", examples=["what the ****"])
    rules: tuple[str, ...] | None = Field(default=None, description="Exactly these live rules.", examples=[["insults"]])
    shadow_rules: tuple[str, ...] | None = Field(default=None, description="Exactly these shadow rules.")


class Case(Strict):
    """One message and what must become of it."""

    name: str = Field(default="", description="What the case shows; the text if absent.")
    app: str = ""
    text: str = Field(default="", examples=["hello there"])
    custom: dict[str, object] = Field(default={}, description="The custom payload.")
    images: tuple[str, ...] = Field(default=(), description="Picture files, relative to the case file.")
    sender: CaseSender = CaseSender()
    conversation: CaseConversation = CaseConversation()
    needs: tuple[str, ...] = Field(
        default=(), description="Detectors without which the case is left out.", examples=[["text"]]
    )
    at: Duration = Field(default=timedelta(0), description="When, after the start of the file.", examples=["5s"])
    expect: Expect = Field(examples=[{"verdict": "block", "rules": ["insults"]}])


class CaseFile(Strict):
    """A file of cases."""

    version: Literal[1] = Field(examples=[1])
    description: str = ""
    cases: tuple[Case, ...] = Field(min_length=1, examples=[[{"text": "hello", "expect": {"verdict": "allow"}}]])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case.

    Attributes:
        name: The case's name, or its text.
        line: Where it stands in the file; 0 for everyday lines.
        differences: What was not as expected; empty if all was.
    """

    name: str
    line: int
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.differences


def load_cases(path: Path) -> tuple[CaseFile, tuple[int, ...]]:
    """Return the cases of a file, and the line of each.

    Raises:
        RulesError: With everything that is wrong in it.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RulesError([Problem(str(path), 0, 0, "", f"cannot read it: {error.strerror or error}")]) from error
    data, source = read_yaml(str(path), raw)
    try:
        model = CaseFile.model_validate(data)
    except ValidationError as error:
        raise RulesError(advise(error, source, data, CaseFile)) from error
    return model, tuple(source.problem(("cases", i), "").line for i in range(len(model.cases)))


def _media(case: Case, base: Path) -> tuple[Media, ...]:
    return tuple(
        Media(f"image-{i}", f"image/{Path(name).suffix.lstrip('.').lower()}", (base / name).read_bytes())
        for i, name in enumerate(case.images)
    )


def _message(case: Case, number: int, base: Path) -> tuple[Message, float]:
    now = START + case.at
    sender, place = case.sender, case.conversation
    receiver = place.receiver
    message = Message(
        id=f"case-{number}",
        text=case.text,
        sender=Sender(
            sender.id or f"sender-{number}",
            sender.name,
            sender.roles,
            sender.tags,
            now - sender.account_age if sender.account_age is not None else None,
        ),
        conversation=Conversation(
            place.id,
            place.type,
            place.name,
            place.tags,
            receiver=Receiver(receiver.id, receiver.name, receiver.tags) if receiver else None,
        ),
        app_id=case.app,
        sent_at=now,
        media=_media(case, base),
        custom=case.custom,
    )
    return message, now.timestamp()


def _differences(expect: Expect, judged: Judged) -> tuple[str, ...]:
    def ids(*, shadow: bool) -> list[str]:
        return sorted({match.rule_id for match in judged.matches if match.shadow is shadow})

    pairs: list[tuple[str, object, object]] = [
        ("verdict", expect.verdict, judged.verdict.name.lower()),
        ("flagged", expect.flagged, judged.flagged),
        ("masked", expect.masked, judged.masked_text),
        ("rules", None if expect.rules is None else sorted(expect.rules), ids(shadow=False)),
        ("shadow_rules", None if expect.shadow_rules is None else sorted(expect.shadow_rules), ids(shadow=True)),
    ]
    return tuple(
        f"{name}: expected {wanted!r}, got {got!r}"
        for name, wanted, got in pairs
        if wanted is not None and wanted != got
    )


async def run_cases(path: Path, judge: Judge, detectors: Collection[str] | None = None) -> list[Outcome]:
    """Judge every case of a file, in order, and compare.

    Args:
        path: The case file.
        judge: Judges by the rules under test; keep one judge for a file, so that floods build up.
        detectors: What the judge can ask; cases that need more are left out. None runs them all.

    Raises:
        RulesError: If the file is no case file.
    """
    file, lines = load_cases(path)
    outcomes = []
    for number, (case, line) in enumerate(zip(file.cases, lines, strict=True), start=1):
        if detectors is not None and not set(case.needs) <= set(detectors):
            continue
        try:
            message, now = _message(case, number, path.parent)
        except OSError as error:
            problem = Problem(str(path), line, 1, f"cases[{number - 1}].images", f"cannot read a picture: {error}")
            raise RulesError([problem]) from error
        judged = await judge(message, now)
        outcomes.append(Outcome(case.name or case.text, line, _differences(case.expect, judged)))
    return outcomes


def everyday_lines() -> tuple[str, ...]:
    """Return lines that no rule set should touch: greetings, games, identities, place names, recipes."""
    text = (resources.files("modgate") / "data" / "rules" / "everyday.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.split("\n") if line and not line.startswith("# "))


async def run_everyday(judge: Judge, lines: Sequence[str] | None = None) -> list[Outcome]:
    """Judge everyday lines; any verdict but ALLOW is a false positive.

    Args:
        judge: Judges by the rules under test.
        lines: The lines; those of the package if absent.
    """
    outcomes = []
    for number, line in enumerate(lines if lines is not None else everyday_lines(), start=1):
        message = Message(
            f"line-{number}", line, Sender(f"everyday-{number}"), Conversation("lobby", ConversationType.GROUP)
        )
        judged = await judge(message, START.timestamp())
        rules = sorted({match.rule_id for match in judged.matches if not match.shadow})
        wrong = judged.verdict is not Verdict.ALLOW
        differences = (f"verdict: {judged.verdict.name.lower()} by {', '.join(rules)}",) if wrong else ()
        outcomes.append(Outcome(line, 0, differences))
    return outcomes
