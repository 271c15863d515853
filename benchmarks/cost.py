"""Cost: verdicts per core-second and memory, by number of words, rules and models.

Every configuration has a server of its own under saturation; the processor time is the server's, as the kernel counts
it, and the generator's is not in it. Words are made up; a share of the rules looks at each of the lists.
"""

import random
from collections.abc import Iterator
from typing import Any

import yaml

from benchmarks._load import closed_loop, favour_this_process
from benchmarks._mix import MIXES, requests
from benchmarks._options import common, stem
from benchmarks._process import modgate
from benchmarks._report import environment, finish, say, table

_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]


def main(argv: list[str]) -> int:
    """Run, print, and tell by the status whether the thresholds hold."""
    parser = common("cost", __doc__, seconds=4)
    parser.add_argument("--in-flight", type=int, default=16, help="calls at once (default 16)")
    options = parser.parse_args(argv)
    seconds = min(options.seconds, 1.5) if options.smoke else options.seconds
    report: dict[str, Any] = {"benchmark": "cost", "environment": environment()}
    report["configuration"] = {"seconds": seconds, "in_flight": options.in_flight, "favoured": favour_this_process()}
    rows: list[dict[str, Any]] = []
    for i, (name, settings, rules, mix) in enumerate(_configurations(smoke=options.smoke)):
        with modgate(settings, rules=rules) as server:
            rss = server.rss_mb()
            for turn in range(2):  # the first warms up
                phase = closed_loop(
                    server.address, requests(MIXES[mix], stem(options.seed, 2 * i + turn), round(9_000 * seconds)),
                    in_flight=options.in_flight, seconds=seconds, server_cpu=server.cpu_s,
                )  # fmt: skip
            cpu = phase.server_cpu_s or 0.0
            rows.append({
                "configuration": name, "mix": mix, "cold_start_s": server.cold_start_s, "rss_mb_idle": rss,
                "rss_mb": server.rss_mb(), "verdicts_per_s": round(phase.goodput, 1),
                "verdicts_per_core_s": round(phase.decided / cpu, 1) if cpu else None,
                "microseconds_each": round(1e6 * cpu / max(1, phase.decided), 1), "errors": phase.errors,
            })  # fmt: skip
    report["rows"] = rows
    say(f"{report['environment']['date']} revision {report['environment']['revision']}")
    columns = list(rows[0])
    table("cost of a verdict, server alone", columns, [[row[column] for column in columns] for row in rows])
    figures = {"errors": float(sum(row["errors"] for row in rows))}
    return finish(
        "cost", report, figures, smoke=options.smoke, json_file=options.json, plot_file=options.plot, draw=_draw
    )


def _configurations(*, smoke: bool) -> Iterator[tuple[str, dict[str, Any], str | None, str]]:
    """Yield name, settings, rules and mix."""
    bare: dict[str, Any] = {"models": {"text": "", "images": []}}
    for words, rules in ((100, 1),) if smoke else ((100, 1), (1_000, 1), (10_000, 1), (100_000, 1)):
        yield f"{words:,} words, {rules} rule", bare, _rules(words, rules), "words"
    for rules in (10,) if smoke else (10, 100, 1_000):
        yield f"1,000 words, {rules:,} rules", bare, _rules(1_000, rules), "words"
    yield "default rules, no model", bare, None, "words"
    text: dict[str, Any] = {"models": {"images": []}}
    yield "default rules, text model", text, None, "chat"
    if not smoke:
        yield "default rules, text model, no line twice", text, None, "unique"


def _rules(words: int, rules: int) -> str:
    """Return a rule file with so many words in ten lists, or one a rule if there are fewer rules."""
    draw = random.Random(words)
    lists = min(10, rules)
    made: set[str] = set()
    while len(made) < words:
        made.add("".join(draw.choices(_SYLLABLES, k=draw.randint(3, 5))))
    entries = sorted(made)
    content = {
        "version": 1,
        "lists": {f"list{i}": {"kind": "words", "entries": entries[i::lists]} for i in range(lists)},
        "rules": [
            {
                "id": f"rule{i}",
                "when": {"words": {"list": f"list{i % lists}"}},
                "then": {"action": "mask" if i % 2 else "block"},
            }
            for i in range(rules)
        ],
    }
    return yaml.safe_dump(content)


def _draw(picture: Any, report: dict[str, Any]) -> None:  # noqa: ANN401 - matplotlib's figure
    left, right = picture.subplots(1, 2, sharey=True)
    names = [row["configuration"] for row in report["rows"]]
    left.barh(names, [row["verdicts_per_core_s"] for row in report["rows"]])
    left.set_xlabel("verdicts per core-second")
    left.invert_yaxis()
    right.barh(names, [row["rss_mb"] for row in report["rows"]], color="tab:orange")
    right.set_xlabel("resident MB")
