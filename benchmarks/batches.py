"""How texts are best put through onnxruntime: tokens in a batch, order of the queue, threads of one request.

Decides the bounds of a batch and that requests run side by side instead of being split (docs/decisions/threads.md,
packed-batches.md). `--bundle` measures another text bundle, such as one with a padded layout.
"""

import argparse
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._bare import BareModel, text_bundle
from benchmarks._mix import MIXES, texts
from benchmarks._report import environment, finish, say, table
from modgate.inference.bundle import Bundle
from modgate.inference.session import Session

__all__ = ["main"]

_TOKENS = (1, 48, 80, 112, 160, 256)
_THREADS = ((1, 1), (2, 1), (1, 2), (2, 2))  # callers, threads of one request

Row = list[int]


def main(argv: list[str]) -> int:
    """Measure every combination in turns, several times, and print medians."""
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks batches", description=about)
    parser.add_argument("--bundle", type=Path, help="folder of a text bundle (default: what the settings serve)")
    parser.add_argument("--texts", type=int, default=400, help="chat lines, no two the same (default 400)")
    parser.add_argument("--rounds", type=int, default=5, help="passes over all texts (default 5)")
    parser.add_argument("--smoke", action="store_true", help="one pass over few texts")
    parser.add_argument("--json", type=Path, metavar="F", help="write the report here")
    options = parser.parse_args(argv)
    count, rounds = (48, 1) if options.smoke else (options.texts, options.rounds)
    bundle = Bundle.load(options.bundle) if options.bundle else text_bundle()
    model = BareModel.load(bundle)
    rows = model.encode(list(islice(texts(MIXES["unique"], 1), count)))
    queues = {"as they come": rows, "sorted by length": sorted(rows, key=len)}
    cpu: dict[tuple[str, int], list[float]] = {(order, size): [] for order in queues for size in _TOKENS}
    wall: dict[tuple[int, int], list[float]] = {pair: [] for pair in _THREADS}
    sessions = {threads: Session(bundle.model, threads=threads, arena=True) for threads in (1, 2)}
    for _ in range(rounds):
        for (order, size), taken in cpu.items():
            taken.append(_cpu_ms(model, queues[order], size))
        for (callers, threads), taken in wall.items():
            taken.append(_rate(model, sessions[threads], rows, callers))
    layout = "packed" if bundle.manifest.text and bundle.manifest.text.lengths else "padded"
    report: dict[str, Any] = {"benchmark": "batches", "environment": environment()}
    report |= {
        "bundle": f"{bundle.manifest.name} {bundle.manifest.version}, {layout}",
        "mean_tokens": round(sum(map(len, rows)) / len(rows), 1),
        "cpu_ms": {f"{order}, {size} tokens": taken for (order, size), taken in cpu.items()},
        "texts_per_s": {f"{callers} callers, {threads} threads": taken for (callers, threads), taken in wall.items()},
    }
    when = report["environment"]
    say(f"{when['date']} revision {when['revision']}, load before {when['machine']['load_before']}, {report['bundle']}")
    table(
        f"CPU ms a text on one thread, {report['mean_tokens']} tokens in the mean, by most tokens in a batch",
        ["texts", *(f"{size}" if size > 1 else "one by one" for size in _TOKENS)],
        [[order, *(f"{np.median(cpu[order, size]):.2f}" for size in _TOKENS)] for order in queues],
    )
    table(
        "texts a second, one text a request",
        ["callers", "threads of a request", "texts a second"],
        [[callers, threads, f"{np.median(taken):.0f}"] for (callers, threads), taken in wall.items()],
    )
    figures = {
        "batched_of_single": float(np.median(cpu["as they come", 112]) / np.median(cpu["as they come", 1])),
        "split_of_side_by_side": float(np.median(wall[1, 2]) / np.median(wall[2, 1])),
    }
    return finish("batches", report, figures, smoke=options.smoke, json_file=options.json, plot_file=None)


def _batches(rows: Sequence[Row], most: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        if batch and sum(map(len, batch)) + len(row) > most:
            yield batch
            batch = []
        batch.append(row)
    yield batch


def _cpu_ms(model: BareModel, rows: Sequence[Row], most: int) -> float:
    inputs = [model.feed(batch) for batch in _batches(rows, most)]
    # Short and long ones in turn, so that no stretch of the time sees one kind only.
    order = np.random.default_rng(0).permutation(len(inputs)).tolist()
    begun = time.thread_time()
    for i in order:
        model.session.run(model.outputs, inputs[i])
    return (time.thread_time() - begun) / len(rows) * 1000


def _rate(model: BareModel, session: Session, rows: Sequence[Row], callers: int) -> float:
    inputs = [model.feed([row]) for row in rows]

    def call(share: int) -> Callable[[], None]:
        def run() -> None:
            for one in inputs[share::callers]:
                session.run(model.outputs, one)

        return run

    threads = [threading.Thread(target=call(share)) for share in range(callers)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(rows) / (time.perf_counter() - begun)
