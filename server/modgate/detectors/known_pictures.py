"""Known pictures: an operator's own lists of hashes, by exact bytes (SHA-256) or by likeness (PDQ).

This is the way to stop what no classifier may be trained on and no public weights exist for, such as material of
child abuse or of terrorists: the organisations that may hold it share hashes. It finds copies, scaled, recompressed,
mirrored or turned; it does not find new pictures, nor heavily cropped ones.
"""

import asyncio
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modgate.detectors.base import DetectorError, Finding, Problem, Report, Subject, Tier
from modgate.detectors.questions import PictureList
from modgate.inference.cache import ScoreCache
from modgate.media.errors import MediaError, MediaProblem
from modgate.media.pdq import BITS, GOOD_QUALITY, PdqHash, pdq
from modgate.media.sniff import Kind, kind_of
from modgate.media.viewer import Viewer
from modgate.message import Media

__all__ = ["KnownPictureDetector", "describe"]

_ENTRY = re.compile(r"(?:(?P<kind>pdq|sha256):)?(?P<digest>[0-9a-fA-F]{64})(?:[\s,].*)?", re.DOTALL)
_OF_THE_MOMENT = {MediaProblem.DEADLINE: Problem.TIMEOUT, MediaProblem.BUSY: Problem.OVERLOAD}


@dataclass(frozen=True, slots=True)
class _Index:
    """A compiled list. The PDQ hashes are kept as four columns of 64 bits, which compare at 10 ns a hash."""

    name: str
    exact: frozenset[bytes]
    alike: tuple[npt.NDArray[np.uint64], ...]
    within: int

    def distance(self, hashed: PdqHash) -> int:
        """Return the fewest bits by which any entry differs from any turn of a picture."""
        nearest = BITS
        for turned in hashed.turned:
            bits = np.zeros(len(self.alike[0]), np.uint16)
            for column, word in zip(self.alike, turned, strict=True):
                bits += np.bitwise_count(column ^ word)
            nearest = min(nearest, int(bits.min(initial=BITS)))
        return nearest


class KnownPictureDetector:
    """Looks pictures up in lists. Its cache of hashes outlives rulesets.

    Args:
        viewer: Decodes.
        remembered: Pictures whose hashes are kept, by digest.
    """

    name = "known_picture"
    tier = Tier.MODEL
    cost_us = 12_000.0
    media_only = True

    def __init__(self, viewer: Viewer, *, remembered: int = 10_000) -> None:
        self.viewer = viewer
        self.cache: ScoreCache[PdqHash] = ScoreCache(remembered)

    def configure(self, questions: Sequence[PictureList]) -> "_KnownPictureInspector":
        """Return an inspector of some lists.

        Raises:
            ValueError: If an entry is no hash; names the list and the entry.
        """
        return _KnownPictureInspector(self, [_compile(question) for question in questions])


class _KnownPictureInspector:
    def __init__(self, detector: KnownPictureDetector, lists: Sequence[_Index]) -> None:
        self._detector = detector
        self._lists = lists
        self._alike = any(len(index.alike[0]) for index in lists)

    async def inspect(self, subject: Subject, deadline: float) -> Report:
        """Return a finding for each list that a picture is on; its score falls from 1 with each bit of difference.

        Raises:
            DetectorError: If a picture could not be looked up, with what was found for the others.
        """
        media = subject.message.media
        answers = await asyncio.gather(*(self._look(medium, deadline) for medium in media))
        found: dict[str, list[Finding]] = {}
        problem: DetectorError | None = None
        for medium, (hits, error) in zip(media, answers, strict=True):
            for name, score, how in hits:
                found.setdefault(name, []).append(Finding(name, score, part=f"media:{medium.id}", evidence=how))
            if error is not None:
                problem = problem or DetectorError(_OF_THE_MOMENT.get(error.problem, Problem.ERROR), str(error))
        report = {name: tuple(findings) for name, findings in found.items()}
        if problem is not None:
            raise DetectorError(problem.problem, str(problem), partial=report)
        return report

    def distances(self, hashed: PdqHash) -> dict[str, int]:
        """Return for each list the fewest bits by which an entry differs from a picture."""
        return {index.name: index.distance(hashed) for index in self._lists}

    async def _look(self, medium: Media, deadline: float) -> tuple[list[tuple[str, float, str]], MediaError | None]:
        viewer = self._detector.viewer
        hits: list[tuple[str, float, str]] = []
        try:
            # Any file may be on a list by its bytes, also one that is no picture.
            data = await viewer.data(medium, deadline)
            key = await viewer.key(data, deadline)
            hits = [(index.name, 1.0, "sha256") for index in self._lists if key in index.exact]
            if not self._alike or kind_of(data, medium.mime_type) is not Kind.PICTURE:
                return hits, None
            hashed = await self._detector.cache.get(key, lambda: self._hash(key, data, deadline))
            if hashed.quality >= GOOD_QUALITY:
                hits += await viewer.pool.run(lambda: list(self._alike_to(hashed)), deadline)
        except MediaError as error:
            return hits, error
        return hits, None

    async def _hash(self, key: bytes, data: bytes, deadline: float) -> PdqHash:
        viewer = self._detector.viewer
        picture = await viewer.picture(key, data, deadline)
        return await viewer.pool.run(lambda: pdq(picture.frames[0]), deadline)

    def _alike_to(self, hashed: PdqHash) -> Iterable[tuple[str, float, str]]:
        for index in self._lists:
            distance = index.distance(hashed)
            if distance <= index.within:
                yield index.name, 1 - distance / BITS, f"pdq, {distance} bits"


def describe(data: bytes, hashed: PdqHash) -> str:
    """Return the lines that put a picture on a list."""
    return f"pdq:{hashed.hex}  quality {hashed.quality}\nsha256:{hashlib.sha256(data).hexdigest()}"


def _compile(question: PictureList) -> _Index:
    exact, alike = set(), []
    for entry in question.entries:
        match = _ENTRY.fullmatch(entry.strip())
        if match is None:
            raise ValueError(
                f"list {question.name!r}: {entry[:80]!r} is no picture hash; write pdq: or sha256: "
                "and 64 hexadecimal digits"
            )
        digest = bytes.fromhex(match["digest"])
        if match["kind"] == "sha256":
            exact.add(digest)
        else:
            alike.append(digest)
    columns = np.frombuffer(b"".join(alike), ">u8").reshape(-1, 4).astype(np.uint64).T
    return _Index(question.name, frozenset(exact), tuple(map(np.ascontiguousarray, columns)), question.within)
