"""The compiled forms of rules."""

from modgate.message import ConversationType
from modgate.rules.ruleset import Scope


def test_a_scope_without_limits_covers_every_place() -> None:
    """An empty scope means everywhere."""
    assert Scope().covers("app", None, "c1")


def test_a_conversation_is_more_specific_than_a_type() -> None:
    """Specificity ranks conversation over type over app over everywhere."""
    conversation = Scope(conversation_ids=frozenset({"c1"}))
    kind = Scope(conversation_types=frozenset({ConversationType.ROOM}), apps=frozenset({"a"}))
    assert conversation.specificity > kind.specificity > Scope().specificity


def test_a_scope_excludes_other_places() -> None:
    """Every limit of a scope must hold."""
    scope = Scope(apps=frozenset({"a"}), conversation_types=frozenset({ConversationType.GROUP}))
    assert scope.covers("a", ConversationType.GROUP, "c1")
    assert not scope.covers("b", ConversationType.GROUP, "c1")
    assert not scope.covers("a", ConversationType.ROOM, "c1")
