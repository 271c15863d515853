"""Soak: texts of all lengths and pictures of all sizes for an hour; do memory, open files or threads grow?

- `python -m benchmarks soak`: an hour; `--minutes 5` for less, `--smoke` for half a minute.

Caches are made small, so that filling them is over before the slope is taken: the first third of the samples is
warm-up. The slope is that of a least-squares line through resident memory over messages.
"""

import io
import itertools
import random
from typing import Any

import numpy as np
from PIL import Image

from benchmarks._load import Phase, favour_this_process, open_loop
from benchmarks._mix import MIXES, texts
from benchmarks._options import common, settings_for, stem
from benchmarks._process import modgate
from benchmarks._report import environment, finish, say, table
from modgate.inference.bundle import Bundle, BundleError, find_bundles
from modgate.settings import load_settings
from modgate.v1 import moderation_pb2 as pb

_LONGEST = 20_000
_CACHED = 1_000


def main(argv: list[str]) -> int:
    """Run, print, and tell by the status whether the thresholds hold."""
    parser = common("soak", __doc__, seconds=10, mix="unique")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long in all (default 60)")
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second (default 100)")
    parser.add_argument("--pictures", type=float, default=0.02, help="share of messages with a picture (default 0.02)")
    options = parser.parse_args(argv)
    windows = 12 if options.smoke else max(6, round(options.minutes * 60 / options.seconds))
    seconds = 2.0 if options.smoke else options.seconds
    images = _image_bundles() if options.pictures else ()
    settings = settings_for(
        options.mix,
        models={"images": list(images), "cache_entries": _CACHED},
        recent_seconds=2,
        log={"decisions": "none"},
    )
    report: dict[str, Any] = {"benchmark": "soak", "environment": environment()}
    report["configuration"] = {
        "rate": options.rate, "windows": windows, "seconds": seconds, "images": list(images), "settings": settings,
        "longest_text": _LONGEST, "favoured": favour_this_process(),
    }  # fmt: skip
    say(f"{report['environment']['date']} revision {report['environment']['revision']}; picture models: {list(images)}")
    writer = _Writer(options.seed, options.pictures if images else 0.0)
    samples: list[dict[str, float]] = []
    phases: list[Phase] = []
    with modgate(settings, address=options.address) as server:
        for i in range(windows):
            batch = writer.batch(round(options.rate * seconds))
            phases.append(
                open_loop(server.address, batch, options.rate, seed=stem(options.seed, i), label=f"window {i}")
            )
            if server.usage:
                samples.append({
                    "messages": float(sum(phase.sent for phase in phases)),
                    "rss_mb": server.usage.rss_mb(),
                    "open_files": float(server.usage.open_files()),
                    "threads": float(server.usage.threads()),
                })  # fmt: skip
    report["samples"] = samples
    report["windows"] = [phase.figures() | {"histogram": None} for phase in phases]
    figures = _figures(samples, phases)
    _show(samples, phases, figures)
    return finish(
        "soak", report, figures, smoke=options.smoke, json_file=options.json, plot_file=options.plot, draw=_draw
    )


class _Writer:
    """Writes messages of random lengths, some with a picture of random size."""

    def __init__(self, seed: int, pictures: float) -> None:
        self._draw = random.Random(seed)
        self._noise = np.random.default_rng(seed)
        self._pictures = pictures
        self._texts = texts(MIXES["unique"], seed)
        self._serial = itertools.count()
        self._seed = seed

    def batch(self, count: int) -> list[bytes]:
        """Return encoded requests, none of which was returned before."""
        return [self._one() for _ in range(count)]

    def _one(self) -> bytes:
        draw = self._draw
        key = f"s{self._seed:x}-{next(self._serial):x}"
        request = pb.ModerateRequest(
            request_id=key, app_id="soak", sender=pb.Sender(id=f"u{draw.randrange(5_000)}"),
            conversation=pb.Conversation(id=f"c{draw.randrange(500)}", type=pb.CONVERSATION_TYPE_ROOM),
            message=pb.Message(id=key, text=next(self._texts)),
        )  # fmt: skip
        if draw.random() < 0.01:  # now and then a very long one: every order of magnitude is as likely
            length = round(10 ** draw.uniform(2, np.log10(_LONGEST)))
            while len(request.message.text) < length:
                request.message.text += " " + next(self._texts)
        if draw.random() < self._pictures:
            request.message.media.add(id="p", mime_type="image/jpeg", data=self._picture())
        return request.SerializeToString()

    def _picture(self) -> bytes:
        width, height = self._draw.randrange(32, 900), self._draw.randrange(32, 900)
        coarse = self._noise.integers(0, 255, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize((width, height)).save(buffer, "JPEG", quality=self._draw.randrange(30, 95))
        return buffer.getvalue()


def _image_bundles() -> tuple[str, ...]:
    models = load_settings().models
    found = find_bundles(models.bundles)
    usable = []
    for name in models.images:
        try:
            Bundle.load(found[name])
        except (BundleError, KeyError) as error:
            say(f"without pictures for {name}: {error}")
        else:
            usable.append(name)
    return tuple(usable)


def _figures(samples: list[dict[str, float]], phases: list[Phase]) -> dict[str, float]:
    figures = {
        # A message of 20,000 characters, or a stalled machine, may take more than its deadline: late, but no failure.
        "errors": float(sum(phase.errors - phase.codes[4] for phase in phases)),
        "deadlines_exceeded": float(sum(phase.codes[4] for phase in phases)),
        "late": float(sum(phase.late for phase in phases)),
        "messages": float(sum(phase.sent for phase in phases)),
    }
    settled = samples[len(samples) // 3 :]
    if len(settled) < 3:
        return figures
    messages = np.array([sample["messages"] for sample in settled])
    slope = np.polyfit(messages, np.array([sample["rss_mb"] for sample in settled]), 1)[0]
    figures["rss_mb_per_100k"] = float(slope * 100_000)
    figures["rss_mb_last"] = settled[-1]["rss_mb"]
    for name in ("open_files", "threads"):
        figures[f"{name}_growth"] = settled[-1][name] - settled[0][name]
    return figures


def _show(samples: list[dict[str, float]], phases: list[Phase], figures: dict[str, float]) -> None:
    step = max(1, len(samples) // 12)
    table(
        "samples",
        ["messages", "resident MB", "open files", "threads", "p50 ms", "p99 ms", "late", "fallbacks"],
        [
            [
                f"{sample['messages']:.0f}", f"{sample['rss_mb']:.1f}", f"{sample['open_files']:.0f}",
                f"{sample['threads']:.0f}", f"{phase.ms(50):.1f}", f"{phase.ms(99):.1f}", phase.late,
                sum(phase.fallbacks.values()),
            ]
            for sample, phase in list(zip(samples, phases, strict=True))[::step]
        ],
    )  # fmt: skip
    if "rss_mb_per_100k" in figures:
        say(f"resident memory grows by {figures['rss_mb_per_100k']:.2f} MB per 100,000 messages after the warm-up")


def _draw(picture: Any, report: dict[str, Any]) -> None:  # noqa: ANN401 - matplotlib's figure
    axes = picture.add_subplot()
    messages = [sample["messages"] for sample in report["samples"]]
    axes.plot(messages, [sample["rss_mb"] for sample in report["samples"]], label="resident MB")
    axes.plot(messages, [sample["open_files"] for sample in report["samples"]], label="open files")
    axes.plot(messages, [sample["threads"] for sample in report["samples"]], label="threads")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("messages")
    axes.set_title("soak")
    axes.legend()
