"""Rules under load: compiling 500 rules with 100,000 words, and finding those that matter to a message.

`python -m benchmarks rules [--smoke] [--json FILE]` prints the figures and exits with 1 if one misses its aim.
Model scores come from a stand-in that answers at once: what models cost is measured by other benchmarks. Figures with
`_cpu_` in their name are processor time of the event loop's thread, which a busy machine hardly changes; others are
wall-clock.
"""

import argparse
import asyncio
import json
import platform
import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from modgate.detectors.base import Finding, Report, Subject, Tier
from modgate.detectors.cheap import cheap_detectors
from modgate.detectors.patterns import PatternDetector, PatternQuestion
from modgate.gate import Gate
from modgate.message import Conversation, ConversationType, Message, Sender
from modgate.rules import Document, Ruleset, compile_ruleset, load_document
from modgate.rules.compile import AnyDetector

AIMS = {"compile_cpu_s": 2.0, "evaluate_p99_cpu_us": 1000.0, "pattern_64KiB_cpu_ms": 10.0}
"""In processor time: on an idle core the clock shows the same, on a busy machine it shows the neighbours."""
LABELS = ("toxic", "insult", "threat", "identity_hate", "sexual", "spam")
SWITCH_S = 0.0005
"""As the server sets it: how long a thread that compiles may keep the event loop waiting for the interpreter."""
BLOW_UPS = ("(a+)+$", "(a|aa)+$", "(a|a?)+b", "(.*a){20}", "([a-z]+)*!", "(x+x+)+y", "(a*)*b")


class Scores:
    """Stands for the text classifier: a score for every label, by the length of the text."""

    name = "text"
    tier = Tier.CHEAP
    cost_us = 5000.0
    labels = dict.fromkeys(LABELS, 0.8)

    def __init__(self) -> None:
        self._asked: tuple[str, ...] = ()

    def configure(self, questions: Sequence[str]) -> "Scores":
        """Remember the labels asked for."""
        self._asked = tuple(questions)
        return self

    def inspect(self, subject: Subject) -> Report:
        """Return a made-up score for each label."""
        length = len(subject.message.text)
        return {label: (Finding(label, (length * (i + 7) % 100) / 101),) for i, label in enumerate(self._asked)}


def word(number: int, random_: random.Random) -> str:
    """Return a made-up word that no text has by chance."""
    syllables = ("ka", "zo", "mi", "tur", "vex", "lop", "qua", "dri", "sne", "bal", "gru", "phi")
    return "".join(random_.choice(syllables) for _ in range(3)) + f"{number:x}".translate(
        str.maketrans("0123456789", "ghijklmnop")
    )


