"""The way of one message: cheap detectors inline, models under the deadline, then the verdict."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, cast

from modgate.detectors.base import CheapInspector, DetectorError, ModelInspector, Problem, Report, Subject, Tier
from modgate.gate.decision import Decision, Earned, Outcome, RuleTrace, StandingSanction
from modgate.gate.facts import Facts, trace, unknown_detectors
from modgate.gate.plan import Plan, Planner
from modgate.gate.ports import Clock, Observer, Sanctions, SystemClock, Violations, new_decision_id
from modgate.gate.subject import subject_of
from modgate.gate.verdict import Answer, answer, apply_fallbacks
from modgate.message import Message
from modgate.rules.ruleset import Leaf, Mode, Rule, Ruleset, Verdict

__all__ = ["Gate", "Undecided"]

_NOTHING: Report = {}
_NOTHING_EARNED = Earned()
_TIMED_EVERY = 16


class Gate:
    """Judges messages by the ruleset in force. Lives on one event loop; holds no locks and does no I/O."""

    def __init__(
        self,
        ruleset: Ruleset,
        *,
        clock: Clock | None = None,
        observer: Observer | None = None,
        sanctions: Sanctions | None = None,
        violations: Violations | None = None,
        new_id: Callable[[], str] = new_decision_id,
    ) -> None:
        self._ruleset = ruleset
        self._planner = Planner(ruleset)
        self._clock = clock or SystemClock()
        self._observer = observer
        self._sanctions = sanctions
        self._violations = violations
        self._new_id = new_id
        self._judged = 0
        self._unseen_answers: dict[tuple[int, bool], tuple[Plan, Answer]] = {}

    @property
    def ruleset(self) -> Ruleset:
        """The snapshot that the next message will be judged by."""
        return self._ruleset

    def swap(self, ruleset: Ruleset) -> None:
        """Put another ruleset in force; messages in flight finish with the one they began with."""
        self._planner = Planner(ruleset)
        self._ruleset = ruleset
        self._unseen_answers.clear()

    async def judge(
        self, message: Message, *, arrived: float, deadline: float, explain: bool = False, shed: bool = False
    ) -> Decision:
        """Return the decision about a message; always returns, and soon after `deadline` at the latest.

        The arguments are those of `begin`.
        """
        outcome = self.begin(message, arrived=arrived, deadline=deadline, explain=explain, shed=shed)
        return outcome if isinstance(outcome, Decision) else await self.finish(outcome)

    def begin(
        self,
        message: Message,
        *,
        arrived: float,
        deadline: float,
        explain: bool = False,
        shed: bool = False,
        blind: bool = False,
    ) -> "Decision | Undecided":
        """Look at a message with everything that is cheap, at once; most messages are decided by that.

        Args:
            message: The message.
            arrived: Monotonic seconds at which it arrived.
            deadline: Monotonic seconds by which a decision is wanted.
            explain: Whether to keep every leaf's outcome.
            shed: Whether there is no capacity for models: their conditions stay unknown with reason OVERLOAD.
            blind: Whether there is none for anything: all conditions stay unknown, and the fallbacks of the rules
                decide. Sanctions hold all the same.

        Returns:
            The decision, or what `finish` needs to ask the models.
        """
        ruleset, planner = self._ruleset, self._planner
        now = self._clock.now()
        case = _Case(ruleset, subject_of(message, ruleset.custom_paths, now), arrived, deadline)
        standing = self._sanctions.standing(message, now) if self._sanctions is not None else None
        if standing is not None:
            return self._decide(case, _sanctioned(standing), sanction=standing)
        facts = case.facts
        plan = planner.plan(message)
        if blind:
            return self._decide(case, self._unseen(case, plan), _explain(plan, case) if explain else ())
        # The cheap tier takes microseconds: timing each detector of each message would be a good part of them.
        self._judged += 1
        self._look_cheaply(case, plan.cheap, timed=explain or self._judged % _TIMED_EVERY == 0)
        if not message.media:
            facts.reports.update(dict.fromkeys(plan.media, _NOTHING))
        rules = [rule for rule in plan.candidates(facts) if rule.admits is None or rule.admits(message, now)]
        result = answer(rules, facts, message.text)
        if result.unknown and result.verdict is not Verdict.BLOCK:
            wanted = _wanted(case, result)
            if wanted and not shed:
                return Undecided(case, plan, rules, wanted, explain)
            facts.problems.update(dict.fromkeys(wanted, Problem.OVERLOAD))
            apply_fallbacks(result, facts, message.id)
        if self._violations is not None and _violated(result):
            return Undecided(case, plan, rules, [], explain)
        return self._decide(case, result, _explain(plan, case) if explain else ())

    async def finish(self, undecided: "Undecided", *, shed: bool = False) -> Decision:
        """Do what `begin` left: ask the models that matter, count violations. Decides by the message's deadline.

        Args:
            undecided: What `begin` returned.
            shed: Whether there is no capacity for models after all.
        """
        case, plan, rules, wanted, explain = undecided
        if shed:
            case.facts.problems.update(dict.fromkeys(wanted, Problem.OVERLOAD))
        elif wanted:
            await self._ask_models(case, rules, wanted)
        result = answer(rules, case.facts, case.subject.message.text)
        apply_fallbacks(result, case.facts, case.subject.message.id)
        earned = _NOTHING_EARNED
        violated = _violated(result)
        if self._violations is not None and violated:
            earned = await self._violations.record(case.subject.message, violated, case.subject.now)
        return self._decide(case, result, _explain(plan, case) if explain else (), earned=earned)

    def _decide(
        self,
        case: "_Case",
        result: Answer,
        traces: tuple[RuleTrace, ...] = (),
        *,
        earned: Earned = _NOTHING_EARNED,
        sanction: StandingSanction | None = None,
    ) -> Decision:
        message, now = case.subject.message, case.subject.now
        notable = result.flagged or result.verdict is Verdict.BLOCK
        delivery = None
        if self._sanctions is not None and result.verdict is not Verdict.BLOCK:
            delivery = self._sanctions.delivery(message)
        decision = Decision(
            id=self._new_id(),
            message=message,
            verdict=result.verdict,
            flagged=result.flagged,
            masked_text=result.masked_text,
            matches=result.matches,
            fallback=result.fallback,
            notice=result.notice,
            penalties=earned.penalties,
            decided_at=now,
            elapsed=self._clock.monotonic() - case.arrived,
            budget=case.deadline - case.arrived,
            timings=case.facts.elapsed,
            ruleset_revision=case.ruleset.revision,
            traces=traces,
            explain=partial(_explain_hits, result, case.facts) if notable else None,
            shadow_penalties=earned.shadow,
            penalties_degraded=earned.degraded,
            sanction=sanction,
            delivery=delivery,
        )
        if self._observer is not None:
            self._observer.decided(decision)
        return decision

    def _unseen(self, case: "_Case", plan: Plan) -> Answer:
        """Return what the rules' fallbacks say of a message that nothing looks at."""
        facts, message = case.facts, case.subject.message
        facts.problems.update(dict.fromkeys(plan.detectors if message.media else plan.textual, Problem.OVERLOAD))
        if not message.media:
            facts.reports.update(dict.fromkeys(plan.media, _NOTHING))
        key = id(plan), bool(message.media)
        known = self._unseen_answers.get(key)
        if known is not None and known[0] is plan:
            return known[1]
        rules = [rule for rule in plan.rules if rule.admits is None or rule.admits(message, case.subject.now)]
        result = answer(rules, facts, message.text)
        apply_fallbacks(result, facts, message.id)
        # A rule that holds, because there is no picture for instance, may mask: that is about this text only.
        if plan.uniform and not (result.hits or result.shadow_hits):
            # Holding the plan keeps its identity; a swap of the ruleset drops them all.
            self._unseen_answers[key] = (plan, result)
        return result

    def _look_cheaply(self, case: "_Case", names: Sequence[str], *, timed: bool) -> None:
        facts = case.facts
        for name in names:
            started = self._clock.monotonic() if timed else 0.0
            inspector = cast("CheapInspector", case.ruleset.inspections[name].inspector)
            try:
                facts.reports[name] = inspector.inspect(case.subject)
            except Exception as error:  # noqa: BLE001 - one broken detector must not cost the others' answers
                self._failed(case, name, error)
            if timed:
                facts.elapsed[name] = self._clock.monotonic() - started

    async def _ask_models(self, case: "_Case", rules: Sequence[Rule], names: Sequence[str]) -> None:
        if len(names) == 1:
            await self._ask(case, names[0])
            return
        tasks = {asyncio.ensure_future(self._ask(case, name)) for name in names}
        try:
            while tasks:
                _, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                # A finished BLOCK is final: nobody waits for the rest.
                if tasks and answer(rules, case.facts, case.subject.message.text).verdict is Verdict.BLOCK:
                    return
        finally:
            for task in tasks:
                task.cancel()

    async def _ask(self, case: "_Case", name: str) -> None:
        inspector = cast("ModelInspector", case.ruleset.inspections[name].inspector)
        started = self._clock.monotonic()
        try:
            # The inspector watches the deadline itself; this guards against one that hangs.
            async with asyncio.timeout(case.deadline - started):
                case.facts.reports[name] = await inspector.inspect(case.subject, case.deadline)
        except TimeoutError:
            case.facts.problems[name] = Problem.TIMEOUT
        except Exception as error:  # noqa: BLE001 - one broken detector must not cost the others' answers
            self._failed(case, name, error)
        case.facts.elapsed[name] = self._clock.monotonic() - started

    def _failed(self, case: "_Case", name: str, error: Exception) -> None:
        problem = Problem.ERROR
        if isinstance(error, DetectorError):
            problem = error.problem
            if error.partial:
                case.facts.reports[name] = error.partial
        case.facts.problems[name] = problem
        if problem is Problem.ERROR and self._observer is not None:
            self._observer.detector_failed(name, error)


