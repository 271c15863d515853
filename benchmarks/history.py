"""The history: is anything lost, how fast is a search, and what does remembering cost the message path?

- `python -m benchmarks history`: all parts in their long form (about an hour).
- `python -m benchmarks history --part kill --rounds 200`: SIGKILL under load; what was answered must be in the store.
- `python -m benchmarks history --part away --seconds 60`: the store gone under load, in its two ways.
- `python -m benchmarks history --part search --rows 10000000`: search by sender and by time, on both stores.
- `python -m benchmarks history --part growth`: p99 of Moderate without memory, with SQLite, with PostgreSQL.
- `python -m benchmarks history --part retention --rows 2000000`: p99 while a day's worth is removed.
"""

import argparse
import asyncio
import contextlib
import itertools
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from benchmarks._filled import SENDERS, fill
from benchmarks._load import Phase, favour_this_process, open_loop
from benchmarks._process import Running, modgate
from benchmarks._remembered import RULES, lines, rows_of, settings
from benchmarks._report import environment, finish, say, table
from benchmarks._stores import free_port, postgres
from modgate.review.search import HistoryFilter, search
from modgate.storage.database import Database
from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import moderation_pb2_grpc as pb_grpc

_PARTS = ("kill", "away", "search", "growth", "retention")
_DAY = 86_400.0
_CALLERS = 16


