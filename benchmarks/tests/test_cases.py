# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator

from benchmarks import __main__
from benchmarks import plans
from benchmarks.cases import CASES
from benchmarks.cases import QUICK
from benchmarks.cases import readers
from benchmarks.cases import storms
from benchmarks.cases.lines import LABELS
from benchmarks.images import Image


def test_the_report_has_all_cases_in_their_order() -> None:
    assert [plan.name for plan in CASES] == [
        "store-upload",
        "store-sparse",
        "store-unknown",
        "store-uploads",
        "store-download",
        "store-download-cold",
        "first-byte",
        "store-readers",
        "glance-upload",
        "glance-sparse",
        "glance-unknown",
        "glance-download",
        "glance-readers",
        "volume-same",
        "volume-other",
        "volumes-many",
        "volumes-hundred",
        "volumes-locations",
        "replica",
        "volume-replica",
        "volumes-storm",
        "iscsi-upload",
        "iscsi-sparse",
        "iscsi-download",
        "iscsi-volume",
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


def test_a_quick_run_has_the_time_for_all_its_repeats() -> None:
    chosen = plans.named(CASES, QUICK)
    assert len(chosen) == len(QUICK)
    quick = sum(plan.expected_s(__main__.QUICK_REPEATS) for plan in chosen)
    assert quick <= __main__.QUICK_MINUTES * 60


class TestReaders:
    """Readers of an image of five bytes, whose stream comes in two pieces."""

    IMAGE = Image(5)

    def pieces(self) -> Iterator[bytes]:
        yield self.IMAGE.at(0, 2)
        yield self.IMAGE.at(2, 3)

    def test_all_readers_finish(self) -> None:
        sample = readers.read(self.pieces, self.IMAGE, 3, repeat=1)
        assert sample.metrics["finished"] == sample.metrics["readers"] == 3
        assert sample.wrong == ""

    def test_wrong_bytes_are_found_in_the_first_repeat(self) -> None:
        def wrong() -> Iterator[bytes]:
            return iter([self.IMAGE.at(0, 2), b"abc"])

        sample = readers.read(wrong, self.IMAGE, 2, repeat=1)
        assert sample.wrong == "bytes read at 2 differ"
        assert readers.read(wrong, self.IMAGE, 2, repeat=2).wrong == ""

    def test_a_reader_that_is_refused_reads_nothing_wrong(self) -> None:
        def refuse() -> Iterator[bytes]:
            raise OSError("busy")

        assert readers.difference(refuse, self.IMAGE, 2) == ""


class TestStorm:
    def test_the_volumes_are_spread_evenly(self) -> None:
        spread = storms.spread(20, ("fv1", "fv2", "fv3"))
        assert {name: spread.count(name) for name in set(spread)} == {
            "fv1": 7,
            "fv2": 7,
            "fv3": 6,
        }

    def test_a_clone_has_all_its_blocks_in_common_with_the_image_there(self) -> None:
        sources = {"fv1": [(0, 100)], "fv2": [(1000, 1100)]}
        clones = [("fv1", [(0, 100)]), ("fv2", [(1000, 1050), (1050, 1100)])]
        assert storms.compared(clones, sources) == {
            "volumes": 2,
            "fallbacks": 0,
            "unshared_bytes": 0,
        }

    def test_the_blocks_of_another_flexvols_image_are_not_shared(self) -> None:
        sources = {"fv1": [(0, 100)], "fv2": [(1000, 1100)]}
        found = storms.compared([("fv2", [(0, 100)]), ("fv2", [(1000, 1110)])], sources)
        assert found["fallbacks"] == 2
        assert found["unshared_bytes"] == 110

    def test_a_file_without_blocks_is_no_clone(self) -> None:
        found = storms.compared([("fv1", [])], {"fv1": [(0, 100)]})
        assert found == {"volumes": 1, "fallbacks": 1, "unshared_bytes": 0}