@dataclass(slots=True)
class _Case:
    """One message on its way: the snapshot that judges it, what is known of it, and its time line."""

    ruleset: Ruleset
    subject: Subject
    arrived: float
    deadline: float
    facts: Facts = field(default_factory=Facts)


class Undecided(NamedTuple):
    """A message that the cheap tier did not decide: opaque, to be handed to `Gate.finish`."""

    case: _Case
    plan: Plan
    rules: list[Rule]
    wanted: list[str]
    explain: bool


def _violated(result: Answer) -> list[Rule]:
    return [rule for rule in (*result.hits, *result.shadow_hits) if rule.penalties]


def _sanctioned(standing: StandingSanction) -> Answer:
    return Answer(
        verdict=Verdict.BLOCK, flagged=False, masked_text="", matches=(), notice=standing.notice, hits=(), unknown=()
    )


def _wanted(case: _Case, result: Answer) -> list[str]:
    wanted: set[str] = set()
    for rule in result.unknown:
        # Most rules have a single condition, and it is known to be unknown.
        if isinstance(rule.when, Leaf):
            wanted.add(rule.when.detector)
        else:
            wanted |= unknown_detectors(rule.when, case.facts)
    return [
        name
        for name, inspection in case.ruleset.inspections.items()
        if name in wanted and inspection.tier is Tier.MODEL and name not in case.facts.problems
    ]


def _explain_hits(result: Answer, facts: Facts) -> tuple[RuleTrace, ...]:
    # Without the message: it may be megabytes, and this is kept for a while.
    # What stayed unknown tells something only if a fallback stood for it.
    unknown = result.unknown if result.fallback is not None else ()
    rules = dict.fromkeys((*result.hits, *result.shadow_hits, *unknown))
    trees = ((rule, trace(rule.when, facts)) for rule in rules)
    return tuple(RuleTrace(r.id, r.revision, r.mode is not Mode.LIVE, tree.outcome, tree) for r, tree in trees)


def _explain(plan: Plan, case: _Case) -> tuple[RuleTrace, ...]:
    traces = []
    for rule in plan.rules:
        tree = trace(rule.when, case.facts)
        admitted = rule.admits is None or rule.admits(case.subject.message, case.subject.now)
        outcome = tree.outcome if admitted else Outcome.SKIPPED
        traces.append(RuleTrace(rule.id, rule.revision, rule.mode is not Mode.LIVE, outcome, tree))
    return tuple(traces)
