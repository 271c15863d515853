"""Whom a rule concerns."""

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from modgate.message import Conversation, ConversationType, Media, Message, Receiver, Sender
from modgate.rules.filters import compile_filters
from modgate.rules.schema import Filters

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MESSAGE = Message(
    "m",
    "hello",
    Sender("u1", "Jane Doe", ("member",), ("vip",), datetime(2026, 11, 1, tzinfo=UTC)),
    Conversation(
        "c1",
        ConversationType.ONE_TO_ONE,
        "Lounge",
        ("new",),
        datetime(2026, 1, 1, tzinfo=UTC),
        Receiver("u2", "Joe", ("minor",), datetime(2020, 1, 1, tzinfo=UTC)),
    ),
    media=(Media("p", "image/png", b""),),
)
UNKNOWN = Message("m", "", Sender("u1"), Conversation("c1"))


def admits(written: str, message: Message = MESSAGE) -> bool:
    data: dict[str, Any] = yaml.safe_load(written)
    compiled = compile_filters(Filters.model_validate(data))
    return compiled is None or compiled(message, NOW.timestamp())


@pytest.mark.parametrize(
    "written",
    [
        "{}",
        "{sender: {ids: {any_of: [u1, u9]}}}",
        "{sender: {roles: {any_of: [member]}}}",
        "{sender: {roles: {none_of: [moderator]}}}",
        "{sender: {names: {any_of: [JANE DOE]}}}",
        "{sender: {name_contains: [doe]}}",
        "{sender: {tags: {any_of: [vip]}}}",
        "{sender: {account_age: {less_than: 30d}}}",
        "{sender: {account_age: {at_least: 20d}}}",
        "{sender: {created: {after: '2026-10-31', before: '2026-11-02'}}}",
        "{receiver: {ids: {any_of: [u2]}, tags: {any_of: [minor]}}}",
        "{receiver: {kind: user}}",
        "{receiver: {created: {before: '2021-01-01'}}}",
        "{conversation: {types: {any_of: [one_to_one]}, tags: {any_of: [new]}}}",
        "{conversation: {ids: {none_of: [c2]}, names: {any_of: [lounge]}}}",
        "{conversation: {age: {at_least: 30d}}}",
        "{message: {types: [image]}}",
        "{message: {types: [text, video]}}",
    ],
)
def test_filters_that_fit_admit(written: str) -> None:
    """A message that has what every filter asks is judged."""
    assert admits(written)


@pytest.mark.parametrize(
    "written",
    [
        "{sender: {ids: {none_of: [u1]}}}",
        "{sender: {roles: {any_of: [moderator]}}}",
        "{sender: {name_contains: [admin]}}",
        "{sender: {account_age: {less_than: 20d}}}",
        "{sender: {account_age: {at_least: 21d}}}",
        "{sender: {created: {before: '2026-11-01'}}}",
        "{receiver: {kind: group}}",
        "{receiver: {names: {any_of: [Ann]}}}",
        "{conversation: {types: {none_of: [one_to_one]}}}",
        "{conversation: {ids: {any_of: [c2]}}}",
        "{message: {types: [video, custom]}}",
        "{sender: {ids: {any_of: [u1]}}, message: {types: [video]}}",
    ],
)
def test_filters_that_do_not_fit_turn_away(written: str) -> None:
    """One filter that does not fit is enough."""
    assert not admits(written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{sender: {account_age: {less_than: 30d}}}", False),
        ("{sender: {account_age: {at_least: 1d}}}", False),
        ("{sender: {created: {after: '2026-01-01'}}}", False),
        ("{sender: {roles: {none_of: [moderator]}}}", True),
        ("{sender: {roles: {any_of: [moderator]}}}", False),
        ("{receiver: {tags: {none_of: [minor]}}}", False),
        ("{receiver: {kind: group}}", True),
        ("{conversation: {types: {any_of: [group]}}}", False),
        ("{message: {types: [text]}}", False),
    ],
)
def test_what_the_gateway_did_not_tell_fits_no_bound(written: str, expected: bool) -> None:  # noqa: FBT001  # a table
    """Unknown ages are neither young nor old; unknown roles are not excluded."""
    assert admits(written, UNKNOWN) is expected
