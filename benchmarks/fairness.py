"""Fairness: what is left for an app that sends little while another one floods the gate.

Capacity is measured first. Then the quiet app sends a fifth of it alone, and the same beside a flood of several times
the capacity from another app, in one open loop. What must hold: the quiet app's messages are still decided.
"""

import itertools
import random
from dataclasses import dataclass
from typing import Any

from benchmarks._load import Phase, favour_this_process, open_loop
from benchmarks._mix import requests
from benchmarks._options import common, settings_for, stem
from benchmarks._process import modgate
from benchmarks._report import environment, finish, say, table
from modgate.v1 import moderation_pb2 as pb

_QUIET, _FLOOD = "quiet", "flood"
_SHARE = 0.2
_CONNECTIONS = 8


@dataclass(slots=True)
class _Tally:
    """What became of one app's messages."""

    sent: int = 0
    answered: int = 0
    decided: int = 0

    @property
    def share(self) -> float:
        """Of its messages, those that were decided without a fallback."""
        return self.decided / self.sent if self.sent else 0.0


def main(argv: list[str]) -> int:
    """Run, print, and tell by the status whether the thresholds hold."""
    parser = common("fairness", __doc__, seconds=20, mix="unique")
    parser.add_argument("--flood", type=float, default=2.0, help="the flood, in multiples of capacity (default 2)")
    parser.add_argument(
        "--stream", action="store_true", help="over streams that both apps share instead of unary calls"
    )
    options = parser.parse_args(argv)
    seconds = min(options.seconds, 3) if options.smoke else options.seconds
    report: dict[str, Any] = {"benchmark": "fairness", "environment": environment()}
    report["configuration"] = {
        "flood": options.flood, "stream": options.stream, "seconds": seconds, "favoured": favour_this_process(),
    }  # fmt: skip
    fresh = itertools.count()
    phases: dict[str, tuple[Phase, dict[str, _Tally]]] = {}
    with modgate(settings_for(options.mix), address=options.address) as server:
        able, rate = 0.0, 50.0
        for _ in range(12):
            messages = requests(options.mix, stem(options.seed, next(fresh)), round(rate * min(3, seconds)))
            phase = open_loop(
                server.address, messages, rate, seed=next(fresh), connections=_CONNECTIONS, streamed=options.stream
            )
            able = max(able, phase.goodput)
            if phase.decided < 0.95 * phase.sent:
                break
            rate *= 1.4
        report["capacity_per_s"] = round(able, 1)
        for name, flood in (("alone", 0.0), (f"beside a flood of {options.flood:g}x", options.flood)):
            rate = able * (_SHARE + flood)
            messages = requests(options.mix, stem(options.seed, next(fresh)), max(20, round(rate * seconds)))
            apps = _dealt(len(messages), _SHARE / (_SHARE + flood), options.seed)
            kept: list[bytes] = []
            phase = open_loop(
                server.address, [_of(message, app) for message, app in zip(messages, apps, strict=True)], rate,
                seed=next(fresh), connections=_CONNECTIONS, streamed=options.stream, keep=kept, label=name,
            )  # fmt: skip
            phases[name] = phase, _tallies(apps, kept)
    report["phases"] = {
        name: phase.figures() | {app: _json(tally) for app, tally in tallies.items()}
        for name, (phase, tallies) in phases.items()
    }
    (_, before), (crowded, beside) = phases.values()
    figures = {
        "quiet_decided_alone": before[_QUIET].share,
        "quiet_decided_beside_flood": beside[_QUIET].share,
        "flood_decided": beside[_FLOOD].share,
        "late": float(crowded.late),
    }
    _show(report, phases)
    return finish("fairness", report, figures, smoke=options.smoke, json_file=options.json, plot_file=options.plot)


def _json(tally: _Tally) -> dict[str, float]:
    """Return a tally as JSON takes it."""
    return {"sent": tally.sent, "answered": tally.answered, "decided": tally.decided, "share": round(tally.share, 4)}


def _dealt(count: int, share: float, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [_QUIET if draw.random() < share else _FLOOD for _ in range(count)]


def _of(message: bytes, app: str) -> bytes:
    request = pb.ModerateRequest.FromString(message)
    request.app_id = app
    return request.SerializeToString()


def _tallies(apps: list[str], answers: list[bytes]) -> dict[str, _Tally]:
    tallies = {_QUIET: _Tally(), _FLOOD: _Tally()}
    for app, answer in zip(apps, answers, strict=True):
        tally = tallies[app]
        tally.sent += 1
        if answer:
            tally.answered += 1
            tally.decided += not pb.ModerateResponse.FromString(answer).HasField("fallback")
    return tallies


def _show(report: dict[str, Any], phases: dict[str, tuple[Phase, dict[str, _Tally]]]) -> None:
    when = report["environment"]
    say(f"{when['date']} revision {when['revision']}, load before {when['machine']['load_before']}")
    table(
        f"apps side by side; capacity {report['capacity_per_s']:.0f} decided verdicts a second",
        ["phase", "app", "sent", "answered", "decided", "share", "late in all", "refused in all", "p99 ms in all"],
        [
            [
                name, app, tally.sent, tally.answered, tally.decided, f"{tally.share:.1%}", phase.late, phase.refused,
                f"{phase.ms(99):.1f}",
            ]
            for name, (phase, tallies) in phases.items()
            for app, tally in tallies.items()
            if tally.sent
        ],
    )  # fmt: skip
