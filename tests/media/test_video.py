"""Videos: frames from a process that may crash, hang or be killed, and what the models see in them."""

import asyncio
import io
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.media.pictures import DirectModel, picture_bytes, soon

from modgate.detectors.base import DetectorError, Problem, Subject
from modgate.detectors.image import ImageDetector
from modgate.media.errors import MediaError, MediaProblem
from modgate.media.pool import DecodePool
from modgate.media.video import VideoFrame, VideoReader
from modgate.media.viewer import Viewer
from modgate.message import Conversation, Media, Message, Sender

av = pytest.importorskip("av")

CALM = Image.new("RGB", (224, 224), (90, 120, 90))


def _video(*scenes: Image.Image, codec: str = "mpeg4", container: str = "mp4", seconds: int = 1) -> bytes:
    """One scene after the other, with two key frames a second."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as video:
        stream: Any = video.add_stream(codec, rate=10, options={"qscale": "2"} if codec == "mpeg4" else {})
        stream.width, stream.height = scenes[0].size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = 5
        stream.bit_rate = 4_000_000
        for scene in scenes:
            for _ in range(10 * seconds):
                video.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(scene), format="rgb24")))
        video.mux(stream.encode())
    return buffer.getvalue()


def _grey(level: int) -> Image.Image:
    return Image.new("RGB", (320, 180), (level, level, level))


@pytest.fixture
async def reader() -> AsyncIterator[VideoReader]:
    reader = VideoReader(1)
    yield reader
    await reader.close()


async def _frames(reader: VideoReader, data: bytes, deadline: float | None = None) -> list[VideoFrame]:
    return [frame async for frame in reader.frames(data, deadline or soon())]


async def _problem(reader: VideoReader, data: bytes, deadline: float | None = None) -> MediaProblem:
    with pytest.raises(MediaError) as error:
        await _frames(reader, data, deadline)
    return error.value.problem


@pytest.mark.parametrize(("codec", "container"), [("mpeg4", "mp4"), ("libvpx-vp9", "webm"), ("mjpeg", "avi")])
async def test_each_scene_is_seen_once(reader: VideoReader, codec: str, container: str) -> None:
    """Frames are spread over the video, and of each scene there is one."""
    scenes = [_grey(level) for level in (20, 90, 160, 230)]
    frames = await _frames(reader, _video(*scenes, codec=codec, container=container))
    levels = sorted(int(np.asarray(frame.image).mean()) for frame in frames)
    assert levels == pytest.approx([20, 90, 160, 230], abs=6)
    assert all(frame.image.size == (320, 180) for frame in frames)


async def test_what_is_no_video_is_refused(reader: VideoReader) -> None:
    """Other files, damaged and cut-off ones are refused with their reason, and the worker goes on."""
    assert await _problem(reader, b"hello") is MediaProblem.UNSUPPORTED
    assert await _problem(reader, b"\0\0\0\x18ftypisom" + bytes(5000)) is MediaProblem.DAMAGED
    whole = _video(_grey(80))
    assert await _problem(reader, whole[: len(whole) // 3]) is MediaProblem.DAMAGED
    assert len(await _frames(reader, whole)) == 1


async def test_a_late_worker_is_replaced(reader: VideoReader) -> None:
    """A video that is not done in time is given up, and the next one finds a new worker."""
    data = _video(*(_grey(level) for level in (20, 90, 160, 230)))
    await reader.start()
    assert await _problem(reader, data, time.monotonic() + 0.001) in (MediaProblem.DEADLINE, MediaProblem.BUSY)
    assert len(await _frames(reader, data)) == 4


async def test_a_crash_is_contained(reader: VideoReader) -> None:
    """If the decoder's process dies, the video counts as damaged, and the next one finds a new worker."""
    data = _video(_grey(80))
    await _frames(reader, data)
    (process,) = reader._all
    process.kill()
    await process.wait()
    assert await _problem(reader, data) is MediaProblem.DAMAGED
    assert len(await _frames(reader, data)) == 1


def _subject(data: bytes) -> Subject:
    media = (Media("v", "video/mp4", data),)
    return Subject(Message("1", "", Sender("s"), Conversation("c"), media=media), {}, 0.0)


async def test_the_worst_frame_decides(reader: VideoReader) -> None:
    """One bad scene in a video is enough; the same video is not watched twice."""
    bad = Image.open(io.BytesIO(picture_bytes("swiftformer_nsfl_positive.png"))).convert("RGB")
    model = DirectModel("swiftformer-s")
    pool = DecodePool(1)
    inspector = ImageDetector([model], Viewer(pool), video=reader).configure(["gore"])
    data = _video(CALM, CALM, bad, CALM)
    for _ in range(2):
        (finding,) = (await inspector.inspect(_subject(data), soon()))["gore"]
        assert finding.score > 0.7
        assert (finding.part, finding.evidence) == ("media:v", "swiftformer-s")
    assert model.asked == 2
    pool.close()


async def test_a_video_is_watched_to_the_end_after_the_answer(reader: VideoReader) -> None:
    """What did not fit the budget is unknown in the answer, and known when the video is forwarded."""
    pool = DecodePool(1)
    detector = ImageDetector([DirectModel("swiftformer-s")], Viewer(pool), video=reader)
    inspector = detector.configure(["gore"])
    data = _video(CALM, seconds=3)
    await reader.start()
    with pytest.raises(DetectorError) as error:
        await inspector.inspect(_subject(data), time.monotonic() + 0.002)
    assert error.value.problem in (Problem.TIMEOUT, Problem.OVERLOAD)
    while detector._afterwards:
        await asyncio.wait(detector._afterwards.values())
    assert (await inspector.inspect(_subject(data), time.monotonic() + 0.2))["gore"][0].score < 0.3
    pool.close()


async def test_without_a_reader_videos_stay_open() -> None:
    """A server that does not judge videos says so instead of calling them harmless."""
    pool = DecodePool(1)
    inspector = ImageDetector([DirectModel("swiftformer-s")], Viewer(pool)).configure(["gore"])
    with pytest.raises(DetectorError, match="does not judge videos") as error:
        await inspector.inspect(_subject(_video(CALM)), soon())
    assert error.value.problem is Problem.ERROR
    pool.close()
