"""Decoded pictures, shared by everyone who looks at them: classifiers, the reader of text, lists of known pictures.

All of them ask for the pixels of the same message at the same time; one decodes, the others wait for it. Pixels are not
kept: they go with the last one who looks at them.
"""

import asyncio
import contextlib
import hashlib
import time
from dataclasses import dataclass
from weakref import WeakValueDictionary

from modgate.media.decode import Picture, decode
from modgate.media.errors import MediaError, MediaProblem
from modgate.media.limits import Limits
from modgate.media.pool import DecodePool
from modgate.media.reference import References
from modgate.media.sniff import Format, Header, is_heif, sniff
from modgate.media.video import VideoReader
from modgate.message import Media

__all__ = ["Viewer"]

_HASHED_INLINE = 256 * 1024
"""Bytes that are hashed on the event loop, at 1 GB/s or more; larger files are hashed in a worker."""


_HURRY = 1.0
"""Seconds: with less than that left, large HEIC pictures are not begun."""


@dataclass(slots=True, eq=False)
class _Flight:
    """A decode in the air and how many wait for it."""

    task: "asyncio.Task[Picture]"
    deadline: float
    waiting: int = 0


class Viewer:
    """Decodes media in worker threads. Lives on one event loop.

    Args:
        pool: The workers.
        limits: Bounds on one picture.
        heif: Decodes HEIC; without it such pictures are refused.
        references: Fetches media that are only named; without it they are refused.
    """

    def __init__(
        self,
        pool: DecodePool,
        limits: Limits | None = None,
        *,
        heif: VideoReader | None = None,
        references: References | None = None,
    ) -> None:
        self.pool = pool
        self._heif = heif
        self._references = references
        # Shared while they are in the air, not kept: an address may show something else the next time.
        self._fetching: dict[str, asyncio.Task[bytes]] = {}
        self.limits = limits or Limits()
        self._flights: dict[bytes, _Flight] = {}
        self._seen: WeakValueDictionary[bytes, Picture] = WeakValueDictionary()

    async def data(self, media: Media, deadline: float) -> bytes:
        """Return the bytes of a medium, fetched if it is only named; once for all who ask at the same time.

        Raises:
            MediaError: If it may not, or could not, be fetched.
        """
        if media.data or not media.uri:
            return media.data
        references = self._references
        if references is None:
            raise MediaError(MediaProblem.REFUSED, "this server fetches no media; send the data")
        fetching = self._fetching.get(media.uri)
        if fetching is None:
            fetching = self._fetching[media.uri] = asyncio.ensure_future(references.fetch(media.uri, deadline))
            fetching.add_done_callback(lambda done: self._fetched(media.uri, done))
        return await asyncio.shield(fetching)

    async def key(self, data: bytes, deadline: float) -> bytes:
        """Return the SHA-256 of a file.

        Raises:
            MediaError: TOO_MANY_BYTES, or DEADLINE or BUSY if it is large and no worker was free in time.
        """
        self.limits.check_bytes(data)
        if len(data) <= _HASHED_INLINE:
            return hashlib.sha256(data).digest()
        return await self.pool.run(lambda: hashlib.sha256(data).digest(), deadline)

    async def picture(self, key: bytes, data: bytes, deadline: float) -> Picture:
        """Return a picture's frames.

        Args:
            key: Digest of the file, from `key`.
            data: The file.
            deadline: `time.monotonic()` seconds.

        Raises:
            MediaError: If it cannot be decoded, or not in time.
        """
        if (seen := self._seen.get(key)) is not None:
            return seen
        flight = self._flights.get(key)
        if flight is None or flight.deadline < deadline:
            # Who has more time than the decode that is in the air starts another one: its failure is not theirs.
            task = asyncio.ensure_future(self._decode(data, deadline))
            flight = self._flights[key] = _Flight(task, deadline)
            task.add_done_callback(lambda done: self._landed(key, done))
        flight.waiting += 1
        try:
            picture = await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                flight.task.cancel()
        self._seen[key] = picture
        return picture

    async def _decode(self, data: bytes, deadline: float) -> Picture:
        if self._heif is None or not is_heif(data):
            return await self.pool.run(lambda: decode(data, deadline, self.limits), deadline)
        header = await self.pool.run(lambda: self._announced(data), deadline)
        if header.width * header.height > self.limits.unhurried and deadline - time.monotonic() < _HURRY:
            raise MediaError(MediaProblem.DEADLINE, "a HEIC picture of this size takes longer than a message may")
        async with contextlib.aclosing(self._heif.frames(data, deadline)) as frames:
            images = tuple([frame.image async for frame in frames])
        if not images:
            raise MediaError(MediaProblem.DAMAGED, "the file has no picture")
        return Picture(Format.HEIF, header.width, header.height, images, len(images))

    def _announced(self, data: bytes) -> Header:
        header = sniff(data)
        self.limits.check(header)
        return header

    def _landed(self, key: bytes, task: "asyncio.Task[Picture]") -> None:
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # seen here: if all waiters were cancelled, nobody else looks

    def _fetched(self, uri: str, task: "asyncio.Task[bytes]") -> None:
        del self._fetching[uri]
        if not task.cancelled():
            task.exception()  # seen here: if all who asked were cancelled, nobody else looks
