"""head-hate-symbol: a probe for the hooked cross, learnt from drawings that this recipe makes.

No pictures of hate are collected: the symbol, in both directions, and its look-alikes are drawn on plain grounds and on
parts of scikit-image's photographs, turned, coloured, blurred and compressed. A linear head on the features of
efficientnet-lite0 learns the difference, and is rated on other grounds. Religious use looks the same: for flagging, not
for blocking.
"""

import io
import random
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
import skimage
from models.images.sources import BUNDLES
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from modgate.inference.bundle import Bundle
from modgate.inference.image_model import ImageModel
from modgate.inference.runner import Runner
from modgate.media.heads import fit_head
from modgate.media.preprocess import preprocess

_SIDE = 256
_PHOTOGRAPHS = Path(skimage.__file__).parent / "data"
_LEARNT = ("astronaut.png", "coffee.png", "hubble_deep_field.jpg", "brick.png", "ihc.png", "motorcycle_left.png")
_UNSEEN = ("chelsea.png", "rocket.jpg", "retina.jpg", "grass.png", "page.png", "gravel.png")
_OTHERS = ("plus", "star", "window", "T", "H", "S", "ring", "nothing", *["glyph"] * 6, *["scribble"] * 4)
"""Look-alikes, and the drawings that pictures in chats are full of."""
_FONTS = sorted((Path(mpl.get_data_path()) / "fonts" / "ttf").glob("DejaVu*.ttf"))
_Bar = tuple[float, float, float, float]


def build() -> None:
    """Render, fit, rate on unseen grounds, write."""
    rng = random.Random(11)
    grounds = [_photograph(name) for name in _LEARNT]
    base = Bundle.load(BUNDLES / "efficientnet-lite0")
    with tempfile.TemporaryDirectory() as scratch:
        for label, count in (("hate_symbol", 400), ("other", 1200)):
            folder = Path(scratch) / label
            folder.mkdir()
            for index in range(count):
                kind = "hooked" if label == "hate_symbol" else rng.choice(_OTHERS)
                (folder / f"{index}.jpg").write_bytes(_render(kind, grounds, rng))
        report = fit_head(base, Path(scratch), "hate_symbol", BUNDLES, print)
    print(f"left out: precision {report.precision:.2f}, recall {report.recall:.2f} at {report.threshold:g}")
    _rate(Bundle.load(report.path), report.threshold)


def _rate(bundle: Bundle, threshold: float) -> None:
    """Print how often the head fires on grounds that it has never seen."""
    rng = random.Random(12)
    grounds = [_photograph(name) for name in _UNSEEN]
    runner = Runner(1)
    model = ImageModel(bundle, runner)
    spec = bundle.manifest.image
    if spec is None:
        raise SystemExit("the head has no input")
    for kinds in (("hooked",), _OTHERS):
        hits, count = 0, 150
        for _ in range(count):
            image = Image.open(io.BytesIO(_render(rng.choice(kinds), grounds, rng)))
            hits += bool(model.scores_now(preprocess(image, spec))[0] >= threshold)
        print(f"unseen grounds, {'the symbol' if kinds == ('hooked',) else 'look-alikes'}: {hits} of {count} fire")
    runner.close()


def _photograph(name: str) -> Image.Image:
    return Image.open(_PHOTOGRAPHS / name).convert("RGB")


def _bars(kind: str, unit: float, width: float) -> list[_Bar]:
    """Return the bars of a figure in a square of five units."""
    low, high, middle, half = 0.5 * unit, 4.5 * unit, 2.5 * unit, width / 2
    cross = [(middle - half, low, middle + half, high), (low, middle - half, high, middle + half)]
    top, bottom = (low, low, high, low + width), (low, high - width, high, high)
    left, right = (low, low, low + width, high), (high - width, low, high, high)
    hooks = [(middle - half, low, high, low + width), (high - width, middle - half, high, high)]
    hooks += [(low, high - width, middle + half, high), (low, low, low + width, middle + half)]
    figures: dict[str, list[_Bar]] = {
        "hooked": cross + hooks,
        "plus": cross,
        "window": [*cross, top, bottom, left, right],
        "T": [top, cross[0]],
        "H": [left, right, cross[1]],
        "S": [top, bottom, cross[1], (low, low, low + width, middle), (high - width, middle, high, high)],
    }
    return figures.get(kind, [])


