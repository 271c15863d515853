"""Violations and sanctions: what they cost a message, and whether a fleet counts to five.

- `python -m benchmarks memory`: all parts.
- `python -m benchmarks memory --part fleet --trials 10000`: two gates on one Valkey; exactly one penalty each time.
- `python -m benchmarks memory --part cost`: microseconds on the event loop, with a million sanctions in force.
- `python -m benchmarks memory --part away`: Valkey slow, gone, answering errors, and well again, under load.
"""

import argparse
import asyncio
import contextlib
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from valkey import Valkey

from benchmarks._load import Phase, favour_this_process, open_loop
from benchmarks._process import modgate
from benchmarks._remembered import RULES, lines, settings
from benchmarks._report import environment, finish, say, table
from benchmarks._stores import ToxicProxy, free_port, postgres, valkey
from modgate.gate import Decision, Match, new_decision_id
from modgate.message import Conversation, ConversationType, Message, Sender
from modgate.penalties import LocalViolations, Sanction, SanctionBook, SanctionTarget
from modgate.penalties.shared import SharedViolations
from modgate.review.archive import Archive
from modgate.review.entry import decode, encode, entry_of
from modgate.review.history import History
from modgate.rules.ruleset import (
    AnyOf,
    Effect,
    FallbackPolicy,
    Mode,
    PenaltyClause,
    PenaltyType,
    Rule,
    SanctionScope,
    Scope,
    Verdict,
)
from modgate.storage import CircuitBreaker, Database, Journal, TextSealer
from modgate.storage.settings import HistorySettings
from modgate.storage.valkey import connect
from modgate.v1 import moderation_pb2 as pb

_PARTS = ("fleet", "cost", "away")
_AT_ONCE = 20
_VIOLATIONS = 7


