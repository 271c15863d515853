"""The picture detector with real weights: what fires, what does not, and what is told when it cannot look."""

import asyncio
import io
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests.media.pictures import DirectModel, encode, golden, picture_bytes, soon

from modgate.detectors.base import DetectorError, Problem, Report, Subject
from modgate.detectors.image import ImageDetector
from modgate.media.decode import Picture
from modgate.media.errors import MediaError, MediaProblem
from modgate.media.pool import DecodePool
from modgate.media.viewer import Viewer
from modgate.message import Conversation, Media, Message, Sender

ALL = ("explicit_nudity", "gore", "unsafe")


@pytest.fixture
def pool() -> Iterator[DecodePool]:
    pool = DecodePool(2)
    yield pool
    pool.close()


@pytest.fixture
def models() -> list[DirectModel]:
    return [DirectModel("open-nsfw"), DirectModel("swiftformer-s")]


@pytest.fixture
def detector(models: list[DirectModel], pool: DecodePool) -> ImageDetector:
    return ImageDetector(models, Viewer(pool))


def _subject(*pictures: bytes, mime_type: str = "image/png") -> Subject:
    media = tuple(Media(f"m{index}", mime_type, data) for index, data in enumerate(pictures))
    return Subject(Message("1", "", Sender("s"), Conversation("c"), media=media), {"text": ""}, 0.0)


async def _inspect(detector: ImageDetector, *pictures: bytes, mime_type: str = "image/png") -> Report:
    return await detector.configure(ALL).inspect(_subject(*pictures, mime_type=mime_type), soon())


@pytest.mark.parametrize(
    ("picture", "label", "model"),
    [
        ("open_nsfw_positive.png", "explicit_nudity", "open-nsfw"),
        ("swiftformer_nsfw_positive.png", "explicit_nudity", "swiftformer-s"),
        ("swiftformer_nsfl_positive.png", "gore", "swiftformer-s"),
    ],
)
async def test_positives_name_their_model(detector: ImageDetector, picture: str, label: str, model: str) -> None:
    """A picture that one model scores as positive gives its label, names that model, and is unsafe."""
    report = await _inspect(detector, picture_bytes(picture))
    for name in (label, "unsafe"):
        (finding,) = report[name]
        assert finding.score > 0.95
        assert (finding.part, finding.evidence) == ("media:m0", model)
    (other,) = report["gore" if label == "explicit_nudity" else "explicit_nudity"]
    assert other.score < 0.2


@pytest.mark.parametrize("picture", [name for name in golden() if "positive" not in name and "sexy" not in name])
async def test_photographs_are_harmless(detector: ImageDetector, picture: str) -> None:
    """An ordinary photograph stays far below every threshold."""
    report = await _inspect(detector, picture_bytes(picture))
    assert set(report) == set(ALL)
    assert max(finding.score for findings in report.values() for finding in findings) < 0.2


async def test_each_picture_has_its_finding(detector: ImageDetector) -> None:
    """Every picture of a message is judged, and findings name it."""
    report = await _inspect(
        detector, picture_bytes("astronaut.png"), picture_bytes("open_nsfw_positive.png"), mime_type=""
    )
    assert [(f.part, f.score > 0.5) for f in report["explicit_nudity"]] == [("media:m0", False), ("media:m1", True)]


async def test_other_media_are_left_alone(detector: ImageDetector, models: list[DirectModel]) -> None:
    """A message without pictures, or with a file that is none, has no findings and asks no model."""
    assert await _inspect(detector) == {}
    assert await _inspect(detector, b"OggS....", mime_type="audio/ogg") == {}
    assert [model.asked for model in models] == [0, 0]


async def test_the_tiniest_pictures_are_nothing(detector: ImageDetector, models: list[DirectModel]) -> None:
    """A picture in which nobody can make out anything is not judged: a spacer, or a 25 x 14 reaction."""
    assert await _inspect(detector, picture_bytes("no_time_for_that_tiny.gif")) == {}
    assert await _inspect(detector, encode(Image.new("RGB", (1, 1)))) == {}
    assert [model.asked for model in models] == [0, 0]


async def test_a_forwarded_picture_is_judged_once(detector: ImageDetector, models: list[DirectModel]) -> None:
    """The same bytes are answered from memory, also when they are too large to be hashed on the event loop."""
    for data in (picture_bytes("coffee.png"), encode(Image.effect_noise((800, 600), 90).convert("RGB"))):
        before = models[0].asked
        first = await _inspect(detector, data)
        assert await _inspect(detector, data) == first
        assert models[0].asked == before + 1


