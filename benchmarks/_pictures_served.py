"""Pictures through the real server and unary gRPC, timed at the client."""

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks._album import FORWARDED, KINDS, Album, photograph
from benchmarks._load import closed_loop, open_loop
from benchmarks._mix import MIXES, texts
from benchmarks._process import Running, modgate
from benchmarks._report import say, table
from modgate.v1 import moderation_pb2 as pb

__all__ = ["alone", "beside", "request", "show_alone", "show_beside"]

_EVERY = 5
"""One message in so many carries a picture."""
_GROUPS = {"text": {"text"}, "picture": set(KINDS), "forwarded": {"forwarded"}} | {kind: {kind} for kind in KINDS}
_CONNECTIONS = 4
_GROWTH, _STEPS = 1.25, 10
_DECIDED, _PICTURES_DECIDED = 0.95, 0.9


def request(key: str, text: str, picture: bytes = b"") -> bytes:
    """Return an encoded message with a text and perhaps a picture."""
    return pb.ModerateRequest(
        request_id=key,
        app_id="app0",
        message=pb.Message(id=key, text=text, media=[pb.Media(id="0", data=picture)] if picture else []),
        sender=pb.Sender(id=f"u{key}"),
        conversation=pb.Conversation(id="c0", type=pb.CONVERSATION_TYPE_GROUP),
    ).SerializeToString()


def alone(count: int, *, one_core: bool, warm: int = 10) -> dict[str, Any]:
    """Send one picture after the other to an idle server, each with bytes of its own, then the same ones again."""
    data = photograph()
    pictures = [data + index.to_bytes(8, "big") for index in range(warm + count)]
    with _apart(one_core), modgate() as server:
        _leave_first(one_core)
        report: dict[str, Any] = {
            "picture": f"JPEG 1280 x 960, {len(data)} bytes",
            "server_cores": 1 if one_core else os.cpu_count(),
            "resident_mb": server.rss_mb(),
        }
        for name, sent in (("fresh", pictures), ("forwarded", pictures[warm:])):
            times: list[float] = []
            answers: list[bytes] = []
            # One at a time on purpose: this is what a picture costs when nothing else runs, no statement about load.
            closed_loop(
                server.address, [request(f"{name}-{index:x}", "", picture) for index, picture in enumerate(sent)],
                in_flight=1, seconds=600, connections=1, keep=answers, each=times,
            )  # fmt: skip
            report[f"{name}_ms"] = _ms(times[-count:])
            report[f"{name}_fallbacks"] = sum(map(_fell_back, answers[-count:]))
    return report


def beside(seconds: float, seed: int, mix: str = "chat") -> dict[str, Any]:
    """Send texts, every fifth message with a picture: first find the capacity of that mix, then run at half of it.

    Capacity is where 95 % of all messages and 90 % of the new pictures among them are decided in time.
    """
    writer = _Writer(seed, mix)
    with modgate() as server:
        _stretch(server, writer, 10.0, 3.0)
        rate, capacity, steps = 25.0, 0.0, []
        for _ in range(_STEPS):
            step = _stretch(server, writer, rate, max(6.0, seconds / 4))
            steps.append(step)
            # Texts are many: pictures must be decided on their own for the whole to count as done.
            if step["decided_share"] < _DECIDED or step["pictures_decided_share"] < _PICTURES_DECIDED:
                break
            capacity = max(capacity, step["goodput_per_s"])
            rate *= _GROWTH
        half = _stretch(server, writer, capacity / 2, seconds)
        half["resident_mb"] = server.rss_mb()
    return {
        "mix": {
            "texts": f"{mix}: {MIXES[mix].about}",
            "pictures": f"in every {_EVERY}th message, beside its text; {FORWARDED:.0%} were sent before",
            "new_pictures": KINDS,
        },
        "capacity_per_s": capacity,
        "search": [
            {key: step[key] for key in ("rate", "goodput_per_s", "decided_share", "pictures_decided_share")}
            for step in steps
        ],
        "at_half": half,
    }


