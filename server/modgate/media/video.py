"""Frames from a process that may crash or hang without harm: of videos, and of pictures in formats like HEIC.

Each worker serves one file at a time. One that is late is killed, and a new one takes its place; starting one takes a
few hundred milliseconds, so they are started ahead and not within a message's budget.
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import struct
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

import modgate
from modgate.media.errors import MediaError, MediaProblem

__all__ = ["VideoFrame", "VideoReader", "available", "heif_available"]

_FRAME_BYTES = 8
_PACKAGES = str(Path(modgate.__file__).parents[1])


def available() -> bool:
    """Return whether PyAV is installed; it is an extra of its own (docs/pictures.md tells why)."""
    return importlib.util.find_spec("av") is not None


def heif_available() -> bool:
    """Return whether pi-heif is installed, an extra as well."""
    return importlib.util.find_spec("pi_heif") is not None


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """A frame that was sampled.

    Attributes:
        image: RGB, shrunk.
        milliseconds: When it is shown.
    """

    image: Image.Image
    milliseconds: int


class VideoReader:
    """Samples frames of videos in worker processes. Lives on one event loop; call `start` first.

    Args:
        workers: Processes, each with about 60 MB.
        frames: Frames that are looked for in one video.
        program: The module that the processes run.
    """

    def __init__(self, workers: int, *, frames: int = 8, program: str = "modgate.media.video_worker") -> None:
        self._workers = workers
        self._program = program
        self._frames = frames
        self._idle: asyncio.Queue[asyncio.subprocess.Process] = asyncio.Queue()
        self._all: set[asyncio.subprocess.Process] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._started = self._closed = False

    async def start(self) -> None:
        """Start the workers; otherwise the first video does, and waits for them."""
        if not self._started:
            self._started = True
            await asyncio.gather(*(self._start_one() for _ in range(self._workers)))

    async def close(self) -> None:
        """End the workers and wait until they are gone."""
        processes = list(self._all)
        self.kill()
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        for process in processes:
            await process.wait()

    def kill(self) -> None:
        """End the workers without waiting; for when the event loop is about to end."""
        self._closed = True
        for process in self._all:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    async def frames(self, data: bytes, deadline: float) -> AsyncGenerator[VideoFrame]:
        """Yield frames as they are decoded, spread over the video and different from each other.

        Args:
            data: The file.
            deadline: `time.monotonic()` seconds.

        Raises:
            MediaError: If it cannot be decoded. DEADLINE if there was no time for all frames, BUSY if no worker was
                free.
        """
        process = await self._take(deadline)
        ready = False
        try:
            await self._ask(process, data, deadline)
            while (kind := await self._read(process, 1, deadline)) == b"F":
                head = await self._read(process, _FRAME_BYTES, deadline)
                width, height = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:4], "big")
                raw = await self._read(process, width * height * 3, deadline)
                yield VideoFrame(Image.frombytes("RGB", (width, height), raw), int.from_bytes(head[4:], "big"))
            length = int.from_bytes(await self._read(process, 2, deadline), "big")
            end = json.loads(await self._read(process, length, deadline))
            # The worker has said its last word about this file and is ready for the next.
            ready = kind == b"E"
        except TimeoutError as error:
            raise MediaError(MediaProblem.DEADLINE) from error
        except (asyncio.IncompleteReadError, ConnectionError, ValueError) as error:
            raise MediaError(MediaProblem.DAMAGED, "the decoder crashed") from error
        finally:
            if ready:
                self._idle.put_nowait(process)
            else:
                self._replace(process)
        if end["problem"] is not None:
            raise MediaError(MediaProblem(end["problem"]), end["detail"])

    async def _ask(self, process: asyncio.subprocess.Process, data: bytes, deadline: float) -> None:
        if process.stdin is None:
            raise ConnectionError("the worker has no pipe")
        left = max(0.0, deadline - time.monotonic())
        process.stdin.write(struct.pack(">IHd", len(data), self._frames, left))
        process.stdin.write(data)
        await asyncio.wait_for(process.stdin.drain(), left)

    async def _read(self, process: asyncio.subprocess.Process, size: int, deadline: float) -> bytes:
        # Each wait has its own limit: one around the whole conversation would also cancel what the caller does with
        # a frame in between.
        if process.stdout is None:
            raise ConnectionError("the worker has no pipe")
        left = max(0.0, deadline - time.monotonic())
        return await asyncio.wait_for(process.stdout.readexactly(size), left)

    async def _take(self, deadline: float) -> asyncio.subprocess.Process:
        await self.start()
        try:
            return await asyncio.wait_for(self._idle.get(), max(0.0, deadline - time.monotonic()))
        except TimeoutError as error:
            raise MediaError(MediaProblem.BUSY, "no decoding process is free") from error

    async def _start_one(self) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=1 << 20,
            # The worker needs this package and nothing of the server's environment, which may hold secrets.
            env={"PYTHONPATH": os.pathsep.join(filter(None, [_PACKAGES, os.environ.get("PYTHONPATH")]))},
        )
        self._all.add(process)
        self._idle.put_nowait(process)

    def _replace(self, process: asyncio.subprocess.Process) -> None:
        async def replace() -> None:
            await self._end(process)
            if not self._closed:
                await self._start_one()

        task = asyncio.ensure_future(replace())
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        self._all.discard(process)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
