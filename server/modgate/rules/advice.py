"""Turns pydantic's validation errors into problems with a cause and a corrected example."""

import json
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from modgate.rules.problems import Problem
from modgate.rules.schema import DocumentModel
from modgate.rules.yaml_source import Loc, Source

__all__ = ["advise", "did_you_mean", "flow"]


def flow(value: object) -> str:
    """Return `value` as YAML flow style on one line, quoted only where needed."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        plain = value.replace("-", "").replace("_", "").replace(".", "").replace("/", "").isalnum()
        return value if plain and not value[0].isdigit() else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return `did you mean X?`, or what there is to choose from."""
    close = get_close_matches(word, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"there are: {', '.join(sorted(known))}" if known else "there are none"


def _models(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401  # annotations have no common type
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]


def _named(model: type[BaseModel], key: str | int) -> FieldInfo | None:
    for name, field in model.model_fields.items():
        if key in (field.alias or name, name):
            return field
    return None


def _resolve(root: type[BaseModel], loc: Loc) -> tuple[type[BaseModel], str, FieldInfo | None]:
    """Return the innermost model on the way to `loc`, the key in it that leads on, and that key's field."""
    model = root
    key, field = "", None
    through_map = False
    for step in loc:
        if field is not None and not isinstance(step, int) and not through_map:
            inner = _models(field.annotation)
            if not inner:
                break
            if "dict" in str(field.annotation):
                through_map = True  # this step is a name that the user chose, such as a list's
                continue
            model, key, field = inner[0], "", None
        elif through_map and not isinstance(step, int):
            model, key, field, through_map = _models(field.annotation if field else None)[0], "", None, False
        if isinstance(step, str):
            key, field = step, _named(model, step)
    return model, key, field


def _example(root: type[BaseModel], loc: Loc) -> str:
    for end in range(len(loc), 0, -1):
        _, key, field = _resolve(root, loc[:end])
        if field is not None and field.examples:
            return f"write e.g. {key}: {flow(field.examples[0])}"
    return ""


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return f'"{text[:60]}…"' if len(text) > 60 else f'"{text}"'  # noqa: PLR2004  # what fits a line


_ARTICLES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping with keys",
    "model_type": "a mapping with keys",
    "model_attributes_type": "a mapping with keys",
}
_BOUNDS = {
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must be at least"),
}


def _value_error(error: ErrorDetails, _key: str, example: str) -> tuple[str, str]:
    cause = str(error.get("ctx", {}).get("error", error["msg"]))
    return cause, "" if "such as" in cause else example


def _choice(error: ErrorDetails, key: str, example: str) -> tuple[str, str]:
    article = "an" if key[:1] in "aeiou" else "a"
    expected = error["ctx"]["expected"].replace("'", "")
    return f"{_shown(error['input'])} is not {article} {key}; it is one of {expected}", example


def _bound(error: ErrorDetails, _key: str, example: str) -> tuple[str, str]:
    bound, words = _BOUNDS[error["type"]]
    return f"{_shown(error['input'])} {words} {error['ctx'][bound]}", example


def _type(error: ErrorDetails, key: str, example: str) -> tuple[str, str]:
    value = error["input"]
    if value is None:
        return f'"{key}" has no value', example
    if error["type"] == "string_type" and not isinstance(value, dict | list):
        return f"{flow(value)} is not text", f'write it in quotes: "{flow(value)}"'
    return f"{_shown(value)} is not {_ARTICLES[error['type']]}", example


def _name(error: ErrorDetails, _key: str, example: str) -> tuple[str, str]:
    return f"{_shown(error['input'])} is not a name: letters, digits, dot, dash and underscore only", example


_CAUSES: dict[str, Callable[[ErrorDetails, str, str], tuple[str, str]]] = {
    "missing": lambda _, key, example: (f'"{key}" is missing', example),
    "too_short": lambda _, key, example: (f'"{key}" is empty', example),
    "string_too_short": lambda _, key, example: (f'"{key}" is empty', example),
    "string_pattern_mismatch": _name,
    "value_error": _value_error,
    "enum": _choice,
    "literal_error": _choice,
    **dict.fromkeys(_BOUNDS, _bound),
    **dict.fromkeys(_ARTICLES, _type),
}


def _cause(root: type[BaseModel], error: ErrorDetails, loc: Loc) -> tuple[str, str]:
    """Return cause and example of one pydantic error."""
    key = str(loc[-1]) if loc else "the document"
    if error["type"] == "extra_forbidden":
        model, _, _ = _resolve(root, loc)
        return f'"{key}" is not a key here', did_you_mean(key, _keys(model))
    tell = _CAUSES.get(error["type"])
    if tell is None:
        return f"{_shown(error['input'])}: {error['msg'].lower()}", _example(root, loc)
    return tell(error, key, _example(root, loc))


def advise(
    error: ValidationError, source: Source, data: object, root: type[BaseModel] = DocumentModel
) -> list[Problem]:
    """Return a problem for each of pydantic's errors.

    Args:
        error: What pydantic raised for the document.
        source: Places of its values.
        data: The document as read; a document that is no mapping gets one plain message.
        root: What the document should have been.
    """
    if not isinstance(data, dict):
        return [source.problem((), "the file must hold a mapping with keys", "begin with `version: 1`")]
    problems = []
    errors = error.errors(include_url=False)
    for details in errors:
        loc: Loc = tuple(step for step in details["loc"] if step != "[key]")
        if details["type"] == "too_short" and any(
            len(e["loc"]) > len(loc) and e["loc"][: len(loc)] == loc for e in errors
        ):
            continue  # its items were refused one by one: told already
        cause, example = _cause(root, details, loc)
        problems.append(source.problem(loc, cause, example))
    return problems
