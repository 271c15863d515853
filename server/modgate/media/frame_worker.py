"""What the processes have in common that decode what the gate does not trust to its own: one file after the other.

They may crash, and are killed when they are late. They read from memory alone, and limit their own.

Request, big-endian: `size: u32, frames: u16, seconds: f64`, then the file. Response: any number of frames, each
`b"F", width: u16, height: u16, milliseconds: u32` and RGB bytes; then `b"E", length: u16` and JSON with `problem` (a
code of `MediaProblem`, or null) and `detail`.
"""

import json
import resource
import struct
import sys
import time
from collections.abc import Callable

from PIL import Image

from modgate.media.errors import MediaError, MediaProblem
from modgate.media.memory import give_back

__all__ = ["END", "FRAME", "REQUEST", "Sampler", "Show", "serve"]

REQUEST = struct.Struct(">IHd")
FRAME = struct.Struct(">HHI")
END = struct.Struct(">H")

Show = Callable[[Image.Image, int], None]
"""Hands a frame on: RGB, and when it is shown, in milliseconds."""
Sampler = Callable[[bytes, int, float, Show], None]
"""Samples a file: its bytes, how many frames are looked for, and the deadline in `time.monotonic()` seconds."""

_MEMORY = 1 << 30
"""Bytes of address space beyond what is mapped at start; a decoder that wants more fails."""


def serve(sample: Sampler) -> None:
    """Answer requests from standard input until it ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: PTH123, SIM115
    resource.setrlimit(resource.RLIMIT_AS, (mapped + _MEMORY, hard))
    source, sink = sys.stdin.buffer, sys.stdout.buffer

    def show(image: Image.Image, milliseconds: int) -> None:
        sink.write(b"F" + FRAME.pack(image.width, image.height, milliseconds))
        sink.write(image.tobytes())
        sink.flush()

    while header := source.read(REQUEST.size):
        size, frames, seconds = REQUEST.unpack(header)
        end: dict[str, object] = {"problem": None, "detail": ""}
        try:
            sample(source.read(size), frames, time.monotonic() + seconds, show)
        except MediaError as error:
            end |= {"problem": error.problem.value, "detail": error.detail}
        except MemoryError:
            end |= {"problem": MediaProblem.TOO_LARGE.value, "detail": "not enough memory"}
        except Exception as error:  # noqa: BLE001  decoders' errors are many, and all mean that the file is damaged
            end |= {"problem": MediaProblem.DAMAGED.value, "detail": type(error).__name__}
        text = json.dumps(end).encode()
        sink.write(b"E" + END.pack(len(text)) + text)
        sink.flush()
        give_back()
