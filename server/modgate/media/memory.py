"""Giving memory back to the system: what large pictures leave behind in the allocator is of no use to anybody else."""

import ctypes
from contextlib import suppress

__all__ = ["give_back"]


def give_back() -> None:
    """Hand free pages of the heap back to the system, if the C library is one that can (glibc).

    glibc keeps what a thread has freed for that thread. With several threads and pictures of all sizes that adds up to
    hundreds of megabytes. Takes some milliseconds, without the interpreter's lock; the next pictures fault pages in.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
