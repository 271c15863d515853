"""Pictures: what image classifiers see in the media of a message.

A picture is decoded and prepared for all models in a worker thread, goes to each model's queue, and the class
probabilities are fused into the labels of the taxonomy. The same bytes are judged once: scores are kept by digest.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from modgate.detectors.base import DetectorError, Finding, Problem, Report, Subject, Tier
from modgate.inference.cache import ScoreCache
from modgate.inference.manifest import ImageInput, Manifest
from modgate.media.decode import distinct
from modgate.media.errors import MediaError, MediaProblem
from modgate.media.preprocess import Tensor, preprocess, probabilities
from modgate.media.sniff import Kind, kind_of
from modgate.media.taxonomy import Score, default_thresholds, fuse, needed, offered
from modgate.media.video import VideoReader
from modgate.media.viewer import Viewer
from modgate.message import Media

__all__ = ["ImageDetector", "ImageInspector", "ImageModel", "Judgement", "picture_labels"]

_AFTERWARDS, _PATIENCE = 2, 20.0
"""Pictures and videos that are judged to the end after their answer, at once, and the seconds for it."""

_OF_THE_BYTES = frozenset(
    {MediaProblem.UNSUPPORTED, MediaProblem.TOO_LARGE, MediaProblem.TOO_COMPLEX, MediaProblem.DAMAGED}
)
"""Problems that the same bytes will always have, and so worth remembering."""


class ImageModel(Protocol):
    """A loaded image bundle behind its queue."""

    @property
    def manifest(self) -> Manifest:
        """What the model is."""
        ...

    async def scores(self, pixels: Tensor, deadline: float) -> npt.NDArray[np.float32]:
        """Return the model's output for one input tensor, one number a class.

        Raises:
            DetectorError: TIMEOUT, OVERLOAD or ERROR.
        """
        ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of one picture.

    Attributes:
        scores: By label. With a problem, what those models gave that did answer.
        problem: Why not all is known.
    """

    scores: Mapping[str, Score] = field(default_factory=dict)
    problem: MediaError | DetectorError | None = None


def picture_labels(manifests: Sequence[Manifest]) -> Mapping[str, float | None]:
    """Return the labels that image bundles earn together, with their default thresholds."""
    return dict.fromkeys(sorted(offered(manifests))) | default_thresholds(manifests)


