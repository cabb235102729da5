# SPDX-License-Identifier: Apache-2.0
import dataclasses

import docutils.core
import pytest

from benchmarks import report
from benchmarks.results import Run
from benchmarks.results import Sample
from benchmarks.tests import runs
from benchmarks.tests.runs import case
from benchmarks.tests.runs import line

MIB = 1024**2


def a_run():
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


def row(table, start):
    (found,) = (
        dict(zip(table.columns, each, strict=True))
        for each in table.rows
        if each[0].startswith(start)
    )
    return found


def test_medians_spreads_speeds_and_ratios():
    found = row(report.case_table(a_run().case("store-upload")), "label of fv1")
    assert found["seconds"] == "2.00 (1.00 to 3.00)"
    assert found["MiB/s"] == "50"
    # The median of 4 / 1 and 6 / 3.
    assert found["times as fast as upstream"] == "3.00"
    assert found["repeats"] == "2 of 2"


def test_wrong_bytes_are_seen_at_the_line_and_explained():
    table = report.case_table(a_run().case("store-upload"))
    assert "[WRONG]" in row(table, "label of peer")[""]
    assert any("WRONG: stored bytes differ" in note for note in table.notes)


def test_a_failure_is_counted_and_explained():
    table = report.case_table(a_run().case("store-upload"))
    assert row(table, "label of file")["repeats"] == "1 of 2"
    assert any("failed: OSError" in note for note in table.notes)


def test_memory_is_shown_over_null():
    found = row(report.case_table(a_run().case("memory-upload")), "label of fv1")
    assert found["MiB over no store"] == "32"


def test_polls_are_apart():
    found = row(report.case_table(a_run().case("requests")), "label of fv1")
    assert found["upload (and polls)"] == "8 (3)"


def test_variants_are_compared_with_the_same_variant():
    table = report.case_table(
        case("volume-same", line("fv1-1", [1]), line("fv1-4", [1]), line("peer-4", [3]))
    )
    assert row(table, "label of fv1-4")["times as fast as upstream"] == "3.00"
    assert row(table, "label of fv1-1")["times as fast as upstream"] == ""


def test_the_text_has_everything():
    text = report.text(a_run())
    for part in ("Simulated.", "Title of store-upload", "Targets", "1:01 minutes"):
        assert part in text
    assert "interrupted" not in text
    assert max(map(len, text.splitlines())) < 140


def test_an_interrupted_run_and_a_trial_say_so():
    run = a_run()
    run.is_whole = False
    run.options["scale"] = 0.1
    text = report.text(run)
    assert "interrupted" in text
    assert "A TRIAL" in text


@pytest.mark.parametrize("name", report.rst(a_run()))
def test_the_rst_is_right(name):
    text = report.rst(a_run())[name]
    made = docutils.core.publish_string(
        text, writer="html", settings_overrides={"halt_level": 2}
    ).decode()
    assert "<table" in made


def test_a_run_is_read_as_it_was_written(tmp_path):
    run = a_run()
    run.write(tmp_path / "results.json")
    again = Run.read(tmp_path / "results.json")
    assert dataclasses.asdict(again) == dataclasses.asdict(run)
    assert report.text(again) == report.text(run)


def test_charts_are_drawn_of_what_there_is(tmp_path):
    pytest.importorskip("matplotlib", reason="the charts need bench-requirements.txt")
    from benchmarks import charts

    written = charts.draw(a_run(), tmp_path)
    assert [path.name for path in written] == ["uploads.svg", "memory.svg"]
    assert "label of peer" not in written[1].read_text()
    again = [path.read_bytes() for path in written]
    charts.draw(a_run(), tmp_path)
    assert [path.read_bytes() for path in written] == again
