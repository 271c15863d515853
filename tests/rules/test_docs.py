"""What the pages on rules say is what the code has."""

import re
from pathlib import Path

import pytest

from modgate.detectors.pii import RECOGNISERS
from modgate.rules import parse_document
from modgate.rules.cases import CaseFile, everyday_lines
from modgate.rules.conditions import TEXT_LABEL_ALIASES, Condition
from modgate.rules.load import AUTOMOD
from modgate.rules.ruleset import PenaltyType
from modgate.rules.schema import DocumentModel, Filters, ListModel, RuleModel, Then
from modgate.rules.yaml_source import read_yaml

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "docs" / "rules.md").read_text()
PACKS = (ROOT / "docs" / "packs.md").read_text()
PII = (ROOT / "docs" / "pii.md").read_text()


@pytest.mark.parametrize("model", [DocumentModel, ListModel, RuleModel, Then, Condition, Filters])
def test_every_key_is_on_the_page(model: type[DocumentModel]) -> None:
    """No key of a rule file goes undocumented."""
    keys = {field.alias or name for name, field in model.model_fields.items()}
    assert {key for key in keys if not re.search(rf"(?<!\w){key}(?!\w)", RULES)} == set()


def test_every_penalty_is_on_the_page() -> None:
    """Neither does a penalty."""
    assert [penalty for penalty in PenaltyType if f"`{penalty}`" not in RULES] == []


def test_the_examples_of_the_page_are_valid() -> None:
    """What is shown can be copied."""
    examples = [m.group(1) for m in re.finditer(r"^ *```yaml\n(.*?)^ *```", RULES, re.DOTALL | re.MULTILINE)]
    assert len(examples) == 2
    parse_document("docs", examples[0])
    data, _ = read_yaml("docs", "\n".join(line.removeprefix("  ") for line in examples[1].split("\n")))
    CaseFile.model_validate(data)


def test_the_page_counts_the_everyday_lines() -> None:
    """The number that the page names is about the number that there is."""
    (told,) = re.findall(r"(\d+)\s+everyday lines", RULES)
    assert abs(len(everyday_lines()) - int(told)) <= 10


def test_every_kind_of_personal_detail_is_on_its_page() -> None:
    """Kinds are found where people look for them."""
    assert [r.kind for r in RECOGNISERS if f"| `{r.kind}`" not in PII] == []


def test_every_pack_is_on_its_page_and_no_other() -> None:
    """The table of packs is the folder of packs; the levels of automod are told as they are."""
    files = {path.stem for path in (ROOT / "server" / "modgate" / "data" / "packs").glob("*.yaml")}
    assert set(re.findall(r"^\| `([a-z-]+)`", PACKS, re.MULTILINE)) == files
    introduction = PACKS.partition("| pack |")[0]
    assert [name for name in AUTOMOD["ai"] if name not in introduction] == []


def test_perspective_names_that_the_page_mentions_exist() -> None:
    """The examples of aliases are aliases."""
    assert set(re.findall(r"`([A-Z]{4,}(?:_[A-Z]+)?)`", RULES)) - {"MESSAGE_EXTERNAL_LOGIC_BLOCKED", "NAME"} <= set(
        TEXT_LABEL_ALIASES
    )