async def test_animations_are_judged_by_their_worst_frame(detector: ImageDetector) -> None:
    """One bad frame inside an animation is enough."""
    calm = Image.new("RGB", (224, 224), (90, 120, 90))
    bad = Image.open(io.BytesIO(picture_bytes("swiftformer_nsfl_positive.png")))
    data = encode(calm, "WEBP", save_all=True, append_images=[calm, calm, bad], lossless=True, duration=80)
    report = await _inspect(detector, data)
    assert report["gore"][0].score > 0.9


@pytest.mark.parametrize(
    "data",
    [b"plain text", b"", picture_bytes("rocket.jpg")[:20_000]],
    ids=["text-as-png", "empty", "truncated"],
)
async def test_unreadable_pictures_are_errors(detector: ImageDetector, data: bytes) -> None:
    """An unreadable picture leaves the question open, however often it is sent."""
    for _ in range(2):
        with pytest.raises(DetectorError) as error:
            await _inspect(detector, data)
        assert error.value.problem is Problem.ERROR
        assert error.value.partial == {}


async def test_what_is_remembered_of_a_broken_picture_is_small(detector: ImageDetector) -> None:
    """The reason why a picture was refused is kept without the picture, which a traceback would hold."""
    judgement = await detector.judge(Media("m", "", picture_bytes("rocket.jpg")[:20_000]), soon())
    assert isinstance(judgement.problem, MediaError)
    assert judgement.problem.__traceback__ is None
    assert judgement.problem.__cause__ is None


async def test_a_finding_stands_beside_an_unreadable_picture(detector: ImageDetector) -> None:
    """What is known of one picture is not lost because another cannot be read."""
    with pytest.raises(DetectorError) as error:
        await _inspect(detector, b"plain text", picture_bytes("open_nsfw_positive.png"))
    (finding,) = error.value.partial["explicit_nudity"]
    assert finding.part == "media:m1"
    assert finding.score > 0.9


class _Late(DirectModel):
    """A model whose queue never gets to it."""

    async def scores(self, pixels: npt.NDArray[np.float32], deadline: float) -> npt.NDArray[np.float32]:
        del pixels, deadline
        raise DetectorError(Problem.TIMEOUT)


async def test_one_late_model_does_not_hide_the_other(pool: DecodePool) -> None:
    """If one model does not answer in time, the other's finding is handed on, and the picture is judged again later."""
    detector = ImageDetector([DirectModel("open-nsfw"), _Late("swiftformer-s")], Viewer(pool))
    for _ in range(2):
        with pytest.raises(DetectorError) as error:
            await _inspect(detector, picture_bytes("open_nsfw_positive.png"))
        assert error.value.problem is Problem.TIMEOUT
        assert error.value.partial["explicit_nudity"][0].evidence == "open-nsfw"
    assert len(detector.cache) == 0


async def test_what_was_late_is_judged_after_the_answer(
    detector: ImageDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture that was not judged in time is known when it is sent again."""
    data = picture_bytes("coffee.png")
    real, calls = detector._viewer.picture, iter([True])

    async def late_at_first(key: bytes, data: bytes, deadline: float) -> Picture:
        if next(calls, False):
            raise MediaError(MediaProblem.DEADLINE)
        return await real(key, data, deadline)

    monkeypatch.setattr(detector._viewer, "picture", late_at_first)
    with pytest.raises(DetectorError) as error:
        await _inspect(detector, data)
    assert error.value.problem is Problem.TIMEOUT
    await asyncio.gather(*detector._afterwards.values())
    assert len(detector.cache) == 1


async def test_no_time_left(detector: ImageDetector, models: list[DirectModel]) -> None:
    """A picture whose deadline has passed is a time-out and costs no model anything."""
    with pytest.raises(DetectorError) as error:
        await detector.configure(ALL).inspect(_subject(picture_bytes("coffee.png")), time.monotonic() - 1)
    assert error.value.problem is Problem.TIMEOUT
    assert [model.asked for model in models] == [0, 0]


async def test_cancelled_messages_leave_no_trace(detector: ImageDetector) -> None:
    """A message that is cancelled while its picture is decoded disturbs nobody."""
    task = asyncio.ensure_future(_inspect(detector, picture_bytes("retina.jpg")))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await _inspect(detector, picture_bytes("coffee.png")))["gore"]


def test_labels_that_nothing_earns_are_refused(detector: ImageDetector) -> None:
    """A rule that asks for a label without a model is told which bundle it needs."""
    with pytest.raises(ValueError, match="needs the bundle efficientnet-lite0"):
        detector.configure(["explicit_nudity", "weapon"])
    assert detector.labels == {"explicit_nudity": 0.8, "gore": 0.7, "unsafe": 0.8}


async def test_only_what_is_asked_for_is_reported(detector: ImageDetector) -> None:
    """An inspector reports the labels that its rules ask for."""
    report = await detector.configure(["gore"]).inspect(_subject(picture_bytes("coffee.png")), soon())
    assert set(report) == {"gore"}
