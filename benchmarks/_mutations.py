"""Hostile pictures by the thousand: real files of every format, broken in the ways that break decoders. Seeded."""

import io
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["mutants", "seeds", "videos"]

_STORED = Path(__file__).parents[1] / "tests" / "data" / "images"
_TRAILERS = (
    b"PK\x03\x04" + bytes(26),
    b"<script>alert(1)</script>",
    b"%PDF-1.7\n1 0 obj<<>>endobj",
    b"\x7fELF" + bytes(60),
    b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>",
)
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)


def _drawing(width: int, height: int, scene: int = 0) -> Image.Image:
    image = Image.effect_noise((width, height), 60).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.ellipse((width // 4, height // 4, width // 2, height // 2), fill=(200, 40, 40))
    draw.rectangle((width // 2, height // 2, width - 9, height - 9), fill=(30 + 40 * scene, 90, 200 - 35 * scene))
    return image


def _encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def seeds() -> dict[str, bytes]:
    """Return well-formed pictures: every format, mode and structure that is decoded."""
    image = _drawing(320, 240)
    clear = image.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(image.size))
    more = [_drawing(320, 240, scene) for scene in range(1, 6)]
    exif = Image.Exif()
    exif[0x0112] = 6
    moving = {"save_all": True, "append_images": more, "duration": 40}
    return {
        "jpeg": _encode(image, "JPEG", quality=80, exif=exif),
        "jpeg-progressive": _encode(image, "JPEG", progressive=True),
        "jpeg-cmyk": _encode(image.convert("CMYK"), "JPEG"),
        "jpeg-large": _encode(_drawing(2400, 1800), "JPEG"),
        "png": _encode(image, "PNG"),
        "png-palette": _encode(image.convert("P"), "PNG", transparency=3),
        "png-alpha": _encode(clear, "PNG"),
        "png-16": _encode(image.convert("I;16"), "PNG"),
        "apng": _encode(image, "PNG", **moving),
        "gif": _encode(image, "GIF"),
        "gif-moving": _encode(image, "GIF", **moving, disposal=2),
        "webp": _encode(image, "WEBP", quality=70),
        "webp-lossless": _encode(clear, "WEBP", lossless=True),
        "webp-moving": _encode(image, "WEBP", **moving),
        "avif": _encode(image, "AVIF", quality=60),
        "avif-moving": _encode(image, "AVIF", **moving),
        "bmp": _encode(image, "BMP"),
        # Pillow writes no HEIC: these were made with x265.
        **{f"heic-{name}": (_STORED / f"{name}.heic").read_bytes() for name in ("photo", "two", "turned", "large")},
    }


def videos() -> dict[str, bytes]:
    """Return well-formed videos in the containers that are decoded; needs PyAV."""
    import av  # noqa: PLC0415  an extra: pictures are broken without it, too

    made = {}
    for codec, container in (("mpeg4", "mp4"), ("libvpx-vp9", "webm"), ("libvpx", "matroska"), ("mpeg4", "avi")):
        buffer = io.BytesIO()
        with av.open(buffer, "w", format=container) as video:
            stream: Any = video.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            stream.codec_context.gop_size = 5
            for _ in range(20):
                video.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(_drawing(320, 240)), format="rgb24")))
            video.mux(stream.encode())
        made[f"{container}-{codec}"] = buffer.getvalue()
    return made


def mutants(count: int, seed: int = 6, whole: dict[str, bytes] | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield `count` named broken files, made of pictures or of what is given; the same ones for the same seed."""
    rng = random.Random(seed)
    whole = whole or seeds()
    names = sorted(whole)
    breakers = (_flip, _flip_header, _truncate, _repeat, _splice, _extremes, _sizes, _trail, _prefix, _bomb)
    for index in range(count):
        name = names[index % len(names)]
        breaker = breakers[rng.randrange(len(breakers))]
        yield f"{name}{breaker.__name__}", breaker(whole[name], rng, whole)


def _flip(data: bytes, rng: random.Random, _: dict[str, bytes]) -> bytes:
    broken = bytearray(data)
    for _i in range(rng.choice((1, 3, 20, 200))):
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    return bytes(broken)


def _flip_header(data: bytes, rng: random.Random, _: dict[str, bytes]) -> bytes:
    broken = bytearray(data)
    for _i in range(rng.choice((1, 2, 5))):
        broken[rng.randrange(min(len(broken), 400))] = rng.randrange(256)
    return bytes(broken)


def _truncate(data: bytes, rng: random.Random, _: dict[str, bytes]) -> bytes:
    return data[: rng.randrange(len(data))]


def _repeat(data: bytes, rng: random.Random, _: dict[str, bytes]) -> bytes:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.choice((8, 100, 4000))]
    return data[:start] + piece * rng.choice((2, 50, 400)) + data[start:]


def _splice(data: bytes, rng: random.Random, whole: dict[str, bytes]) -> bytes:
    other = whole[rng.choice(sorted(whole))]
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def _extremes(data: bytes, rng: random.Random, _: dict[str, bytes]) -> bytes:
    broken = bytearray(data)
    at, length = rng.randrange(min(len(data), 2000)), rng.choice((1, 2, 4, 8))
    broken[at : at + length] = bytes([rng.choice(_EXTREMES)]) * length
    return bytes(broken)


def _sizes(data: bytes, rng: random.Random, _: dict[str, bytes]) -> bytes:
    """Overwrite what may be a length or a dimension."""
    broken = bytearray(data)
    at = rng.randrange(4, min(len(data) - 8, 600))
    number = rng.choice((0, 1, 255, 320, 65_535, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFF))
    form = rng.choice(("<I", ">I", "<H", ">H"))
    struct.pack_into(form, broken, at, number & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
    return bytes(broken)


def _trail(data: bytes, rng: random.Random, _: dict[str, bytes]) -> bytes:
    return data + rng.choice(_TRAILERS) * rng.choice((1, 1000))


def _prefix(data: bytes, rng: random.Random, _: dict[str, bytes]) -> bytes:
    return rng.choice((b"GIF89a", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF0000WEBP", b"\n")) + data


def _bomb(data: bytes, rng: random.Random, _: dict[str, bytes]) -> bytes:
    """A header that promises much more than there is, or a little file that unpacks to a lot."""
    width, height = rng.choice(((50_000, 50_000), (1, 2_000_000), (2400, 2400), (4000, 3000), (0x7FFFFFFF, 1)))
    depth, colour = rng.choice(((8, 2), (16, 6), (1, 0), (8, 3)))
    packed = zlib.compress(bytes(rng.choice((1000, 6_000_000))), 9)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, rng.randrange(2))),
        (b"zTXt", b"x\0\0" + zlib.compress(bytes(rng.choice((10, 3_000_000))))),
        (b"PLTE", bytes(768)),
        (b"IDAT", packed if rng.random() < 0.7 else data),
        (b"IEND", b""),
    ]
    body = (struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)
