"""YAML with places: plain data, and for every value the line and column where it stands.

The dialect is the core of YAML 1.2 as people expect it: only `true` and `false` are booleans (`no` is a
language), and dates stay text. Duplicate keys are refused. Size, depth and the expansion of aliases are bounded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from modgate.rules.problems import Problem, RulesError

__all__ = ["MAX_BYTES", "Place", "Source", "path_text", "read_yaml"]

MAX_BYTES = 16 * 1024 * 1024
"""Size of a rule file; 100,000 words written in it take a tenth of this."""
_MAX_DEPTH = 100
_MAX_NODES = 250_000
"""Values after aliases are expanded: a few lines of nested aliases would otherwise fill the memory."""

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Source:
    """A document's name and the places of its values (and keys) by path."""

    name: str
    places: Mapping[Loc, Place] = field(default_factory=dict)

    def problem(self, loc: Loc, cause: str, example: str = "") -> Problem:
        """Return a problem at `loc`, or at the nearest thing around it that has a place."""
        known = loc
        while known and known not in self.places:
            known = known[:-1]
        place = self.places.get(known)
        line, column = (place.line, place.column) if place else (0, 0)
        return Problem(self.name, line, column, path_text(loc), cause, example)


def path_text(loc: Loc) -> str:
    """Return `rules[2].then.action` for ("rules", 2, "then", "action")."""
    text = ""
    for step in loc:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


class _Core(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C parser where PyYAML has it
    """Safe loader that knows only what YAML 1.2's core schema resolves."""


_Core.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)", "tTfF"),
    ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,18})", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+)", "-+.0123456789"),
    ("merge", "<<", "<"),
):
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"{_pattern}$"), list(_first))


class _Builder:
    """Turns composed nodes into data while noting places and problems."""

    def __init__(self, name: str, loader: yaml.SafeLoader) -> None:
        self.name = name
        self.loader = loader
        self.places: dict[Loc, Place] = {}
        self.problems: list[Problem] = []
        self.left = _MAX_NODES

    def build(self, node: yaml.Node, loc: Loc) -> object:
        self.left -= 1
        if self.left < 0 or len(loc) > _MAX_DEPTH:
            cause = (
                "the document nests too deep"
                if self.left >= 0
                else "the document is too large once aliases are expanded"
            )
            raise RulesError([self._problem(node, (), cause, "write it out with fewer levels and aliases")])
        self.places.setdefault(loc, Place(node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, loc)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*loc, i)) for i, child in enumerate(node.value)]
        return self._scalar(node, loc)

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, object]:
        first: dict[str, yaml.Node] = {}
        for key_node, _ in node.value:
            if key_node.value in first and key_node.tag != "tag:yaml.org,2002:merge":
                line = first[key_node.value].start_mark.line + 1
                cause = f'the key "{key_node.value}" is here twice; the first is in line {line}'
                self.problems.append(self._problem(key_node, loc, cause, "keep one of them"))
            elif isinstance(key_node, yaml.ScalarNode):
                first[key_node.value] = key_node
        try:
            self.loader.flatten_mapping(node)
        except yaml.MarkedYAMLError as error:
            self.problems.append(self._problem(node, loc, str(error.problem)))
        built: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(self._problem(key_node, loc, "a key must be a plain word"))
                continue
            key = str(key_node.value)
            here = (*loc, key)
            if isinstance(value_node, yaml.ScalarNode):
                # A message about `action: blok` points at the line of the key, also for folded values.
                self.places[here] = Place(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            built[key] = self.build(value_node, here)
            self.places[here] = Place(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        return built

    def _scalar(self, node: yaml.Node, loc: Loc) -> object:
        try:
            return self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self.problems.append(
                self._problem(node, loc, f"{node.tag} is not allowed here", "write plain text in quotes")
            )
            return None

    def _problem(self, node: yaml.Node, loc: Loc, cause: str, example: str = "") -> Problem:
        mark = node.start_mark
        return Problem(self.name, mark.line + 1, mark.column + 1, path_text(loc), cause, example)


def read_yaml(name: str, text: str | bytes) -> tuple[object, Source]:
    """Return the data of a YAML document and the places of its values.

    Args:
        name: What to call the document in messages.
        text: Its content.

    Raises:
        RulesError: If it is no YAML, too large, or has duplicate keys; with every such problem.
    """
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_BYTES:
        cause = f"the file has {len(raw):,} bytes; the limit is {MAX_BYTES:,}"
        raise RulesError([Problem(name, 0, 0, "", cause, "move long lists into files of their own")])
    try:
        decoded = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RulesError([Problem(name, line, 1, "", "this is not UTF-8 text", "save the file as UTF-8")]) from error
    try:
        loader = _Core(decoded)
        try:
            node = loader.get_single_node()
            if node is None:
                raise RulesError([Problem(name, 1, 1, "", "the file is empty", "begin with `version: 1`")])
            builder = _Builder(name, loader)
            data = builder.build(node, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        cause = f"this is not YAML: {error.problem or error.context}"
        raise RulesError([Problem(name, *place, "", cause, "check indentation, quotes and brackets")]) from error
    except yaml.YAMLError as error:
        raise RulesError([Problem(name, 0, 0, "", f"this is not YAML: {error}")]) from error
    except RecursionError as error:
        raise RulesError([Problem(name, 0, 0, "", "the document nests too deep", "use fewer levels")]) from error
    if builder.problems:
        raise RulesError(builder.problems)
    return data, Source(name, builder.places)
