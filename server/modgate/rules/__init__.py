"""Rules and lists: schema, loading, compiling into an immutable ruleset."""

from modgate.rules.compile import compile_ruleset
from modgate.rules.load import DEFAULT_RULES, Document, load_document, parse_document
from modgate.rules.problems import Problem, RulesError
from modgate.rules.reuse import Inspectors
from modgate.rules.ruleset import Ruleset
from modgate.rules.select import Selection, Selector
from modgate.rules.watch import RulesSource

__all__ = [
    "DEFAULT_RULES",
    "Document",
    "Inspectors",
    "Problem",
    "RulesError",
    "RulesSource",
    "Ruleset",
    "Selection",
    "Selector",
    "compile_ruleset",
    "load_document",
    "parse_document",
]