def main(argv: list[str]) -> int:
    """Run, print, and tell by the status whether the thresholds hold."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks history", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--part", choices=_PARTS, action="append", help="may be repeated; all by default")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), action="append", help="both by default")
    parser.add_argument("--smoke", action="store_true", help="a short form for CI")
    parser.add_argument("--json", type=Path, metavar="F", help="write the report here")
    parser.add_argument("--plot", type=Path, metavar="F", help="not drawn for this benchmark")
    parser.add_argument("--rounds", type=int, default=200, help="of the part kill")
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the parts search and retention")
    parser.add_argument("--rate", type=float, default=500.0, help="messages a second")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of away, and of each phase of growth and retention"
    )
    options = parser.parse_args(argv)
    if options.smoke:
        options.rounds, options.rows, options.seconds, options.rate = 3, 20_000, 4.0, 100.0
    report: dict[str, Any] = {"benchmark": "history", "environment": environment()}
    report["configuration"] = {name: str(value) for name, value in vars(options).items()}
    report["configuration"]["favoured"] = favour_this_process()
    figures: dict[str, float] = {}
    for part in options.part or _PARTS:
        say(f"--- {part}")
        measured = _RUN[part](options)
        report[part] = measured["report"]
        figures |= measured["figures"]
    return finish("history", report, figures, smoke=options.smoke, json_file=options.json, plot_file=options.plot)


# ---- kill


def _kill(options: argparse.Namespace) -> dict[str, Any]:
    draw = random.Random(7)
    received: list[str] = []
    with tempfile.TemporaryDirectory(prefix="modgate-history-") as name:
        folder = Path(name)
        for number in range(options.rounds):
            with modgate(settings({"folder": str(folder)}), rules=RULES) as server:
                received += _until_killed(server, number, draw.uniform(0.05, 0.6))
            if number % 20 == 19:
                say(f"{number + 1} of {options.rounds} killed, {len(received)} answers that must be kept")
        with modgate(settings({"folder": str(folder)}), rules=RULES):
            time.sleep(1.0)
        store = folder / "modgate.db"
        kept = [str(row[0]) for row in rows_of(store, "SELECT id FROM decisions")]
        items = [str(row[0]) for row in rows_of(store, "SELECT id FROM review_items")]
        again = [row[0] for row in rows_of(store, "SELECT message_id FROM decisions GROUP BY 1 HAVING count(*) > 1")]
    lost = set(received) - set(kept)
    lost_items = set(received) - set(items)
    table(
        "SIGKILL under load",
        ("rounds", "answers BLOCK or flagged", "lost", "lost from the queue", "twice"),
        [(options.rounds, len(received), len(lost), len(lost_items), len(kept) - len(set(kept)) + len(again))],
    )
    figures = {
        "kill_lost": float(len(lost | lost_items)),
        "kill_twice": float(len(kept) - len(set(kept)) + len(again)),
        "kill_received": float(len(received)),
    }
    return {"report": {"rounds": options.rounds, "received": len(received), "lost": sorted(lost)}, "figures": figures}


def _until_killed(server: Running, number: int, seconds: float) -> list[str]:
    """Return the ids of BLOCK or flagged answers that came before the server was killed."""
    process = server.process
    if process is None:
        raise ValueError("only an own server can be killed")
    requests = [pb.ModerateRequest.FromString(line) for line in lines(1_000 + number, 3_000, marked=0.2)]

    async def load() -> list[str]:
        kept: list[str] = []
        queue = iter(requests)
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = pb_grpc.ModerationServiceStub(channel)

            async def call() -> None:
                for request in queue:
                    answer = await stub.Moderate(request, timeout=1.0)
                    if answer.flagged or answer.verdict == pb.VERDICT_BLOCK:
                        kept.append(answer.decision_id)

            asyncio.get_running_loop().call_later(seconds, process.send_signal, signal.SIGKILL)
            await asyncio.gather(*(call() for _ in range(_CALLERS)), return_exceptions=True)
        return kept

    kept = asyncio.run(load())
    process.kill()
    process.wait()
    return kept


# ---- away


def _away(options: argparse.Namespace) -> dict[str, Any]:
    phases: dict[str, Phase] = {}
    with postgres() as make, tempfile.TemporaryDirectory(prefix="modgate-history-") as name:
        url = make("away")
        with _proxy(url) as (proxied, proxy):
            storage = {"folder": name, "database": proxied}
            with modgate(settings(storage), rules=RULES) as server:
                open_loop(server.address, lines(1, round(options.rate)), options.rate)
                answers: list[bytes] = []
                count = round(options.rate * options.seconds)
                # Half of the time the connections hang, then they are refused, then all is well again.
                hang = threading.Timer(0.5, proxy.send_signal, (signal.SIGSTOP,))
                refuse = threading.Timer(0.5 + options.seconds / 2, proxy.kill)
                hang.start()
                refuse.start()
                phases["away"] = open_loop(server.address, lines(2, count), options.rate, keep=answers, label="away")
                hang.join()
                refuse.join()
                proxy.wait()
                with _proxy(url, proxied):
                    phases["back"] = open_loop(
                        server.address, lines(3, round(options.rate * 5)), options.rate, keep=answers, label="back"
                    )
                    time.sleep(8.0)
        parsed = [pb.ModerateResponse.FromString(answer) for answer in answers if answer]
        wanted = {a.decision_id for a in parsed if a.flagged or a.verdict == pb.VERDICT_BLOCK}
        database = Database(url.replace("postgresql://", "postgresql+psycopg://"))
        with database.transaction() as connection:
            kept = connection.exec_driver_sql("SELECT id, recorded_ms FROM review_items ORDER BY id").all()
        database.close()
    lost = wanted - {row[0] for row in kept}
    recorded = [row[1] for row in kept]
    disorder = sum(1 for one, two in itertools.pairwise(recorded) if one > two)
    _print_phases("the store away", phases)
    say(f"{len(wanted)} blocked or flagged, {len(lost)} lost, {disorder} out of order")
    figures = {
        "away_lost": float(len(lost)),
        "away_disorder": float(disorder),
        "away_late": float(sum(p.late for p in phases.values())),
        "away_errors": float(sum(p.errors for p in phases.values())),
        "away_max_ms": max(p.latency.get_max_value() / 1000 for p in phases.values()),
    }
    return {"report": {n: p.figures() for n, p in phases.items()} | {"wanted": len(wanted)}, "figures": figures}


@contextlib.contextmanager
def _proxy(url: str, proxied: str = "") -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run a proxy in front of a store in a process of its own, which can be frozen and killed."""
    target = int(url.rpartition(":")[2].partition("/")[0])
    port = int(proxied.rpartition(":")[2].partition("/")[0]) if proxied else free_port()
    command = [sys.executable, "-m", "benchmarks._stores", str(port), str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 - of this repository
        try:
            if process.stdout is None or not process.stdout.readline():
                raise RuntimeError("the proxy did not start")
            yield url.replace(f":{target}/", f":{port}/"), process
        finally:
            process.kill()


# ---- search


def _search(options: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = {}
    figures: dict[str, float] = {}
    rows: list[tuple[object, ...]] = []
    for store in options.store or ("sqlite", "postgresql"):
        with _store(store) as url:
            database = Database(url, deadline=60)
            begun = time.monotonic()
            database.migrate()
            fill(database, options.rows, days=30)
            say(f"{store}: {options.rows} decisions in {time.monotonic() - begun:.0f} s")
            for question, wanted in _QUESTIONS.items():
                times = [_timed(database, wanted(random.Random(n))) for n in range(200)]
                p50, p99, worst = statistics.median(times), sorted(times)[197], max(times)
                report[f"{store} {question}"] = {"p50_ms": p50, "p99_ms": p99, "max_ms": worst}
                rows.append((store, question, *(f"{value:.2f}" for value in (p50, p99, worst))))
                say(f"{store}, by {question}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {worst:.2f} ms")
                figures["search_max_ms"] = max(figures.get("search_max_ms", 0.0), worst)
            database.close()
    table(f"search in {options.rows} decisions, pages of 50, ms", ("store", "by", "p50", "p99", "max"), rows)
    return {"report": report, "figures": figures}


def _between(draw: random.Random) -> tuple[int, int]:
    start = int((time.time() - draw.uniform(1, 29) * _DAY) * 1000)
    return start, start + 3_600_000


def _by_time(draw: random.Random) -> HistoryFilter:
    start, end = _between(draw)
    return HistoryFilter(from_ms=start, until_ms=end)


def _by_both(draw: random.Random) -> HistoryFilter:
    start, end = _between(draw)
    return HistoryFilter(sender_id=f"u{draw.randrange(SENDERS)}", from_ms=start, until_ms=end + 7 * 86_400_000)


_QUESTIONS: dict[str, Callable[[random.Random], HistoryFilter]] = {
    "sender": lambda draw: HistoryFilter(sender_id=f"u{draw.randrange(SENDERS)}"),
    "time": _by_time,
    "sender and time": _by_both,
    "time, blocked": lambda draw: HistoryFilter(verdict=3, until_ms=_between(draw)[0]),
    "rule": lambda draw: HistoryFilter(rule_id="insults", until_ms=_between(draw)[0]),
    "message": lambda draw: HistoryFilter(message_id=f"m{draw.randrange(1_000_000)}"),
}


def _timed(database: Database, wanted: HistoryFilter) -> float:
    begun = time.perf_counter()
    with database.transaction(write=False) as connection:
        search(connection, wanted, limit=50)
    return (time.perf_counter() - begun) * 1000


# ---- growth


def _growth(options: argparse.Namespace) -> dict[str, Any]:
    kinds = ["nothing", *(options.store or ("sqlite", "postgresql"))]
    runs: dict[str, list[Phase]] = {kind: [] for kind in kinds}
    for turn in range(1 if options.smoke else 3):
        # In turns, so that whatever else this machine does hits all of them.
        for kind in kinds:
            with contextlib.ExitStack() as stack:
                storage = None
                if kind != "nothing":
                    name = stack.enter_context(tempfile.TemporaryDirectory(prefix="modgate-history-"))
                    storage = {"folder": name}
                    if kind == "postgresql":
                        storage["database"] = stack.enter_context(_store(kind)).replace("+psycopg", "")
                server = stack.enter_context(modgate(settings(storage), rules=RULES))
                open_loop(server.address, lines(10 + turn, round(options.rate * 3)), options.rate)
                batch = lines(20 + turn, round(options.rate * options.seconds))
                label = f"{kind} {turn}"
                runs[kind].append(open_loop(server.address, batch, options.rate, server_cpu=server.cpu_s, label=label))
    _print_phases("what remembering costs", {f"{k} {n}": p for k, ps in runs.items() for n, p in enumerate(ps)})
    p99 = {kind: statistics.median(phase.ms(99) for phase in phases) for kind, phases in runs.items()}
    figures = {f"growth_p99_ms_{kind}": p99[kind] - p99["nothing"] for kind in kinds[1:]}
    cpu = {kind: statistics.median(_cpu_us(phase) for phase in phases) for kind, phases in runs.items()}
    figures |= {f"growth_cpu_us_{kind}": cpu[kind] - cpu["nothing"] for kind in kinds[1:]}
    say(f"processor time of the server, us a message: {', '.join(f'{kind} {cpu[kind]:.0f}' for kind in kinds)}")
    for kind in kinds[1:]:
        say(f"{kind}: p99 {p99[kind]:.2f} ms, {figures[f'growth_p99_ms_{kind}']:+.2f} ms against nothing remembered")
    return {"report": {k: [p.figures() for p in ps] for k, ps in runs.items()}, "figures": figures}


def _cpu_us(phase: Phase) -> float:
    return (phase.server_cpu_s or 0.0) / max(1, phase.sent) * 1e6


# ---- retention


def _retention(options: argparse.Namespace) -> dict[str, Any]:
    rows: dict[str, Phase] = {}
    figures: dict[str, float] = {}
    for store in options.store or ("sqlite", "postgresql"):
        with _store(store) as url, tempfile.TemporaryDirectory(prefix="modgate-history-") as name:
            if store == "sqlite":
                url = f"sqlite:///{name}/modgate.db"  # noqa: PLW2901 - beside the journal, as in real life
            database = Database(url)
            database.migrate()
            fill(database, options.rows, days=10)
            database.close()
            storage: dict[str, Any] = {"folder": name}
            if store == "postgresql":
                storage["database"] = url.replace("+psycopg", "")
            for label, age in (("quiet", 365), ("removing a day", 9)):
                policy = {"max_age": age * _DAY, "check_every": 2.0}
                with modgate(settings(storage | {"history": {"retention": policy}}), rules=RULES) as server:
                    open_loop(server.address, lines(31, round(options.rate * 3)), options.rate)
                    batch = lines(32, round(options.rate * options.seconds))
                    rows[f"{store} {label}"] = open_loop(server.address, batch, options.rate, label=f"{store} {label}")
            left = Database(url)
            with left.transaction() as connection:
                # Rows go on growing old after the last look.
                cutoff = f"{int((time.time() - 9 * _DAY - 60) * 1000):012x}"
                # A constant of this file.
                query = f"SELECT count(*) FROM decisions WHERE id < '{cutoff}' AND NOT flagged"  # noqa: S608
                figures[f"retention_left_{store}"] = float(connection.exec_driver_sql(query).scalar() or 0)
            left.close()
            moved = rows[f"{store} removing a day"].ms(99) - rows[f"{store} quiet"].ms(99)
            figures[f"retention_p99_ms_{store}"] = moved
            say(f"{store}: {moved:+.2f} ms; {figures[f'retention_left_{store}']:.0f} old rows still there at the end")
    _print_phases(f"a day's worth of {options.rows} decisions removed under load", rows)
    return {"report": {name: phase.figures() for name, phase in rows.items()}, "figures": figures}


# ----


@contextlib.contextmanager
def _store(kind: str) -> Iterator[str]:
    """Yield the address of an empty store, as SQLAlchemy has it."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="modgate-history-") as name:
            yield f"sqlite:///{name}/modgate.db"
        return
    with postgres() as make:
        yield make("bench").replace("postgresql://", "postgresql+psycopg://")


def _print_phases(title: str, phases: dict[str, Phase]) -> None:
    columns = ("phase", "sent", "errors", "late", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "server CPU s")
    table(
        title,
        columns,
        [
            (name, p.sent, p.errors, p.late, p.ms(50), p.ms(99), p.ms(99.9), p.ms(100), p.server_cpu_s)
            for name, p in phases.items()
        ],
    )


_RUN: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "kill": _kill,
    "away": _away,
    "search": _search,
    "growth": _growth,
    "retention": _retention,
}
