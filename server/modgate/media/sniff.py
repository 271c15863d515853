"""What a file is, from its first bytes, without decoding anything and without trusting its name.

Decoders allocate by the size that the header claims; Pillow's WebP reader does so as soon as a file is opened. So
size and structure are read here first, by code that only indexes into the given bytes.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum

from modgate.media.errors import MediaError, MediaProblem

__all__ = ["Format", "Header", "Kind", "is_heif", "kind_of", "sniff"]


class Format(StrEnum):
    """Picture formats that are decoded."""

    JPEG = "jpeg"
    PNG = "png"
    GIF = "gif"
    WEBP = "webp"
    AVIF = "avif"
    BMP = "bmp"
    HEIF = "heif"


class Kind(StrEnum):
    """What a file is good for."""

    PICTURE = "picture"
    VIDEO = "video"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says.

    Attributes:
        format: By its signature.
        width: In pixels; of the canvas if the picture is animated.
        height: In pixels.
        scans: Passes over the whole picture that decoding makes: 1, or more for a progressive JPEG.
        frames: How many frames there are, as far as can be told without decoding; 1 for a still picture.
    """

    format: Format
    width: int
    height: int
    scans: int = 1
    frames: int = 1


_SIGNATURES = (
    (b"\xff\xd8\xff", Format.JPEG),
    (b"\x89PNG\r\n\x1a\n", Format.PNG),
    (b"GIF87a", Format.GIF),
    (b"GIF89a", Format.GIF),
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"mif1", b"msf1", b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"})
_ISO_PICTURES = _AVIF_BRANDS | _HEIF_BRANDS
_MATROSKA = b"\x1a\x45\xdf\xa3"
_BOX = 8
"""Bytes of an ISO box header: size and type."""


def kind_of(data: bytes, mime_type: str = "") -> Kind:
    """Return what a file is: by its signature where there is one, else by the type that the sender claims."""
    if _format_of(data) is not None:
        return Kind.PICTURE
    if data[4:8] == b"ftyp":
        return Kind.PICTURE if data[8:12] in _ISO_PICTURES else Kind.VIDEO
    if data[:4] == _MATROSKA or (data[:4] == b"RIFF" and data[8:12] == b"AVI "):
        return Kind.VIDEO
    claimed = mime_type.partition("/")[0].strip().lower()
    return {"image": Kind.PICTURE, "video": Kind.VIDEO}.get(claimed, Kind.OTHER)


def is_heif(data: bytes) -> bool:
    """Return whether a file is HEIC, by its first bytes."""
    return _format_of(data) is Format.HEIF


def sniff(data: bytes) -> Header:
    """Read format, size and structure of a picture.

    Raises:
        MediaError: EMPTY, UNSUPPORTED, or DAMAGED if the header is cut off or contradicts itself.
    """
    if not data:
        raise MediaError(MediaProblem.EMPTY)
    format_ = _format_of(data)
    if format_ is None:
        raise MediaError(MediaProblem.UNSUPPORTED, "the bytes are not JPEG, PNG, GIF, WebP, AVIF, HEIC or BMP")
    try:
        header = _READERS[format_](data)
    except (struct.error, IndexError) as error:
        raise MediaError(MediaProblem.DAMAGED, f"the {format_} header is cut off") from error
    if header.width < 1 or header.height < 1:
        raise MediaError(MediaProblem.DAMAGED, f"the {format_} header gives no size")
    return header


def _format_of(data: bytes) -> Format | None:
    for signature, format_ in _SIGNATURES:
        if data.startswith(signature):
            return format_
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Format.WEBP
    if data[4:8] == b"ftyp" and _AVIF_BRANDS & {data[8:12], *_brands(data)}:
        return Format.AVIF
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return Format.HEIF
    # Two letters are too common to be a signature alone; the reserved fields must be zero as well.
    return Format.BMP if data.startswith(b"BM") and len(data) > _BMP_HEADER and not any(data[6:10]) else None


def _brands(data: bytes) -> list[bytes]:
    end = min(int.from_bytes(data[:4], "big"), len(data), 256)
    return [data[at : at + 4] for at in range(16, end - 3, 4)]


def _png(data: bytes) -> Header:
    if data[12:16] != b"IHDR":
        raise MediaError(MediaProblem.DAMAGED, "the png has no IHDR chunk")
    width, height = struct.unpack_from(">II", data, 16)
    frames, at = 1, 33
    while at + _BOX <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name in (b"IDAT", b"IEND"):
            break
        if name == b"acTL":
            frames = max(1, struct.unpack_from(">I", data, at + 8)[0])
        at += length + 12
    return Header(Format.PNG, width, height, frames=frames)


def _gif(data: bytes) -> Header:
    width, height = struct.unpack_from("<HH", data, 6)
    # Most encoders write a control block before each frame; without them, count what looks like a frame's start.
    frames = data.count(b"\x21\xf9\x04") or data.count(b"\x00\x2c")
    return Header(Format.GIF, width, height, frames=max(1, frames))


_BMP_HEADER = 26


def _bmp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 14)
    os2 = 12
    width, height = struct.unpack_from("<HH", data, 18) if size == os2 else struct.unpack_from("<ii", data, 18)
    return Header(Format.BMP, abs(width), abs(height))


