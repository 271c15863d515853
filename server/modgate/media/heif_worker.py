"""The process that decodes HEIC: `python -m modgate.media.heif_worker`. The protocol is that of `frame_worker`.

libheif and libde265 have a history of memory errors, so they never run in the gate's own process.
"""

import io
import time

import pi_heif

from modgate.media.decode import finish
from modgate.media.errors import MediaError, MediaProblem
from modgate.media.frame_worker import Show, serve
from modgate.media.limits import Limits
from modgate.media.sniff import Format, Header, sniff

__all__ = ["main"]

_LIMITS = Limits()


def main() -> None:
    """Serve requests from standard input until it ends."""
    options = pi_heif.options
    options.DECODE_THREADS = 1
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    serve(_sample)


def _sample(data: bytes, count: int, deadline: float, show: Show) -> None:
    header = sniff(data)
    if header.format is not Format.HEIF:
        raise MediaError(MediaProblem.UNSUPPORTED, "the bytes are not HEIF")
    _LIMITS.check(header)
    images = pi_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
    # The file's main picture first: it is what viewers show. Others, as in bursts, as far as the limits allow.
    order = sorted(range(len(images)), key=lambda index: index != images.primary_index)
    walked = 0
    for place, index in enumerate(order[:count]):
        if time.monotonic() >= deadline:
            raise MediaError(MediaProblem.DEADLINE)
        image = images[index]
        _LIMITS.check(Header(Format.HEIF, *image.size))
        walked += image.size[0] * image.size[1]
        if place and walked > _LIMITS.walked:
            break
        # libheif turns and mirrors as the file says; EXIF's orientation does not count in HEIF.
        show(finish(image.to_pillow(), None, _LIMITS), 0)


if __name__ == "__main__":
    main()
