"""Linear heads: what is learnt from a folder is a bundle that serves, and says how good it is."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tests.media.pictures import DirectModel

from modgate.inference.bundle import Bundle
from modgate.inference.image_model import ImageModel
from modgate.inference.runner import Runner
from modgate.media.heads import HeadError, fit_head, fit_logistic
from modgate.media.preprocess import preprocess
from modgate.media.taxonomy import offered

pytest.importorskip("onnx")


def _picture(rng: np.random.Generator, *, star: bool) -> Image.Image:
    """A noisy picture with a large yellow star in it, or with a blue box."""
    image = Image.fromarray(rng.integers(60, 200, (160, 160, 3), dtype=np.uint8))
    draw, x, y = ImageDraw.Draw(image), int(rng.integers(20, 60)), int(rng.integers(20, 60))
    if star:
        draw.regular_polygon((x + 40, y + 40, 45), 3, fill=(250, 220, 20))
        draw.regular_polygon((x + 40, y + 40, 45), 3, rotation=60, fill=(250, 220, 20))
    else:
        draw.rectangle((x, y, x + 70, y + 50), fill=(20, 40, 220))
    return image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for kind in ("gold_star", "other"):
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        for index in range(16):
            _picture(rng, star=kind == "gold_star").save(tmp_path / "pictures" / kind / f"{index}.png")
    (tmp_path / "pictures" / "other" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "pictures"


@pytest.mark.slow
def test_a_head_is_a_bundle_that_serves(folder: Path, tmp_path: Path) -> None:
    """A head learns a label from a folder, tells the two kinds of new pictures apart, and loads like any bundle."""
    base = DirectModel("swiftformer-s").bundle
    lines: list[str] = []
    report = fit_head(base, folder, "gold_star", tmp_path / "bundles", lines.append)
    assert (report.positives, report.negatives, report.skipped) == (16, 16, 1)
    assert report.precision >= 0.9
    assert report.recall >= 0.9
    bundle = Bundle.load(tmp_path / "bundles" / "head-gold-star")
    assert offered([bundle.manifest]) == {"gold_star", "unsafe"}
    assert bundle.manifest.labels[0].threshold == report.threshold
    runner = Runner(1)
    model = ImageModel(bundle, runner)
    rng = np.random.default_rng(2)
    spec = bundle.manifest.image
    assert spec is not None
    for star in (True, False):
        scores = [float(model.scores_now(preprocess(_picture(rng, star=star), spec))[0]) for _ in range(6)]
        assert [score >= report.threshold for score in scores] == [star] * 6
    runner.close()


@pytest.mark.slow
def test_too_few_pictures_are_refused(folder: Path, tmp_path: Path) -> None:
    """With too few pictures of one side nothing is written, and what is needed is said."""
    base = DirectModel("swiftformer-s").bundle
    with pytest.raises(HeadError, match="0 readable pictures with absent and 32 without; at least 12 of each"):
        fit_head(base, folder, "absent", tmp_path / "bundles", lambda _line: None)
    assert not (tmp_path / "bundles").exists()


def test_logistic_regression_finds_the_line() -> None:
    """The fit separates what can be separated, also if one class is rare and features differ in scale."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 6)).astype(np.float32) * np.array([1, 10, 0.1, 1, 1, 100], np.float32)
    truth = (rows[:, 0] + rows[:, 2] * 10 > 1.8).astype(np.float32)
    weights, offset = fit_logistic(rows, truth, decay=0.001)
    hits = (rows @ weights + offset) > 0
    assert (hits == (truth > 0)).mean() > 0.93
    assert hits[truth > 0].mean() > 0.95