def _figure(kind: str, size: int, weight: float, rng: random.Random) -> Image.Image:
    mask = Image.new("L", (size, size), 0)
    draw = ImageDraw.Draw(mask)
    unit = size / 5
    for bar in _bars(kind, unit, weight * unit):
        draw.rectangle(bar, fill=255)
    if kind == "star":
        spikes = [(size / 2 * (0.9 if i % 2 == 0 else 0.38), i * np.pi / 5) for i in range(10)]
        draw.polygon([(size / 2 + r * np.sin(a), size / 2 - r * np.cos(a)) for r, a in spikes], fill=255)
    elif kind == "glyph":
        face = ImageFont.truetype(str(rng.choice(_FONTS)), int(size * rng.uniform(0.25, 0.9)))
        ranges = rng.choice((range(0x21, 0x7F), range(0x410, 0x450), range(0x2190, 0x21B0), range(0x2600, 0x2670)))
        text = "".join(chr(rng.choice(ranges)) for _ in range(rng.choice((1, 2, 5)))).replace("\u2620", "x")
        draw.text((0, 0), text, fill=255, font=face)
    elif kind == "scribble":
        for _ in range(rng.randint(2, 7)):
            points = [(rng.uniform(0, size), rng.uniform(0, size)) for _ in range(rng.randint(2, 6))]
            if rng.random() < 0.5 and len(points) > 2:
                draw.polygon(points, fill=255 if rng.random() < 0.5 else 0, outline=255)
            else:
                draw.line(points, fill=255, width=rng.randint(1, int(unit)))
    elif kind == "ring":
        draw.ellipse((0.5 * unit, 0.5 * unit, 4.5 * unit, 4.5 * unit), outline=255, width=int(weight * unit))
    return mask


def _colour(rng: random.Random) -> tuple[int, int, int]:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


def _render(kind: str, grounds: list[Image.Image], rng: random.Random) -> bytes:
    image = Image.new("RGB", (_SIDE, _SIDE), _colour(rng))
    if rng.random() < 0.5:
        ground, share = rng.choice(grounds), rng.uniform(0.5, 1.0)
        width, height = int(ground.width * share), int(ground.height * share)
        x, y = rng.randint(0, ground.width - width), rng.randint(0, ground.height - height)
        image = ground.crop((x, y, x + width, y + height)).resize((_SIDE, _SIDE))
    for _ in range(rng.choice((0, 0, 1, 2))):  # other drawings behind it
        layer = _figure(rng.choice(("glyph", "scribble")), rng.randint(60, 240), 0.6, rng)
        image.paste(Image.new("RGB", layer.size, _colour(rng)), (rng.randint(0, 120), rng.randint(0, 120)), layer)
    size = rng.randint(70, 220)
    mask = _figure(kind, size, rng.uniform(0.45, 0.95), rng)
    if rng.random() < 0.5:
        mask = mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turn = rng.choice((0.0, 45.0, rng.uniform(0, 360)))
    mask = mask.rotate(turn, Image.Resampling.BICUBIC, expand=True)
    x, y = (rng.randint(0, max(0, _SIDE - side)) for side in mask.size)
    colour = rng.choice(((0, 0, 0), (255, 255, 255), _colour(rng)))
    if rng.random() < 0.35:  # as on a flag: dark, in a white disc on one colour
        radius, centre = 0.62 * size, (x + mask.width / 2, y + mask.height / 2)
        image = Image.new("RGB", (_SIDE, _SIDE), rng.choice(((200, 0, 0), _colour(rng))))
        box = (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)
        ImageDraw.Draw(image).ellipse(box, fill="white")
        colour = (0, 0, 0)
    image.paste(Image.new("RGB", mask.size, colour), (x, y), mask)
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=rng.randint(40, 95))
    return buffer.getvalue()
