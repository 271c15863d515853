"""Pictures: latency through the server, texts beside pictures, harmless pictures that score, hostile files.

- `python -m benchmarks pictures`: one picture at a time through unary gRPC, fresh and forwarded, with the server on one
  core and on all; then how many harmless photographs and drawings reach which score.
- `--part alone | harmless`: one of these two.
- `--part beside`: texts with a picture in every fifth message: the capacity of that mix, and its latency at half of it.
- `--part hostile --count 10000`: broken pictures and videos through the server: crashes, late answers, memory.
- `--part stages`: what each step costs alone, in this process.
- `--folder DIR`: scores of your own pictures, by label and threshold.
"""

import argparse
import asyncio
import io
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks._album import PHOTOGRAPHS
from benchmarks._load import favour_this_process
from benchmarks._pictures_hostile import hostile, show_hostile
from benchmarks._pictures_served import alone, beside, show_alone, show_beside
from benchmarks._report import environment, finish, say, table
from modgate.detectors.base import DetectorError, Subject
from modgate.detectors.image import ImageDetector
from modgate.detectors.known_pictures import KnownPictureDetector
from modgate.detectors.questions import PictureList
from modgate.inference.bundle import Bundle
from modgate.inference.cores import cpu_quota
from modgate.inference.image_model import ImageModel
from modgate.inference.runner import Runner
from modgate.media.decode import decode
from modgate.media.errors import MediaError
from modgate.media.limits import Limits
from modgate.media.pdq import pdq
from modgate.media.pool import DecodePool
from modgate.media.preprocess import preprocess
from modgate.media.sniff import sniff
from modgate.media.viewer import Viewer
from modgate.message import Conversation, Media, Message, Sender

_BUNDLES = Path(__file__).parents[1] / "models" / "bundles"
_CLIPART = Path("/usr/share/openclipart/png")
_STEPS = (0.2, 0.35, 0.5, 0.7, 0.8)
_PARTS = ("alone", "harmless", "beside", "hostile", "stages")


def _subject(data: bytes) -> Subject:
    return Subject(Message("", "", Sender(""), Conversation(""), media=(Media("", "", data),)), {}, 0.0)


async def _scores(detector: ImageDetector, files: Iterable[Path]) -> dict[str, Any]:
    """Judge files one by one and count, for each label, how many reach some thresholds."""
    inspector = detector.configure(sorted(detector.labels))
    reached: dict[str, Counter[float]] = {label: Counter() for label in sorted(detector.labels)}
    problems: Counter[str] = Counter()
    worst: dict[str, tuple[float, str]] = {}
    judged = 0
    for file in files:
        try:
            report = await inspector.inspect(_subject(file.read_bytes()), time.monotonic() + 10)
        except DetectorError as error:
            problems[str(error).partition(":")[0]] += 1
            continue
        judged += 1
        for label, findings in report.items():
            score = max(finding.score for finding in findings)
            reached[label].update(step for step in _STEPS if score >= step)
            worst[label] = max(worst.get(label, (0.0, "")), (round(score, 3), file.name))
    return {
        "judged": judged,
        "not_judged": dict(problems),
        "reached": {label: {str(step): reached[label][step] for step in _STEPS} for label in reached},
        "highest": worst,
    }


