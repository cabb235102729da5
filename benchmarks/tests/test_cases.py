# SPDX-License-Identifier: Apache-2.0
from benchmarks import __main__
from benchmarks.cases import CASES
from benchmarks.cases import readers
from benchmarks.cases.lines import LABELS


def test_the_report_has_all_cases_in_their_order() -> None:
    assert [plan.name for plan in CASES] == [
        "store-upload",
        "store-sparse",
        "store-unknown",
        "store-download",
        "store-download-cold",
        "store-readers",
        "glance-upload",
        "glance-sparse",
        "glance-unknown",
        "glance-download",
        "glance-readers",
        "volume-same",
        "volume-other",
        "volumes-many",
        "memory-upload",
        "memory-download",
        "requests",
    ]


def test_a_line_is_named_for_a_store_or_limit() -> None:
    """The targets and tables find the lines of a store by these names."""
    for plan in CASES:
        names = [line.name for line in plan.lines]
        assert len(set(names)) == len(names)
        assert {name.partition("-")[0] for name in names} <= set(LABELS)


def test_a_default_run_has_the_time_for_all_its_repeats() -> None:
    whole = sum(plan.expected_s(__main__.DEFAULT_REPEATS) for plan in CASES)
    assert whole <= __main__.DEFAULT_MINUTES * 60


class TestReadTogether:
    def test_all_readers_finish(self) -> None:
        sample = readers.read_together(100, lambda: 100, readers=3, repeat=2)
        assert sample.repeat == 2
        assert sample.note == ""
        assert sample.metrics["finished"] == sample.metrics["readers"] == 3
        speed = sample.metrics["bytes_per_s"] * sample.metrics["seconds"]
        assert round(speed) == 300

    def test_a_failed_reader_is_counted_and_its_error_shown(self) -> None:
        reads = iter([100, 100])
        sample = readers.read_together(100, lambda: next(reads), readers=3, repeat=1)
        assert sample.metrics["finished"] == 2
        assert sample.note.startswith("2 of 3 finished; StopIteration")

    def test_a_reader_that_got_fewer_bytes_has_not_finished(self) -> None:
        sample = readers.read_together(100, lambda: 99, readers=2, repeat=1)
        assert sample.note == "0 of 2 finished"
        assert "seconds" not in sample.metrics
