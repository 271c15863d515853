"""Rules and lists between the contract's types and the store's, and the store's refusals as statuses."""

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import grpc
from google.protobuf import timestamp_pb2

from modgate.rpc.errors import Context, Violation, abort_for, abort_invalid
from modgate.rules import Problem, RulesError
from modgate.rules.lists import MAX_ENTRY
from modgate.rules.records import ExistsError, ListInUseError, NotFoundError, StaleError, StoredList, StoredRule
from modgate.rules.ruleset import Mode
from modgate.v1 import rules_pb2 as pb

__all__ = ["author_of", "entry_violations", "name_violations", "page_violations", "refusals", "to_list", "to_rule"]

_AUTHOR = ("x-modgate-author", "modgate-moderator")
"""Metadata in which callers say who they act for: the console vouches for its users. The first one given counts."""
_AUTHOR_CHARACTERS = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_TOKEN_DIGITS = 18
_NEVER_STORED = 0.0
_CODES = {
    ExistsError: (grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS"),
    NotFoundError: (grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
    ListInUseError: (grpc.StatusCode.FAILED_PRECONDITION, "LIST_IN_USE"),
}


def author_of(context: Context) -> str:
    """Return who makes a change, as the caller says; `unknown` if it says nothing."""
    said = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    names = ("".join(filter(str.isprintable, said.get(key, ""))).strip() for key in _AUTHOR)
    return next(filter(None, names), "unknown")[:_AUTHOR_CHARACTERS]


def to_rule(stored: StoredRule) -> pb.Rule:
    """Return a rule as the contract has it."""
    return pb.Rule(
        id=stored.id,
        yaml=stored.yaml,
        revision=stored.revision,
        etag=stored.etag,
        author=stored.author,
        changed_at=_stamp(stored.changed_at),
        mode=stored.mode,
        deleted=stored.deleted,
    )


def to_list(stored: StoredList) -> pb.List:
    """Return a list as the contract has it."""
    return pb.List(
        name=stored.name,
        yaml=stored.yaml,
        entry_count=stored.entry_count,
        revision=stored.revision,
        etag=stored.etag,
        author=stored.author,
        changed_at=_stamp(stored.changed_at),
    )


def _stamp(seconds: float) -> timestamp_pb2.Timestamp | None:
    if seconds == _NEVER_STORED:
        return None
    stamp = timestamp_pb2.Timestamp()
    stamp.FromMilliseconds(round(seconds * 1000))
    return stamp


def name_violations(field: str, name: str) -> Iterator[Violation]:
    """Say what is wrong with the name of a rule or list."""
    if not name:
        yield Violation(field, "is required")
    elif not _NAME.fullmatch(name):
        yield Violation(field, "must be up to 100 letters, digits, `.`, `-` and `_`, and begin with a letter or digit")


def page_violations(token: str, mode: str = "") -> Iterator[Violation]:
    """Say what is wrong with the token of a page of revisions, or with the mode of a page of rules."""
    if token and not (token.isascii() and token.isdecimal() and len(token) <= _TOKEN_DIGITS):
        yield Violation("page_token", "is not one that an earlier page returned")
    if mode and mode not in set(Mode):
        yield Violation("mode", f"must be one of {', '.join(Mode)}, or empty")


def entry_violations(add: Sequence[str]) -> Iterator[Violation]:
    """Say what is wrong with entries to add to a list."""
    for number, entry in enumerate(add):
        line = entry.strip()
        if not line or "\n" in entry:
            yield Violation(f"add[{number}]", "must be one line, and not blank")
        elif len(line) > MAX_ENTRY:
            yield Violation(f"add[{number}]", f"has {len(line):,} characters; an entry has at most {MAX_ENTRY}")
        elif line == "#" or line.startswith("# "):
            yield Violation(f"add[{number}]", "would be a comment in a list file; leave out `# `")


@asynccontextmanager
async def refusals(context: Context, field: str = "") -> AsyncIterator[None]:
    """End the call with the right status if work with rules inside raises.

    Args:
        context: The call.
        field: The request's field that holds the YAML or the content, for its problems.
    """
    try:
        yield
    except RulesError as error:
        await abort_invalid(context, [_violation(field, problem) for problem in error.problems])
    except StaleError as error:
        await abort_for(context, grpc.StatusCode.ABORTED, str(error), "ETAG_MISMATCH", {"etag": error.etag})
    except tuple(_CODES) as error:
        code, reason = _CODES[type(error)]
        await abort_for(context, code, str(error), reason)
    except ValueError as error:
        await abort_invalid(context, [Violation(field, str(error))])
    except sqlite3.Error as error:
        await abort_for(context, grpc.StatusCode.UNAVAILABLE, f"the store cannot be used: {error}", "STORE_AWAY")


def _violation(field: str, problem: Problem) -> Violation:
    place = f"line {problem.line}, column {problem.column}: " if problem.line else ""
    whose = "" if problem.source == "rule.yaml" else f"{problem.source}, "
    advice = f"; {problem.example}" if problem.example else ""
    return Violation(".".join(filter(None, (field, problem.path))), f"{whose}{place}{problem.cause}{advice}")
