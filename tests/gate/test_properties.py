"""What must hold for any rules, any findings and any failures."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st
from tests.gate.clock import JumpingClock, run
from tests.gate.recording import Recorder
from tests.gate.reference import Known, Opinion, opinion, rules_in_place, truth

from modgate.detectors.base import DetectorError, Finding, Problem, Report, Span, Subject, Tier
from modgate.gate import Decision, Gate
from modgate.message import Conversation, ConversationType, Media, Message, Sender
from modgate.rules.ruleset import (
    AllOf,
    AnyOf,
    Condition,
    Effect,
    FallbackPolicy,
    Inspection,
    Leaf,
    Mode,
    Not,
    Rule,
    Ruleset,
    Scope,
    Verdict,
)

CONTENT = "abcdefghijklmnopqrstuvwxyz"
DETECTORS = {"words": Tier.CHEAP, "pii": Tier.CHEAP, "text": Tier.MODEL, "image": Tier.MODEL}
LABELS = ("a", "b")
BUDGET_MS = 200
DEADLINE = 0.18


@dataclass(frozen=True, slots=True)
class Says:
    """What one detector does: findings, after some time, and perhaps a failure instead of the rest of them."""

    report: Report
    problem: Problem | None = None
    after_ms: int = 0


@dataclass(frozen=True, slots=True)
class Actor:
    """Plays one detector of either tier."""

    name: str
    says: Says

    def inspection(self) -> Inspection:
        tier = DETECTORS[self.name]
        inspector = _CheapActor(self.says) if tier is Tier.CHEAP else _ModelActor(self.says)
        return Inspection(self.name, tier, float(list(DETECTORS).index(self.name)), inspector, self.name == "image")


@dataclass(frozen=True, slots=True)
class _CheapActor:
    says: Says

    def inspect(self, subject: Subject) -> Report:
        del subject
        if self.says.problem is not None:
            raise DetectorError(Problem.ERROR, partial=self.says.report)
        return self.says.report


@dataclass(frozen=True, slots=True)
class _ModelActor:
    says: Says

    async def inspect(self, subject: Subject, deadline: float) -> Report:
        del subject, deadline
        if self.says.problem is Problem.TIMEOUT:
            await asyncio.sleep(3600)
        await asyncio.sleep(self.says.after_ms / 1000)
        if self.says.problem is not None:
            raise DetectorError(self.says.problem, partial=self.says.report)
        return self.says.report


scores = st.sampled_from((0.1, 0.5, 0.9))
spans = st.tuples(st.integers(0, 25), st.integers(1, 8)).map(lambda at: Span(at[0], min(at[0] + at[1], len(CONTENT))))


def findings(detector: str, label: str) -> st.SearchStrategy[tuple[Finding, ...]]:
    part = st.just("media:m") if detector == "image" else st.sampled_from(("text", "text", "text", "custom:x"))
    where = st.just(()) if detector in {"text", "image"} else st.lists(spans, min_size=1, max_size=2).map(tuple)
    one = st.builds(Finding, st.just(label), scores, where, part)
    return st.lists(one, min_size=1, max_size=2).map(tuple)


@st.composite
def sayings(draw: st.DrawFn, *, failing: bool = True) -> dict[str, Says]:
    said = {}
    for name, tier in DETECTORS.items():
        report = {label: draw(findings(name, label)) for label in LABELS if draw(st.booleans())}
        problem = draw(st.sampled_from((None, None, *Problem))) if failing else None
        if tier is Tier.CHEAP and problem is not None:
            problem = Problem.ERROR
        said[name] = Says(report, problem, draw(st.sampled_from((1, 30, 100))))
    return said


leaves = st.builds(
    lambda detector, label, at_least: Leaf(0, detector, (label,), at_least, f"{detector} {label}"),
    st.sampled_from(tuple(DETECTORS)),
    st.sampled_from(LABELS),
    scores,
)


def _nest(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(st.builds(AllOf, several), st.builds(AnyOf, several), st.builds(Not, inner))


conditions: st.SearchStrategy[Condition] = st.recursive(leaves, _nest, max_leaves=5)


def detectors_of(condition: Condition) -> frozenset[str]:
    if isinstance(condition, Leaf):
        return frozenset({condition.detector})
    children = (condition.child,) if isinstance(condition, Not) else condition.children
    return frozenset[str]().union(*map(detectors_of, children))


@st.composite
def rules(draw: st.DrawFn, modes: Sequence[Mode] = (Mode.LIVE, Mode.LIVE, Mode.SHADOW), name: str = "r") -> Rule:
    when = draw(conditions)
    verdict = draw(st.sampled_from(Verdict))
    replacement = draw(st.sampled_from((None, None, "[gone]"))) if verdict is Verdict.MASK else None
    scope = draw(
        st.sampled_from((Scope(), Scope(apps=frozenset({"app"})), Scope(conversation_ids=frozenset({"c", "d"}))))
    )
    return Rule(
        id=name,
        name=name,
        revision=1,
        mode=draw(st.sampled_from(modes)),
        group=draw(st.sampled_from(("", "", "g"))),
        scope=scope,
        admits=draw(st.sampled_from((None, None, lambda message, now: False))),  # noqa: ARG005 - a filter nobody fits
        filters=None,
        when=when,
        effect=Effect(verdict, flag=draw(st.booleans()), replacement=replacement),
        on_timeout=draw(st.sampled_from(FallbackPolicy)),
        on_error=draw(st.sampled_from(FallbackPolicy)),
        detectors=detectors_of(when),
    )


rulesets = st.lists(rules(), min_size=1, max_size=5).map(
    lambda drawn: tuple(replace(rule, id=f"r{i}") for i, rule in enumerate(drawn))
)
messages = st.builds(
    lambda media, conversation: Message(
        id="",
        text=CONTENT,
        app_id="app",
        sender=Sender("s"),
        conversation=Conversation(conversation, ConversationType.GROUP),
        media=(Media("m", "image/png", b"x"),) if media else (),
    ),
    st.booleans(),
    st.sampled_from(("c", "e")),
)


def ruleset_of(chosen: Sequence[Rule], said: Mapping[str, Says]) -> Ruleset:
    asked = frozenset[str]().union(*(rule.detectors for rule in chosen))
    inspections = {name: Actor(name, said[name]).inspection() for name in DETECTORS if name in asked}
    return Ruleset("r", tuple(chosen), inspections, (), BUDGET_MS)


def judge(chosen: Sequence[Rule], said: Mapping[str, Says], message: Message) -> tuple[Decision, Known]:
    """Return the gate's decision and what it got to know."""
    recorder = Recorder()
    ruleset = recorder.listen(ruleset_of(chosen, said))

    async def decide() -> Decision:
        gate = Gate(ruleset, clock=JumpingClock(), new_id=lambda: "id")
        return await gate.judge(message, arrived=0.0, deadline=DEADLINE)

    decision = run(decide())
    recorder.nothing_in(message, ruleset)
    return decision, Known(recorder.reports, recorder.problems)


