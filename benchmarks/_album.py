"""Pictures as chats carry them, by formats, sizes and repetition, made of scikit-image's photographs. Seeded."""

import io
import random
from pathlib import Path

import skimage
from PIL import Image, ImageDraw

__all__ = ["FORWARDED", "KINDS", "PHOTOGRAPHS", "Album", "photograph"]

PHOTOGRAPHS = Path(skimage.__file__).parent / "data"
FORWARDED = 0.3
"""Share of pictures that were sent before, byte for byte."""
KINDS = {"photo": 0.4, "large photo": 0.15, "turned photo": 0.15, "screenshot": 0.15, "sticker": 0.1, "animation": 0.05}
"""Shares of what is new: JPEG 1280 x 960, JPEG 1600 x 1200, JPEG 1280 x 960 turned by EXIF, PNG 720 x 1280, WebP 512
x 512
with alpha, GIF 320 x 240 of eight frames."""

_SOURCES = ("astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "motorcycle_left.png", "rocket.jpg")
_OF_EACH = 12
_ORIENTATION = 0x0112


def photograph(width: int = 1280, height: int = 960, quality: int = 85) -> bytes:
    """Return a JPEG of a person's photograph, scaled up."""
    image = Image.open(PHOTOGRAPHS / "astronaut.png").resize((width, height), Image.Resampling.BICUBIC)
    return _encoded(image, "JPEG", quality=quality)


class Album:
    """Yields pictures. Every new one has bytes of its own: a few are made of each kind, told apart behind their end."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._photographs = [Image.open(PHOTOGRAPHS / name).convert("RGB") for name in _SOURCES]
        self._made = {kind: [self._make(kind) for _ in range(_OF_EACH)] for kind in KINDS}
        self._sent: list[bytes] = []

    def next(self) -> tuple[str, bytes]:
        """Return what kind of picture it is, `forwarded` if it was returned before, and the picture."""
        draw = self._draw
        if self._sent and draw.random() < FORWARDED:
            return "forwarded", draw.choice(self._sent)
        kind = draw.choices(list(KINDS), list(KINDS.values()))[0]
        fresh = draw.choice(self._made[kind]) + draw.randbytes(8)
        self._sent.append(fresh)
        return kind, fresh

    def _make(self, kind: str) -> bytes:
        if kind == "photo":
            return _encoded(self._crop(1280, 960), "JPEG", quality=85)
        if kind == "large photo":
            return _encoded(self._crop(1600, 1200), "JPEG", quality=80)
        if kind == "turned photo":
            exif = Image.Exif()
            exif[_ORIENTATION] = 6
            return _encoded(self._crop(1280, 960), "JPEG", quality=85, exif=exif)
        if kind == "screenshot":
            return _encoded(self._screenshot(), "PNG")
        if kind == "sticker":
            image = self._crop(512, 512)
            image.putalpha(Image.radial_gradient("L").resize(image.size).point(lambda value: 255 if value < 180 else 0))
            return _encoded(image, "WEBP", quality=80)
        # A scene in which something moves, as most animations in chats are.
        scene = self._crop(320, 240)
        frames = [scene.copy() for _ in range(8)]
        for index, frame in enumerate(frames):
            frame.paste(scene.crop((40, 40, 140, 140)), (20 * index, 120 - 10 * index))
        return _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=80)

    def _crop(self, width: int, height: int) -> Image.Image:
        source, draw = self._draw.choice(self._photographs), self._draw
        share = draw.uniform(0.6, 1.0)
        w, h = source.width * share, source.height * share
        x, y = draw.uniform(0, source.width - w), draw.uniform(0, source.height - h)
        return source.resize((width, height), Image.Resampling.BICUBIC, box=(x, y, x + w, y + h))

    def _screenshot(self) -> Image.Image:
        image = Image.new("RGB", (720, 1280), (236, 229, 221))
        draw = ImageDraw.Draw(image)
        for row in range(12):
            width, left = self._draw.randrange(200, 560), self._draw.choice((20, 140))
            draw.rounded_rectangle((left, 30 + 95 * row, left + width, 100 + 95 * row), 12, fill=(255, 255, 255))
            draw.text((left + 12, 52 + 95 * row), "see you at the station tomorrow"[: width // 9], fill=(20, 20, 20))
        image.paste(self._crop(300, 220), (140, 500))
        return image


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
