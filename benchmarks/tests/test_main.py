# SPDX-License-Identifier: Apache-2.0
import pytest

from benchmarks import __main__
from benchmarks import cases
from benchmarks import report
from benchmarks.tests import runs
from benchmarks.tests.runs import case
from benchmarks.tests.runs import line


def test_list_needs_no_lab(capsys):
    assert __main__.main(["--list"]) == 0
    said = capsys.readouterr().out
    for plan in cases.CASES:
        assert plan.name in said


def test_an_unknown_case_is_refused_with_those_there_are(capsys):
    assert __main__.main(["--list", "--cases", "nothing"]) == 2
    assert "store-upload" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--repeats", "0"], ["--scale", "0"], ["--rst"]])
def test_mistakes_are_refused(arguments):
    with pytest.raises(SystemExit):
        __main__.main(arguments)


def test_render(tmp_path, capsys):
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


def test_names_are_stores_and_variants():
    """What targets and tables take them apart by."""
    for plan in cases.CASES:
        names = [each.name for each in plan.lines]
        assert len(set(names)) == len(names)
        assert {name.partition("-")[0] for name in names} <= set(cases.LABELS)


def test_a_default_run_has_the_time_for_all_its_repeats():
    whole = sum(plan.about_s(__main__.DEFAULT_REPEATS) for plan in cases.CASES)
    assert whole <= __main__.DEFAULT_MINUTES * 60
