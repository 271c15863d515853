"""`python -m benchmarks accuracy` on the rows that come with the sources."""

import json
from pathlib import Path

import pytest
from benchmarks.accuracy import main


def test_smoke_meets_its_thresholds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped English bundle tells insults from chat, and the report says so in words and in JSON."""
    out = tmp_path / "report.json"
    status = main(["--smoke", "--rounds", "5", "--json", str(out), "--at-least", "insult=0.97", "--at-most", "0"])
    assert status == 0
    assert "| insult | all | 25 / 25 |" in capsys.readouterr().out
    assert json.loads(out.read_text())["rows"] == 50


def test_a_missed_threshold_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A figure that does not exist or is too low makes the command fail and is named."""
    assert main(["--smoke", "--rounds", "0", "--at-least", "self_harm=0.9"]) == 1
    assert "self_harm: AUC unknown" in capsys.readouterr().err


def test_no_data_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without rows gives status 2 and says what is missing."""
    assert main(["--data", str(tmp_path)]) == 2
    assert "no .jsonl or .parquet file" in capsys.readouterr().err
