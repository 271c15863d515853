"""Compiles the filters of a rule into one function that says whether the rule concerns a message."""

from collections.abc import Callable, Iterable
from datetime import datetime

from modgate.message import Conversation, ConversationType, Message, Receiver, Sender
from modgate.rules.schema import (
    Age,
    ConversationFilter,
    Created,
    Filters,
    MessageType,
    ReceiverFilter,
    SenderFilter,
    UserFilter,
)
from modgate.rules.values import Names

__all__ = ["Admits", "compile_filters", "message_types"]

Admits = Callable[[Message, float], bool]
"""Whether a rule concerns a message, at a wall-clock time in seconds since the epoch."""

_User = Sender | Receiver
_UserTest = Callable[[_User, float], bool]
_PlaceTest = Callable[[Conversation, float], bool]


def message_types(message: Message) -> frozenset[MessageType]:
    """Return what a message carries, by the types that its sender claims."""
    types = {MessageType.TEXT} if message.text else set()
    for media in message.media:
        types.add(MessageType.VIDEO if media.mime_type.startswith("video/") else MessageType.IMAGE)
    if message.custom:
        types.add(MessageType.CUSTOM)
    return frozenset(types)


def _names_fit(names: Names, *, fold: bool = False) -> Callable[[Iterable[str]], bool] | None:
    """Return a test of borne names against `names`, or None if everything fits."""
    wanted = frozenset(n.casefold() for n in names.any_of) if fold else names.any_of
    banned = frozenset(n.casefold() for n in names.none_of) if fold else names.none_of
    if not wanted and not banned:
        return None

    def fits(borne: Iterable[str]) -> bool:
        have = {name.casefold() for name in borne} if fold else borne
        return (not wanted or not wanted.isdisjoint(have)) and banned.isdisjoint(have)

    return fits


def _age_fits(age: Age) -> Callable[[datetime | None, float], bool] | None:
    if age.less_than is None and age.at_least is None:
        return None
    younger = age.less_than.total_seconds() if age.less_than is not None else float("inf")
    older = age.at_least.total_seconds() if age.at_least is not None else float("-inf")
    return lambda created, now: created is not None and older <= now - created.timestamp() < younger


def _created_fits(created: Created) -> Callable[[datetime | None, float], bool] | None:
    if created.before is None and created.after is None:
        return None
    before = created.before.timestamp() if created.before is not None else float("inf")
    after = created.after.timestamp() if created.after is not None else float("-inf")
    return lambda moment, _: moment is not None and after <= moment.timestamp() < before


def _user_tests(model: UserFilter) -> list[_UserTest]:
    tests: list[_UserTest] = []
    if fits := _names_fit(model.ids):
        ids_fit = fits
        tests.append(lambda user, _: ids_fit((user.id,)))
    if fits := _names_fit(model.names, fold=True):
        names_fit = fits
        tests.append(lambda user, _: names_fit((user.name,)))
    if model.name_contains:
        pieces = tuple(piece.casefold() for piece in model.name_contains)
        tests.append(lambda user, _: any(piece in user.name.casefold() for piece in pieces))
    if fits := _names_fit(model.tags):
        tags_fit = fits
        tests.append(lambda user, _: tags_fit(user.tags))
    if timed := _age_fits(model.account_age):
        age_fits = timed
        tests.append(lambda user, now: age_fits(user.created_at, now))
    if timed := _created_fits(model.created):
        created_fits = timed
        tests.append(lambda user, now: created_fits(user.created_at, now))
    return tests


def _sender_test(model: SenderFilter) -> Callable[[Sender, float], bool]:
    tests = _user_tests(model)
    roles_fit = _names_fit(model.roles)

    def fits(sender: Sender, now: float) -> bool:
        return (roles_fit is None or roles_fit(sender.roles)) and all(test(sender, now) for test in tests)

    return fits


def _receiver_test(model: ReceiverFilter) -> _PlaceTest:
    tests = _user_tests(model)

    def fits(conversation: Conversation, now: float) -> bool:
        if model.kind is not None:
            kind = "user" if conversation.type is ConversationType.ONE_TO_ONE else "group"
            if kind != model.kind:
                return False
        if not tests:
            return True
        receiver = conversation.receiver
        return receiver is not None and all(test(receiver, now) for test in tests)

    return fits


def _conversation_test(model: ConversationFilter) -> _PlaceTest:
    tests: list[_PlaceTest] = []
    if fits := _names_fit(model.ids):
        ids_fit = fits
        tests.append(lambda place, _: ids_fit((place.id,)))
    if fits := _names_fit(model.names, fold=True):
        names_fit = fits
        tests.append(lambda place, _: names_fit((place.name,)))
    if fits := _names_fit(model.tags):
        tags_fit = fits
        tests.append(lambda place, _: tags_fit(place.tags))
    if fits := _names_fit(model.types):
        types_fit = fits
        tests.append(lambda place, _: types_fit((place.type,) if place.type is not None else ()))
    if timed := _age_fits(model.age):
        age_fits = timed
        tests.append(lambda place, now: age_fits(place.created_at, now))
    if timed := _created_fits(model.created):
        created_fits = timed
        tests.append(lambda place, now: created_fits(place.created_at, now))
    return lambda place, now: all(test(place, now) for test in tests)


def compile_filters(filters: Filters | None) -> Admits | None:
    """Return a function that tells whether `filters` let a rule judge a message, or None if there are none.

    What the gateway did not tell (no creation time, no receiver) fits no bound and no `any_of`, but passes `none_of`.
    """
    if filters is None:
        return None
    tests: list[Admits] = []
    if filters.message is not None and filters.message.types:
        types = filters.message.types
        tests.append(lambda message, _: not types.isdisjoint(message_types(message)))
    if filters.sender is not None:
        sender_fits = _sender_test(filters.sender)
        tests.append(lambda message, now: sender_fits(message.sender, now))
    if filters.conversation is not None:
        place_fits = _conversation_test(filters.conversation)
        tests.append(lambda message, now: place_fits(message.conversation, now))
    if filters.receiver is not None:
        receiver_fits = _receiver_test(filters.receiver)
        tests.append(lambda message, now: receiver_fits(message.conversation, now))
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda message, now: all(test(message, now) for test in tests)
