"""docs/precedence.md is run as it stands."""

import re
from pathlib import Path

import pytest
from tests.rules.judging import judge_by

from modgate.rules import parse_document
from modgate.rules.cases import run_cases

PAGE = (Path(__file__).parents[2] / "docs" / "precedence.md").read_text()
RULES_FENCE, CASES_FENCE = (rf"```yaml\n# {what}\n(?P<{what}>.*?)```" for what in ("rules", "cases"))
EXAMPLE = re.compile(rf"^## (?P<title>.+?)\n.*?{RULES_FENCE}\s+{CASES_FENCE}", re.DOTALL | re.MULTILINE)
EXAMPLES = [pytest.param(m["rules"], m["cases"], id=m["title"]) for m in EXAMPLE.finditer(PAGE)]


def test_every_example_of_the_page_is_run() -> None:
    """No example is overlooked for its layout."""
    assert len(EXAMPLES) == PAGE.count("# rules\n") == PAGE.count("# cases\n") >= 7


@pytest.mark.parametrize(("rules", "cases"), EXAMPLES)
async def test_the_page_tells_what_happens(tmp_path: Path, rules: str, cases: str) -> None:
    """Each example's cases hold under its rules."""
    (tmp_path / "cases.yaml").write_text(cases)
    outcomes = await run_cases(tmp_path / "cases.yaml", judge_by(parse_document("precedence.md", rules)))
    assert [outcome for outcome in outcomes if not outcome.passed] == []
