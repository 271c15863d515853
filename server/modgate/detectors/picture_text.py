"""The text in pictures, judged by the rules of the message's own text.

Every text condition of a ruleset gets a twin that asks the same inspector about what pictures say, as parts named
`ocr:<media id>`: `words: {list: slurs}` holds if the list is hit in the text *or* in a picture. The twins are leaves
of their own, answered by detectors named `ocr_words`, `ocr_pii` and so on, so that a late reading leaves only them
unknown.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from PIL import Image

from modgate.detectors.base import (
    CheapInspector,
    DetectorError,
    ModelInspector,
    Problem,
    Report,
    Subject,
    Tier,
)
from modgate.detectors.ocr import OcrReader, Reading
from modgate.inference.cache import ScoreCache
from modgate.media.errors import MediaError, MediaProblem
from modgate.media.pool import DecodePool
from modgate.media.sniff import Kind, kind_of
from modgate.media.viewer import Viewer
from modgate.message import Media
from modgate.rules.ruleset import AllOf, AnyOf, Condition, Inspection, Leaf, Not, Rule, Ruleset

__all__ = ["TWINS", "PictureTexts", "with_picture_text"]

TWINS = ("words", "pattern", "pii", "domain", "text", "similar")
"""The detectors that are asked about the text in pictures, too."""

_COST_US = 80_000.0
_LOOKED_OVER = (256, 256)
_PROBLEMS = {MediaProblem.DEADLINE: Problem.TIMEOUT, MediaProblem.BUSY: Problem.OVERLOAD}


@dataclass(frozen=True, slots=True)
class _Read:
    """What the pictures of a message say.

    Attributes:
        parts: Text by part.
        problem: Why a picture, or a part of it, was not read.
    """

    parts: Mapping[str, str]
    problem: DetectorError | None


class PictureTexts:
    """Reads the pictures of messages, each once. Lives on one event loop; outlives rulesets.

    Args:
        reader: Reads.
        viewer: Decodes.
        pool: Threads for reading, apart from those for decoding: reading takes ten times as long.
        remembered: Pictures whose text is kept, by digest.
    """

    def __init__(self, reader: OcrReader, viewer: Viewer, pool: DecodePool, *, remembered: int = 2_000) -> None:
        self._reader = reader
        self._viewer = viewer
        self._pool = pool
        self.cache: ScoreCache[Reading | MediaError] = ScoreCache(remembered)

    async def read(self, media: Iterable[Media], deadline: float) -> _Read:
        """Return the text of all pictures among some media."""
        pictures = list(media)
        answers = await asyncio.gather(*(self._read(medium, deadline) for medium in pictures))
        parts: dict[str, str] = {}
        problem: DetectorError | None = None
        for medium, answer in zip(pictures, answers, strict=True):
            if isinstance(answer, MediaError):
                problem = problem or DetectorError(_PROBLEMS.get(answer.problem, Problem.ERROR), str(answer))
                continue
            if answer.late:
                problem = problem or DetectorError(Problem.TIMEOUT, f"{answer.found} lines, not all read in time")
            if answer.lines:
                parts[f"ocr:{medium.id}"] = answer.text
        return _Read(parts, problem)

    async def _read(self, medium: Media, deadline: float) -> Reading | MediaError:
        try:
            data = await self._viewer.data(medium, deadline)
            if kind_of(data, medium.mime_type) is not Kind.PICTURE:
                return Reading((), 0)
            key = await self._viewer.key(data, deadline)
            return await self.cache.get(key, lambda: self._look(key, data, deadline))
        except MediaError as error:
            return error
        except _Late as late:
            return late.reading

    async def _look(self, key: bytes, data: bytes, deadline: float) -> Reading | MediaError:
        try:
            picture = await self._viewer.picture(key, data, deadline)
        except MediaError as error:
            if error.problem in _PROBLEMS:
                raise
            return error.to_keep()
        reading = await self._pool.run(lambda: self._reader.read(_richest(picture.frames), deadline), deadline)
        if reading.late:
            raise _Late(reading)
        return reading


def _richest(frames: Sequence[Image.Image]) -> Image.Image:
    """Return the frame with the most edges: of an animation one can be read, and a caption has many edges."""
    if len(frames) == 1:
        return frames[0]

    def edges(frame: Image.Image) -> float:
        grey = np.asarray(frame.convert("L").resize(_LOOKED_OVER), np.int16)
        return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())

    return max(frames, key=edges)


class _Late(Exception):  # noqa: N818  no error of its own: it keeps a reading that is not whole out of the cache
    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self.reading = reading


class _TwinInspector:
    """Asks one inspector about the text in pictures."""

    def __init__(self, texts: PictureTexts, inspection: Inspection) -> None:
        self._texts = texts
        self._inspector = inspection.inspector
        self._tier = inspection.tier

    async def inspect(self, subject: Subject, deadline: float) -> Report:
        """Return what the inspector finds in the parts `ocr:<media id>`.

        Raises:
            DetectorError: If a picture could not be read, with what was found in the others, or in its largest lines.
        """
        if not subject.message.media:
            return {}
        read = await self._texts.read(subject.message.media, deadline)
        report: Report = {}
        if read.parts:
            # The message's own text is not there to be found a second time.
            message = replace(subject.message, text="", custom={})
            twin = Subject(message, read.parts, subject.now)
            if self._tier is Tier.MODEL:
                report = await cast("ModelInspector", self._inspector).inspect(twin, deadline)
            else:
                report = cast("CheapInspector", self._inspector).inspect(twin)
        if read.problem is not None:
            raise DetectorError(read.problem.problem, str(read.problem), partial=report)
        return report


def with_picture_text(ruleset: Ruleset, texts: PictureTexts) -> Ruleset:
    """Return the ruleset with a twin for every text condition."""
    twins = {
        name: Inspection(f"ocr_{name}", Tier.MODEL, _COST_US, _TwinInspector(texts, inspection), media_only=True)
        for name, inspection in ruleset.inspections.items()
        if name in TWINS
    }
    leaves = list(ruleset.leaves)
    pairs: dict[int, Leaf] = {}
    for leaf in ruleset.leaves:
        if leaf.detector in twins:
            pairs[leaf.index] = replace(
                leaf, index=len(leaves), detector=f"ocr_{leaf.detector}", text=f"{leaf.text}, in pictures"
            )
            leaves.append(pairs[leaf.index])
    rules = tuple(_paired(rule, pairs) for rule in ruleset.rules)
    inspections = {**ruleset.inspections, **{twin.detector: twin for twin in twins.values()}}
    return replace(ruleset, rules=rules, leaves=tuple(leaves), inspections=inspections)


def _paired(rule: Rule, pairs: Mapping[int, Leaf]) -> Rule:
    needed = {f"ocr_{name}" for name in rule.detectors} & {leaf.detector for leaf in pairs.values()}
    if not needed:
        return rule
    return replace(rule, when=_pair(rule.when, pairs), detectors=rule.detectors | needed)


def _pair(condition: Condition, pairs: Mapping[int, Leaf]) -> Condition:
    if isinstance(condition, Leaf):
        return AnyOf((condition, pairs[condition.index])) if condition.index in pairs else condition
    if isinstance(condition, Not):
        return Not(_pair(condition.child, pairs))
    children = tuple(_pair(child, pairs) for child in condition.children)
    return AnyOf(children) if isinstance(condition, AnyOf) else AllOf(children)
