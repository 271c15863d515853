"""The control plane: how long changes of rules and lists take over gRPC, and what messages in flight feel of them.

`python -m benchmarks control [--words 100000] [--smoke] [--json F]` starts a server with its rules in a store, times
each kind of change, then sends messages at a steady rate: quietly first, then while one list after the other is
uploaded.
"""

import argparse
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc

from benchmarks._load import Phase, favour_this_process, open_loop
from benchmarks._process import modgate
from benchmarks._remembered import lines
from benchmarks._report import environment, finish, say, table
from benchmarks._stores import free_port
from modgate.v1 import moderation_pb2, rules_pb2, rules_pb2_grpc

_TOKEN = "benchmark"  # noqa: S105 - of a server that only this process can reach and that ends with it
_SHOWN = (("authorization", f"Bearer {_TOKEN}"),)
_CHUNK = 256 * 1024
_RULES = """\
version: 1
lists: {marked: {kind: words, entries: [zzblock]}}
rules: [{id: marked, when: {words: {list: marked}}, then: {action: block}}]
"""
_RULE = "id: big\nwhen: {words: {list: big}}\nthen: {action: block}\n"


def main(argv: list[str]) -> int:
    """Run, print, and tell by the status whether the thresholds hold."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks control", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--smoke", action="store_true", help="a short form for CI")
    parser.add_argument("--json", type=Path, metavar="F", help="write the report here")
    parser.add_argument("--plot", type=Path, metavar="F", help="not drawn for this benchmark")
    parser.add_argument("--words", type=int, default=100_000, help="entries of the list")
    parser.add_argument("--rounds", type=int, default=5, help="of each change")
    parser.add_argument("--rate", type=float, default=200.0, help="messages a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each phase with messages")
    options = parser.parse_args(argv)
    if options.smoke:
        options.words, options.rounds, options.seconds = 10_000, 1, 4.0
    report: dict[str, Any] = {"benchmark": "control", "environment": environment()}
    report["configuration"] = {name: str(value) for name, value in vars(options).items()}
    report["configuration"]["favoured"] = favour_this_process()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modgate-control-")))
        control = f"127.0.0.1:{free_port()}"
        settings = {
            "models": {"images": [], "text": ""},
            "log": {"decisions": "none"},
            "control_listen": control,
            "control": {"token": _TOKEN},
            "rules_store": str(folder / "rules.db"),
        }
        server = stack.enter_context(modgate(settings, rules=_RULES))
        desk = _Desk(rules_pb2_grpc.RuleServiceStub(stack.enter_context(grpc.insecure_channel(control))), options.words)
        seconds = _changes(desk, options.rounds)
        phases = _in_flight(desk, server.address, options)
        report["rss_mb"] = server.rss_mb()
    table("changes", ("change", "median s", "max s"), [(n, f"{_median(t):.3f}", f"{max(t):.3f}") for n, t in seconds])
    columns = ("messages", "sent", "errors", "late", "p50 ms", "p99 ms", "max ms")
    rows = [(n, p.sent, p.errors, p.late, p.ms(50), p.ms(99), p.ms(100)) for n, p in phases.items()]
    table(f"messages at {options.rate:g}/s", columns, rows)
    report["changes_s"] = dict(seconds)
    report["in_flight"] = {name: phase.figures() for name, phase in phases.items()}
    figures = {f"{name.replace(' ', '_')}_s": _median(taken) for name, taken in seconds}
    figures |= {
        "errors": float(sum(phase.errors for phase in phases.values())),
        "late": float(sum(phase.late for phase in phases.values())),
        "p99_ms_quiet": phases["quiet"].ms(99),
        "p99_ms_during_uploads": phases["during uploads"].ms(99),
    }
    return finish("control", report, figures, smoke=options.smoke, json_file=options.json, plot_file=options.plot)


class _Desk:
    """Makes changes, each time with other words."""

    def __init__(self, rules: Any, words: int) -> None:  # noqa: ANN401 - a generated stub
        self._rules = rules
        self._words = words
        self._draw = random.Random(3)

    def upload(self, name: str) -> None:
        """Replace a list by as many new words."""
        words = (f"q{self._draw.getrandbits(40):x}z{number % 89}" for number in range(self._words))
        content = "\n".join(words).encode()

        def chunks() -> Iterator[rules_pb2.UploadListRequest]:
            yield rules_pb2.UploadListRequest(list=rules_pb2.List(name=name))
            for start in range(0, len(content), _CHUNK):
                yield rules_pb2.UploadListRequest(chunk=content[start : start + _CHUNK])

        self._rules.UploadList(chunks(), metadata=_SHOWN)

    def create(self) -> None:
        """Add a rule over the big list."""
        rule = rules_pb2.Rule(yaml=_RULE)
        self._rules.CreateRule(rules_pb2.CreateRuleRequest(rule=rule), metadata=_SHOWN)

    def delete(self) -> None:
        """Remove it."""
        self._rules.DeleteRule(rules_pb2.DeleteRuleRequest(id="big"), metadata=_SHOWN)

    def add(self) -> None:
        """Add one entry to the big list."""
        entry = f"one{self._draw.getrandbits(40):x}"
        self._rules.UpdateListEntries(rules_pb2.UpdateListEntriesRequest(name="big", add=[entry]), metadata=_SHOWN)

    def download(self) -> None:
        """Read the big list."""
        for _ in self._rules.GetList(rules_pb2.GetListRequest(name="big"), metadata=_SHOWN):
            pass

    def trial(self) -> None:
        """Judge a message by all rules, recording nothing."""
        request = moderation_pb2.ModerateRequest.FromString(lines(5, 1)[0])
        self._rules.TestRules(rules_pb2.TestRulesRequest(request=request), metadata=_SHOWN)


def _changes(desk: _Desk, rounds: int) -> list[tuple[str, list[float]]]:
    steps: list[tuple[str, Callable[[], None]]] = [
        ("upload", lambda: desk.upload("unused")),
        ("upload first", lambda: desk.upload("big")),
        ("create rule", desk.create),
        ("upload in use", lambda: desk.upload("big")),
        ("add entry", desk.add),
        ("download", desk.download),
        ("trial", desk.trial),
        ("delete rule", desk.delete),
    ]
    taken: dict[str, list[float]] = {name: [] for name, _ in steps}
    for number in range(rounds):
        for name, step in steps:
            begun = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - begun)
        say(f"round {number + 1} of {rounds}")
    desk.create()
    return list(taken.items())


def _in_flight(desk: _Desk, address: str, options: argparse.Namespace) -> dict[str, Phase]:
    count = round(options.rate * options.seconds)
    open_loop(address, lines(6, round(options.rate)), options.rate)
    quiet = open_loop(address, lines(7, count), options.rate, label="quiet")
    done = threading.Event()

    def keep_uploading() -> None:
        while not done.is_set():
            desk.upload("big")

    uploading = threading.Thread(target=keep_uploading)
    uploading.start()
    try:
        busy = open_loop(address, lines(8, count), options.rate, label="during uploads")
    finally:
        done.set()
        uploading.join()
    return {"quiet": quiet, "during uploads": busy}


def _median(taken: list[float]) -> float:
    return statistics.median(taken)
