"""The small values that rule files are written with: durations, fractions, sets of names."""

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

__all__ = ["Duration", "Fraction", "Name", "Names", "Score", "Strict", "parse_duration", "write_duration"]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:\d+(?:ms|[smhdw]))+", re.ASCII)
_PART = re.compile(r"(\d+)(ms|[smhdw])", re.ASCII)
_LONGEST = timedelta(days=3660)


class Strict(BaseModel):
    """Base of everything in a rule file: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def parse_duration(value: object) -> timedelta:
    """Return the time that `30d`, `1h30m` or `90s` stands for.

    Raises:
        ValueError: If `value` is nothing of the kind, or longer than ten years.
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise ValueError(f'"{value}" is not a duration; use a number with ms, s, m, h, d or w, such as 30d or 1h30m')
    try:
        span = timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(value)))
    except OverflowError:
        span = timedelta.max
    if span > _LONGEST:
        raise ValueError(f'"{value}" is longer than ten years')
    return span


def write_duration(span: timedelta) -> str:
    """Return the shortest way to write `span` that `parse_duration` reads back."""
    left = round(span / timedelta(milliseconds=1))
    if left == 0:
        return "0s"
    written = ""
    for unit in ("w", "d", "h", "m", "s", "ms"):
        count, left = divmod(left, round(_UNITS[unit] * 1000))
        written += f"{count}{unit}" if count else ""
    return written


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(write_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^([0-9]+(ms|[smhdw]))+$", "examples": ["30d", "1h30m", "10s"]}),
]

Fraction = Annotated[float, Field(ge=0, le=1)]


def parse_score(value: object) -> object:
    """Return a score from 0 to 1, or `strict`.

    Raises:
        ValueError: If `value` is neither.
    """
    if value == "strict" or value is None:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f'"{value}" is neither a score from 0 to 1 nor "strict"')  # noqa: TRY004 - told as a problem
    if not 0 <= value <= 1:
        raise ValueError(f'"{value}" must be {"at most 1.0" if value > 1 else "at least 0.0"}')
    return float(value)


Score = Annotated[
    float | Literal["strict"],
    BeforeValidator(parse_score),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"const": "strict", "type": "string"}]}),
]
"""The least score of a label: a number, or the strict threshold that its bundle names."""

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Names(Strict):
    """Which of a set of names something may bear: at least one of `any_of`, and none of `none_of`."""

    any_of: frozenset[str] = Field(default=frozenset(), description="At least one of these.")
    none_of: frozenset[str] = Field(default=frozenset(), description="None of these.")
