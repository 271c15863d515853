"""Hostile pictures and videos through the real server: does it crash, is it late, does its memory come back?"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks._load import BUDGET_S, closed_loop
from benchmarks._mutations import mutants, seeds, videos
from benchmarks._pictures_served import request
from benchmarks._process import Running, modgate
from benchmarks._report import say, table
from modgate.media.video import available, heif_available
from modgate.v1 import moderation_pb2 as pb

__all__ = ["hostile", "show_hostile"]

_VIDEO_SHARE = 20
"""One file in so many is a video: each keeps a core busy until its deadline."""
_WARM_UP = 600
_BATCH = 200
_REST_S = 6.0


def hostile(count: int, drawings: Sequence[Path], seed: int) -> dict[str, Any]:
    """Send broken files one at a time, then every drawing, and compare memory before and after.

    One at a time and on a connection of its own, so that a late answer is the fault of its own file. Memory is compared
    after a warm-up with other broken files of every kind, with the server idle both times.
    """
    with_video = available()
    settings: dict[str, Any] = {
        "log": {"decisions": "none"},
        "models": {"video": int(with_video), "heif": int(heif_available())},
    }
    broken_videos = count // _VIDEO_SHARE if with_video else 0
    tally = _Tally()
    with modgate(settings) as server:
        _send(server, mutants(_WARM_UP, seed=seed + 1), _Tally())
        if with_video:
            _send(server, mutants(20, seed=seed + 1, whole=videos()), _Tally())
        time.sleep(_REST_S)
        before = server.rss_mb() or 0.0
        _send(server, mutants(count - broken_videos, seed=seed + 2), tally)
        if broken_videos:
            _send(server, mutants(broken_videos, seed=seed + 2, whole=videos()), tally)
        _send(server, ((path.name, path.read_bytes()) for path in drawings), tally)
        _send(server, seeds().items(), tally)
        time.sleep(_REST_S)
        after = server.rss_mb() or 0.0
        alive = server.process is None or server.process.poll() is None
    ordered = sorted(tally.seconds)
    late = sum(value > BUDGET_S for value in ordered)
    return {
        "broken_pictures": count - broken_videos,
        "broken_videos": broken_videos,
        "drawings": len(drawings),
        "answers": dict(tally.outcomes.most_common()),
        "slowest": sorted(tally.slowest, reverse=True)[:5],
        "ms": {
            name: round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)
            for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0))
        },
        "resident_mb": {"before": before, "after": after},
        "figures": {
            "hostile_crashes": float(not alive) + tally.errors,
            "hostile_late": float(late),
            "hostile_memory_growth": round(max(0.0, after / before - 1), 4),
        },
    }


class _Tally:
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.outcomes: Counter[str] = Counter()
        self.slowest: list[tuple[float, str]] = []
        self.errors = 0


def _send(server: Running, files: "Iterator[tuple[str, bytes]] | Any", tally: _Tally) -> None:  # noqa: ANN401
    names: list[str] = []
    batch: list[bytes] = []

    def flush() -> None:
        times: list[float] = []
        answers: list[bytes] = []
        phase = closed_loop(server.address, batch, in_flight=1, seconds=600, connections=1, keep=answers, each=times)
        tally.errors += phase.errors
        for name, took, answer in zip(names, times, answers, strict=True):
            tally.seconds.append(took)
            tally.slowest.append((round(1000 * took, 1), name))
            tally.outcomes[_said(answer)] += 1
        tally.slowest = sorted(tally.slowest, reverse=True)[:20]
        names.clear()
        batch.clear()

    for name, data in files:
        names.append(name)
        batch.append(request(f"{id(tally):x}-{len(tally.seconds) + len(names):x}", "", data))
        if len(batch) >= _BATCH:
            flush()
    if batch:
        flush()


def _said(answer: bytes) -> str:
    if not answer:
        return "no answer"
    response = pb.ModerateResponse.FromString(answer)
    verdict = pb.Verdict.Name(response.verdict).removeprefix("VERDICT_")
    if not response.HasField("fallback"):
        return verdict
    return f"{verdict}, {pb.FallbackReason.Name(response.fallback.reason).removeprefix('FALLBACK_REASON_')}"


def show_hostile(report: dict[str, Any]) -> None:
    """Print the figures of `hostile`."""
    memory = report["resident_mb"]
    say(
        f"{report['broken_pictures']} broken pictures, {report['broken_videos']} broken videos, {report['drawings']} "
        f"drawings; resident {memory['before']} MB before, {memory['after']} MB after"
    )
    table("answers, unary gRPC, one at a time", ["said", "files"], list(report["answers"].items()))
    table("ms at the client", list(report["ms"]), [list(report["ms"].values())])
    say(f"slowest: {', '.join(f'{name} {took} ms' for took, name in report['slowest'])}")
    say(f"{report['figures']['hostile_crashes']:g} crashes or errors, {report['figures']['hostile_late']:g} late")