def _webp(data: bytes) -> Header:
    chunk = data[12:16]
    if chunk == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        if len(data) < 30:  # noqa: PLR2004  end of the VP8X chunk
            raise MediaError(MediaProblem.DAMAGED, "the webp header is cut off")
        animated = data[20] & 0x02
        return Header(Format.WEBP, width, height, frames=max(1, data.count(b"ANMF")) if animated else 1)
    if chunk == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return Header(Format.WEBP, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Header(Format.WEBP, width & 0x3FFF, height & 0x3FFF)
    raise MediaError(MediaProblem.DAMAGED, "the webp has no picture chunk first")


def _iso(data: bytes) -> Header:
    """Take the largest size that any `ispe` property or track header gives: grids and thumbnails have several."""
    width = height = 0
    at = data.find(b"ispe")
    while at >= 0:
        box = struct.unpack_from(">II", data, at + 8)
        width, height = max(width, box[0]), max(height, box[1])
        at = data.find(b"ispe", at + 4)
    at = data.find(b"tkhd")
    while at >= 0:
        # Version 1 of the box has 64-bit times, so it is 12 bytes longer; sizes are 16.16 fixed point.
        offset = at + (92 if data[at + 4] == 1 else 80)
        box = struct.unpack_from(">II", data, offset)
        width, height = max(width, box[0] >> 16), max(height, box[1] >> 16)
        at = data.find(b"tkhd", at + 4)
    # The sample count of the first sizes table is the number of frames of a sequence.
    frames, at = 1, data.find(b"stsz")
    if at >= 0 and (data[8:12] == b"avis" or b"avis" in _brands(data)):
        frames = max(1, struct.unpack_from(">I", data, at + 12)[0])
    return Header(_format_of(data) or Format.AVIF, width, height, frames=frames)


_SOF = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SOS, _EOI, _STANDALONE = 0xDA, 0xD9, frozenset({0x01, *range(0xD0, 0xD8)})


def _jpeg(data: bytes) -> Header:
    width = height = components = 0
    progressive, at = False, 2
    while True:
        if data[at] != 0xFF:  # noqa: PLR2004  every marker begins so
            raise MediaError(MediaProblem.DAMAGED, "the jpeg has bytes between its segments")
        marker = data[at + 1]
        if marker == 0xFF:  # noqa: PLR2004  fill byte
            at += 1
            continue
        if marker in _STANDALONE:
            at += 2
            continue
        if marker == _EOI:
            raise MediaError(MediaProblem.DAMAGED, "the jpeg ends before its picture")
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker == _SOS:
            break
        if marker in _SOF:
            h, w, components = struct.unpack_from(">HHB", data, at + 5)
            width, height, progressive = max(width, w), max(height, h), marker in _PROGRESSIVE
        at += 2 + length
    several = progressive or data[at + 4] < components
    # Inside entropy-coded data 0xFF is always stuffed, so this finds markers only (and, harmlessly, trailing files).
    scans = data.count(b"\xff\xda", at) if several else 1
    return Header(Format.JPEG, width, height, scans=scans)


_READERS = {
    Format.JPEG: _jpeg,
    Format.PNG: _png,
    Format.GIF: _gif,
    Format.WEBP: _webp,
    Format.AVIF: _iso,
    Format.HEIF: _iso,
    Format.BMP: _bmp,
}
