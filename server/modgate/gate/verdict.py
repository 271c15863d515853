"""From facts to an answer: true rules, merged masks, the strictest verdict, fallbacks for what stayed unknown."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from modgate.detectors.base import TEXT, Problem, Span
from modgate.gate.decision import Fallback, FallbackReason, Match
from modgate.gate.facts import Facts, evaluate, true_leaves, unknown_detectors
from modgate.rules.ruleset import Effect, FallbackPolicy, Mode, Notice, Rule, Verdict
from modgate.text import mask

__all__ = ["Answer", "answer"]

_REASONS = {
    Problem.TIMEOUT: FallbackReason.TIMEOUT,
    Problem.OVERLOAD: FallbackReason.OVERLOAD,
    Problem.ERROR: FallbackReason.ERROR,
}


@dataclass(slots=True)
class Answer:
    """What a message's facts amount to.

    Attributes:
        hits: Live rules that are true.
        unknown: Rules whose outcome is not known.
        shadow_hits: Rules in shadow that are true.
    """

    verdict: Verdict
    flagged: bool
    masked_text: str
    matches: tuple[Match, ...]
    notice: Notice | None
    hits: tuple[Rule, ...]
    unknown: tuple[Rule, ...]
    fallback: Fallback | None = None
    shadow_hits: tuple[Rule, ...] = ()


def answer(rules: Sequence[Rule], facts: Facts, text: str) -> Answer:
    """Evaluate rules that admit the message and combine those that are true: the strictest wins.

    Shadow rules add matches and change nothing. A mask or replacement that would let something through, because what
    matched is in a picture or a custom payload, blocks. Call `apply_fallbacks` once nothing more will become known.
    """
    hits: list[Rule] = []
    shadow_hits: list[Rule] = []
    unknown: list[Rule] = []
    matches: list[Match] = []
    verdict = Verdict.ALLOW
    flagged = False
    decisive: Rule | None = None
    masks: list[tuple[Effect, tuple[Span, ...]]] = []
    for rule in rules:
        value = evaluate(rule.when, facts)
        if value is None:
            unknown.append(rule)
        if not value:
            continue
        found = _matches(rule, facts)
        matches.extend(found)
        if rule.mode is not Mode.LIVE:
            shadow_hits.append(rule)
            continue
        hits.append(rule)
        flagged = flagged or rule.effect.flag
        asked = rule.effect.verdict
        if asked is Verdict.MASK:
            if any(match.part != TEXT for match in found):
                asked = Verdict.BLOCK
            elif rule.effect.replacement is None:
                masks.append((rule.effect, _spans(found, text)))
        if asked > verdict:
            verdict, decisive = asked, rule
    return Answer(
        verdict=verdict,
        flagged=flagged,
        masked_text=_masked(text, hits, masks) if verdict is Verdict.MASK else "",
        matches=tuple(matches),
        notice=decisive.effect.notice if decisive else None,
        hits=tuple(hits),
        unknown=tuple(unknown),
        shadow_hits=tuple(shadow_hits),
    )


def apply_fallbacks(result: Answer, facts: Facts, message_id: str) -> None:
    """Let the fallbacks of live rules that stayed unknown stand in for them, where they could still matter.

    A rule may block a share of such messages only; which ones follows from the message's id, so a repeated call agrees.
    """
    if result.verdict is Verdict.BLOCK:
        return
    open_rules = [rule for rule in result.unknown if rule.mode is Mode.LIVE and _could_matter(rule.effect, result)]
    if not open_rules:
        return
    reason = FallbackReason.TIMEOUT
    applied = FallbackPolicy.SEND
    unfinished: dict[str, None] = {}
    blocking: Rule | None = None
    for rule in open_rules:
        detectors = sorted(unknown_detectors(rule.when, facts))
        reasons = {_REASONS[facts.problems.get(name, Problem.TIMEOUT)] for name in detectors}
        # With several reasons the stricter policy holds: one more failure must never let a message through.
        policy = max(rule.on_error if why is FallbackReason.ERROR else rule.on_timeout for why in reasons)
        if rule.block_fraction < 1.0 and _place(message_id) >= rule.block_fraction:
            policy = FallbackPolicy.SEND
        reason = max(reason, *reasons)
        if policy > applied:
            applied, blocking = policy, rule
        unfinished.update(dict.fromkeys(detectors))
    result.fallback = Fallback(reason, applied, tuple(unfinished))
    if blocking:
        result.verdict = Verdict.BLOCK
        result.masked_text = ""
        result.notice = blocking.effect.notice


def _place(message_id: str) -> float:
    """Return a number from 0 to 1 that spreads messages evenly and is the same for the same message."""
    return zlib.crc32(message_id.encode("utf-8", "surrogatepass")) / 2**32


def _could_matter(effect: Effect, result: Answer) -> bool:
    # One more mask can still cover more of a text that is masked already.
    stricter = effect.verdict > result.verdict or effect.verdict is Verdict.MASK is result.verdict
    return stricter or (effect.flag and not result.flagged)


def _matches(rule: Rule, facts: Facts) -> list[Match]:
    shadow = rule.mode is not Mode.LIVE
    found = [
        Match(
            rule_id=rule.id,
            rule_revision=rule.revision,
            detector=leaf.detector,
            label=finding.label,
            score=finding.score,
            threshold=leaf.at_least,
            spans=finding.spans,
            part=finding.part,
            evidence=finding.evidence,
            shadow=shadow,
        )
        for leaf in true_leaves(rule.when, facts)
        for finding in facts.found(leaf)
    ]
    # A rule that holds because of what is absent has found nothing to show; its hit must show all the same.
    return found or [Match(rule.id, rule.revision, "gate", "not", 1.0, 0.0, (), TEXT, "", shadow)]


def _spans(found: Sequence[Match], text: str) -> tuple[Span, ...]:
    spans = tuple(span for match in found if match.part == TEXT for span in match.spans)
    # A classifier marks no place: then the whole text is what must not be seen.
    return spans or (Span(0, len(text)),)


def _masked(text: str, hits: Sequence[Rule], masks: Sequence[tuple[Effect, tuple[Span, ...]]]) -> str:
    for rule in hits:
        if rule.effect.replacement is not None:
            return rule.effect.replacement
    policies = {(effect.mask_char, effect.mask_length) for effect, _ in masks}
    if len(policies) == 1:
        char, length = policies.pop()
        return mask(text, [span for _, spans in masks for span in spans], char=char, length=length)
    # Rules with different masks: work from the end, so that earlier spans keep their places; where two
    # overlap, the one that starts first covers both.
    ordered = sorted(
        ((span, effect) for effect, spans in masks for span in spans), key=lambda item: (item[0].start, -item[0].end)
    )
    merged: list[tuple[Span, Effect]] = []
    for span, effect in ordered:
        if merged and span.start < merged[-1][0].end:
            last, chosen = merged[-1]
            merged[-1] = (Span(last.start, max(last.end, span.end)), chosen)
        else:
            merged.append((span, effect))
    for span, effect in reversed(merged):
        text = mask(text, [span], char=effect.mask_char, length=effect.mask_length)
    return text
