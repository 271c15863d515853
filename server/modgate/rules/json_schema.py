"""The JSON Schema of rule files, for editors that complete and check while one types.

`python -m modgate.rules.json_schema docs/rules.schema.json` writes it; a test keeps the file fresh.
"""

import json
import sys
from pathlib import Path
from typing import Any

from modgate.rules.schema import DocumentModel

__all__ = ["json_schema", "write"]


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12), with the short forms that validation accepts on top of the models."""
    schema = DocumentModel.model_json_schema(by_alias=True)
    condition = schema["$defs"]["Condition"]
    condition["minProperties"] = condition["maxProperties"] = 1
    condition["properties"]["pii"]["anyOf"].append({"type": "array", "items": {"type": "string"}, "minItems": 1})
    schema["properties"]["include"]["items"] = {"anyOf": [{"$ref": "#/$defs/Include"}, {"type": "string"}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "modgate rules",
    }


def write(path: Path) -> None:
    """Write the schema to `path`."""
    path.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
