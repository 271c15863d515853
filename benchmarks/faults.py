"""Drills: what callers see when the model hangs, fails or is slow, when the server freezes, when peers misbehave.

Each drill runs against a server of its own, under a steady Poisson load of messages that no cache knows, and says in
one sentence what must hold. Steps of the wall clock are those that the server sees (`benchmarks._stepped`): setting the
machine's own would harm whatever else runs on it.
"""

import socket
import sqlite3
import struct
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks._load import Phase, favour_this_process, open_loop
from benchmarks._mix import requests
from benchmarks._options import common, settings_for, stem
from benchmarks._process import Running, modgate
from benchmarks._report import environment, finish, say, table
from benchmarks._stepped import step
from modgate.v1 import moderation_pb2 as pb

_PAUSE_S = 0.3
_HALF_OPEN = 100
_STEP_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A drill that was run: what was measured, and what did not hold."""

    phase: Phase
    broken: list[str]


def main(argv: list[str]) -> int:
    """Run, print, and tell by the status whether every drill ended as it must."""
    parser = common("faults", __doc__, seconds=6, mix="unique")
    parser.add_argument("--rate", type=float, default=60.0, help="calls a second (default 60)")
    parser.add_argument("--drills", default=",".join(_DRILLS), help="separated by commas (default all)")
    options = parser.parse_args(argv)
    seconds = min(options.seconds, 2.5) if options.smoke else options.seconds
    report: dict[str, Any] = {"benchmark": "faults", "environment": environment()}
    report["configuration"] = {"rate": options.rate, "seconds": seconds, "favoured": favour_this_process()}
    say(f"{report['environment']['date']} revision {report['environment']['revision']}")
    outcomes: dict[str, _Outcome] = {}
    for i, name in enumerate(options.drills.split(",")):
        messages = requests(options.mix, stem(options.seed, i), round(options.rate * seconds))
        drill = _DRILLS[name]
        with tempfile.TemporaryDirectory(prefix="modgate-benchmark-") as kept:
            folder = Path(kept)
            settings = settings_for(
                options.mix, metrics_listen=f"127.0.0.1:{_free_port()}", storage={"folder": str(folder)}
            )
            clock = folder / "clock"
            step(clock, 0.0)
            with modgate(settings, faults=drill.faults, clock=clock if drill.stepped else None) as server:
                warm = requests(options.mix, stem(options.seed, 500 + i), 40)
                open_loop(server.address, warm, 40)
                bench = _Bench(server, messages, options.rate, settings["metrics_listen"], folder)
                outcomes[name] = drill.run(bench)
        for sentence in outcomes[name].broken:
            say(f"BROKEN {name}: {sentence}")
    report["drills"] = {
        name: outcome.phase.figures() | {"must_hold": _DRILLS[name].must_hold, "broken": outcome.broken}
        for name, outcome in outcomes.items()
    }
    _show(outcomes)
    figures = {"failed_drills": float(sum(bool(outcome.broken) for outcome in outcomes.values()))}
    return finish(
        "faults", report, figures, smoke=options.smoke, json_file=options.json, plot_file=options.plot, draw=_draw
    )


@dataclass(frozen=True, slots=True)
class _Bench:
    """What a drill works with."""

    server: Running
    messages: list[bytes]
    rate: float
    metrics: str
    folder: Path

    def load(self, *, cancel_share: float = 0.0, keep: list[bytes] | None = None) -> Phase:
        """Send all messages once."""
        return open_loop(
            self.server.address, self.messages, self.rate, server_cpu=self.server.cpu_s, cancel_share=cancel_share,
            keep=keep,
        )  # fmt: skip

    def gauge(self, name: str) -> float:
        """Read one metric without labels."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=5) as page:
            for line in page.read().decode().splitlines():
                if line.startswith(f"{name} "):
                    return float(line.split()[1])
        raise LookupError(name)


@dataclass(frozen=True, slots=True)
class _Drill:
    """A fault, what must hold under it, and how to find out."""

    must_hold: str
    run: Callable[[_Bench], _Outcome]
    faults: tuple[str, ...] = ()
    stepped: bool = False


def _none_late(phase: Phase) -> list[str]:
    broken = []
    if phase.late_from_send:
        broken.append(f"{phase.late_from_send} of {phase.sent} answers were later than 200 ms")
    if phase.errors:
        broken.append(f"{phase.errors} calls ended in an error: {dict(phase.codes)}")
    return broken


