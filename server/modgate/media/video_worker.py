"""The process that decodes videos: `python -m modgate.media.video_worker`. The protocol is that of `frame_worker`.

FFmpeg's decoders are large and have a history of memory errors, so they never run in the gate's own process. This one
opens only the containers and codecs that chats use, and touches key frames only.
"""

import io
import time

import av
import numpy as np
from PIL import Image

from modgate.media.errors import MediaError, MediaProblem
from modgate.media.frame_worker import Show, serve

__all__ = ["main"]

_PIXELS = 9_000_000
"""4K; a key frame of that size decodes in about 50 ms."""
_SIDE = 512
"""Pixels: frames are handed on with this as their shorter side at most."""
_SAME = 6.0
"""Mean difference of grey levels, 0 to 255, under which a frame shows the same scene as the one before."""
_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mjpeg", "h263", "libdav1d", "libvpx-vp9"})
_OPTIONS = {"probesize": "2000000", "analyzeduration": "1000000", "fflags": "+discardcorrupt"}


def main() -> None:
    """Serve requests from standard input until it ends."""
    av.logging.set_level(av.logging.PANIC)
    serve(_sample)


def _sample(data: bytes, count: int, deadline: float, show: Show) -> None:
    with av.open(io.BytesIO(data), "r", format=_container(data), options=_OPTIONS, metadata_errors="ignore") as video:
        if not video.streams.video:
            raise MediaError(MediaProblem.UNSUPPORTED, "there is no picture track")
        stream = video.streams.video[0]
        context = stream.codec_context
        if context.name not in _CODECS:
            raise MediaError(MediaProblem.UNSUPPORTED, f"the codec {context.name} is not decoded")
        if context.width * context.height > _PIXELS:
            raise MediaError(MediaProblem.TOO_LARGE, f"{context.width} x {context.height}")
        context.thread_count = 1
        context.skip_frame = "NONKEY"
        length = (video.duration or 0) / av.time_base
        times = _times(length, count)
        shown: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
        positions: set[int] = set()
        for moment in times:
            if time.monotonic() >= deadline:
                raise MediaError(MediaProblem.DEADLINE)
            frame = _frame_at(video, stream, moment)
            if frame is None or (frame.pts or 0) in positions:
                continue
            positions.add(frame.pts or 0)
            if frame.width * frame.height > _PIXELS:
                raise MediaError(MediaProblem.TOO_LARGE, f"{frame.width} x {frame.height}")
            scale = min(1.0, _SIDE / min(frame.width, frame.height))
            width, height = (max(2, round(side * scale)) for side in (frame.width, frame.height))
            image = Image.fromarray(frame.to_ndarray(format="rgb24", width=width, height=height))
            thumbnail = np.asarray(image.convert("L").resize((16, 16), Image.Resampling.BOX), np.float32)
            if any(np.abs(thumbnail - other).mean() < _SAME for other in shown):
                continue
            shown.append(thumbnail)
            show(image, round(1000 * float(frame.time or 0.0)))
        if not positions:
            raise MediaError(MediaProblem.DAMAGED, "no frame could be decoded")


def _container(data: bytes) -> str:
    if data[4:8] == b"ftyp":
        return "mov"
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "avi"
    raise MediaError(MediaProblem.UNSUPPORTED, "the bytes are not MP4, WebM, Matroska or AVI")


def _times(length: float, count: int) -> list[float]:
    """Return moments spread over a video, so ordered that any first few of them are spread, too."""
    if length <= 0:
        return [0.0]
    steps = [length * (index + 0.5) / count for index in range(count)]
    order = sorted(range(count), key=lambda index: int(f"{index:08b}"[::-1], 2))
    return [steps[index] for index in order]


def _frame_at(
    video: "av.container.InputContainer", stream: "av.video.stream.VideoStream", moment: float
) -> "av.VideoFrame | None":
    """Return the last key frame before a moment, or the first one there is."""
    if moment > 0:
        video.seek(int(moment * av.time_base), backward=True)
    return next(iter(video.decode(stream)), None)


if __name__ == "__main__":
    main()
