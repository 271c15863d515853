"""Thresholds and reports."""

import json
from pathlib import Path

import pytest
from benchmarks.__main__ import names, run

import benchmarks
from benchmarks import _report


def test_thresholds_belong_to_benchmarks() -> None:
    """Every entry of thresholds.json is a benchmark's, with forms and bounds that are looked at."""
    content = json.loads((Path(benchmarks.__file__).parent / "thresholds.json").read_text())
    for benchmark, forms in content.items():
        assert benchmark in names()
        assert set(forms) <= {"smoke", "full"}
        for bounds in (b for form in forms.values() for b in form.values()):
            assert bounds
            assert set(bounds) <= {"at_most", "at_least"}


def test_a_broken_threshold_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is beyond a bound is named with its value; a smoke run must have measured everything."""
    thresholds = tmp_path / "thresholds.json"
    thresholds.write_text(json.dumps({
        "x": {"smoke": {"late": {"at_most": 0}, "rate": {"at_least": 5}}, "full": {"other": {"at_most": 1}}},
    }))  # fmt: skip
    monkeypatch.setattr(_report, "_THRESHOLDS", thresholds)
    assert _report.check("x", "smoke", {"late": 0, "rate": 5}) == []
    assert _report.check("x", "smoke", {"late": 2, "rate": 4}) == [
        "late is 2, at most 0 is allowed",
        "rate is 4, at least 5 is wanted",
    ]
    assert _report.check("x", "smoke", {"late": 0}) == ["rate was not measured"]
    assert _report.check("x", "full", {}) == []


def test_a_report_says_where_it_was_made() -> None:
    """Date, revision, processor, cores, quota and versions are in every report."""
    report = _report.environment()
    assert set(report) == {"date", "revision", "machine", "versions"}
    assert report["machine"]["cores"] >= report["machine"]["quota"] > 0
    assert report["versions"]["grpcio"][0].isdigit()


def test_every_benchmark_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Each of the gate's benchmarks tells its options."""
    for name in ("latency", "throughput", "overload", "faults", "soak", "cost", "peers"):
        with pytest.raises(SystemExit) as ended:
            run([name, "--help"])
        assert ended.value.code == 0
        assert "--json" in capsys.readouterr().out


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_smoke_form_measures_a_real_server(tmp_path: Path) -> None:
    """The smoke form of the latency benchmark starts a server, measures, keeps a report and a picture, and succeeds."""
    written, drawn = tmp_path / "latency.json", tmp_path / "latency.png"
    status = run(["latency", "--smoke", "--mix", "words", "--json", str(written), "--plot", str(drawn)])
    report = json.loads(written.read_text())
    assert status == 0, report["thresholds_failed"]
    assert [phase["rate"] for phase in report["phases"]] == [20, 100]
    assert drawn.stat().st_size > 10_000
