"""Decoding: every honest picture comes out right, every hostile one is refused with its reason."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from tests.media.pictures import encode, picture_bytes, soon

from modgate.media.decode import decode, distinct
from modgate.media.errors import MediaError, MediaProblem
from modgate.media.limits import Limits
from modgate.media.sniff import Format, Kind, kind_of, sniff

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
STILL = {"JPEG": Format.JPEG, "PNG": Format.PNG, "GIF": Format.GIF, "WEBP": Format.WEBP, "AVIF": Format.AVIF}
STILL["BMP"] = Format.BMP


def halves(width: int = 64, height: int = 32) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def pixel(data: bytes, x: int, y: int) -> list[int]:
    colour: list[int] = np.asarray(decode(data, soon(), Limits()).frames[0])[y, x].tolist()
    return colour


def refusal(data: bytes, limits: Limits | None = None) -> MediaProblem:
    with pytest.raises(MediaError) as error:
        decode(data, soon(), limits or Limits())
    return error.value.problem


@pytest.mark.parametrize(("kind", "format_"), STILL.items())
def test_formats(kind: str, format_: Format) -> None:
    """Each supported format is told by its signature and decodes to the right colours at the right size."""
    data = encode(halves(), kind)
    picture = decode(data, soon(), Limits())
    assert (picture.format, picture.width, picture.height) == (format_, 64, 32)
    (frame,) = picture.frames
    assert (frame.mode, frame.size) == ("RGB", (64, 32))
    assert frame.getpixel((8, 16)) == pytest.approx(RED, abs=12)
    assert frame.getpixel((56, 16)) == pytest.approx(BLUE, abs=12)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(orientation: int) -> None:
    """A picture that EXIF turns is looked at as the receiver sees it."""
    upright = halves()
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turns[orientation]) if orientation in turns else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    (frame,) = decode(encode(stored, "JPEG", quality=95, exif=exif), soon(), Limits()).frames
    assert frame.size == (64, 32)
    assert frame.getpixel((8, 16)) == pytest.approx(RED, abs=12)


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (halves().convert("CMYK"), "JPEG", RED),
        (halves().convert("L"), "JPEG", (76, 76, 76)),
        (halves().convert("P"), "PNG", RED),
        (halves().convert("1", dither=Image.Dither.NONE), "PNG", (0, 0, 0)),
        (Image.new("RGBA", (64, 32), (255, 0, 0, 0)), "PNG", WHITE),
        (Image.new("RGBA", (64, 32), (255, 0, 0, 0)), "WEBP", WHITE),
        (Image.new("LA", (64, 32), (0, 128)), "PNG", (127, 127, 127)),
        (Image.fromarray(np.full((32, 64), 0x80FF, np.uint16)), "PNG", (128, 128, 128)),
    ],
    ids=["cmyk", "grey", "palette", "one-bit", "clear-png", "clear-webp", "grey-alpha", "sixteen-bit"],
)
def test_modes(image: Image.Image, kind: str, expected: tuple[int, int, int]) -> None:
    """Every colour mode becomes RGB, with alpha laid on white."""
    assert pixel(encode(image, kind), 8, 16) == pytest.approx(expected, abs=3)


def test_palette_with_a_clear_colour() -> None:
    """A palette entry that is declared clear is white."""
    image = halves().convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    data = encode(image, "PNG", transparency=image.getpixel((8, 16)))
    assert pixel(data, 8, 16) == list(WHITE)
    assert pixel(data, 56, 16) == pytest.approx(BLUE, abs=3)


def test_large_pictures_are_shrunk() -> None:
    """What is kept of a large picture is bounded, and still shows what it shows."""
    for kind in ("JPEG", "PNG"):
        picture = decode(encode(halves(3000, 1900), kind), soon(), Limits())
        (frame,) = picture.frames
        assert (picture.width, picture.height) == (3000, 1900)
        assert frame.height >= 600
        assert frame.width * frame.height <= Limits().working
        assert frame.getpixel((50, 300)) == pytest.approx(RED, abs=12)


def _png(width: int, height: int) -> bytes:
    """A PNG whose header announces a size, with next to nothing behind it."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" * 1000))]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in [*chunks, (b"IEND", b"")]
    )
    return b"\x89PNG\r\n\x1a\n" + body


