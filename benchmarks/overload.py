"""Overload: 1 to 20 times of what the server can do, open loop. Are answers late, and are verdicts still decided?

Capacity is measured first, by raising the rate until less than 95 % of the calls are decided; all messages are
different, so that the model is what limits. Then every multiple for `--seconds`. Goodput counts verdicts that were
decided without a fallback and answered within 200 ms of being due. Refused calls were reset by the server's gRPC
before they were read (`limits.unread_calls`); a client learns that within milliseconds and applies its own fallback.
"""

import itertools
from typing import Any

from benchmarks._load import Phase, favour_this_process, open_loop
from benchmarks._mix import requests
from benchmarks._options import common, settings_for, stem
from benchmarks._process import Running, modgate
from benchmarks._report import environment, finish, say, table

_CONNECTIONS = 8


def main(argv: list[str]) -> int:
    """Run, print, and tell by the status whether the thresholds hold."""
    parser = common("overload", __doc__, seconds=60, mix="unique")
    parser.add_argument("--multiples", default="", help="of capacity, separated by commas (default 0.5,1,2,5,10,20)")
    parser.add_argument("--stream", action="store_true", help="over ModerateStream instead of unary calls")
    parser.add_argument("--frames", type=int, default=1, help="with --stream: most messages that share a frame, if due")
    options = parser.parse_args(argv)
    multiples = [float(m) for m in (options.multiples or ("1,4" if options.smoke else "0.5,1,2,5,10,20")).split(",")]
    seconds = min(options.seconds, 3) if options.smoke else options.seconds
    report: dict[str, Any] = {"benchmark": "overload", "environment": environment()}
    report["configuration"] = {
        "mix": options.mix.name, "stream": options.stream, "frames": options.frames, "seconds": seconds,
        "connections": _CONNECTIONS,
        "favoured": favour_this_process(),
    }  # fmt: skip
    fresh = itertools.count()

    def messages(count: int) -> list[bytes]:
        return requests(options.mix, stem(options.seed, next(fresh)), max(10, count))

    def capacity(server: Running, rate: float) -> float:
        best = 0.0
        for _ in range(12):
            phase = open_loop(
                server.address, messages(round(rate * min(3, seconds))), rate, seed=next(fresh),
                streamed=options.stream, frames=options.frames, connections=_CONNECTIONS,
                label=f"capacity? {rate:.0f}/s",
            )  # fmt: skip
            best = max(best, phase.goodput)
            if phase.decided < 0.95 * phase.sent:
                break
            rate *= 1.4
        return best

    phases: list[Phase] = []
    with modgate(settings_for(options.mix), address=options.address) as server:
        report["capacity_per_s"] = able = round(capacity(server, 50.0), 1)
        say(f"capacity {able:.0f} decided verdicts a second")
        for multiple in multiples:
            rate = max(able * multiple, 1)
            phases.append(
                open_loop(
                    server.address, messages(round(rate * seconds)), rate, seed=next(fresh), streamed=options.stream,
                    frames=options.frames, connections=_CONNECTIONS, server_cpu=server.cpu_s,
                    label=f"{multiple:g}x, {rate:.0f}/s",
                )
            )  # fmt: skip
        report["capacity_after_per_s"] = round(capacity(server, able / 2), 1)
    report["phases"] = [{"multiple": m} | p.figures() for m, p in zip(multiples, phases, strict=True)]
    figures = _figures(report, multiples, phases)
    _show(report, multiples, phases)
    return finish(
        "overload", report, figures, smoke=options.smoke, json_file=options.json, plot_file=options.plot, draw=_draw
    )


