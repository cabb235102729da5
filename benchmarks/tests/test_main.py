# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from benchmarks import __main__
from benchmarks import report
from benchmarks.cases import CASES
from benchmarks.cases import QUICK
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


def test_a_quick_run_has_some_of_the_cases_and_fewer_repeats(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert __main__.main(["--list", "--quick"]) == 0
    output = capsys.readouterr().out
    assert f"{__main__.QUICK_REPEATS} repeats" in output
    names = {text.split()[0] for text in output.splitlines() if text[0] != " "}
    assert names == {*QUICK, "all"}
    assert __main__.main(["--list", "--quick", "--repeats", "1"]) == 0
    assert "size, 1 repeats" in capsys.readouterr().out


def test_an_unknown_case_is_refused_with_a_list_of_the_cases(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert __main__.main(["--list", "--cases", "nothing"]) == 2
    assert "store-upload" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--repeats", "0"],
        ["--scale", "0"],
        ["--rst"],
        ["--quick", "--cases", "store-upload"],
    ],
)
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


class NewLab(Exception):
    """The benchmark would start a lab, with this command."""


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the benchmark begin outside of a lab, and not start one."""

    def execute(_path: str, command: list[str]) -> None:
        raise NewLab(*command[1:])

    monkeypatch.delenv("LAB_FACTS", raising=False)
    monkeypatch.setattr("os.execv", execute)


@pytest.mark.usefixtures("outside")
def test_outside_of_a_lab_the_benchmark_starts_one_with_its_options() -> None:
    with pytest.raises(NewLab) as started:
        __main__.main(["--cases", "requests", "--repeats", "2"])
    lab, benchmark = started.value.args[:4], started.value.args[5:]
    assert lab == ("-m", "lab", "run", "--broker")
    assert benchmark == ("-m", "benchmarks", "--cases", "requests", "--repeats", "2")


@pytest.mark.usefixtures("outside")
def test_cases_of_block_protocols_are_measured_in_a_lab_that_has_them() -> None:
    with pytest.raises(NewLab) as started:
        __main__.main(["--cases", "iscsi,requests"])
    assert started.value.args[:5] == ("-m", "lab", "run", "--broker", "--san")


@pytest.mark.usefixtures("outside")
def test_a_full_disk_is_told_before_a_lab_is_started(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert __main__.main(["--scale", "1000000"]) == 2
    error = capsys.readouterr().err
    assert "GiB are missing" in error
    assert "--cases" in error


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


@pytest.mark.parametrize(
    "results",
    sorted(PUBLISHED.rglob("results.json")),
    ids=lambda path: str(path.relative_to(PUBLISHED)),
)
def test_the_published_tables_are_those_of_the_published_results(results: Path) -> None:
    """If not: python -m benchmarks --render, see the end of performance.rst."""
    tables = report.rst(Run.read(results))
    published = {
        path.name: path.read_text("utf-8") for path in results.parent.glob("*.rst.inc")
    }
    assert published == tables


def test_a_case_may_use_the_time_that_earlier_cases_left_over() -> None:
    first, second, *_others = CASES
    both_s = first.expected_s(2) + second.expected_s(2)
    share = __main__.share([first, second], 2, 10 * both_s)
    assert share == pytest.approx(10 * first.expected_s(2))
    assert __main__.share([second], 2, 77) == pytest.approx(77)