class ImageDetector:
    """Asks the image models that are loaded. Its cache outlives rulesets: scores do not depend on rules.

    Args:
        models: The image bundles in service.
        viewer: Decodes the pictures.
        video: Decodes the videos; without it they are left open.
        remembered: Pictures whose scores are kept, at about 1 kB each.

    Attributes:
        models: The bundles, each with its input.
        cache: What is known of pictures, by their SHA-256.
    """

    name = "image"
    tier = Tier.MODEL
    cost_us = 45_000.0
    media_only = True

    def __init__(
        self,
        models: Sequence[ImageModel],
        viewer: Viewer,
        *,
        video: VideoReader | None = None,
        remembered: int = 10_000,
    ) -> None:
        self.models = [(model, _input_of(model.manifest)) for model in models]
        self._viewer = viewer
        self._video = video
        self._afterwards: dict[bytes, asyncio.Task[Judgement]] = {}
        self.cache: ScoreCache[Judgement] = ScoreCache(remembered)

    @property
    def labels(self) -> Mapping[str, float | None]:
        """The labels that the loaded models earn, with their default thresholds; no other may be asked for."""
        return picture_labels([model.manifest for model, _ in self.models])

    def needed(self, label: str) -> str:
        """Return why a label cannot be asked for and what would change that."""
        return needed(label)

    def configure(self, questions: Sequence[str]) -> "ImageInspector":
        """Return an inspector for some labels.

        Raises:
            ValueError: If a label is asked for that no loaded model earns, with the bundle that would be needed.
        """
        for label in questions:
            if label not in self.labels:
                raise ValueError(needed(label))
        return ImageInspector(self, frozenset(questions))

    async def judge(self, media: Media, deadline: float) -> Judgement:
        """Judge one medium; nothing is known, and nothing wrong, if it is neither picture nor video."""
        try:
            data = await self._viewer.data(media, deadline)
        except MediaError as error:
            return Judgement(problem=error)
        kind = kind_of(data, media.mime_type)
        if kind is Kind.OTHER:
            return Judgement()
        if kind is Kind.VIDEO and self._video is None:
            return Judgement(problem=MediaError(MediaProblem.UNSUPPORTED, "this server does not judge videos"))
        look = self._look if kind is Kind.PICTURE else self._watch
        key = b""
        try:
            key = await self._viewer.key(data, deadline)
            return await self.cache.get(key, lambda: look(key, data, deadline))
        except MediaError as error:
            judgement = Judgement(problem=error)
        except _Open as unfinished:
            judgement = unfinished.judgement
        if key and (kind is Kind.VIDEO or _of_the_moment(judgement.problem)):
            self._judge_on(key, data, look)
        return judgement

    async def _look(self, key: bytes, data: bytes, deadline: float) -> Judgement:
        """Judge a file; what is returned will be true of these bytes for ever.

        Raises:
            MediaError: For reasons of the moment.
            _Open: If a model did not answer.
        """
        try:
            picture = await self._viewer.picture(key, data, deadline)
        except MediaError as error:
            if error.problem in _OF_THE_BYTES:
                return Judgement(problem=error.to_keep())
            raise
        if min(picture.width, picture.height) < self._viewer.limits.smallest:
            return Judgement()
        tensors = await self._viewer.pool.run(lambda: self._prepare(picture.frames), deadline)
        judgement = await self._ask(tensors, deadline)
        if judgement.problem is not None:
            raise _Open(judgement)
        return judgement

    async def _watch(self, key: bytes, data: bytes, deadline: float) -> Judgement:
        """Judge the frames of a video, each as soon as it is decoded; the worst one decides.

        Raises:
            MediaError: For reasons of the moment, if no frame was decoded.
            _Open: If there were more frames, or a model did not answer.
        """
        del key
        if self._video is None:
            raise MediaError(MediaProblem.UNSUPPORTED)
        asked: list[asyncio.Task[Judgement]] = []
        problem: MediaError | DetectorError | None = None
        try:
            async with contextlib.aclosing(self._video.frames(data, deadline)) as frames:
                async for frame in frames:
                    # One by one: those that were asked before an error count.
                    asked.append(asyncio.ensure_future(self._judge_frame(frame.image, deadline)))  # noqa: PERF401
        except MediaError as error:
            problem = error
        except BaseException:
            for task in asked:
                task.cancel()
            raise
        judged = await asyncio.gather(*asked)
        if problem is not None and not judged:
            if isinstance(problem, MediaError) and problem.problem in _OF_THE_BYTES:
                return Judgement(problem=problem.to_keep())
            raise problem
        judgement = _worst(judged, problem)
        if judgement.problem is not None:
            raise _Open(judgement)
        return judgement

    async def _judge_frame(self, frame: Image.Image, deadline: float) -> Judgement:
        try:
            tensors = await self._viewer.pool.run(lambda: self._prepare([frame]), deadline)
        except MediaError as error:
            return Judgement(problem=error)
        return await self._ask(tensors, deadline)

    def _judge_on(self, key: bytes, data: bytes, look: "_Look") -> None:
        """Judge after the answer what was not done in time, so that it is known when it is sent again."""
        if key in self._afterwards or len(self._afterwards) >= _AFTERWARDS:
            return
        deadline = time.monotonic() + _PATIENCE
        task = asyncio.ensure_future(self.cache.get(key, lambda: look(key, data, deadline)))
        self._afterwards[key] = task
        task.add_done_callback(lambda done: self._judged(key, done))

    def _judged(self, key: bytes, task: "asyncio.Task[Judgement]") -> None:
        del self._afterwards[key]
        if not task.cancelled():
            task.exception()  # seen here; what cannot be judged at leisure stays unknown

    def _prepare(self, frames: Sequence[Image.Image]) -> list[list[Tensor]]:
        """Return for each frame that differs the input of each model. Runs in a worker thread."""
        return [[preprocess(frame, spec) for _, spec in self.models] for frame in distinct(frames)]

    async def _ask(self, tensors: list[list[Tensor]], deadline: float) -> Judgement:
        async def ask(model: ImageModel, spec: ImageInput, tensor: Tensor) -> tuple[Manifest, list[float]]:
            return model.manifest, probabilities(await model.scores(tensor, deadline), spec).tolist()

        asked = [
            ask(model, spec, tensor)
            for frame in tensors
            for (model, spec), tensor in zip(self.models, frame, strict=True)
        ]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        known: list[tuple[Manifest, list[float]]] = []
        problem: DetectorError | None = None
        for answer in answers:
            if isinstance(answer, DetectorError):
                problem = problem or answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                known.append(answer)
        return Judgement(fuse(known), problem)


