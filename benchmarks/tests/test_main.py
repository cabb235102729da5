# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from benchmarks import __main__
from benchmarks import report
from benchmarks.cases import CASES
from benchmarks.results import Run
from benchmarks.tests import runs
from benchmarks.tests.runs import case
from benchmarks.tests.runs import line

PUBLISHED = Path(__file__).parents[2] / "doc/source/performance"


def test_list_needs_no_lab(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--list"]) == 0
    output = capsys.readouterr().out
    for plan in CASES:
        assert plan.name in output


def test_an_unknown_case_is_refused_with_a_list_of_the_cases(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert __main__.main(["--list", "--cases", "nothing"]) == 2
    assert "store-upload" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--repeats", "0"], ["--scale", "0"], ["--rst"]])
def test_wrong_options_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        __main__.main(arguments)


def test_output_without_matplotlib_is_refused_before_the_run(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert __main__.main(["--output", str(tmp_path)]) == 2
    assert "needs matplotlib" in capsys.readouterr().err


def test_render_prints_the_report_and_writes_tables_and_charts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="the charts need bench-requirements.txt")
    run = runs.run(case("store-upload", line("fv1", [1]), bytes=1024**2))
    run.write(tmp_path / "results.json")
    out = tmp_path / "charts"
    code = __main__.main(
        ["--render", str(tmp_path / "results.json"), str(out), "--rst"]
    )
    assert code == 0
    assert report.text(run) in capsys.readouterr().out
    names = {path.name for path in out.iterdir()}
    assert {"uploads.svg", "store-upload.rst.inc", "machine.rst.inc"} <= names


def test_the_published_tables_are_those_of_the_published_results() -> None:
    """If not: python -m benchmarks --render, see the end of performance.rst."""
    tables = report.rst(Run.read(PUBLISHED / "results.json"))
    published = {
        path.name: path.read_text("utf-8") for path in PUBLISHED.glob("*.rst.inc")
    }
    assert published == tables


def test_a_case_may_use_the_time_that_earlier_cases_left_over() -> None:
    first, second, *_others = CASES
    both_s = first.expected_s(2) + second.expected_s(2)
    share = __main__.share([first, second], 2, 10 * both_s)
    assert share == pytest.approx(10 * first.expected_s(2))
    assert __main__.share([second], 2, 77) == pytest.approx(77)
