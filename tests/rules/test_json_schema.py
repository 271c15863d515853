"""The published JSON Schema."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from modgate.rules.json_schema import json_schema

PUBLISHED = Path(__file__).parents[2] / "docs" / "rules.schema.json"


def test_the_published_schema_is_fresh() -> None:
    """docs/rules.schema.json is what `python -m modgate.rules.json_schema` writes."""
    assert json.loads(PUBLISHED.read_text()) == json.loads(json.dumps(json_schema()))


def test_the_default_rules_fit_the_published_schema() -> None:
    """An editor finds nothing to complain about in the rules that ship."""
    text = (resources.files("modgate") / "data" / "rules" / "default.yaml").read_text()
    jsonschema.Draft202012Validator(json.loads(PUBLISHED.read_text())).validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "when",
    [{}, {"words": {"list": "a"}, "pii": ["email"]}, {"wrods": {"list": "a"}}, {"text": {"label": "x", "at_least": 2}}],
)
def test_the_schema_refuses_what_loading_refuses(when: dict[str, Any]) -> None:
    """Two keys, no key, a misspelt key and a threshold above one are marked while one types."""
    document = {"version": 1, "rules": [{"id": "x", "when": when, "then": {"action": "block"}}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json_schema()).validate(document)