_Look = Callable[[bytes, bytes, float], Awaitable[Judgement]]


def _of_the_moment(problem: MediaError | DetectorError | None) -> bool:
    if isinstance(problem, DetectorError):
        return problem.problem is not Problem.ERROR
    return problem is not None and problem.problem in _PROBLEMS


class _Open(Exception):  # noqa: N818  no error of its own: it keeps what is not final out of the cache
    """A judgement that is not final."""

    def __init__(self, judgement: Judgement) -> None:
        super().__init__()
        self.judgement = judgement


class ImageInspector:
    """Judges all pictures of a message."""

    def __init__(self, detector: ImageDetector, labels: frozenset[str]) -> None:
        self._detector = detector
        self._labels = labels

    async def inspect(self, subject: Subject, deadline: float) -> Report:
        """Return one finding for each label and picture, whatever its score.

        Raises:
            DetectorError: If any picture could not be judged, with what the others and the other models gave.
        """
        media = subject.message.media
        if not media:
            return {}
        judgements = await asyncio.gather(*(self._detector.judge(medium, deadline) for medium in media))
        found: dict[str, list[Finding]] = {}
        for medium, judgement in zip(media, judgements, strict=True):
            for label in self._labels & judgement.scores.keys():
                score = judgement.scores[label]
                finding = Finding(label, score.value, part=f"media:{medium.id}", evidence=score.model)
                found.setdefault(label, []).append(finding)
        report = {label: tuple(findings) for label, findings in found.items()}
        for judgement in judgements:
            if judgement.problem is not None:
                raise _error(judgement.problem, report)
        return report


def _worst(judged: Sequence[Judgement], problem: MediaError | DetectorError | None) -> Judgement:
    """Return the greatest score of each label over frames, and the first problem that there was."""
    scores: dict[str, Score] = {}
    for one in judged:
        problem = problem or one.problem
        for label, score in one.scores.items():
            if label not in scores or score.value > scores[label].value:
                scores[label] = score
    return Judgement(scores, problem)


_PROBLEMS = {MediaProblem.DEADLINE: Problem.TIMEOUT, MediaProblem.BUSY: Problem.OVERLOAD}


def _error(problem: MediaError | DetectorError, partial: Report) -> DetectorError:
    if isinstance(problem, DetectorError):
        return DetectorError(problem.problem, str(problem), partial)
    return DetectorError(_PROBLEMS.get(problem.problem, Problem.ERROR), str(problem), partial)


def _input_of(manifest: Manifest) -> ImageInput:
    if manifest.image is None:
        raise ValueError(f"bundle {manifest.name} is no image classifier: its manifest has no `image` section")
    return manifest.image