def all_known(said: Mapping[str, Says], message: Message) -> Known:
    """Return what would be known had every detector been asked and waited for."""
    reports: dict[str, Report] = {name: s.report for name, s in said.items() if s.problem is None or s.report}
    problems = {name: s.problem for name, s in said.items() if s.problem is not None}
    for name, problem in problems.items():
        if problem is Problem.TIMEOUT:
            reports.pop(name, None)
    if not message.media:
        reports["image"] = {}
        problems.pop("image", None)
    return Known(reports, problems)


def second_opinion(chosen: Sequence[Rule], said: Mapping[str, Says], message: Message) -> Opinion:
    return opinion(ruleset_of(chosen, said), message, all_known(said, message))


@given(rulesets, sayings(), messages)
def test_short_cuts_change_no_decision(chosen: tuple[Rule, ...], said: dict[str, Says], message: Message) -> None:
    """Asking detectors by cost, only those needed and only until a BLOCK, decides as asking all and waiting for all."""
    decision, _ = judge(chosen, said, message)
    second = second_opinion(chosen, said, message)
    assert decision.verdict is second.verdict
    if decision.verdict is Verdict.BLOCK and decision.fallback is None:
        return  # a finished BLOCK leaves open what else there might have been
    assert decision.flagged == second.flagged
    told = decision.fallback and (decision.fallback.reason.name, decision.fallback.applied.name)
    assert told == second.fallback
    assert set(decision.fallback.unfinished if decision.fallback else ()) == second.unfinished


@given(rulesets, sayings(), messages)
def test_matches_are_of_true_rules_only(chosen: tuple[Rule, ...], said: dict[str, Says], message: Message) -> None:
    """Every match belongs to a rule that is true by what was known, and every such rule has a match."""
    decision, known = judge(chosen, said, message)
    second = opinion(ruleset_of(chosen, said), message, known)
    assert {match.rule_id for match in decision.matches} == second.true_rules


@given(rulesets, sayings(), messages, st.randoms(use_true_random=False))
def test_the_order_of_rules_does_not_matter(
    chosen: tuple[Rule, ...], said: dict[str, Says], message: Message, chance: random.Random
) -> None:
    """Rules in another order give the same verdict, flag and fallback."""
    shuffled = list(chosen)
    chance.shuffle(shuffled)
    one, _ = judge(chosen, said, message)
    other, _ = judge(shuffled, said, message)
    assert (one.verdict, one.flagged) == (other.verdict, other.flagged)
    assert (one.fallback is None) == (other.fallback is None)
    if one.fallback is not None and other.fallback is not None:
        assert (one.fallback.reason, one.fallback.applied) == (other.fallback.reason, other.fallback.applied)
        assert set(one.fallback.unfinished) == set(other.fallback.unfinished)


