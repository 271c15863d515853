"""Options that the benchmarks of the gate have in common."""

import argparse
from pathlib import Path
from typing import Any

from benchmarks._mix import MIXES, Mix

__all__ = ["common", "settings_for", "stem"]


def common(name: str, about: str | None, *, seconds: float, mix: str = "chat") -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark takes.

    Args:
        name: Of the benchmark.
        about: Its module's docstring; the first line is shown.
        seconds: How long a phase lasts by default.
        mix: The default mix.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=(about or "").partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="a short form for CI, with generous thresholds")
    parser.add_argument("--json", type=Path, metavar="F", help="write the report here")
    parser.add_argument("--plot", type=Path, metavar="F", help="draw the report here (PNG)")
    parser.add_argument("--seconds", type=float, default=seconds, help=f"of each phase (default {seconds:g})")
    parser.add_argument("--seed", type=int, default=1, help="of texts and arrival times")
    parser.add_argument(
        "--mix",
        type=lambda text: MIXES["chat" if text == "text" else text],
        default=MIXES[mix],
        metavar="MIX",
        help=f"{', '.join(f'{m.name} ({m.about})' for m in MIXES.values())}; text is chat (default {mix})",
    )
    parser.add_argument("--address", default="", help="a running server, host:port or unix:path, instead of an own one")
    parser.add_argument("--unix", action="store_true", help="reach the own server over a Unix socket")
    return parser


def settings_for(mix: Mix, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - settings have many types
    """Return server settings for a mix: with the text model or without, and never with those for pictures."""
    models: dict[str, Any] = {"images": []}
    if not mix.models:
        models["text"] = ""
    return {"models": models | more.pop("models", {})} | more


def stem(seed: int, phase: int) -> int:
    """Return the seed of a phase: no two phases of a run share a message."""
    return seed * 10_000 + phase
