"""How many verdicts a second, unary, streamed and in frames, and what share of the bare ceilings that is.

- `python -m benchmarks throughput`: for each mix, saturated throughput and the highest Poisson rate whose p99 stays
  within a bound.
- `python -m benchmarks throughput --ceilings`: also an echo server on the same gRPC stack and onnxruntime alone with
  the same model and texts, all in the same rounds, so that the ratios are of one run.

Saturated: a fixed number of calls in flight, for what gets done, never for latency. All servers of a run wait idle
while another is measured; each figure is the median of the rounds.
"""

import itertools
import os
import re
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypedDict

from benchmarks._bare import BareModel, text_bundle
from benchmarks._load import Phase, closed_loop, favour_this_process, open_loop
from benchmarks._mix import MIXES, Mix, requests, texts
from benchmarks._options import common, settings_for, stem
from benchmarks._process import Running, modgate, program
from benchmarks._report import environment, finish, say, table
from benchmarks._search import highest_rate

_IN_FLIGHT = 64
_IN_FLIGHT_MODELS = 24  # enough for full batches on every worker, too few to be shed
_FRAME = 32
_WAYS = ("unary", "stream", "frames")
_BATCHES = ((1, 1), (4, 1), (8, 1), (1, 2), (8, 2))  # size, callers


def main(argv: list[str]) -> int:
    """Run, print, and tell by the status whether the thresholds hold."""
    parser = common("throughput", __doc__, seconds=4)
    parser.add_argument("--mixes", default="words,chat,unique", help="separated by commas (default all)")
    parser.add_argument("--p99-ms", type=float, default=50.0, help="bound of the rate search (default 50)")
    parser.add_argument("--rounds", type=int, default=3, help="of saturated measurements (default 3)")
    parser.add_argument("--ceilings", action="store_true", help="measure the bare stack and the bare model, too")
    parser.add_argument("--no-search", action="store_true", help="leave out the search for the highest rate")
    options = parser.parse_args(argv)
    if options.smoke:
        options.rounds, options.seconds, options.mixes, options.no_search = 1, 1.5, options.mix.name, True
    mixes = [MIXES[name] for name in options.mixes.split(",")]
    report: dict[str, Any] = {"benchmark": "throughput", "environment": environment()}
    report["configuration"] = {
        "mixes": options.mixes,
        "in_flight": _IN_FLIGHT,
        "in_flight_models": _IN_FLIGHT_MODELS,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "p99_bound_ms": options.p99_ms,
        "favoured": favour_this_process(),
    }
    bench = _Bench(options.seed, options.seconds)
    with ExitStack() as stack:
        servers = _servers(stack, mixes, options.address)
        echo = stack.enter_context(echo_server()) if options.ceilings else None
        for mix in mixes:
            bench.saturate(mix, servers[mix.models], "unary", warm=True)
        for _ in range(options.rounds):
            for mix, way in itertools.product(mixes, _WAYS):
                bench.saturate(mix, servers[mix.models], way)
            if echo is not None:
                bench.echo(echo)
        if not options.no_search:
            for mix, way in itertools.product(mixes, _WAYS):
                bench.search(mix, servers[mix.models], way, bound_ms=options.p99_ms)
        report["rss_mb"] = {"models" if models else "words": server.rss_mb() for models, server in servers.items()}
    if options.ceilings:
        bench.bare(options.rounds)
    report |= {
        "saturated": bench.saturated,
        "highest": bench.highest,
        "bare": bench.bare_rates,
        "bare_per_core_s": bench.bare_efficiency,
    }
    figures = _figures(bench)
    _show(report, bench, figures)
    return finish(
        "throughput", report, figures, smoke=options.smoke, json_file=options.json, plot_file=options.plot, draw=_draw
    )


def _servers(stack: ExitStack, mixes: Sequence[Mix], address: str) -> dict[bool, Running]:
    """Start one server with the text model and one without, as the mixes need them."""
    return {
        models: stack.enter_context(modgate(settings_for(mix), address=address))
        for models, mix in {mix.models: mix for mix in mixes}.items()
    }


@contextmanager
def echo_server() -> Iterator[Running]:
    """Run the echo server until the block ends."""
    path = {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path[:1], os.environ.get("PYTHONPATH", "")])
    }
    ready = re.compile(r"^echo ready: (\S+)")
    with tempfile.TemporaryDirectory(prefix="modgate-benchmark-") as folder:
        command = [sys.executable, "-m", "benchmarks._echo"]
        with program(command, ready, folder=Path(folder), environment=path) as running:
            yield running