def document(rules: int, words: int, folder: Path) -> tuple[Document, float]:
    """Return a rule file with `rules` rules over 25 lists; files hold `words` words; and seconds to load it."""
    random_ = random.Random(1)  # the same file in every run
    names = [f"words{i}" for i in range(20)]
    lists: dict[str, object] = {}
    for i, name in enumerate(names):
        entries = (word(n, random_) for n in range(i * words // 20, (i + 1) * words // 20))
        (folder / f"{name}.txt").write_text("\n".join(entries) + "\n")
        lists[name] = {"kind": "words", "file": f"{name}.txt"}
    for i in range(3):
        lists[f"sites{i}"] = {"kind": "domains", "entries": [f"site{n}-{i}.example" for n in range(500)]}
    for i in range(2):
        lists[f"codes{i}"] = {"kind": "patterns", "entries": [rf"(?i)\bcode{i}x{n}\d+\b" for n in range(50)]}
    leaves: list[object] = [
        *({"words": {"list": name}} for name in names),
        *({"text": {"label": label, "at_least": 0.75 + n / 50}} for label in LABELS for n in range(8)),
        *({"domain": {"list": f"sites{i}"}} for i in range(3)),
        *({"pattern": {"list": f"codes{i}"}} for i in range(2)),
        {"pii": ["email", "phone"]},
        {"pii": ["credit_card", "iban", "us_ssn"]},
        {"flood": {"messages": 50, "within": "10s"}},
        {"flood": {"capitals": 0.8}},
    ]
    written = []
    for number in range(rules):
        picked = random_.sample(leaves, 3)
        when = [
            picked[0],
            {"any": picked[:2]},
            {"all": [picked[0], {"any": picked[1:]}]},
            {"all": [picked[0], {"not": picked[1]}]},
        ][number % 4]
        scope = [
            {},
            {"conversation_types": ["group"]},
            {"apps": [f"app{number % 5}"]},
            {"conversation_ids": [f"c{number}"]},
        ]
        filters = {"sender": {"roles": {"none_of": ["moderator"]}, "account_age": {"less_than": "400d"}}}
        written.append(
            {
                "id": f"rule{number}",
                "group": f"group{number % 40}" if number % 3 == 0 else "",
                "scope": scope[number % 4] if number % 2 else {},
                "when": when,
                "then": {"action": ("allow", "mask", "block")[number % 3], "flag": number % 5 == 0},
                **({"filters": filters} if number % 5 == 0 else {}),
            }
        )
    (folder / "rules.yaml").write_text(json.dumps({"version": 1, "lists": lists, "rules": written}))
    started = time.perf_counter()
    loaded = load_document(folder / "rules.yaml")
    return loaded, time.perf_counter() - started


def messages(count: int) -> list[Message]:
    """Return messages of about 200 characters, from many senders in many places."""
    random_ = random.Random(2)  # the same messages in every run
    vocabulary = [
        "the",
        "well",
        "so",
        "then",
        "we",
        "meet",
        "raid",
        "boss",
        "nice",
        "game",
        "tonight",
        "who",
        "has",
        "time",
        "for",
        "another",
        "round",
        "of",
        "that",
    ]
    contact = ("mail me jane@example.com", "see https://site7-1.example/x", "call +1 415 555 2671", "CODE")
    extras = ("",) * 4 + contact
    kinds = list(ConversationType)
    made = []
    for number in range(count):
        text = random_.choice(extras)
        while len(text) < 200:
            text += " " + random_.choice(vocabulary)
        sender = Sender(f"user{random_.randrange(2000)}", roles=("moderator",) if number % 50 == 0 else ())
        place = Conversation(f"c{random_.randrange(1000)}", kinds[number % 3])
        made.append(Message(f"m{number}", text, sender, place, app_id=f"app{random_.randrange(8)}"))
    return made


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def judge_all(gate: Gate, batch: Sequence[Message]) -> tuple[list[float], list[float]]:
    """Judge messages one by one; return processor microseconds of all, and of rules alone, without the detectors."""
    whole, rules_only = [], []
    for message in batch:
        now = time.monotonic()
        started = time.thread_time()
        await gate.judge(message, arrived=now, deadline=now + 10)
        judged = time.thread_time()
        subject = Subject(message, {"text": message.text}, time.time())
        for inspection in gate.ruleset.inspections.values():
            inspection.inspector.inspect(subject)  # type: ignore[call-arg]  # all are cheap here
        looked = time.thread_time()
        whole.append((judged - started) * 1e6)
        rules_only.append((judged - started - (looked - judged)) * 1e6)
        await asyncio.sleep(0)
    return whole, rules_only


async def judge_steadily(
    gate: Gate, batch: Sequence[Message], until: asyncio.Future[None] | None = None
) -> list[float]:
    """Judge a message every 5 ms, 200 of them or until something is done; return wall-clock microseconds of each."""
    took: list[float] = []
    while (until is None and len(took) < 200) or (until is not None and not until.done()):
        started = time.perf_counter()
        now = time.monotonic()
        await gate.judge(batch[len(took) % len(batch)], arrived=now, deadline=now + 10)
        took.append((time.perf_counter() - started) * 1e6)
        due = started + 0.005
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        # What the sleep overslept is time in which a message would have waited.
        took[-1] += max(0.0, time.perf_counter() - due - 0.001) * 1e6
    return took


async def during_reload(
    gate: Gate, source: Document, detectors: dict[str, AnyDetector], batch: Sequence[Message]
) -> tuple[list[float], list[float]]:
    """Judge at a steady pace before, and while a new ruleset is compiled in a thread and swapped in."""
    before = await judge_steadily(gate, batch)

    async def reload() -> None:
        gate.swap(await asyncio.to_thread(compile_ruleset, source, detectors))

    return before, await judge_steadily(gate, batch, asyncio.ensure_future(reload()))


def pattern_ms() -> float:
    """Return the worst processor time, in milliseconds, of the patterns that stall backtracking engines, on 64 KiB."""
    worst = 0.0
    text = "a" * 65_535 + "\u00e9"
    subject = Subject(Message("m", text, Sender("u"), Conversation("c")), {"text": text}, 0.0)
    for expression in BLOW_UPS:
        inspector = PatternDetector().configure([PatternQuestion("x", (expression,))])
        started = time.thread_time()
        inspector.inspect(subject)
        worst = max(worst, (time.thread_time() - started) * 1000)
    return worst


def main(argv: list[str]) -> int:
    """Print the figures; return 1 if one misses its aim."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks rules")
    parser.add_argument("--smoke", action="store_true", help="a tenth of everything, without judging the figures")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(argv)
    rules, words, count = (50, 10_000, 500) if options.smoke else (500, 100_000, 5_000)

    usual = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    with tempfile.TemporaryDirectory() as folder:
        source, load_s = document(rules, words, Path(folder))
    detectors: dict[str, AnyDetector] = {**cheap_detectors(), "text": Scores()}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, started_cpu = time.perf_counter(), time.process_time()
    ruleset: Ruleset = compile_ruleset(source, detectors)
    compile_s, compile_cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    gate = Gate(ruleset)
    batch = messages(count)
    asyncio.run(judge_all(gate, batch))
    whole, rules_only = asyncio.run(judge_all(gate, batch))
    steady_us, reload_us = asyncio.run(during_reload(gate, source, detectors, batch))
    sys.setswitchinterval(usual)
    figures: dict[str, float | int | str] = {
        "rules": rules,
        "lists": 25,
        "words": words,
        "load_s": load_s,
        "compile_s": compile_s,
        "compile_cpu_s": compile_cpu_s,
        "compile_peak_growth_MiB": grown / 1024,
        "evaluate_p50_cpu_us": percentile(rules_only, 0.5),
        "evaluate_p99_cpu_us": percentile(rules_only, 0.99),
        "cheap_tier_p50_cpu_us": percentile(whole, 0.5),
        "cheap_tier_p99_cpu_us": percentile(whole, 0.99),
        "steady_p99_us": percentile(steady_us, 0.99),
        "steady_max_us": max(steady_us),
        "during_reload_p99_us": percentile(reload_us, 0.99),
        "during_reload_max_us": max(reload_us),
        "pattern_64KiB_cpu_ms": pattern_ms(),
        "python": platform.python_version(),
        "machine": platform.processor() or platform.machine(),
    }
    missed = {name for name, aim in AIMS.items() if float(figures[name]) >= aim} if not options.smoke else set()
    for name, value in figures.items():
        shown = f"{value:,.2f}" if isinstance(value, float) else value
        aim = f"   aim: under {AIMS[name]:g}{'   MISSED' if name in missed else ''}" if name in AIMS else ""
        print(f"{name:>32}  {shown}{aim}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if missed else 0