class _Writer:
    """Writes messages, no two with the same id."""

    def __init__(self, seed: int, mix: str) -> None:
        self._texts = texts(MIXES[mix], seed)
        self._album = Album(seed)
        self._count = itertools.count()
        self.seed = seed

    def batch(self, count: int) -> tuple[list[bytes], list[str]]:
        """Return messages and what each is: text, picture or forwarded."""
        messages, kinds = [], []
        for index, text in zip(range(count), self._texts, strict=False):
            picture, kind = b"", "text"
            if index % _EVERY == _EVERY - 1:
                kind, picture = self._album.next()
            messages.append(request(f"{self.seed:x}-{next(self._count):x}", text, picture))
            kinds.append(kind)
        return messages, kinds


def _stretch(server: Running, writer: _Writer, rate: float, seconds: float) -> dict[str, Any]:
    messages, kinds = writer.batch(max(2 * _EVERY, round(rate * seconds)))
    times: list[float] = []
    answers: list[bytes] = []
    phase = open_loop(
        server.address, messages, rate, seed=len(messages), connections=_CONNECTIONS, keep=answers, each=times,
        server_cpu=server.cpu_s, label=f"{rate:.0f}/s",
    )  # fmt: skip
    report: dict[str, Any] = {
        "rate": round(rate, 1),
        "calls": phase.sent,
        "goodput_per_s": round(phase.goodput, 1),
        "decided_share": round(phase.decided / phase.sent, 4),
        "late": phase.late,
        "errors": phase.errors,
        "generator_lag_p99_ms": round(phase.lag_us[1] / 1000, 2),
        "server_cores": round((phase.server_cpu_s or 0.0) / phase.seconds, 2),
    }
    for name, ones in _GROUPS.items():
        chosen = [index for index, kind in enumerate(kinds) if kind in ones]
        report[name] = {
            "calls": len(chosen),
            "ms": _ms([times[index] for index in chosen]),
            "fallbacks": sum(_fell_back(answers[index]) for index in chosen),
        }
    report["pictures_decided_share"] = round(1 - report["picture"]["fallbacks"] / max(1, report["picture"]["calls"]), 4)
    return report


def show_alone(runs: Sequence[dict[str, Any]]) -> None:
    """Print the figures of `alone`."""
    table(
        f"one at a time, unary gRPC, default bundles, {runs[0]['picture']}",
        ["picture", "cores of the server", "p50 ms", "p90 ms", "p99 ms", "max ms", "fallbacks"],
        [
            [name, run["server_cores"], *run[f"{name}_ms"].values(), run[f"{name}_fallbacks"]]
            for run in runs
            for name in ("fresh", "forwarded")
        ],
    )


def show_beside(report: dict[str, Any]) -> None:
    """Print the figures of `beside`."""
    half = report["at_half"]
    say(f"capacity {report['capacity_per_s']:.0f} decided messages a second; at half of it, {half['rate']:g}/s:")
    table(
        f"{half['calls']} calls, open loop, {half['late']} late, {half['errors']} errors, "
        f"{half['server_cores']} cores of the server",
        ["messages", "calls", "p50 ms", "p90 ms", "p99 ms", "max ms", "fallbacks"],
        [
            [kind, half[kind]["calls"], *half[kind]["ms"].values(), half[kind]["fallbacks"]]
            for kind in ("text", "picture", "forwarded")
        ],
    )


def _ms(seconds: Sequence[float]) -> dict[str, float]:
    answered = [value for value in seconds if not np.isnan(value)]
    steps = {"p50": 50, "p90": 90, "p99": 99, "max": 100}
    return {name: round(1000 * float(np.percentile(answered, p)), 2) for name, p in steps.items()} if answered else {}


def _fell_back(answer: bytes) -> bool:
    return not answer or pb.ModerateResponse.FromString(answer).HasField("fallback")


@contextmanager
def _apart(one_core: bool) -> Iterator[None]:  # noqa: FBT001  an option of the command
    """Start processes in the block on the first core alone; this process has all of its cores again afterwards."""
    allowed = os.sched_getaffinity(0)
    if one_core:
        os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _leave_first(one_core: bool) -> None:  # noqa: FBT001
    cores = set(range(os.cpu_count() or 1))
    if one_core and len(cores) > 1:
        os.sched_setaffinity(0, cores - {min(cores)})
