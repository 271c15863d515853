"""The journal: answers that must not be lost, on this machine's disk before they are sent.

A record is framed by its length and CRC-32 and appended with one `write` to a file opened with O_APPEND: once that
returns, the bytes are the kernel's and survive the death of this process (not of the machine: nothing is synced).
Files are segments with growing numbers. A record that was torn by a crash or a full disk can only be the last of its
segment, because the writer goes on in a new one.
"""

import contextlib
import fcntl
import os
import uuid
import zlib
from pathlib import Path
from typing import NamedTuple

__all__ = ["Journal", "JournalError", "JournalReader", "Position"]

_HEADER = 8
_CHUNK = 256 * 1024
_LONGEST_RECORD = 16 * 1024**2
_SUFFIX = ".journal"


class JournalError(OSError):
    """The journal cannot be opened, or an entry could not be written; the answer can still be given."""


class Position(NamedTuple):
    """A place in the journal: everything before it has been read."""

    segment: int
    offset: int


class Journal:
    """The writing side; one process at a time. Calls take microseconds and come from one thread.

    Args:
        folder: Holds the segments; made if missing.
        segment_bytes: A new segment is begun after this many.
        max_bytes: Appending fails while the segments hold more than this.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = 16 * 1024**2, max_bytes: int = 2 * 1024**3) -> None:
        self.folder = folder
        self._segment_bytes = segment_bytes
        self._max_bytes = max_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(f"{folder} cannot be written ({error.strerror}): set storage.folder") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise JournalError(f"{folder} is in use by another modgate: give each its own storage.folder") from error
        self.identity = _identity(folder)
        numbers = _segments(folder)
        self._closed_bytes = sum(_size(folder, number) for number in numbers)
        # Written by the reading thread only, as the bytes of closed segments are by the writing one: no lock.
        self._freed_bytes = 0
        self._number = numbers[-1] if numbers else 0
        self._fd = -1
        self._size = 0
        self._torn = False
        self._next_segment()

    @property
    def kept_bytes(self) -> int:
        """Bytes on disk that have not been drained, to the segment."""
        return self._closed_bytes - self._freed_bytes + self._size

    def append(self, payload: bytes) -> None:
        """Append one record.

        Raises:
            JournalError: The record is not in the journal: disk full, or the journal has reached its bound.
        """
        if self.kept_bytes > self._max_bytes:
            raise JournalError("the journal is full")
        frame = b"".join((len(payload).to_bytes(4), zlib.crc32(payload).to_bytes(4), payload))
        written = 0
        try:
            # What follows a torn record in the same segment could never be read.
            if self._torn or self._size >= self._segment_bytes:
                self._next_segment()
            written = os.write(self._fd, frame)
        except OSError as error:
            raise JournalError(f"the journal cannot be written: {error.strerror}") from error
        finally:
            self._torn = written != len(frame)
            self._size += written
        if self._torn:
            raise JournalError("the journal cannot be written: no space left")

    def drained(self, position: Position) -> None:
        """Remove segments that lie wholly before a position. May be called from another thread than `append`."""
        for number in _segments(self.folder):
            if number < position.segment and number < self._number:
                size = _size(self.folder, number)
                with contextlib.suppress(FileNotFoundError):
                    _path(self.folder, number).unlink()
                    self._freed_bytes += size

    def close(self) -> None:
        """Close the files and let another process in."""
        os.close(self._fd)
        os.close(self._lock)

    def _next_segment(self) -> None:
        number = self._number + 1
        fd = os.open(
            _path(self.folder, number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        if self._fd >= 0:
            os.close(self._fd)
        self._closed_bytes += self._size
        self._fd, self._size, self._number = fd, 0, number


class JournalReader:
    """The reading side; may live in another thread than the writer.

    Args:
        folder: The journal's.
        position: Where to go on; the beginning of what there is if None.
    """

    def __init__(self, folder: Path, position: Position | None = None) -> None:
        self._folder = folder
        self.position = position or Position(0, 0)
        self._fd = -1
        self._open_segment = 0
        # Many records a read: every read gives up the interpreter's lock, and getting it back holds up the event loop.
        self._chunk = b""
        self._chunk_at = 0
        self.torn = 0

    def read(self, at_most: int, at_most_bytes: int = 4 * 1024**2) -> list[bytes]:
        """Return the next records, in order, and advance `position` behind them.

        Args:
            at_most: Records.
            at_most_bytes: Bytes after which no further record is begun.
        """
        records: list[bytes] = []
        size = 0
        while len(records) < at_most and size < at_most_bytes:
            payload = self._next()
            if payload is None:
                break
            records.append(payload)
            size += len(payload)
        return records

    def rewind(self, position: Position) -> None:
        """Read again from a position."""
        self.position = position

    def close(self) -> None:
        """Close the file that is being read."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._chunk = b""

    def _next(self) -> bytes | None:
        while True:
            if not self._seek():
                return None
            payload = self._frame()
            if payload is not None:
                self.position = Position(self.position.segment, self.position.offset + _HEADER + len(payload))
                return payload
            # The end of this segment, or a record still being written, or a torn one. Only a later segment tells.
            later = [number for number in _segments(self._folder) if number > self.position.segment]
            if not later:
                return None
            payload = self._frame()
            if payload is not None:
                continue
            if os.fstat(self._fd).st_size > self.position.offset:
                self.torn += 1
            self.position = Position(later[0], 0)

    def _seek(self) -> bool:
        if self._fd >= 0 and self._open_segment == self.position.segment:
            return True
        self.close()
        numbers = [number for number in _segments(self._folder) if number >= self.position.segment]
        if not numbers:
            return False
        if numbers[0] != self.position.segment:
            self.position = Position(numbers[0], 0)
        self._fd = os.open(_path(self._folder, numbers[0]), os.O_RDONLY | os.O_CLOEXEC)
        self._open_segment = numbers[0]
        return True

    def _frame(self) -> bytes | None:
        header = self._bytes(_HEADER)
        if header is None:
            return None
        length = int.from_bytes(header[:4])
        if length > _LONGEST_RECORD:
            return None
        frame = self._bytes(_HEADER + length)
        if frame is None:
            return None
        payload = frame[_HEADER:]
        if zlib.crc32(payload) != int.from_bytes(header[4:]):
            # It may have been read while it was being written.
            self._chunk = b""
            return None
        return payload

    def _bytes(self, count: int) -> bytes | None:
        """Return the bytes at the position, or None if there are not as many yet."""
        start = self.position.offset - self._chunk_at
        if start < 0 or start + count > len(self._chunk):
            self._chunk = os.pread(self._fd, max(count, _CHUNK), self.position.offset)
            self._chunk_at, start = self.position.offset, 0
        return self._chunk[start : start + count] if start + count <= len(self._chunk) else None


def _identity(folder: Path) -> str:
    path = folder / "identity"
    with contextlib.suppress(FileNotFoundError):
        known = path.read_text().strip()
        if known:
            return known
    fresh = uuid.uuid4().hex
    draft = folder / "identity.new"
    draft.write_text(fresh)
    draft.rename(path)
    return fresh


def _segments(folder: Path) -> list[int]:
    # Asked several times a second while the event loop waits for the interpreter: no object for each name.
    names = os.listdir(folder)  # noqa: PTH208
    return sorted(int(name.removesuffix(_SUFFIX)) for name in names if name.endswith(_SUFFIX))


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:016d}{_SUFFIX}"


def _size(folder: Path, number: int) -> int:
    try:
        return _path(folder, number).stat().st_size
    except FileNotFoundError:
        return 0