@given(rulesets, rules(modes=(Mode.SHADOW,), name="new"), sayings(), messages)
def test_a_shadow_rule_changes_nothing(
    chosen: tuple[Rule, ...], shadow: Rule, said: dict[str, Says], message: Message
) -> None:
    """With one more shadow rule, verdict, flag, fallback, notice and delivered text stay as they were."""
    before, _ = judge(chosen, said, message)
    after, _ = judge((*chosen, shadow), said, message)
    for name in ("verdict", "flagged", "fallback", "notice", "masked_text", "penalties"):
        assert getattr(after, name) == getattr(before, name)


@given(rulesets, sayings(), messages)
def test_a_finished_block_is_never_softened(chosen: tuple[Rule, ...], said: dict[str, Says], message: Message) -> None:
    """If any live rule that blocks is true by what could be known, the message is blocked, whatever else failed."""
    known = all_known(said, message)
    blocking = [
        rule
        for rule in rules_in_place(ruleset_of(chosen, said), message, 0.0)
        if rule.mode is Mode.LIVE and rule.effect.verdict is Verdict.BLOCK and truth(rule.when, known) == 1
    ]
    if blocking:
        assert judge(chosen, said, message)[0].verdict is Verdict.BLOCK


@given(rulesets, sayings(), messages)
def test_the_strictest_rule_wins(chosen: tuple[Rule, ...], said: dict[str, Says], message: Message) -> None:
    """No true live rule asks for a stricter verdict than the answer's."""
    decision, known = judge(chosen, said, message)
    in_place = rules_in_place(ruleset_of(chosen, said), message, 0.0)
    asked = [r.effect.verdict for r in in_place if r.mode is Mode.LIVE and truth(r.when, known) == 1]
    assert decision.verdict >= max(asked, default=Verdict.ALLOW)


@given(rulesets, sayings(), messages, st.sampled_from(("text", "image")), st.sampled_from(Problem))
def test_a_failure_never_makes_the_verdict_laxer_than_its_fallback(
    chosen: tuple[Rule, ...], said: dict[str, Says], message: Message, failing: str, problem: Problem
) -> None:
    """With every fallback on BLOCK, breaking a model can only keep a verdict or make it stricter."""
    strict = [replace(rule, on_timeout=FallbackPolicy.BLOCK, on_error=FallbackPolicy.BLOCK) for rule in chosen]
    whole, _ = judge(strict, said, message)
    broken, _ = judge(strict, {**said, failing: Says({}, problem)}, message)
    assert broken.verdict >= whole.verdict


@given(rulesets, sayings(), messages)
def test_fallbacks_that_send_never_make_the_verdict_stricter(
    chosen: tuple[Rule, ...], said: dict[str, Says], message: Message
) -> None:
    """With every fallback on SEND, the verdict is what the rules that are known to be true ask for."""
    lax = [replace(rule, on_timeout=FallbackPolicy.SEND, on_error=FallbackPolicy.SEND) for rule in chosen]
    decision, known = judge(lax, said, message)
    true = opinion(ruleset_of(lax, said), message, Known(known.reports, known.problems))
    assert decision.verdict is true.verdict
    assert decision.fallback is None or decision.fallback.applied is FallbackPolicy.SEND


@given(rulesets, sayings(), messages)
def test_every_answer_is_in_time(chosen: tuple[Rule, ...], said: dict[str, Says], message: Message) -> None:
    """No answer comes later than the deadline, whatever hangs."""
    decision, _ = judge(chosen, said, message)
    assert decision.elapsed <= DEADLINE + 1e-6


@given(rulesets, sayings(), messages)
def test_a_mask_covers_what_matched_and_nothing_else(
    chosen: tuple[Rule, ...], said: dict[str, Says], message: Message
) -> None:
    """Every matched character of a masking rule is covered, every other character is as it was."""
    masking = [
        rule if rule.effect.replacement is None else replace(rule, effect=Effect(Verdict.MASK)) for rule in chosen
    ]
    decision, known = judge(masking, said, message)
    if decision.verdict is not Verdict.MASK:
        assert not decision.masked_text
        return
    covered = opinion(ruleset_of(masking, said), message, known).covered
    assert covered is not None
    assert decision.masked_text == "".join("*" if i in covered else char for i, char in enumerate(CONTENT))
