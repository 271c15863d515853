"""The way of one message through the gate."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from tests.gate.clock import NOON, JumpingClock, run
from tests.gate.scripted import Script, ScriptedDetector, scripted_models

from modgate.detectors.cheap import cheap_detectors
from modgate.gate import (
    Decision,
    Delivery,
    Earned,
    FallbackReason,
    Gate,
    Outcome,
    Penalty,
    StandingSanction,
    new_decision_id,
)
from modgate.message import Conversation, Message, Sender
from modgate.rules import Ruleset, compile_ruleset, parse_document
from modgate.rules.ruleset import FallbackPolicy, Notice, PenaltyType, Rule, SanctionScope, Verdict

RULES = """\
version: 1
lists:
  bad: {kind: words, entries: [badword]}
rules:
  - {id: words, when: {words: {list: bad}}, then: {action: block},
     penalties: [{after: 2, within: 1m, impose: mute, for: 1h}]}
  - {id: text, when: {text: {label: insult}}, then: {action: block}}
  - {id: mood, when: {sentiment: {negative: 0.9}}, then: {action: allow, flag: true}}
"""
DEADLINE = 0.18


def compiled(models: dict[str, ScriptedDetector], rules: str = RULES) -> Ruleset:
    return compile_ruleset(parse_document("rules.yaml", rules), {**cheap_detectors(), **models})


def message(text: str = "hello", sender: str = "ann") -> Message:
    return Message("", text, Sender(sender), Conversation("c"))


@dataclass(slots=True)
class Watching:
    """An observer that keeps what it sees."""

    decisions: list[Decision] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)

    def decided(self, decision: Decision) -> None:
        self.decisions.append(decision)

    def detector_failed(self, detector: str, error: Exception) -> None:
        self.failures.append((detector, type(error).__name__))


def test_detectors_run_side_by_side_and_not_one_after_the_other() -> None:
    """Two models of 100 ms each fit into one budget of 180 ms."""
    models = scripted_models()
    models["text"].script = Script(after_ms=100)
    models["sentiment"].script = Script({"negative": 0.95}, after_ms=100)

    async def decide() -> Decision:
        return await Gate(compiled(models), clock=JumpingClock()).judge(message(), arrived=0.0, deadline=DEADLINE)

    decision = run(decide())
    assert decision.flagged
    assert decision.fallback is None
    assert decision.elapsed == pytest.approx(0.1)
    assert decision.timings["text"] == pytest.approx(0.1)


def test_a_model_that_hangs_costs_the_budget_and_not_more() -> None:
    """The gate gives up at the deadline, keeps what the other model said, and marks the hole."""
    models = scripted_models()
    models["text"].script = Script(fails="hang")
    models["sentiment"].script = Script({"negative": 0.95})

    async def decide() -> Decision:
        return await Gate(compiled(models), clock=JumpingClock()).judge(message(), arrived=0.0, deadline=DEADLINE)

    decision = run(decide())
    assert decision.elapsed == pytest.approx(DEADLINE)
    assert decision.flagged
    assert decision.fallback is not None
    assert decision.fallback.unfinished == ("text",)


def test_a_deadline_that_has_passed_still_gets_an_answer() -> None:
    """A message that arrives too late is judged by the cheap tier, and the models are not run for it."""
    models = scripted_models()

    async def decide() -> tuple[Decision, Decision]:
        gate = Gate(compiled(models), clock=JumpingClock())
        await asyncio.sleep(1)
        clean = await gate.judge(message(), arrived=0.0, deadline=DEADLINE)
        return clean, await gate.judge(message("badword"), arrived=0.0, deadline=DEADLINE)

    clean, bad = run(decide())
    assert clean.verdict is Verdict.ALLOW
    assert clean.fallback is not None
    assert clean.fallback.reason is FallbackReason.TIMEOUT
    assert (bad.verdict, bad.fallback) == (Verdict.BLOCK, None)


def test_without_a_permit_the_cheap_tier_still_decides() -> None:
    """Overload sheds models, not messages: no model is asked and the answer says OVERLOAD."""
    models = scripted_models()

    async def decide() -> tuple[Decision, Decision]:
        gate = Gate(compiled(models), clock=JumpingClock())
        clean = await gate.judge(message(), arrived=0.0, deadline=DEADLINE, shed=True, explain=True)
        return clean, await gate.judge(message("badword"), arrived=0.0, deadline=DEADLINE, shed=True)

    clean, bad = run(decide())
    assert clean.fallback is not None
    assert (clean.fallback.reason, clean.fallback.applied) == (FallbackReason.OVERLOAD, FallbackPolicy.SEND)
    assert {trace.rule_id: trace.outcome for trace in clean.traces} == {
        "words": Outcome.FALSE,
        "text": Outcome.SHED,
        "mood": Outcome.SHED,
    }
    assert bad.verdict is Verdict.BLOCK
    assert models["text"].asked == models["sentiment"].asked == 0


def test_a_message_that_nothing_looks_at_gets_the_fallbacks() -> None:
    """Blind, no detector is asked, not even for a listed word; what the rules say of not knowing decides, marked."""
    models = scripted_models()
    rules = RULES.replace(
        "{id: text, when: {text: {label: insult}}, then: {action: block}}",
        "{id: text, when: {text: {label: insult}}, then: {action: block}, on_timeout: block,"
        " filters: {sender: {roles: {any_of: [guest]}}}}",
    )

    def decide(rules: str, *, role: str) -> Decision:
        gate = Gate(compiled(models, rules), clock=JumpingClock())
        asked = Message("", "badword", Sender("ann", roles=(role,)), Conversation("c"))

        async def twice() -> Decision:
            first = gate.begin(asked, arrived=0.0, deadline=DEADLINE, blind=True)
            again = gate.begin(asked, arrived=0.0, deadline=DEADLINE, blind=True)
            assert isinstance(first, Decision)
            assert isinstance(again, Decision)
            assert (first.verdict, first.fallback) == (again.verdict, again.fallback)
            return first

        return run(twice())

    sent = decide(RULES, role="guest")
    assert sent.verdict is Verdict.ALLOW
    assert sent.fallback is not None
    assert (sent.fallback.reason, sent.fallback.applied) == (FallbackReason.OVERLOAD, FallbackPolicy.SEND)
    assert set(sent.fallback.unfinished) == {"words", "text", "sentiment"}
    assert decide(rules, role="guest").verdict is Verdict.BLOCK
    assert decide(rules, role="regular").verdict is Verdict.ALLOW
    assert models["text"].asked == 0


def test_what_nothing_looks_at_is_never_answered_with_another_text() -> None:
    """A rule that holds without looking, for there is no picture, masks each message's own text."""
    rules = RULES + "  - {id: bare, when: {not: {image: {label: gore}}}, then: {action: mask}}\n"
    gate = Gate(compiled(scripted_models(), rules), clock=JumpingClock())

    async def masked(text: str) -> str:
        decision = gate.begin(message(text), arrived=0.0, deadline=DEADLINE, blind=True)
        assert isinstance(decision, Decision)
        return decision.masked_text

    assert [run(masked(text)) for text in ("hello", "good morning")] == ["*****", "************"]


