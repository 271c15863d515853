"""RuleService over a real channel: trials."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from tests.rpc.control_plane import ONE, RULES, ControlPlane, Refused, request

from modgate.v1 import moderation_pb2
from modgate.v1 import rules_pb2 as pb


@pytest.fixture(params=[True, False], ids=["store", "file"])
async def plane(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[ControlPlane]:
    draft = "  - {id: mail, mode: draft, when: {pii: [email]}, then: {action: block}}\n"
    async with ControlPlane(tmp_path, rules=RULES + draft, stored=request.param) as plane:
        yield plane


async def trial(plane: ControlPlane, text: str, **fields: str) -> moderation_pb2.ModerateResponse:
    response: pb.TestRulesResponse = await plane.stub.TestRules(pb.TestRulesRequest(request=request(text), **fields))
    return response.response


async def test_a_trial_by_all_rules_answers_as_the_gate_would_and_explains(plane: ControlPlane) -> None:
    """Verdict, mask, matches and the tree of each rule in force."""
    answer = await trial(plane, "a badword here")
    assert (answer.verdict, answer.masked_text) == (moderation_pb2.VERDICT_MASK, "a ******* here")
    outcomes = {rule.rule_id: rule.outcome for rule in answer.explanation.rules}
    assert outcomes == {"words": moderation_pb2.OUTCOME_TRUE, "flood": moderation_pb2.OUTCOME_FALSE}
    assert answer.ruleset_revision == plane.gate.ruleset.revision


async def test_a_trial_by_one_rule_asks_no_other_and_takes_a_draft_as_live(plane: ControlPlane) -> None:
    """What a rule does can be seen before it goes live."""
    answer = await trial(plane, "badword joe@example.com", rule_id="mail")
    assert answer.verdict == moderation_pb2.VERDICT_BLOCK
    assert [match.rule_id for match in answer.matches] == ["mail"]


async def test_an_unsaved_rule_can_be_tried_and_stays_unsaved(plane: ControlPlane) -> None:
    """It may use the lists that there are; nothing is stored or put in force."""
    before = plane.gate.ruleset
    rule = "id: new\nwhen: {words: {list: bad}}\nthen: {action: block}\n"
    assert (await trial(plane, "badword", yaml=rule, rule_id="words")).verdict == moderation_pb2.VERDICT_BLOCK
    assert plane.gate.ruleset is before
    async with Refused.expected(grpc.StatusCode.NOT_FOUND):
        await plane.stub.GetRule(pb.GetRuleRequest(id="new"))


async def test_a_trial_leaves_no_trace(plane: ControlPlane) -> None:
    """Messages on trial count towards no flood, however many there are."""
    for _ in range(5):
        assert (await trial(plane, "hello")).verdict == moderation_pb2.VERDICT_ALLOW
        assert (await trial(plane, "hello", rule_id="flood")).verdict == moderation_pb2.VERDICT_ALLOW
    twice = "id: f\nwhen: {flood: {messages: 2, within: 1m}}\nthen: {action: mask}"
    for _ in range(3):
        assert (await trial(plane, "hello", yaml=twice)).verdict == moderation_pb2.VERDICT_ALLOW


async def test_problems_of_an_unsaved_rule_are_told_in_its_yaml(plane: ControlPlane) -> None:
    """The field is `yaml`, the place is that in the rule."""
    async with Refused.expected(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await trial(plane, "hello", yaml=ONE.replace("mask", "blok"))
    assert [field for field, _ in refused.violations] == ["yaml.then.action"]
    async with Refused.expected(grpc.StatusCode.NOT_FOUND):
        await trial(plane, "hello", rule_id="none")


async def test_a_message_that_cannot_be_judged_is_refused(plane: ControlPlane) -> None:
    """The same limits hold as for messages of gateways."""
    async with Refused.expected(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await trial(plane, "x" * 70_000)
    assert [field for field, _ in refused.violations] == ["request.message.text"]
