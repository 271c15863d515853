"""Broken pictures of every kind, the small form of `python -m benchmarks pictures --part hostile`."""

from collections import Counter

from benchmarks._mutations import mutants, seeds
from tests.media.pictures import soon

from modgate.media.decode import decode
from modgate.media.errors import MediaError
from modgate.media.limits import Limits


def test_mutants_decode_or_are_refused() -> None:
    """Any bytes give pixels or a MediaError: no other exception, no crash."""
    outcomes: Counter[str] = Counter()
    for _name, data in mutants(500):
        try:
            frames = decode(data, soon(), Limits()).frames
        except MediaError as error:
            outcomes[error.problem] += 1
        else:
            outcomes["decoded"] += 1
            assert all(frame.mode == "RGB" for frame in frames)
    assert {"decoded", "damaged", "too_large", "unsupported"} <= outcomes.keys()


def test_seeds_are_well_formed() -> None:
    """What the mutants are made of decodes: the corpus breaks real pictures, not rubbish."""
    for name, data in seeds().items():
        if name.startswith("heic"):
            continue  # decoded in a process of its own: test_heif.py
        picture = decode(data, soon(), Limits())
        assert len(picture.frames) == (4 if "moving" in name or name == "apng" else 1), name
