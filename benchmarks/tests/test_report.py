# SPDX-License-Identifier: Apache-2.0
import dataclasses
from pathlib import Path

import docutils.core
import pytest

from benchmarks import report
from benchmarks.report import Table
from benchmarks.results import Case
from benchmarks.results import Run
from benchmarks.results import Sample
from benchmarks.tests import runs
from benchmarks.tests.runs import case
from benchmarks.tests.runs import line

MIB = 1024**2


def a_run() -> Run:
    wrong = line("peer", [4, 6])
    wrong.samples[0].wrong = "stored bytes differ from offset 0 on"
    failed = line("file", [1])
    failed.repeats = 2
    failed.samples.append(Sample(2, failure="OSError: no *room*"))
    return runs.run(
        case("store-upload", line("fv1", [1, 3]), wrong, failed, bytes=100 * MIB),
        case(
            "memory-upload",
            line("null", [0, 0], peak_bytes=[10 * MIB, 20 * MIB]),
            line("fv1", [0, 0], peak_bytes=[42 * MIB, 52 * MIB]),
            baseline="null",
        ),
        case(
            "requests",
            line("fv1-known", [0], upload_requests=[8], upload_polls=[3]),
        ),
    )


def case_of(run: Run, name: str) -> Case:
    found = run.case(name)
    assert found is not None
    return found


def row(table: Table, label: str) -> dict[str, str]:
    """Return the cells of the row whose label begins with *label*, by column."""
    (found,) = (
        dict(zip(table.columns, cells, strict=True))
        for cells in table.rows
        if cells[0].startswith(label)
    )
    return found


def test_a_row_has_median_spread_speed_and_ratio() -> None:
    found = row(report.case_table(case_of(a_run(), "store-upload")), "label of fv1")
    assert found["seconds"] == "2.00 (1.00 to 3.00)"
    assert found["MiB/s"] == "50"
    # The median of 4 / 1 and 6 / 3.
    assert found["times as fast as upstream"] == "3.00"
    assert found["repeats"] == "2 of 2"


def test_wrong_bytes_are_marked_in_the_row_and_explained() -> None:
    table = report.case_table(case_of(a_run(), "store-upload"))
    assert "[WRONG]" in row(table, "label of peer")[""]
    assert any("WRONG: stored bytes differ" in note for note in table.notes)


def test_a_failure_is_counted_and_explained() -> None:
    table = report.case_table(case_of(a_run(), "store-upload"))
    assert row(table, "label of file")["repeats"] == "1 of 2"
    assert any("failed: OSError" in note for note in table.notes)


def test_memory_is_shown_above_that_without_a_store() -> None:
    found = row(report.case_table(case_of(a_run(), "memory-upload")), "label of fv1")
    assert found["MiB above 'no store'"] == "32"


def test_polls_are_shown_apart_from_requests() -> None:
    found = row(report.case_table(case_of(a_run(), "requests")), "label of fv1")
    assert found["upload (and polls)"] == "8 (3)"


def test_the_volumes_that_are_no_clones_are_counted_of_all_repeats() -> None:
    storm = line(
        "storm-20", [9, 9], volumes=[20, 20], fallbacks=[0, 1], unshared_bytes=[0, MIB]
    )
    found = row(report.case_table(case("volumes-storm", storm)), "label of storm")
    assert found["not clones"] == "1 of 40"
    assert found["new MiB of blocks"] == "0.5 (0.0 to 1.0)"


def test_published_targets_are_those_that_were_measured() -> None:
    run = runs.run(case("replica", line("array-1", [1], glance_bytes=[0])))
    text = report.rst(run)["targets.rst.inc"]
    assert "no byte of the image" in text
    assert "not measured" not in text
    assert "not measured" in report.text(run)


def test_variants_are_compared_with_the_same_variant() -> None:
    table = report.case_table(
        case("volume-same", line("fv1-1", [1]), line("fv1-4", [1]), line("peer-4", [3]))
    )
    assert row(table, "label of fv1-4")["times as fast as upstream"] == "3.00"
    assert row(table, "label of fv1-1")["times as fast as upstream"] == ""


def test_the_text_has_machine_cases_targets_and_duration() -> None:
    text = report.text(a_run())
    for part in ("Simulated.", "Title of store-upload", "Targets", "1:01 minutes"):
        assert part in text
    assert "interrupted" not in text
    assert max(map(len, text.splitlines())) < 140


@pytest.mark.parametrize(
    ("repeats", "text"), [(1, ", 1 repeat\n"), (2, ", 2 repeats\n")]
)
def test_the_head_says_how_many_repeats_were_asked_for(repeats: int, text: str) -> None:
    run = a_run()
    run.options["repeats"] = repeats
    assert text in report.head(run)


def test_an_interrupted_run_and_a_trial_are_marked() -> None:
    run = a_run()
    run.is_whole = False
    run.options["scale"] = 0.1
    text = report.text(run)
    assert "interrupted" in text
    assert "A TRIAL" in text


@pytest.mark.parametrize("name", report.rst(a_run()))
def test_the_rst_is_valid(name: str) -> None:
    text = report.rst(a_run())[name]
    made = docutils.core.publish_string(
        text, writer="html", settings_overrides={"halt_level": 2}
    ).decode()
    assert "<table" in made


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = a_run()
    run.write(tmp_path / "results.json")
    again = Run.read(tmp_path / "results.json")
    assert dataclasses.asdict(again) == dataclasses.asdict(run)
    assert report.text(again) == report.text(run)


def test_charts_are_drawn_of_the_cases_of_the_run(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the charts need bench-requirements.txt")
    from benchmarks import charts

    written = charts.draw(a_run(), tmp_path)
    assert [path.name for path in written] == ["uploads.svg", "memory.svg"]
    assert "label of peer" not in written[1].read_text()
    again = [path.read_bytes() for path in written]
    charts.draw(a_run(), tmp_path)
    assert [path.read_bytes() for path in written] == again