def _least_ms(work: Callable[[], object], count: int = 15) -> float:
    """Return the least time of some runs: what the work costs when nothing else runs."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return round(1000 * min(times), 2)


def _stages(bundles: Sequence[str]) -> dict[str, Any]:
    """Time each stage alone, in this thread."""
    photograph = Image.open(PHOTOGRAPHS / "astronaut.png").convert("RGB")
    noisy = Image.blend(photograph.resize((2000, 1500)), Image.effect_noise((2000, 1500), 60).convert("RGB"), 0.15)
    forms: dict[str, tuple[str, dict[str, Any]]] = {
        "jpeg": ("JPEG", {"quality": 85}),
        "jpeg-progressive": ("JPEG", {"quality": 85, "progressive": True}),
        "png": ("PNG", {}),
        "webp": ("WEBP", {}),
        "avif": ("AVIF", {"speed": 9}),
        "gif": ("GIF", {}),
        "bmp": ("BMP", {}),
    }
    limits, soon = Limits(working=10**9), time.monotonic() + 3600
    decoding = {}
    for name, (kind, options) in forms.items():
        buffer = io.BytesIO()
        noisy.save(buffer, kind, **options)
        whole, draft = (_least_ms(partial(decode, buffer.getvalue(), soon, to), 5) for to in (limits, Limits()))
        decoding[name] = {"ns_per_pixel": round(whole / 3, 1), "shrunk_ns_per_pixel": round(draft / 3, 1)}
    picture = photograph.resize((1280, 960))
    hashed = pdq(picture)
    listed = KnownPictureDetector(Viewer(DecodePool(1))).configure(
        [PictureList("many", tuple(f"{random.getrandbits(256):064x}" for _ in range(100_000)))]
    )
    report: dict[str, Any] = {
        "decode_3_megapixels": decoding,
        "pdq_ms": _least_ms(partial(pdq, picture)),
        "lookup_in_100_000_ms": _least_ms(partial(listed.distances, hashed)),
        "models": {},
    }
    runner = Runner(1)
    for name in bundles:
        model = ImageModel(Bundle.load(_BUNDLES / name), runner)
        spec = model.manifest.image
        if spec is None:
            continue
        tensor = preprocess(picture, spec)
        report["models"][name] = {
            "preprocess_1280x960_ms": _least_ms(partial(preprocess, picture, spec)),
            "infer_ms": _least_ms(partial(model.scores_now, tensor)),
        }
    runner.close()
    return report


def _pictures_in(folder: Path) -> list[Path]:
    kinds = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".bmp"}
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in kinds and not path.is_symlink())


def main(argv: list[str]) -> int:
    """Run, print, and tell by the status whether what must hold held."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks pictures", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--part", choices=_PARTS, action="append", help="what to measure (default alone and harmless)")
    parser.add_argument("--count", type=int, default=0, help="pictures to time (default 200), or hostile files (10000)")
    parser.add_argument("--seconds", type=float, default=30, help="of texts beside pictures (default 30)")
    parser.add_argument("--bundles", default="open-nsfw,swiftformer-s", help="image bundles, by name")
    parser.add_argument("--folder", type=Path, help="judge the pictures in a folder, and nothing else")
    parser.add_argument("--clipart", type=Path, default=_CLIPART, help="drawings of Debian's openclipart-png")
    parser.add_argument("--drawings", type=int, default=600, help="how many of them, at random; 0 for all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="F", help="write the figures here")
    options = parser.parse_args(argv)
    parts = ["folder"] if options.folder else options.part or ["alone", "harmless"]
    report: dict[str, Any] = {"benchmark": "pictures", "environment": environment(), "parts": parts}
    figures: dict[str, float] = {}
    where = report["environment"]
    machine = where["machine"]
    say(
        f"{where['date']} revision {where['revision']}, {machine['processor']}, {machine['cores']} cores, "
        f"load before {machine['load_before']}"
    )
    drawings = _pictures_in(options.clipart) if options.clipart.is_dir() else []
    if {"alone", "beside", "hostile"} & set(parts):
        report["favoured"] = favour_this_process()
    if "alone" in parts:
        runs = [alone(options.count or 200, one_core=one) for one in (True, False)]
        report["alone"] = runs
        show_alone(runs)
        figures |= {
            "fresh_p50_ms": runs[0]["fresh_ms"]["p50"],
            "fresh_p99_ms": runs[0]["fresh_ms"]["p99"],
            "forwarded_p99_ms": runs[0]["forwarded_ms"]["p99"],
        }
    if "beside" in parts:
        report["beside"] = beside(options.seconds, options.seed)
        show_beside(report["beside"])
        half = report["beside"]["at_half"]
        figures |= {"text_p99_ms_at_half": half["text"]["ms"]["p99"], "late_at_half": float(half["late"])}
    if "hostile" in parts:
        chosen = _bombs_and_others(drawings, options.drawings, options.seed)
        report["hostile"] = hostile(options.count or 10_000, chosen, options.seed)
        show_hostile(report["hostile"])
        figures |= report["hostile"]["figures"]
    if "stages" in parts:
        report["stages"] = _stages(options.bundles.split(","))
        _show_stages(report["stages"])
    if {"harmless", "folder"} & set(parts):
        report |= asyncio.run(_judge(options, drawings))
        for name in ("folder", "photographs", "drawings"):
            if name in report:
                _show_scores(name, report[name])
    return finish("pictures", report, figures, smoke=False, json_file=options.json, plot_file=None)


def _bombs_and_others(drawings: Sequence[Path], count: int, seed: int) -> list[Path]:
    """Return every drawing that is refused for its size, and some of the others, at random."""
    limits, bombs, others = Limits(), [], []
    for path in drawings:
        with path.open("rb") as file:
            head = file.read(64)
        try:
            limits.check(sniff(head))
            others.append(path)
        except MediaError:
            bombs.append(path)
    return bombs + (random.Random(seed).sample(others, min(count, len(others))) if count else others)


async def _judge(options: argparse.Namespace, drawings: list[Path]) -> dict[str, Any]:
    workers = max(1, round(cpu_quota()))
    pool, runner = DecodePool(workers), Runner(workers)
    models = [ImageModel(Bundle.load(_BUNDLES / name), runner) for name in options.bundles.split(",")]
    detector = ImageDetector(models, Viewer(pool))
    if options.folder:
        return {"folder": await _scores(detector, _pictures_in(options.folder))}
    report: dict[str, Any] = {"photographs": await _scores(detector, _pictures_in(PHOTOGRAPHS))}
    if options.drawings:
        random.Random(options.seed).shuffle(drawings)
        drawings = drawings[: options.drawings]
    if drawings:
        report["drawings"] = await _scores(detector, drawings)
    pool.close()
    runner.close()
    return report


def _show_scores(name: str, found: dict[str, Any]) -> None:
    table(
        f"{name}: {found['judged']} judged, not judged: {found['not_judged'] or 'none'}",
        ["label", *(f">= {step:g}" for step in _STEPS), "highest", "in"],
        [
            [label, *(counts[str(step)] for step in _STEPS), *found["highest"].get(label, ("-", "-"))]
            for label, counts in found["reached"].items()
        ],
    )


def _show_stages(stages: dict[str, Any]) -> None:
    table(
        "decoding a photograph of 3 megapixels, ns a pixel",
        ["format", "whole", "shrunk on the way"],
        [[name, *costs.values()] for name, costs in stages["decode_3_megapixels"].items()],
    )
    table(
        "models, ms in one thread, least of 15 runs",
        ["bundle", "preprocess 1280 x 960", "inference"],
        [[name, *costs.values()] for name, costs in stages["models"].items()],
    )
    say(f"PDQ {stages['pdq_ms']} ms; a lookup in 100,000 hashes {stages['lookup_in_100_000_ms']} ms")