def test_what_was_blocked_or_flagged_can_be_explained_afterwards() -> None:
    """Rules that held are told for the moderators, also if the caller did not ask; what was let through is not."""

    async def decide() -> tuple[Decision, Decision]:
        gate = Gate(compiled(scripted_models()), clock=JumpingClock())
        blocked = await gate.judge(message("badword"), arrived=0.0, deadline=DEADLINE)
        return blocked, await gate.judge(message(), arrived=0.0, deadline=DEADLINE, shed=True)

    blocked, clean = run(decide())
    assert blocked.traces == ()
    assert blocked.explain is not None
    (told,) = blocked.explain()
    assert (told.rule_id, told.outcome, told.when.outcome) == ("words", Outcome.TRUE, Outcome.TRUE)
    assert clean.explain is None


def test_a_message_in_flight_finishes_with_the_ruleset_that_it_began_with() -> None:
    """A swap between question and answer does not tear a decision; the next message gets the new rules."""
    models = scripted_models()
    models["text"].script = Script({"insult": 0.99}, after_ms=50)
    first = compiled(models)
    second = compiled(models, "version: 1\nrules:\n  - {id: x, when: {pii: [email]}, then: {action: block}}\n")

    async def decide() -> tuple[Decision, Decision]:
        gate = Gate(first, clock=JumpingClock())
        flying = asyncio.ensure_future(gate.judge(message(), arrived=0.0, deadline=DEADLINE))
        await asyncio.sleep(0.01)
        gate.swap(second)
        return await flying, await gate.judge(message(), arrived=0.0, deadline=DEADLINE)

    before, after = run(decide())
    assert (before.verdict, before.ruleset_revision) == (Verdict.BLOCK, first.revision)
    assert (after.verdict, after.ruleset_revision) == (Verdict.ALLOW, second.revision)


