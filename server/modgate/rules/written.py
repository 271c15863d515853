"""Single rules and list settings as people write them: YAML in, YAML out."""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum

import yaml
from pydantic import BaseModel, ValidationError

from modgate.rules.advice import advise
from modgate.rules.problems import RulesError
from modgate.rules.schema import ListModel, RuleModel
from modgate.rules.values import write_duration
from modgate.rules.yaml_source import Source, read_yaml

__all__ = ["read_list_settings", "read_rule", "write_yaml"]


def read_rule(text: str, name: str = "rule.yaml") -> tuple[RuleModel, Source]:
    """Return the rule that `text` holds, and the places of its values.

    Raises:
        RulesError: With everything that is wrong in it.
    """
    data, source = read_yaml(name, text)
    try:
        return RuleModel.model_validate(data), source
    except ValidationError as error:
        raise RulesError(advise(error, source, data, RuleModel)) from error


def read_list_settings(text: str, name: str = "list.yaml") -> tuple[ListModel, Source]:
    """Return the settings of a list whose entries are kept apart: the model has none.

    Raises:
        RulesError: With everything that is wrong in it.
    """
    data, source = read_yaml(name, text)
    if isinstance(data, dict):
        misplaced = [key for key in ("entries", "file") if key in data]
        if misplaced:
            cause = "entries of stored lists are uploaded on their own"
            raise RulesError([source.problem((key,), cause, f"leave {key} out") for key in misplaced])
    try:
        # The schema asks for entries; these stand in for those that are kept apart.
        model = ListModel.model_validate({**data, "entries": ["x"]} if isinstance(data, dict) else data)
    except ValidationError as error:
        raise RulesError(advise(error, source, data, ListModel)) from error
    return model.model_copy(update={"entries": ()}), source


_WRITTEN: dict[type, Callable[..., object]] = {
    Enum: lambda value: value.value,
    timedelta: write_duration,
    datetime: datetime.isoformat,
}


def _plain(value: object) -> object:
    """Return `value` in types that YAML has."""
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case frozenset():
            return sorted((_plain(item) for item in value), key=str)
        case list() | tuple():
            return [_plain(item) for item in value]
        case Enum() | timedelta() | datetime():
            return _WRITTEN[next(kind for kind in _WRITTEN if isinstance(value, kind))](value)
        case _:
            return value


def write_yaml(model: BaseModel, *, without: frozenset[str] = frozenset()) -> str:
    """Return a model as YAML, in the order of its fields, without what is as by default and the keys `without`."""
    data = model.model_dump(by_alias=True, exclude_unset=True, exclude=set(without))
    return yaml.safe_dump(_plain(data), sort_keys=False, allow_unicode=True, width=110)
