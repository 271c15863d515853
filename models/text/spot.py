"""`python -m models.text.spot BUNDLE`: which of the lines written for looking at a bundle it gets wrong."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from models.text.labels import HARMS

from modgate.evaluation.scoring import TextScorer

__all__ = ["Line", "lines", "mistakes"]

SPOT = Path(__file__).parent / "written" / "spot.yaml"
VULGAR = ("toxic", "severe_toxic", "obscene")


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence and what must come out.

    Attributes:
        kind: Which part of the file it is from.
        text: The sentence.
        wanted: The label that must be found in it, if any.
        barred: Labels that must not.
    """

    kind: str
    text: str
    wanted: str | None
    barred: tuple[str, ...]


def lines() -> list[Line]:
    """Return all lines."""
    raw = yaml.safe_load(SPOT.read_text("utf-8"))
    rude = tuple(name for name in HARMS if name not in VULGAR)
    out = [Line(f"finds {label}", text, label, ()) for label, text in _each(raw["finds"])]
    out += [Line(f"leaves {kind}", text, None, HARMS) for kind, text in _each(raw["leaves"])]
    return [*out, *(Line("swears", text, None, rude) for _, text in _each({"swears": raw["swears"]}))]


def _each(blocks: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, block in blocks.items():
        yield from ((name, line.strip()) for line in block.splitlines() if line.strip())


def mistakes(scorer: TextScorer, probe: Sequence[Line]) -> list[tuple[Line, str, float]]:
    """Return the lines that a bundle gets wrong at its default thresholds, each with the label and score to blame."""
    at = {label.name: label.threshold or 1.0 for label in scorer.manifest.labels if label.group is None}
    scores = scorer.score([line.text for line in probe])
    out = []
    for i, line in enumerate(probe):
        fired = {name: float(scores.of(name)[i]) for name in line.barred if scores.of(name)[i] >= at[name]}
        if line.wanted is not None and scores.of(line.wanted)[i] < at[line.wanted]:
            out.append((line, line.wanted, float(scores.of(line.wanted)[i])))
        elif fired:
            worst = max(fired, key=lambda name: fired[name])
            out.append((line, worst, fired[worst]))
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Print every mistake, then how many lines of each kind are right."""
    parser = argparse.ArgumentParser(prog="python -m models.text.spot", description=__doc__)
    parser.add_argument("bundle", type=Path)
    arguments = parser.parse_args(argv)
    probe = lines()
    wrong = mistakes(TextScorer(arguments.bundle), probe)
    for line, label, score in wrong:
        print(f"{line.kind:22} {label} {score:.2f}: {line.text[:90]}")
    print("| lines | right | of |\n|---|---|---|")
    for kind in dict.fromkeys(line.kind for line in probe):
        total = sum(line.kind == kind for line in probe)
        print(f"| {kind} | {total - sum(line.kind == kind for line, _, _ in wrong)} | {total} |")
    print(f"| all | {len(probe) - len(wrong)} | {len(probe)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