def test_a_caller_that_goes_away_takes_its_models_with_it() -> None:
    """Cancelling a call cancels what was asked for it, and leaves nothing running."""
    models = scripted_models()
    models["text"].script = models["sentiment"].script = Script(fails="hang")

    async def decide() -> int:
        gate = Gate(compiled(models), clock=JumpingClock())
        call = asyncio.ensure_future(gate.judge(message(), arrived=0.0, deadline=DEADLINE))
        await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert run(decide()) == 1


def test_a_sanctioned_sender_is_blocked_before_anything_is_asked() -> None:
    """A sanction in force blocks with its own notice; no detector runs."""
    models = scripted_models()
    notice = Notice(notify=True, code=9, reason="muted")

    class Muted:
        def standing(self, message: Message, now: float) -> StandingSanction | None:
            return StandingSanction("s1", notice) if message.sender.id == "bob" and now == NOON else None

        def delivery(self, message: Message) -> Delivery | None:
            del message
            return None

    async def decide() -> tuple[Decision, Decision]:
        gate = Gate(compiled(models), clock=JumpingClock(), sanctions=Muted())
        bob = await gate.judge(message(sender="bob"), arrived=0.0, deadline=DEADLINE)
        return bob, await gate.judge(message(), arrived=0.0, deadline=DEADLINE)

    bob, ann = run(decide())
    assert (bob.verdict, bob.notice, bob.timings) == (Verdict.BLOCK, notice, {})
    assert ann.verdict is Verdict.ALLOW


def test_only_hits_of_rules_with_penalties_are_counted() -> None:
    """Violations are told of every live hit once, and what they earn is in the answer."""
    models = scripted_models()
    penalty = Penalty(PenaltyType.MUTE, SanctionScope.CONVERSATION, None, "words", "")
    counted: list[list[str]] = []

    class Counting:
        async def record(self, message: Message, hits: Sequence[Rule], now: float) -> Earned:
            assert (message.sender.id, now) == ("ann", NOON)
            counted.append([rule.id for rule in hits])
            return Earned((penalty,))

    async def decide() -> list[Decision]:
        gate = Gate(compiled(models), clock=JumpingClock(), violations=Counting())
        texts = ("badword", "hello")
        return [await gate.judge(message(text), arrived=0.0, deadline=DEADLINE) for text in texts]

    bad, clean = run(decide())
    assert counted == [["words"]]
    assert bad.penalties == (penalty,)
    assert clean.penalties == ()


def test_a_cheap_detector_that_breaks_costs_only_its_own_conditions() -> None:
    """An exception inside a detector is an ERROR of that detector; the others decide, and the observer is told."""
    models = scripted_models()
    ruleset = compiled(models)

    class Broken:
        def inspect(self, subject: object) -> object:
            del subject
            raise ZeroDivisionError

    object.__setattr__(ruleset.inspections["words"], "inspector", Broken())
    models["text"].script = Script({"insult": 0.99})
    watching = Watching()

    async def decide() -> list[Decision]:
        gate = Gate(ruleset, clock=JumpingClock(), observer=watching)
        insult = await gate.judge(message(), arrived=0.0, deadline=DEADLINE)
        models["text"].script = Script()
        return [insult, await gate.judge(message(), arrived=0.0, deadline=DEADLINE)]

    insult, clean = run(decide())
    assert insult.verdict is Verdict.BLOCK
    assert clean.fallback is not None
    assert (clean.fallback.reason, clean.fallback.unfinished) == (FallbackReason.ERROR, ("words",))
    assert watching.failures == [("words", "ZeroDivisionError")] * 2
    assert watching.decisions == [insult, clean]


def test_decisions_tell_when_and_by_what() -> None:
    """A decision carries the wall-clock time, the budget it had and the revision that judged it."""
    models = scripted_models()
    ruleset = compiled(models)

    async def decide() -> Decision:
        gate = Gate(ruleset, clock=JumpingClock(), new_id=lambda: "d1")
        return await gate.judge(message(), arrived=0.0, deadline=DEADLINE)

    decision = run(decide())
    assert (decision.id, decision.decided_at, decision.budget) == ("d1", NOON, DEADLINE)
    assert decision.ruleset_revision == ruleset.revision
    assert set(decision.timings) >= {"text", "sentiment"}


def test_decision_ids_are_unique_and_sort_by_time() -> None:
    """32 hex digits, version 7: later ids sort behind earlier ones of other milliseconds."""
    ids = [new_decision_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(len(i) == 32 and i[12] == "7" for i in ids)
    assert [i[:12] for i in ids] == sorted(i[:12] for i in ids)