class _Bench:
    """Collects figures: lists of rounds by name, such as `words unary`."""

    def __init__(self, seed: int, seconds: float) -> None:
        self._seed, self._seconds = seed, seconds
        self._fresh = itertools.count()
        self.saturated: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.highest: dict[str, dict[str, Any]] = {}
        self.bare_rates: dict[str, list[float]] = defaultdict(list)
        self.bare_efficiency: dict[str, list[float]] = defaultdict(list)

    def _messages(self, mix: Mix, count: int) -> list[bytes]:
        return requests(mix, stem(self._seed, next(self._fresh)), count)

    def saturate(self, mix: Mix, server: Running, way: str, *, warm: bool = False) -> None:
        """Measure one round of one mix."""
        count = round((20_000 if not mix.models else 6_000) * self._seconds)
        phase = closed_loop(
            server.address, self._messages(mix, count), **_how(way),
            in_flight=_IN_FLIGHT_MODELS if mix.models else _IN_FLIGHT,
            seconds=1.0 if warm else self._seconds, server_cpu=server.cpu_s,
        )  # fmt: skip
        if not warm:
            self.saturated[f"{mix.name} {way}"].append(_digest(phase))

    def echo(self, server: Running) -> None:
        """Measure one round of the echo server, with the messages of the words mix."""
        for way in _WAYS:
            phase = closed_loop(
                server.address, self._messages(MIXES["words"], round(30_000 * self._seconds)), in_flight=_IN_FLIGHT,
                **_how(way), seconds=self._seconds, server_cpu=server.cpu_s, classify=False,
            )  # fmt: skip
            self.saturated[f"echo {way}"].append(_digest(phase))

    def bare(self, rounds: int) -> None:
        """Measure onnxruntime alone on the texts of the `unique` mix."""
        model = BareModel.load(text_bundle())
        lines = list(itertools.islice(texts(MIXES["unique"], self._seed), 2_000))
        for _ in range(rounds):
            for batch, callers in _BATCHES:
                rate, efficiency = model.per_second(lines, batch=batch, callers=callers, seconds=self._seconds)
                name = f"batches of {batch}, {callers} caller{'s' * (callers > 1)}"
                self.bare_rates[name].append(round(rate, 1))
                self.bare_efficiency[name].append(round(efficiency, 1))

    def search(self, mix: Mix, server: Running, way: str, *, bound_ms: float) -> None:
        """Find the highest Poisson rate with p99 within the bound, no error and (almost) no fallback."""
        name = f"{mix.name} {way}"

        def measure(rate: float) -> Phase:
            return open_loop(
                server.address, self._messages(mix, round(rate * self._seconds)), rate, seed=next(self._fresh),
                server_cpu=server.cpu_s, label=f"{name} {rate:.0f}/s", **_how(way),
            )  # fmt: skip

        low, good = highest_rate(measure, 0.8 * (self.median(name) or 500.0), bound_ms=bound_ms)
        self.highest[name] = {"rate": round(low, 1)} | (good.figures() if good else {})

    def median(self, name: str) -> float:
        """Return the median of a saturated figure, 0 if it was not measured."""
        rounds = self.saturated.get(name)
        return statistics.median(r["goodput_per_s"] for r in rounds) if rounds else 0.0

    def efficiency(self, name: str) -> float:
        """Return decided verdicts per second of the server's processor time, 0 if that is not known."""
        rounds = self.saturated.get(name, [])
        cpu = sum(r["server_cpu_s"] or 0.0 for r in rounds)
        return sum(r["decided"] for r in rounds) / cpu if cpu else 0.0


class _How(TypedDict):
    streamed: bool
    frames: int


def _how(way: str) -> _How:
    return {"streamed": way != "unary", "frames": _FRAME if way == "frames" else 1}


def _digest(phase: Phase) -> dict[str, Any]:
    figures = phase.figures()
    keep = (
        "seconds",
        "answered",
        "decided",
        "answers_per_s",
        "goodput_per_s",
        "errors",
        "fallbacks",
        "client_cpu_s",
        "server_cpu_s",
    )
    return {key: figures[key] for key in keep}