def _webp(width: int, height: int) -> bytes:
    """A WebP whose canvas announces a size: Pillow would allocate it twice as soon as it opens the file."""
    canvas = struct.pack("<I", 0x02) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = b"VP8X" + struct.pack("<I", len(canvas)) + canvas + b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def _resized(kind: str, old: bytes, new: bytes) -> bytes:
    """A real picture whose header lies about its size."""
    return encode(halves(64, 32), kind).replace(old, new, 1)


@pytest.mark.parametrize(
    "data",
    [
        _png(20_990, 29_700),
        _png(0x7FFFFFFF, 0x7FFFFFFF),
        _png(1, 100_000),
        _webp(16_384, 16_384),
        _resized("GIF", struct.pack("<HH", 64, 32), b"\xff\xff\xff\xff"),
        _resized("JPEG", struct.pack(">HH", 32, 64), b"\xff\xdc\xff\xdc"),
        _resized(
            "AVIF", b"ispe\0\0\0\0" + struct.pack(">II", 64, 32), b"ispe\0\0\0\0" + struct.pack(">II", 1 << 16, 1 << 16)
        ),
        _resized("BMP", struct.pack("<ii", 64, 32), struct.pack("<ii", 30_000, -30_000)),
    ],
    ids=["png-600-megapixels", "png-largest", "png-long", "webp", "gif", "jpeg", "avif", "bmp"],
)
def test_bombs_are_refused_from_the_header(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that announces too many pixels is refused before Pillow is asked to open it."""
    monkeypatch.setattr(Image, "open", lambda *_args, **_kwargs: pytest.fail("must not be opened"))
    assert refusal(data) is MediaProblem.TOO_LARGE


def test_jpeg_with_hundreds_of_scans() -> None:
    """A progressive JPEG that repeats its scans costs much more than its size shows, and is refused."""
    data = encode(halves(1600, 1200), "JPEG", progressive=True)
    assert 1 < sniff(data).scans < 20
    decode(data, soon(), Limits())
    start = data.index(b"\xff\xda")
    end = data.index(b"\xff\xda", start + 2)
    bomb = data[:end] + data[start:end] * 200 + data[end:]
    assert refusal(bomb) is MediaProblem.TOO_COMPLEX


def test_too_many_bytes() -> None:
    """A file over the limit is refused, whatever it is."""
    assert refusal(b"x" * 101, Limits(file_bytes=100)) is MediaProblem.TOO_MANY_BYTES


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", MediaProblem.EMPTY),
        (b"hello, this is text that calls itself image/png", MediaProblem.UNSUPPORTED),
        (b"%PDF-1.7 ...", MediaProblem.UNSUPPORTED),
        (b"II*\0\x08\0\0\0", MediaProblem.UNSUPPORTED),
        (b"\xff\xd8\xff", MediaProblem.DAMAGED),
        (b"\xff\xd8\xff\xe0\0\0", MediaProblem.DAMAGED),
        (b"\x89PNG\r\n\x1a\n", MediaProblem.DAMAGED),
        (b"GIF89a", MediaProblem.DAMAGED),
        (b"RIFF\0\0\0\0WEBPVP8X", MediaProblem.DAMAGED),
        (b"RIFF\0\0\0\0WEBPXXXX" + bytes(20), MediaProblem.DAMAGED),
        (b"\0\0\0\x1cftypavif" + bytes(20), MediaProblem.DAMAGED),
        (b"BM" + bytes(30), MediaProblem.DAMAGED),
    ],
)
def test_foreign_and_cut_off_files(data: bytes, problem: MediaProblem) -> None:
    """Text, other formats and bare headers are refused with their reason."""
    assert refusal(data) is problem


@pytest.mark.parametrize("kind", STILL)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_truncated_pictures(kind: str, share: float) -> None:
    """A picture that is cut off is damaged: a viewer may show what the decoder did not see."""
    noise = Image.effect_noise((256, 256), 80).convert("RGB")
    data = encode(noise, kind)
    assert refusal(data[: int(len(data) * share)]) is MediaProblem.DAMAGED


@pytest.mark.parametrize("harm", [lambda d: d[:900] + bytes(64) + d[964:], lambda d: d[:60] + b"\xff" * 200 + d[260:]])
def test_overwritten_pictures(harm: Callable[[bytes], bytes]) -> None:
    """Corrupt data gives pixels or a MediaError, and nothing else."""
    for kind in STILL:
        data = harm(encode(Image.effect_noise((128, 128), 80).convert("RGB"), kind))
        try:
            decode(data, soon(), Limits())
        except MediaError as error:
            assert error.problem in (MediaProblem.DAMAGED, MediaProblem.TOO_LARGE)  # noqa: PT017  both outcomes are right


def test_nothing_is_done_after_the_deadline() -> None:
    """A picture whose time is over is not decoded."""
    with pytest.raises(MediaError) as error:
        decode(encode(halves()), 0.0, Limits())
    assert error.value.problem is MediaProblem.DEADLINE


def _red(frame: Image.Image) -> int:
    return int(np.asarray(frame)[32, 32, 0])


def _animation(kind: str, frames: int, size: int = 64) -> bytes:
    """Frames that go from black to white."""
    shades = [Image.new("RGB", (size, size), (index * 255 // (frames - 1),) * 3) for index in range(frames)]
    buffer = io.BytesIO()
    shades[0].save(buffer, kind, save_all=True, append_images=shades[1:], duration=50)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "AVIF", "PNG"])
def test_animations_are_sampled(kind: str) -> None:
    """Of an animation the first, the last and frames between are judged."""
    picture = decode(_animation(kind, 10), soon(), Limits())
    assert picture.total_frames == 10
    assert picture.complete
    shades = [_red(frame) for frame in picture.frames]
    assert shades == pytest.approx([0, 85, 170, 255], abs=6)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "AVIF", "PNG"])
def test_long_animations_are_bounded(kind: str) -> None:
    """No more of an animation is decoded than the limit of pixels allows, and that is told."""
    picture = decode(_animation(kind, 12), soon(), Limits(walked=64 * 64 * 5))
    assert not picture.complete
    assert len(picture.frames) == 4
    assert _red(picture.frames[-1]) == pytest.approx(4 * 255 // 11, abs=6)


def test_frames_that_show_the_same_are_judged_once() -> None:
    """An animation in which little moves costs no more than a picture."""
    frames = [halves(256, 256) for _ in range(6)]
    for index, frame in enumerate(frames):
        frame.paste(GREEN, (10 * index, 10, 10 * index + 12, 20))
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    picture = decode(data, soon(), Limits())
    assert (picture.total_frames, len(picture.frames), len(distinct(picture.frames))) == (6, 4, 1)


def test_kinds() -> None:
    """Signatures decide what a medium is; the claimed type only where there is no signature."""
    assert kind_of(encode(halves()), "audio/ogg") is Kind.PICTURE
    assert kind_of(b"hello", "image/png") is Kind.PICTURE
    assert kind_of(b"\0\0\0\x18ftypisom", "application/octet-stream") is Kind.VIDEO
    assert kind_of(b"\0\0\0\x18ftypheic") is Kind.PICTURE
    assert kind_of(b"\x1a\x45\xdf\xa3....webm") is Kind.VIDEO
    assert kind_of(b"OggS", "audio/ogg") is Kind.OTHER
    assert kind_of(b"", "") is Kind.OTHER


def test_a_golden_photograph_is_not_shrunk() -> None:
    """Up to two megapixels nothing is lost before the model's own resize."""
    (frame,) = decode(picture_bytes("retina.jpg"), soon(), Limits()).frames
    assert frame.size == (1411, 1411)