def main(argv: list[str]) -> int:
    """Run, print, and tell by the status whether the thresholds hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--part", choices=_PARTS, action="append", help="may be repeated; all by default")
    parser.add_argument("--smoke", action="store_true", help="a short form for CI")
    parser.add_argument("--json", type=Path, metavar="F", help="write the report here")
    parser.add_argument("--plot", type=Path, metavar="F", help="not drawn for this benchmark")
    parser.add_argument("--trials", type=int, default=10_000, help="of the part fleet")
    parser.add_argument("--sanctions", type=int, default=1_000_000, help="in force, of the part cost")
    parser.add_argument("--rate", type=float, default=300.0, help="messages a second, of the part away")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each phase of the part away")
    options = parser.parse_args(argv)
    if options.smoke:
        options.trials, options.sanctions, options.rate, options.seconds = 200, 20_000, 100.0, 2.0
    report: dict[str, Any] = {"benchmark": "memory", "environment": environment()}
    report["configuration"] = {name: str(value) for name, value in vars(options).items()}
    figures: dict[str, float] = {}
    for part in options.part or _PARTS:
        say(f"--- {part}")
        measured = _RUN[part](options)
        report[part] = measured["report"]
        figures |= measured["figures"]
    return finish("memory", report, figures, smoke=options.smoke, json_file=options.json, plot_file=options.plot)


def _rule(*clauses: PenaltyClause) -> Rule:
    return Rule(
        id="insults",
        name="",
        revision=1,
        mode=Mode.LIVE,
        group="",
        scope=Scope(),
        admits=None,
        filters=None,
        when=AnyOf(()),
        effect=Effect(Verdict.MASK),
        on_timeout=FallbackPolicy.SEND,
        on_error=FallbackPolicy.SEND,
        penalties=clauses,
    )


def _message(identity: str, user: str) -> Message:
    return Message(
        id=identity,
        text="what was typed, about as long as chat lines are",
        sender=Sender(user),
        conversation=Conversation("c1", ConversationType.GROUP),
        app_id="bench",
    )


# ---- fleet


def _fleet(options: argparse.Namespace) -> dict[str, Any]:
    with valkey() as url:
        outcomes, degraded, seconds = asyncio.run(_trials(url, options.trials))
    wrong = options.trials - outcomes[1]
    table(
        f"{_VIOLATIONS} concurrent violations each over two gates, penalty after 5",
        ("trials", "one penalty", "none", "more", "degraded calls", "seconds"),
        [(options.trials, outcomes[1], outcomes[0], wrong - outcomes[0], degraded, f"{seconds:.1f}")],
    )
    figures = {"fleet_wrong": float(wrong), "fleet_degraded": float(degraded)}
    return {"report": {"outcomes": dict(outcomes), "degraded": degraded, "seconds": seconds}, "figures": figures}


async def _trials(url: str, trials: int) -> tuple[Counter[int], int, float]:
    rule = _rule(PenaltyClause(5, timedelta(minutes=1), PenaltyType.MUTE, duration=timedelta(hours=1)))
    # The question is who counts what; how long an answer may take is the part `away`.
    gates = [
        SharedViolations(
            LocalViolations(SanctionBook()),
            connect(url),
            prefix="fleet",
            budget=5.0,
            breaker=CircuitBreaker(monotonic=time.monotonic),
        )
        for _ in range(2)
    ]
    draw = random.Random(3)

    async def trial(number: int) -> int:
        order = [draw.randrange(2) for _ in range(_VIOLATIONS)]
        now = time.time()
        earned = await asyncio.gather(
            *(gates[g].record(_message(f"m{n}", f"u{number}"), [rule], now) for n, g in enumerate(order))
        )
        return sum(len(e.penalties) for e in earned)

    begun = time.monotonic()
    outcomes: Counter[int] = Counter()
    for start in range(0, trials, _AT_ONCE):
        outcomes.update(await asyncio.gather(*(trial(n) for n in range(start, min(trials, start + _AT_ONCE)))))
    seconds = time.monotonic() - begun
    for gate in gates:
        await gate.close()
    return outcomes, sum(gate.degraded for gate in gates), seconds


# ---- cost


def _cost(options: argparse.Namespace) -> dict[str, Any]:
    now = time.time()
    book = SanctionBook(capacity=options.sanctions + 1)
    for n in range(options.sanctions):
        book.put(
            Sanction(
                id=f"s{n}",
                app_id="bench",
                target=SanctionTarget.USER,
                type=PenaltyType.MUTE,
                scope=SanctionScope.APP,
                user_id=f"u{n}",
                expires_at=now + 3600 + n,
            )
        )
    local = LocalViolations(book)
    rule = _rule(PenaltyClause(5, timedelta(minutes=1), PenaltyType.MUTE, duration=timedelta(hours=1)))
    measured: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="modgate-memory-") as name:
        journal = Journal(Path(name))
        for label, sealer in (("plain", TextSealer()), ("sealed", TextSealer((bytes(32),)))):
            history = History(journal, HistorySettings(text="full"), sealer, queue=1_000_000)
            measured[f"before reply, flagged, text {label}"] = _micros(
                [_decision(n, flagged=True) for n in range(5_000)], history.before_reply
            )
            measured[f"after reply, text {label}"] = _micros(
                [_decision(n, flagged=False) for n in range(5_000)], history.after_reply
            )
        journal.close()
    clean = [_message(f"m{n}", f"clean{n}") for n in range(20_000)]
    muted = [_message(f"m{n}", f"u{n}") for n in range(min(20_000, options.sanctions))]
    measured["sanctions: sender without one"] = _micros(clean, lambda m: book.standing(m, now))
    measured["sanctions: muted sender"] = _micros(muted, lambda m: book.standing(m, now))
    measured["violation counted"] = _micros(clean, lambda m: local.count(m, [rule], now))
    table(
        f"microseconds on the event loop, {len(book)} sanctions in force",
        ("what", "median", "p99"),
        [(label, f"{median:.1f}", f"{p99:.1f}") for label, (median, p99) in measured.items()],
    )
    stored = _storing(2_000 if options.smoke else 10_000)
    columns = ("store", "microseconds an entry")
    rows = [(name, f"{micros:.1f}") for name, micros in stored.items()]
    table("processor time of the draining thread, batches of 100", columns, rows)
    figures = {
        "cost_median_us": max(median for median, _ in measured.values()),
        "cost_storing_us": max(stored.values()),
    }
    report = {label: {"median_us": m, "p99_us": p} for label, (m, p) in measured.items()}
    return {"report": report | {"storing_us": stored}, "figures": figures}


def _storing(count: int) -> dict[str, float]:
    """Return what decoding and storing an entry costs this process, which is what the event loop notices."""
    policy, sealer = HistorySettings(), TextSealer()
    entries = [encode(entry_of(_decision(n, flagged=n % 10 == 0), policy, sealer)) for n in range(count)]
    costs: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="modgate-memory-"))
        make = stack.enter_context(postgres())
        urls = {
            "sqlite": f"sqlite:///{folder}/modgate.db",
            "postgresql": make("cost").replace("postgresql://", "postgresql+psycopg://"),
        }
        for name, url in urls.items():
            database = Database(url)
            database.migrate()
            archive = Archive(database)
            begun = time.process_time()
            for start in range(0, count, 100):
                archive.write([decode(line) for line in entries[start : start + 100]])
            costs[name] = (time.process_time() - begun) / count * 1e6
            database.close()
    return costs


def _decision(number: int, *, flagged: bool) -> Decision:
    match = Match("insults", 1, "words", "insult", 1.0, 0.5, (), "text", "list insults", shadow=False)
    return Decision(
        id=new_decision_id(),
        message=_message(f"m{number}", f"u{number}"),
        verdict=Verdict.MASK,
        flagged=flagged,
        matches=(match,),
        decided_at=time.time(),
    )


def _micros(items: list[Any], work: Callable[[Any], object]) -> tuple[float, float]:
    times = []
    for item in items:
        begun = time.perf_counter_ns()
        work(item)
        times.append(time.perf_counter_ns() - begun)
    return float(np.percentile(times, 50)) / 1000, float(np.percentile(times, 99)) / 1000


# ---- away


def _away(options: argparse.Namespace) -> dict[str, Any]:
    phases: dict[str, Phase] = {}
    marked: dict[str, tuple[int, int]] = {}
    with valkey() as url, tempfile.TemporaryDirectory(prefix="modgate-memory-") as name:
        proxy = _ProxyThread(int(url.rpartition(":")[2].partition("/")[0]))
        shared = {"url": f"redis://127.0.0.1:{proxy.port}/0"}
        with modgate(settings({"folder": name, "valkey": shared}), rules=RULES) as server:
            favour_this_process()
            open_loop(server.address, lines(1, round(options.rate)), options.rate)
            steps: tuple[tuple[str, Callable[[], None]], ...] = (
                ("there", lambda: None),
                ("answers 500 ms late", lambda: proxy.delay(0.5)),
                ("quick again", lambda: proxy.delay(0.0)),
                ("away", proxy.cut),
                ("back", proxy.restore),
                ("answers errors", lambda: _replicate(url, "127.0.0.1", str(free_port()))),
                ("answers again", lambda: _replicate(url, "NO", "ONE")),
            )
            for number, (label, change) in enumerate(steps):
                change()
                # What the breaker needs to notice is part of the phase; what it needs to close again is not.
                if label in {"quick again", "back", "answers again"}:
                    open_loop(server.address, lines(50 + number, round(options.rate * 6)), options.rate)
                answers: list[bytes] = []
                batch = lines(60 + number, round(options.rate * options.seconds), marked=0.1)
                phases[label] = open_loop(server.address, batch, options.rate, keep=answers, label=label)
                parsed = [pb.ModerateResponse.FromString(answer) for answer in answers if answer]
                counted = [a for a in parsed if any(match.rule_id == "counted" for match in a.matches)]
                marked[label] = sum(a.penalties_degraded for a in counted), len(counted)
        proxy.stop()
    rows = [
        (label, p.sent, p.errors, p.late, p.ms(50), p.ms(99), p.ms(100), f"{marked[label][0]} of {marked[label][1]}")
        for label, p in phases.items()
    ]
    columns = ("valkey", "sent", "errors", "late", "p50 ms", "p99 ms", "max ms", "violations counted locally")
    table("Valkey misbehaves under load", columns, rows)
    bad = ("answers 500 ms late", "away", "answers errors")
    good = ("there", "quick again", "back", "answers again")
    figures = {
        "away_errors": float(sum(p.errors for p in phases.values())),
        "away_late": float(sum(p.late for p in phases.values())),
        "away_unmarked": float(sum(marked[label][1] - marked[label][0] for label in bad)),
        "away_degraded_when_well": float(sum(marked[label][0] for label in good)),
    }
    return {"report": {label: p.figures() for label, p in phases.items()} | {"marked": marked}, "figures": figures}


def _replicate(url: str, host: str, port: str) -> None:
    """Make a server the replica of another, which refuses to count: it answers READONLY. Of `NO ONE`: undo that."""
    with Valkey.from_url(url) as operator:
        operator.execute_command("REPLICAOF", host, port)


class _ProxyThread:
    """A misbehaving proxy on an event loop of its own."""

    def __init__(self, target: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._proxy = ToxicProxy(target)
        self.port = self._proxy.port = free_port()
        self.restore()

    def restore(self) -> None:
        asyncio.run_coroutine_threadsafe(self._proxy.start(), self._loop).result(5)

    def cut(self) -> None:
        asyncio.run_coroutine_threadsafe(self._proxy.cut(), self._loop).result(5)

    def delay(self, seconds: float) -> None:
        self._proxy.delay = seconds

    def stop(self) -> None:
        with contextlib.suppress(TimeoutError):
            self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


_RUN: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {"fleet": _fleet, "cost": _cost, "away": _away}
