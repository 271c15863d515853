"""HEIC: decoded in a process of its own, within the bounds of every other format."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from benchmarks._mutations import mutants
from PIL import Image
from tests.media.pictures import DirectModel, picture_bytes, soon

from modgate.detectors.base import DetectorError, Problem, Subject
from modgate.detectors.image import ImageDetector
from modgate.media.decode import Picture, decode
from modgate.media.errors import MediaError, MediaProblem
from modgate.media.limits import Limits
from modgate.media.pool import DecodePool
from modgate.media.sniff import Format
from modgate.media.video import VideoReader
from modgate.media.viewer import Viewer
from modgate.message import Conversation, Media, Message, Sender

pytest.importorskip("pi_heif")

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
async def reader() -> AsyncIterator[VideoReader]:
    reader = VideoReader(1, frames=4, program="modgate.media.heif_worker")
    await reader.start()
    yield reader
    await reader.close()


@pytest.fixture
async def viewer(reader: VideoReader) -> AsyncIterator[Viewer]:
    pool = DecodePool(1)
    yield Viewer(pool, heif=reader)
    pool.close()


async def _picture(viewer: Viewer, data: bytes, deadline: float | None = None) -> Picture:
    deadline = deadline or soon()
    return await viewer.picture(await viewer.key(data, deadline), data, deadline)


async def _problem(viewer: Viewer, data: bytes, deadline: float | None = None) -> MediaProblem:
    with pytest.raises(MediaError) as error:
        await _picture(viewer, data, deadline)
    return error.value.problem


def _colour(frame: Image.Image, x: int, y: int) -> object:
    return pytest.approx(frame.getpixel((x, y)), abs=24)


@pytest.mark.parametrize(
    ("name", "size", "first", "last"),
    [("halves.heic", (128, 64), (20, 32), (108, 32)), ("turned.heic", (64, 128), (32, 20), (32, 108))],
)
async def test_colours_and_rotation(
    viewer: Viewer, name: str, size: tuple[int, int], first: tuple[int, int], last: tuple[int, int]
) -> None:
    """A HEIC picture comes out in its colours, and turned if the file says that it is to be turned."""
    picture = await _picture(viewer, picture_bytes(name))
    (frame,) = picture.frames
    assert (picture.format, frame.mode, frame.size) == (Format.HEIF, "RGB", size)
    assert _colour(frame, *first) == RED
    assert _colour(frame, *last) == BLUE


async def test_every_picture_of_a_file_is_seen(viewer: Viewer) -> None:
    """A file with several pictures, such as a burst, is judged by each of them, the main one first."""
    first, second = (await _picture(viewer, picture_bytes("two.heic"))).frames
    assert _colour(first, 20, 32) == RED
    assert _colour(second, 20, 32) == GREEN


async def test_large_pictures_wait_for_time(viewer: Viewer) -> None:
    """A picture of a phone's full size is not begun within a message's budget, and decoded when there is time."""
    data = picture_bytes("large.heic")
    assert await _problem(viewer, data, time.monotonic() + 0.2) is MediaProblem.DEADLINE
    (frame,) = (await _picture(viewer, data, time.monotonic() + 30)).frames
    assert min(frame.size) >= 600
    assert frame.width * frame.height <= Limits().working


async def test_bombs_are_refused_from_the_header(viewer: Viewer, reader: VideoReader) -> None:
    """A HEIC picture that announces too many pixels never reaches its decoder."""
    bomb = picture_bytes("halves.heic").replace(b"\0\0\0\x80\0\0\0\x40", b"\0\0\x80\0\0\0\x80\0")
    await reader.close()
    assert await _problem(viewer, bomb) is MediaProblem.TOO_LARGE


async def test_broken_files(viewer: Viewer) -> None:
    """Broken HEIC gives pixels or a MediaError, and the process, or the next one, goes on."""
    whole = {"heic": picture_bytes("photo.heic")}
    for _, data in mutants(40, whole=whole):
        try:
            await _picture(viewer, data)
        except MediaError as error:
            assert error.problem not in (MediaProblem.BUSY, MediaProblem.REFUSED)  # noqa: PT017  both outcomes are right
    assert await _problem(viewer, whole["heic"][:3000]) is MediaProblem.DAMAGED
    assert (await _picture(viewer, whole["heic"])).frames[0].size == (256, 256)


async def test_a_phone_picture_is_judged_after_the_answer(viewer: Viewer) -> None:
    """What is too large for the budget is open at first, and known when it is sent again."""
    detector = ImageDetector([DirectModel("swiftformer-s")], viewer)
    inspector = detector.configure(["gore"])
    media = (Media("m", "image/heic", picture_bytes("large.heic")),)
    subject = Subject(Message("1", "", Sender("s"), Conversation("c"), media=media), {}, 0.0)
    with pytest.raises(DetectorError) as error:
        await inspector.inspect(subject, time.monotonic() + 0.2)
    assert error.value.problem is Problem.TIMEOUT
    await asyncio.gather(*detector._afterwards.values())
    assert (await inspector.inspect(subject, time.monotonic() + 0.2))["gore"][0].score < 0.3


def test_without_the_extra_it_is_refused() -> None:
    """A server that does not decode HEIC says what would change that."""
    with pytest.raises(MediaError, match=r"modgate\[heif\]") as error:
        decode(picture_bytes("halves.heic"), soon(), Limits())
    assert error.value.problem is MediaProblem.UNSUPPORTED
