"""The message mix: repeatable, as repetitive and as long as the measured chat."""

import itertools

from benchmarks._mix import MIXES, requests, texts

from modgate.v1 import moderation_pb2 as pb


def test_the_same_seed_gives_the_same_messages() -> None:
    """Two runs with one seed send the same; another seed sends other messages under other ids."""
    first, again, other = (requests(MIXES["chat"], seed, 200) for seed in (1, 1, 2))
    assert first == again
    ids = {pb.ModerateRequest.FromString(r).message.id for r in first + other}
    assert len(ids) == 400


def test_chat_repeats_itself() -> None:
    """About 41 % of lines were there before, as measured."""
    lines = list(itertools.islice(texts(MIXES["chat"], 1), 10_000))
    assert 0.36 < 1 - len(set(lines)) / len(lines) < 0.46


def test_unique_never_repeats() -> None:
    """No two lines of the unique mix are the same, whatever their case."""
    lines = [line.lower() for line in itertools.islice(texts(MIXES["unique"], 1), 20_000)]
    assert len(set(lines)) == len(lines)


def test_lengths_are_those_of_chat() -> None:
    """Lines that are not repeated have the measured mean length of 64 code points, give or take an ending."""
    lines = list(itertools.islice(texts(MIXES["unique"], 3), 10_000))
    assert 60 < sum(map(len, lines)) / len(lines) < 70
    assert all(lines)


def test_requests_can_be_judged() -> None:
    """Every request has what the contract asks for."""
    for encoded in requests(MIXES["words"], 5, 50, apps=2):
        request = pb.ModerateRequest.FromString(encoded)
        assert request.request_id
        assert request.message.text
        assert request.sender.id
        assert request.app_id in {"app0", "app1"}
