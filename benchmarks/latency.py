"""Latency of verdicts, open loop: Poisson arrivals, counted from the moment each call was due.

- `python -m benchmarks latency`: a sweep of rates, among them 100 short chat lines a second.
- `python -m benchmarks latency --mix words --rates 500,1000,2000 --plot latency.png`

A first second of load at each rate is thrown away. Also told: cold start to SERVING, memory after the warm-up, and
how late the generator itself was, which is part of every figure here.
"""

import itertools
from typing import Any

from benchmarks._load import Phase, favour_this_process, open_loop
from benchmarks._mix import requests
from benchmarks._options import common, settings_for, stem
from benchmarks._process import modgate
from benchmarks._report import environment, finish, say, table

_FORGIVEN = 2


def main(argv: list[str]) -> int:
    """Run, print, and tell by the status whether the thresholds hold."""
    parser = common("latency", __doc__, seconds=20)
    parser.add_argument("--rates", default="", help="calls a second, separated by commas (default 50,100,200,300)")
    parser.add_argument("--stream", action="store_true", help="over ModerateStream instead of unary calls")
    parser.add_argument("--connections", type=int, default=2, help="connections that share the load")
    options = parser.parse_args(argv)
    rates = [float(rate) for rate in (options.rates or ("20,100" if options.smoke else "50,100,200,300")).split(",")]
    seconds = min(options.seconds, 4) if options.smoke else options.seconds
    report: dict[str, Any] = {"benchmark": "latency", "environment": environment()}
    settings = settings_for(options.mix)
    report["configuration"] = {
        "mix": options.mix.name,
        "about": options.mix.about,
        "settings": settings if not options.address else "a server that was running",
        "stream": options.stream,
        "connections": options.connections,
        "seconds": seconds,
        "arrivals": "Poisson",
        "favoured": favour_this_process(),
    }
    phases: list[Phase] = []
    fresh = itertools.count()
    with modgate(settings, address=options.address) as server:

        def load(rate: float, lasting: float, label: str = "") -> Phase:
            return open_loop(
                server.address, requests(options.mix, stem(options.seed, next(fresh)), max(10, round(rate * lasting))),
                rate, seed=stem(options.seed, next(fresh)), streamed=options.stream, connections=options.connections,
                server_cpu=server.cpu_s, label=label,
            )  # fmt: skip

        for rate in rates:
            load(rate, 1.0)
            if not phases:
                report["server"] = {"cold_start_s": server.cold_start_s, "rss_mb": server.rss_mb()}
            phase = load(rate, seconds, f"{rate:g}/s")
            # A shared CI machine may stand still for a moment; a gate that is late is late again.
            for _ in range(_FORGIVEN if options.smoke else 0):
                if not phase.late and not phase.errors and not phase.fallbacks:
                    break
                say(f"{rate:g}/s: {phase.late} late, {phase.errors} errors, {phase.fallbacks.total()} fallbacks; again")
                phase = load(rate, seconds, f"{rate:g}/s")
            phases.append(phase)
        report["server"]["rss_mb_after"] = server.rss_mb()
    report["phases"] = [phase.figures() for phase in phases]
    _show(report, phases)
    figures = _figures(report, phases)
    return finish(
        "latency", report, figures, smoke=options.smoke, json_file=options.json, plot_file=options.plot, draw=_draw
    )


def _figures(report: dict[str, Any], phases: list[Phase]) -> dict[str, float]:
    lowest = phases[0]
    figures = {
        "late": float(sum(phase.late for phase in phases)),
        "errors": float(sum(phase.errors for phase in phases)),
        "lowest_rate_fallback_share": sum(lowest.fallbacks.values()) / max(1, lowest.answered),
        "lowest_rate_p99_ms": lowest.ms(99),
    }
    at_100 = next((phase for phase in phases if phase.rate == 100), None)
    if at_100:
        figures |= {"p50_ms_at_100": at_100.ms(50), "p99_ms_at_100": at_100.ms(99), "p99_9_ms_at_100": at_100.ms(99.9)}
    server = report["server"]
    if server["cold_start_s"] is not None:
        figures |= {"cold_start_s": server["cold_start_s"], "rss_mb": server["rss_mb"]}
    return figures


def _show(report: dict[str, Any], phases: list[Phase]) -> None:
    environment, server = report["environment"], report["server"]
    machine = environment["machine"]
    say(
        f"{environment['date']} revision {environment['revision']}, {machine['processor']}, {machine['cores']} cores, "
        f"quota {machine['quota']:g}, load before {machine['load_before']}"
    )
    say(" ".join(f"{name} {version}" for name, version in environment["versions"].items()))
    say(f"cold start to SERVING {server['cold_start_s']} s, resident after warm-up {server['rss_mb']} MB")
    table(
        f"latency from the due time in ms, mix {report['configuration']['mix']}, Poisson arrivals",
        ["rate /s", "calls", "p50", "p90", "p99", "p99.9", "p99.99", "max", "late", "errors", "fallbacks", "lag p99",
         "server CPU", "client CPU"],
        [
            [
                f"{phase.rate:g}", phase.sent, *(f"{phase.ms(p):.2f}" for p in (50, 90, 99, 99.9, 99.99, 100)),
                phase.late, phase.errors, sum(phase.fallbacks.values()), f"{phase.lag_us[1] / 1000:.2f}",
                None if phase.server_cpu_s is None else f"{phase.server_cpu_s / phase.seconds:.0%}",
                f"{phase.client_cpu_s / phase.seconds:.0%}",
            ]
            for phase in phases
        ],
    )  # fmt: skip
    say("late: not answered within 200 ms of being due; lag: how late the generator sent, included in every latency")


def _draw(picture: Any, report: dict[str, Any]) -> None:  # noqa: ANN401 - matplotlib's figure
    axes = picture.add_subplot()
    for phase in report["phases"]:
        shown = phase["latency_ms"]
        points = [float(name.removeprefix("p")) for name in shown if name != "max"]
        axes.plot([1 / (1 - p / 100) for p in points], [shown[f"p{p:g}"] for p in points], marker="o",
                  label=f"{phase['rate']:g}/s")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([2, 10, 100, 1000, 10000], ["p50", "p90", "p99", "p99.9", "p99.99"])
    axes.axhline(200, color="black", linewidth=0.8, linestyle="--")
    axes.annotate("budget 200 ms", (2, 205), fontsize=8)
    axes.set_ylabel("ms from the due time")
    axes.set_title(f"modgate, mix {report['configuration']['mix']}, Poisson arrivals")
    axes.grid(alpha=0.3)
    axes.legend()