def _fallback(reason: str) -> Callable[[_Bench], _Outcome]:
    def run(bench: _Bench) -> _Outcome:
        phase = bench.load()
        broken = _none_late(phase)
        others = sum(phase.fallbacks.values()) - phase.fallbacks[reason]
        # A message that words already block never asks the model.
        if phase.fallbacks[reason] < 0.9 * phase.sent or others:
            broken.append(f"fallbacks are {dict(phase.fallbacks)} of {phase.sent}, {reason} was expected")
        return _Outcome(phase, broken)

    return run


def _slow(bench: _Bench) -> _Outcome:
    phase = bench.load()
    broken = _none_late(phase)
    if phase.decided < 0.95 * phase.sent:
        broken.append(f"only {phase.decided} of {phase.sent} were decided although there was time")
    return _Outcome(phase, broken)


def _freeze(bench: _Bench) -> _Outcome:
    moment = len(bench.messages) / bench.rate / 2
    freezer = threading.Timer(moment, bench.server.pause, [_PAUSE_S])
    freezer.start()
    phase = bench.load()
    freezer.join()
    broken = [f"{phase.errors} calls ended in an error: {dict(phase.codes)}"] if _errors_but_deadline(phase) else []
    if phase.late > bench.rate * (_PAUSE_S + 0.7):
        broken.append(f"{phase.late} late answers are more than were due during the freeze and the 700 ms after it")
    if phase.last_late_s > moment + _PAUSE_S + 0.7:
        broken.append(f"answers were late until {phase.last_late_s - moment - _PAUSE_S:.1f} s after the freeze")
    return _Outcome(phase, broken)


def _errors_but_deadline(phase: Phase) -> int:
    # Calls whose deadline passed while the server was frozen end with DEADLINE_EXCEEDED (4): that is the truth.
    return phase.errors - phase.codes[4] - phase.codes[-1]


def _half_open(bench: _Bench) -> _Outcome:
    usage = bench.server.usage
    before = usage.open_files() if usage else 0
    host, _, port = bench.server.address.rpartition(":")
    silent = [socket.create_connection((host, int(port)), 5) for _ in range(_HALF_OPEN)]
    for i, connection in enumerate(silent):
        if i % 2:  # a preface, settings, and half of a HEADERS frame
            connection.sendall(
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5) + b"\0\0\x40\x01\x04"
            )
    phase = bench.load()
    broken = _none_late(phase)
    for connection in silent:  # reset, not closed: what a peer that lost its power looks like once it is back
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    time.sleep(0.5)
    after = usage.open_files() if usage else 0
    if after > before + 8:
        broken.append(f"{after - before} files stayed open after {_HALF_OPEN} connections had gone")
    return _Outcome(phase, broken)


def _cancel(bench: _Bench) -> _Outcome:
    hurried: list[bytes] = []
    phase = bench.load(cancel_share=0.5, keep=hurried)
    again = [pb.ModerateRequest.FromString(message) for message in bench.messages]
    for request in again:  # other ids: the same texts, and no answer from the memory of recent decisions
        request.request_id = request.message.id = f"c{request.request_id}"
    calm: list[bytes] = []
    replace(bench, messages=[r.SerializeToString() for r in again]).load(keep=calm)
    broken = []
    if phase.errors:
        broken.append(f"calls that were not cancelled ended in an error: {dict(phase.codes)}")
    if not 0 < phase.cancelled < 0.9 * phase.sent:
        broken.append(f"{phase.cancelled} of {phase.sent} calls could be cancelled: too few or too many to tell")
    differ = sum(_verdict(a) != _verdict(b) for a, b in zip(calm, hurried, strict=True) if a and b)
    if differ:
        broken.append(f"{differ} answers differ from those without cancellations")
    time.sleep(0.5)
    broken += [
        f"{name} is {value:g} after all calls have ended"
        for name in ("modgate_in_flight", "modgate_queue_depth")
        if (value := bench.gauge(name))
    ]
    return _Outcome(phase, broken)


def _slow_store(bench: _Bench) -> _Outcome:
    database = bench.folder / "modgate.db"
    seconds = len(bench.messages) / bench.rate
    begun = threading.Event()

    def hold() -> None:
        # What a backup or a disk that stalls does: whoever writes has to wait.
        with sqlite3.connect(database, isolation_level=None) as held:
            held.execute("BEGIN IMMEDIATE")
            begun.set()
            time.sleep(seconds / 2)
            held.execute("COMMIT")

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait(10)
    phase = bench.load()
    holder.join()
    broken = _none_late(phase)
    missing = phase.answered - _recorded(database, phase.answered, seconds=10)
    if missing > 0:
        broken.append(f"{missing} of {phase.answered} decisions were not in the history 10 s later")
    return _Outcome(phase, broken)


