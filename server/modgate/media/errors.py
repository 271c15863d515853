"""Why a medium could not be looked at. The codes are stable: they are metric labels and appear in explanations."""

from enum import StrEnum

__all__ = ["MediaError", "MediaProblem"]


class MediaProblem(StrEnum):
    """What is wrong with a medium, or with the moment."""

    EMPTY = "empty"
    """No bytes at all."""
    TOO_MANY_BYTES = "too_many_bytes"
    """The file is larger than the configured limit."""
    UNSUPPORTED = "unsupported"
    """Not a format that is decoded, whatever its name or type claims."""
    TOO_LARGE = "too_large"
    """More pixels than the limit of its format; refused from the header, before anything is decoded."""
    TOO_COMPLEX = "too_complex"
    """Its structure would cost more work than its size suggests, such as a JPEG with hundreds of scans."""
    DAMAGED = "damaged"
    """Truncated or corrupt."""
    REFUSED = "refused"
    """It is only named, and the address is not one that may be fetched."""
    UNREACHABLE = "unreachable"
    """It is only named, and could not be fetched from there."""
    DEADLINE = "deadline"
    """Not done in time; the worker drops it as soon as it can."""
    BUSY = "busy"
    """No worker was free and too many pictures wait."""


class MediaError(Exception):
    """A medium could not be looked at."""

    def __init__(self, problem: MediaProblem, detail: str = "") -> None:
        super().__init__(f"{problem}: {detail}" if detail else problem.value)
        self.problem = problem
        self.detail = detail

    def to_keep(self) -> "MediaError":
        """Return the same without its traceback, whose frames hold the whole picture."""
        return MediaError(self.problem, self.detail)