def _figures(bench: _Bench) -> dict[str, float]:
    median = bench.median
    bare = max((statistics.median(rounds) for rounds in bench.bare_rates.values()), default=0.0)
    every = [r for rounds in bench.saturated.values() for r in rounds]
    figures: dict[str, float] = {
        "errors": float(sum(r["errors"] for r in every)),
        "least_goodput_per_s": min((median(name) for name in bench.saturated), default=0.0),
        "fallback_share": sum(sum(r["fallbacks"].values()) for r in every) / max(1, sum(r["answered"] for r in every)),
    }
    ratios = {
        "words_unary_of_echo": (median("words unary"), median("echo unary")),
        "words_stream_of_unary": (median("words stream"), median("words unary")),
        "words_frames_of_unary": (median("words frames"), median("words unary")),
        "unique_unary_of_bare": (median("unique unary"), bare),
        "unique_stream_of_bare": (median("unique stream"), bare),
        "chat_unary_of_bare": (median("chat unary"), bare),
        "unique_frames_of_bare": (median("unique frames"), bare),
        "chat_stream_of_bare": (median("chat stream"), bare),
        "chat_frames_of_bare": (median("chat frames"), bare),
    }
    # By processor time: neighbours on a busy machine take from both alike.
    able = bench.efficiency
    alone = max((statistics.median(rounds) for rounds in bench.bare_efficiency.values()), default=0.0)
    ratios |= {
        "words_unary_of_echo_by_cpu": (able("words unary"), able("echo unary")),
        "words_frames_of_unary_by_cpu": (able("words frames"), able("words unary")),
        "unique_unary_of_bare_by_cpu": (able("unique unary"), alone),
        "unique_frames_of_bare_by_cpu": (able("unique frames"), alone),
        "chat_unary_of_bare_by_cpu": (able("chat unary"), alone),
        "chat_frames_of_bare_by_cpu": (able("chat frames"), alone),
    }
    return figures | {name: above / below for name, (above, below) in ratios.items() if above and below}


def _show(report: dict[str, Any], bench: _Bench, figures: dict[str, float]) -> None:
    environment = report["environment"]
    say(
        f"{environment['date']} revision {environment['revision']}, load before {environment['machine']['load_before']}"
    )
    rows = []
    for name, rounds in bench.saturated.items():
        seconds = sum(r["seconds"] for r in rounds)
        server_cpu = [r["server_cpu_s"] for r in rounds if r["server_cpu_s"] is not None]
        highest = bench.highest.get(name)
        rows.append([
            name, f"{bench.median(name):.0f}", " ".join(f"{r['goodput_per_s']:.0f}" for r in rounds),
            f"{sum(server_cpu) / seconds:.2f}" if server_cpu else None,
            f"{sum(r['client_cpu_s'] for r in rounds) / seconds:.2f}",
            f"{sum(r['answered'] for r in rounds) / sum(server_cpu):.0f}" if server_cpu and sum(server_cpu) else None,
            f"{highest['rate']:.0f}" if highest else None,
            highest["latency_ms"]["p99"] if highest and "latency_ms" in highest else None,
        ])  # fmt: skip
    for name, rates in bench.bare_rates.items():
        median = f"{statistics.median(rates):.0f}"
        efficiency = f"{statistics.median(bench.bare_efficiency[name]):.0f}"
        rounds_shown = " ".join(f"{rate:.0f}" for rate in rates)
        rows.append([f"onnxruntime alone, {name}", median, rounds_shown, None, None, efficiency, None, None])
    bound = report["configuration"]["p99_bound_ms"]
    table(
        f"verdicts a second; saturated with {_IN_FLIGHT} calls in flight ({_IN_FLIGHT_MODELS} with models), "
        f"and Poisson with p99 within {bound:g} ms",
        ["what", "saturated", "rounds", "server cores", "client cores", "per core-second", "highest rate", "its p99"],
        rows,
    )
    for name, value in figures.items():
        if "_of_" in name:
            say(f"{name.replace('_', ' ')}: {value:.2f}")


def _draw(picture: Any, report: dict[str, Any]) -> None:  # noqa: ANN401 - matplotlib's figure
    axes = picture.add_subplot()
    bars = {name: statistics.median(r["goodput_per_s"] for r in rounds) for name, rounds in report["saturated"].items()}
    bars |= {f"onnxruntime alone,\n{name}": statistics.median(rates) for name, rates in report["bare"].items()}
    axes.barh(list(bars), list(bars.values()), color="tab:blue")
    axes.invert_yaxis()
    axes.bar_label(axes.containers[0], fmt="%.0f", padding=3)
    axes.set_xlabel("messages a second, saturated")
    axes.set_title("throughput and its ceilings")