def _clock_step(bench: _Bench) -> _Outcome:
    third = len(bench.messages) / bench.rate / 3
    clock = bench.folder / "clock"
    steps = [threading.Timer(third, step, [clock, _STEP_S]), threading.Timer(2 * third, step, [clock, -_STEP_S])]
    for timer in steps:
        timer.start()
    phase = bench.load()
    for timer in steps:
        timer.join()
    broken = _none_late(phase)
    if phase.decided < 0.95 * phase.sent:
        broken.append(f"only {phase.decided} of {phase.sent} were decided without a fallback")
    database = bench.folder / "modgate.db"
    missing = phase.answered - _recorded(database, phase.answered, seconds=10)
    if missing > 0:
        broken.append(f"{missing} of {phase.answered} decisions were not in the history 10 s later")
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as history:
        ((span,),) = history.execute("SELECT (max(decided_ms) - min(decided_ms)) / 1000.0 FROM decisions").fetchall()
    if span < 2 * _STEP_S - 60:
        broken.append(f"the history spans {span:.0f} s: the server has not seen the steps, so this drill says nothing")
    return _Outcome(phase, broken)


def _recorded(database: Path, wanted: int, *, seconds: float) -> int:
    """Return how many decisions of the load the history holds, as soon as it holds all of them."""
    until = time.monotonic() + seconds
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as history:
        while True:
            (count,) = history.execute("SELECT count(*) FROM decisions").fetchone()
            if count >= wanted or time.monotonic() > until:
                return int(count)
            time.sleep(0.2)


def _verdict(answer: bytes) -> tuple[int, str, bool]:
    response = pb.ModerateResponse.FromString(answer)
    return response.verdict, response.masked_text, response.HasField("fallback")


_DRILLS = {
    "hang": _Drill(
        "The model hangs: every answer is in time and marked TIMEOUT.", _fallback("TIMEOUT"), ("text=hang",)
    ),
    "error": _Drill("The model fails: every answer is in time and marked ERROR.", _fallback("ERROR"), ("text=error",)),
    "delay": _Drill(
        "The model takes 500 ms: every answer is in time and marked TIMEOUT.",
        _fallback("TIMEOUT"),
        ("text=delay:500ms",),
    ),
    "slow": _Drill("The model takes 50 ms more: everything is still decided.", _slow, ("text=delay:50ms",)),
    "freeze": _Drill("The process stands still for 300 ms: what was due then is late, and nothing after it.", _freeze),
    "half-open": _Drill(
        f"{_HALF_OPEN} connections hang half open: nobody else notices, no file stays open.", _half_open
    ),
    "slow-store": _Drill(
        "Another process holds the history's database for half of the time: no answer is late, no decision is missing.",
        _slow_store,
    ),
    "clock-step": _Drill(
        "The wall clock jumps an hour ahead, then two back: no answer is late, all are decided, none is missing.",
        _clock_step,
        stepped=True,
    ),
    "cancel": _Drill("Half of the calls are cancelled: no other answer changes, nothing is left behind.", _cancel),
}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _show(outcomes: dict[str, _Outcome]) -> None:
    table(
        "drills, each against a server of its own",
        ["drill", "calls", "late", "errors", "decided", "fallbacks", "p50 ms", "p99 ms", "max ms", "held"],
        [
            [
                name, o.phase.sent, o.phase.late, o.phase.errors, o.phase.decided,
                " ".join(f"{n} {k}" for k, n in o.phase.fallbacks.items()) or "0", f"{o.phase.ms(50):.1f}",
                f"{o.phase.ms(99):.1f}", f"{o.phase.ms(100):.1f}", "no" if o.broken else "yes",
            ]
            for name, o in outcomes.items()
        ],
    )  # fmt: skip
    for name in outcomes:
        say(f"{name}: {_DRILLS[name].must_hold}")


def _draw(picture: Any, report: dict[str, Any]) -> None:  # noqa: ANN401 - matplotlib's figure
    axes = picture.add_subplot()
    names = list(report["drills"])
    for percentile in ("p50", "p99", "max"):
        axes.plot(names, [report["drills"][n]["latency_ms"][percentile] for n in names], "o", label=percentile)
    axes.axhline(200, color="black", linewidth=0.8, linestyle="--")
    axes.set_ylabel("ms from the due time")
    axes.set_title("latency under drills")
    axes.legend()