def _figures(report: dict[str, Any], multiples: list[float], phases: list[Phase]) -> dict[str, float]:
    peak = max(phase.goodput for phase in phases)
    pressed = [p for m, p in zip(multiples, phases, strict=True) if 1 < m <= 10]
    at_half = [p for m, p in zip(multiples, phases, strict=True) if m <= 0.5]
    figures = {
        # DEADLINE_EXCEEDED is counted as late, which is what it is.
        "errors": float(sum(phase.errors - phase.codes[4] for phase in phases)),
        "refused_share": sum(phase.refused for phase in phases) / max(1, sum(phase.sent for phase in phases)),
        "refused_up_to_1x": float(sum(p.refused for m, p in zip(multiples, phases, strict=True) if m <= 1)),
        "deadlines_exceeded": float(sum(phase.codes[4] for phase in phases)),
        "answered_share": sum(phase.answered for phase in phases) / max(1, sum(phase.sent for phase in phases)),
        "late_up_to_10x": float(sum(phase.late for phase in pressed)),
        "calls_up_to_10x": float(sum(phase.sent for phase in pressed)),
        "recovered_of_capacity": report["capacity_after_per_s"] / max(1.0, report["capacity_per_s"]),
    }
    if pressed:
        figures["late_share_up_to_10x"] = figures["late_up_to_10x"] / figures["calls_up_to_10x"]
        figures["least_goodput_of_peak"] = min(phase.goodput for phase in pressed) / max(1.0, peak)
    if at_half:
        figures["p99_ms_at_half"] = at_half[-1].ms(99)
    return figures


def _show(report: dict[str, Any], multiples: list[float], phases: list[Phase]) -> None:
    when = report["environment"]
    say(f"{when['date']} revision {when['revision']}, load before {when['machine']['load_before']}")
    table(
        f"open loop at multiples of {report['capacity_per_s']:.0f}/s, mix {report['configuration']['mix']}",
        ["load", "rate /s", "calls", "late", "late share", "from send", "goodput /s", "fallbacks", "refused", "errors",
         "p50 ms", "p99 ms", "max ms", "lag p99", "server cores", "client cores"],
        [
            [
                f"{multiple:g}x", f"{phase.rate:.0f}", phase.sent, phase.late, f"{phase.late / max(1, phase.sent):.3%}",
                phase.late_from_send, f"{phase.goodput:.0f}",
                f"{sum(phase.fallbacks.values()) / max(1, phase.answered):.1%}",
                f"{phase.refused / max(1, phase.sent):.1%}", phase.errors,
                f"{phase.ms(50):.1f}", f"{phase.ms(99):.1f}", f"{phase.ms(100):.1f}",
                f"{phase.lag_us[1] / 1000:.1f}",
                None if phase.server_cpu_s is None else f"{phase.server_cpu_s / phase.seconds:.2f}",
                f"{phase.client_cpu_s / phase.seconds:.2f}",
            ]
            for multiple, phase in zip(multiples, phases, strict=True)
        ],
    )  # fmt: skip
    say(f"capacity afterwards {report['capacity_after_per_s']:.0f}/s")


def _draw(picture: Any, report: dict[str, Any]) -> None:  # noqa: ANN401 - matplotlib's figure
    axes, below = picture.subplots(2, 1, sharex=True)
    loads = [phase["multiple"] for phase in report["phases"]]
    axes.plot(loads, [phase["goodput_per_s"] for phase in report["phases"]], marker="o", label="decided in time")
    axes.plot(loads, [phase["answers_per_s"] for phase in report["phases"]], marker="s", label="answered")
    axes.set_ylabel("a second")
    axes.set_xscale("log")
    axes.legend()
    axes.set_title(f"overload in multiples of {report['capacity_per_s']:.0f} verdicts a second")
    for name in ("p50", "p99", "max"):
        below.plot(loads, [phase["latency_ms"][name] for phase in report["phases"]], marker="o", label=name)
    below.axhline(200, color="black", linewidth=0.8, linestyle="--")
    below.set_yscale("log")
    below.set_ylabel("ms from the due time")
    below.set_xticks(loads, [f"{load:g}x" for load in loads])
    below.legend()
