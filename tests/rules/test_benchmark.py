"""The benchmark of rules runs."""

import json
from pathlib import Path

import pytest
from benchmarks.rules import main


@pytest.mark.slow
def test_the_benchmark_prints_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tenth of it runs through and writes the figures that the full one judges."""
    assert main(["--smoke", "--json", str(tmp_path / "figures.json")]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {"compile_cpu_s", "evaluate_p99_cpu_us", "pattern_64KiB_cpu_ms"} <= figures.keys()
    assert "evaluate_p99_cpu_us" in capsys.readouterr().out
