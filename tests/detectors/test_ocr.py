"""Reading text in pictures with the real models."""

import os
import time
from pathlib import Path

import matplotlib as mpl
import pytest
from PIL import Image, ImageDraw, ImageFont
from tests.media.pictures import BUNDLES, picture_bytes, soon

from modgate.detectors.ocr import OcrReader
from modgate.inference.bundle import Bundle, read_manifest
from modgate.media.decode import decode
from modgate.media.errors import MediaError, MediaProblem
from modgate.media.limits import Limits

FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"
LINES = ["Call me at +1 415 555 0132", "or mail bob.smith@example.com", "visit http://cheap-pills.example", "You idiot"]


@pytest.fixture(scope="module")
def reader() -> OcrReader:
    folder = BUNDLES / "pp-ocrv6-tiny"
    if not (folder / read_manifest(folder).model).exists() and not os.environ.get("CI"):
        pytest.skip("weights are missing: modgate models fetch pp-ocrv6-tiny")
    return OcrReader(Bundle.load(folder))


def _page(lines: list[str], font: str = "DejaVuSans.ttf", size: int = 28, turned: float = 0.0) -> Image.Image:
    image = Image.new("RGB", (640, 80 + 60 * len(lines)), "white")
    face = ImageFont.truetype(str(FONTS / font), size)
    for index, line in enumerate(lines):
        ImageDraw.Draw(image).text((40, 40 + 60 * index), line, fill="black", font=face)
    return image.rotate(turned, Image.Resampling.BICUBIC, expand=True, fillcolor="white")


@pytest.mark.parametrize("font", ["DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf", "DejaVuSans-Bold.ttf"])
def test_reads_lines_in_order(reader: OcrReader, font: str) -> None:
    """Lines are read letter by letter, in reading order, in different fonts."""
    reading = reader.read(_page(LINES, font), soon())
    assert [line.text for line in reading.lines] == LINES
    assert not reading.late
    assert reading.text == "\n".join(LINES)
    assert all(line.score > 0.8 for line in reading.lines)


@pytest.mark.parametrize("degrees", [-20, 6, 90, -90])
def test_reads_tilted_and_upright_lines(reader: OcrReader, degrees: int) -> None:
    """A picture that is tilted or lies on its side is still read."""
    assert sorted(line.text for line in reader.read(_page(LINES[1:], turned=degrees), soon()).lines) == sorted(
        LINES[1:]
    )


def test_boxes_are_where_the_text_is(reader: OcrReader) -> None:
    """A line's box covers it, in shares of the picture."""
    (line,) = reader.read(_page(["Hello there"]), soon()).lines
    box = line.box
    assert box.left == pytest.approx(40 / 640, abs=0.03)
    assert 0.2 < box.right < 0.5
    assert 0.15 < box.top < 0.35
    assert 0.4 < box.bottom < 0.8


def test_photographs_say_nothing(reader: OcrReader) -> None:
    """No text is made up from fur, coffee or stars."""
    for name in ("chelsea.png", "hubble_deep_field.jpg", "open_nsfw_positive.png"):
        assert reader.read(decode(picture_bytes(name), soon(), Limits()).frames[0], soon()).lines == ()


@pytest.mark.usefixtures("reader")
def test_large_text_comes_first_when_lines_are_capped() -> None:
    """If there are more lines than may be read, the largest are read and the reading says how many there are."""
    capped = OcrReader(Bundle.load(BUNDLES / "pp-ocrv6-tiny"), most=1)
    page = _page(["small print"], size=16)
    large = _page(["LARGE"], size=48)
    both = Image.new("RGB", (max(page.width, large.width), page.height + large.height), "white")
    both.paste(page, (0, 0))
    both.paste(large, (0, page.height))
    reading = capped.read(both, soon())
    assert reading.text == "LARGE"
    assert (reading.found, reading.late) == (2, False)


def test_no_step_is_begun_that_cannot_end_in_time(reader: OcrReader) -> None:
    """Steps take as long as they took before, so a picture without time for the first is refused at once."""
    page = _page(LINES)
    with pytest.raises(MediaError) as error:
        reader.read(page, time.monotonic() + 0.001)
    assert error.value.problem is MediaProblem.DEADLINE


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (31, 33)])
def test_any_shape_is_read(reader: OcrReader, size: tuple[int, int]) -> None:
    """Pictures of odd proportions are read, to nothing."""
    assert reader.read(Image.new("RGB", size), soon()).lines == ()


def test_other_bundles_are_refused() -> None:
    """A bundle without the section for reading text is refused by name."""
    with pytest.raises(ValueError, match="bundle swiftformer-s cannot read text"):
        OcrReader(Bundle(read_manifest(BUNDLES / "swiftformer-s"), BUNDLES / "swiftformer-s", ""))
