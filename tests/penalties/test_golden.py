"""What Agora, CometChat and Stream offer, as rows of data that run through the real gate."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from modgate.gate import Gate
from modgate.message import ConversationType
from modgate.penalties import LocalViolations, SanctionBook
from modgate.rules.ruleset import Mode, PenaltyClause, PenaltyType, SanctionScope, Verdict

GOLDEN = Path(__file__).parent / "golden"
CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted(GOLDEN.glob("*.yaml"))
    for case in yaml.safe_load(path.read_text())
]


def clause_of(data: dict[str, Any]) -> PenaltyClause:
    return PenaltyClause(
        after=data["after"],
        within=timedelta(seconds=data["within"]),
        impose=PenaltyType(data["impose"]),
        scope=SanctionScope(data["scope"]),
        duration=timedelta(seconds=data["for"]) if "for" in data else None,
        weight=data.get("weight", 1.0),
        cooldown=timedelta(seconds=data.get("cooldown", 0)),
        reason=data.get("reason", ""),
        decay=timedelta(seconds=data["decay"]) if "decay" in data else None,
    )


@pytest.mark.parametrize("case", CASES)
async def test_golden(case: dict[str, Any], make: Any, clock: Any) -> None:
    """Every step of the story answers, earns and blocks what its row says, and nothing more."""
    book = SanctionBook()
    rule = make.rule(clause_of(case["clause"]), mode=Mode(case.get("mode", "live")))
    gate = Gate(make.ruleset(rule), clock=clock, sanctions=book, violations=LocalViolations(book))
    start = clock.at
    for index, step in enumerate(case["steps"]):
        clock.at = start + step["at"]
        receiver = step.get("receiver", "")
        message = make.message(
            step.get("id", f"step-{index}"),
            text=step["text"],
            sender=step.get("sender", "ann"),
            conversation=step.get("conversation", "c1"),
            kind=ConversationType.ONE_TO_ONE if receiver else ConversationType.GROUP,
            receiver=receiver,
        )
        decision = await gate.judge(message, arrived=clock.at, deadline=clock.at + 0.2)
        assert [p.type.value for p in decision.penalties] == [step[k] for k in ("earns",) if k in step], step
        assert [p.type.value for p in decision.shadow_penalties] == [step[k] for k in ("would_earn",) if k in step]
        if "blocked" in step:
            assert decision.verdict is Verdict.BLOCK
            assert decision.notice is not None
            assert decision.notice.reason == step["blocked"]
            assert decision.sanction is not None
        else:
            assert decision.verdict is not Verdict.BLOCK, step
            assert decision.sanction is None
