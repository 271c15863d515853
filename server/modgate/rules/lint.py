"""What is allowed in a rule file and yet hardly meant: warnings, each with its place and a way out."""

import re
from collections import defaultdict
from collections.abc import Iterator

from modgate.detectors.domains import fold_host
from modgate.detectors.suffixes import public_suffixes
from modgate.rules.load import Document
from modgate.rules.problems import Problem
from modgate.rules.ruleset import Mode
from modgate.rules.schema import Action, ListKind, ListModel, RuleModel
from modgate.rules.yaml_source import Loc

__all__ = ["lint_document"]

_MODELS = frozenset({"text", "sentiment", "similar", "image", "known_picture", "language"})
_WITHOUT_SPANS = frozenset({"text", "sentiment", "similar", "image", "known_picture", "language", "flood"})
_LOW = 0.3
_SHORT = 3
_SHOWN = 3
"""Entries of a list that one warning names."""


def _rule_warnings(rule: RuleModel) -> Iterator[tuple[Loc, str, str]]:
    questions = list(rule.when.questions(("when",)))
    keys = {key for key, _, _ in questions}
    if rule.mode is Mode.SHADOW and rule.penalties:
        yield ("penalties",), "a shadow rule imposes nothing", "its penalties are counted and recorded until it is live"
    if rule.then.action is Action.ALLOW and not rule.then.flag and not rule.penalties and rule.mode is Mode.LIVE:
        yield ("then",), "the rule only records its hits", "add flag: true, or mode: shadow to say that it is a trial"
    if keys and not keys & _MODELS and (rule.on_timeout or rule.on_error) == "block":
        yield ("on_timeout",), "no model is asked, so this rule is never late", "leave on_timeout out"
    if rule.then.action is Action.MASK and keys and keys <= _WITHOUT_SPANS:
        cause = "nothing here says which words matched, so the mask covers the whole text"
        yield ("then", "action"), cause, "write action: replace to say so, or action: block"
    if rule.then.notice is not None and rule.then.notify_sender is False:
        yield ("then", "notice"), "the sender is not told, so nobody reads this notice", "drop one of the two"
    for key, question, loc in questions:
        at_least = getattr(question, "at_least", None)
        if isinstance(at_least, float) and at_least < _LOW and key != "pii":
            yield (*loc, "at_least"), f"{at_least:g} is so low that most messages reach it", "write e.g. at_least: 0.8"


def _list_warnings(item: ListModel, entries: tuple[str, ...]) -> Iterator[tuple[Loc, str, str]]:
    if item.kind is ListKind.WORDS:
        short = [entry for entry in entries if len(entry) < _SHORT and entry.isascii()]
        if item.match == "substring" and short:
            shown = ", ".join(short[:_SHOWN])
            yield ("match",), f"entries such as {shown} are inside of countless words", "write match: word"
        spaced = {re.sub(r"\W+", " ", entry).strip().casefold() for entry in entries}
        useless = [phrase for phrase in item.allow if not any(e in phrase.casefold() for e in spaced)]
        if useless and not item.obfuscation:
            yield ("allow",), f'no entry is inside of "{useless[0]}", so allowing it changes nothing', "drop it"
    if item.kind is ListKind.DOMAINS:
        suffixes = [entry for entry in entries if fold_host(entry.removeprefix("*.")) in public_suffixes()]
        if suffixes:
            cause = f"{', '.join(suffixes[:_SHOWN])} is a public suffix: it covers every domain below it"
            yield ("entries",), cause, "write the whole domain, such as evil.example"


def lint_document(document: Document) -> list[Problem]:
    """Return the warnings of a valid document, in the order of the file."""
    model = document.model
    found: list[Problem] = []
    if not any(rule.mode is not Mode.DRAFT for rule in model.rules):
        found.append(document.source.problem(("rules",), "no rule is live or in shadow: every message is allowed"))
    used = frozenset[str]().union(*(rule.when.lists() for rule in model.rules))
    for name, item in model.lists.items():
        if name not in used and document.origins["lists", name].source is document.source:
            found.append(document.problem("lists", name, (), f'no rule uses the list "{name}"', "use it or drop it"))
        for loc, cause, example in _list_warnings(item, document.entries[name]):
            found.append(document.problem("lists", name, loc, cause, example))
    twins: dict[str, list[str]] = defaultdict(list)
    for rule in model.rules:
        for loc, cause, example in _rule_warnings(rule):
            found.append(document.problem("rules", rule.id, loc, cause, example))
        key = rule.model_dump_json(include={"when", "scope", "filters", "mode"})
        if twins[key]:
            cause = f'asks the same as rule "{twins[key][0]}", of the same messages'
            found.append(document.problem("rules", rule.id, ("when",), cause, "join them, or narrow one"))
        twins[key].append(rule.id)
    return sorted(found, key=lambda p: (p.source, p.line, p.column))
