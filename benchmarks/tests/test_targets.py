# SPDX-License-Identifier: Apache-2.0
import pytest

from benchmarks import targets
from benchmarks.results import Case
from benchmarks.results import Line
from benchmarks.results import Sample
from benchmarks.targets import Verdict
from benchmarks.tests import runs
from benchmarks.tests.runs import case
from benchmarks.tests.runs import line

MIB = 1024**2


def verdict(start: str, *cases: Case) -> Verdict:
    """Return the verdict on the target whose text begins with *start*."""
    (found,) = (
        verdict
        for verdict in targets.verdicts(runs.run(*cases))
        if verdict.target.startswith(start)
    )
    return found


def test_a_run_without_cases_meets_and_misses_nothing() -> None:
    found = targets.verdicts(runs.run())
    assert {verdict.outcome for verdict in found} == {targets.UNKNOWN}
    assert len({verdict.target for verdict in found}) == len(found)


@pytest.mark.parametrize(
    ("ours", "expected"), [([5, 5], targets.MET), ([6, 5], targets.MISSED)]
)
def test_uploads_are_compared_with_upstream(ours: list[float], expected: str) -> None:
    found = verdict(
        "upload of random data: at least 1.8",
        case("store-upload", line("fv1", ours), line("peer", [9, 9])),
    )
    assert found.outcome == expected


@pytest.mark.parametrize(
    ("dd", "expected"), [([8.6, 8.5], targets.MET), ([8.4, 8], targets.MISSED)]
)
def test_uploads_are_compared_with_the_slower_limit(
    dd: list[float], expected: str
) -> None:
    found = verdict(
        "upload of random data: at least 0.85",
        case(
            "store-upload",
            line("fv1", [10, 10]),
            line("null", [2, 2]),
            line("dd", dd),
        ),
    )
    assert found.outcome == expected


def test_an_upload_is_judged_with_its_attachment_and_also_shown_without() -> None:
    found = verdict(
        "upload of random data: at least 0.85",
        case(
            "store-upload",
            line("fv1", [10, 12], before_data_s=[2, 4]),
            line("null", [2, 2]),
            line("dd", [7.6, 7.6]),
        ),
    )
    assert found.outcome == targets.MISSED
    assert "from the first byte on 0.95 (0.95 to 0.95)" in found.measured


def test_the_limit_of_a_sparse_upload_is_shown_beside_it() -> None:
    found = verdict(
        "8 GiB sparse",
        case(
            "store-sparse",
            line("fv1", [10, 10]),
            line("peer", [29, 29]),
            line("null", [9, 9]),
        ),
    )
    assert found.outcome == targets.MISSED
    assert found.measured.startswith(
        "2.90 (2.90 to 2.90); only hashing, on threads, 3.2"
    )


@pytest.mark.parametrize("metric", ["reading_s", "after_first_s"])
def test_a_download_is_judged_with_its_attachment_and_also_shown_without(
    metric: str,
) -> None:
    found = verdict(
        "download: at least 0.85",
        case(
            "store-download",
            line("fv1", [1.0, 1.0], **{metric: [0.5, 0.5]}),
            line("pread", [0.5, 0.5], **{metric: [0.45, 0.45]}),
        ),
    )
    assert found.outcome == targets.MISSED
    assert "0.50" in found.measured
    assert "0.90" in found.measured


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ([104, 100], targets.MET),
        ([106, 100], targets.MISSED),
        ([94, 100], targets.MISSED),
    ],
)
def test_a_sparse_image_must_occupy_as_many_bytes_as_its_data(
    stored: list[float], expected: str
) -> None:
    ours = line("fv1", [1, 1], stored_bytes=stored, data_bytes=[100, 100])
    assert verdict("sparse upload", case("store-sparse", ours)).outcome == expected


def test_every_reader_must_finish() -> None:
    def readers(finished: list[float]) -> Case:
        return case(
            "store-readers",
            line("fv1-8", [1, 1], finished=finished, readers=[8, 8]),
        )

    assert verdict("8 readers of", readers([8, 8])).outcome == targets.MET
    found = verdict("8 readers of", readers([8, 7]))
    assert found == Verdict(found.target, "15 of 16", targets.MISSED)


def test_slow_readers_miss_the_target() -> None:
    found = verdict(
        "8 readers together",
        case(
            "store-readers",
            line("fv1-1", [1, 1], bytes_per_s=[100, 100]),
            line("fv1-8", [1, 1], bytes_per_s=[80, 89]),
        ),
    )
    assert found.outcome == targets.MISSED


def test_the_size_of_a_clone_must_not_change_its_time() -> None:
    def clones(long: list[float]) -> Case:
        return case("volume-same", line("fv1-1", [1, 1]), line("fv1-16", long))

    start = "volume from an image on the same"
    assert verdict(start, clones([1.3, 1.0])).outcome == targets.MET
    assert verdict(start, clones([1.3, 1.2])).outcome == targets.MISSED


class TestEndToEnd:
    START = "through Glance"

    def test_uploads_that_do_not_pass_glance_do_not_count(self) -> None:
        found = verdict(
            self.START,
            case("glance-upload", line("fv1", [1, 1]), line("peer", [2, 2])),
            case("store-upload", line("fv1", [2, 2]), line("peer", [1, 1])),
        )
        assert found.outcome == targets.MET
        assert "2.00" in found.measured

    def test_a_missed_target_names_the_slow_lines(self) -> None:
        found = verdict(
            self.START,
            case("glance-upload", line("fv1", [1, 1]), line("peer", [2, 2])),
            case("volume-other", line("fv1-4", [4, 4]), line("peer-4", [2, 3])),
        )
        assert found.outcome == targets.MISSED
        assert "volume-other 4" in found.measured
        assert "glance-upload" not in found.measured

    def test_a_late_first_byte_misses_the_target(self) -> None:
        found = verdict(
            self.START,
            case(
                "glance-download",
                line("fv1", [1, 1], first_byte_s=[2, 2]),
                line("peer", [1, 1], first_byte_s=[1, 1]),
            ),
        )
        assert found.outcome == targets.MISSED
        assert "first byte" in found.measured

    def test_a_line_that_was_sometimes_as_fast_is_equal(self) -> None:
        found = verdict(
            self.START,
            case("volume-same", line("fv1-1", [1.1, 1.0]), line("peer-1", [1.0, 1.01])),
        )
        assert found.outcome == targets.EQUAL


def test_memory_is_compared_with_that_without_a_store() -> None:
    def memory(ours: list[float]) -> Case:
        return case(
            "memory-upload",
            line("null", [0, 0], peak_bytes=[100 * MIB, 100 * MIB]),
            line("fv1", [0, 0], peak_bytes=ours),
        )

    start = "memory of one upload"
    assert verdict(start, memory([164 * MIB, 150 * MIB])).outcome == targets.MET
    assert verdict(start, memory([166 * MIB, 164 * MIB])).outcome == targets.MISSED


def test_a_little_less_memory_is_none() -> None:
    run = case(
        "memory-download",
        line("null", [0], peak_bytes=[100 * MIB]),
        line("fv1", [0], peak_bytes=[99.8 * MIB]),
    )
    assert verdict("memory of one download", run).measured == "0 MiB (0 to 0)"


def test_requests_must_be_fewer_than_upstreams() -> None:
    def requests(upload: int, delete: int) -> Case:
        def counts(name: str, up: int, down: int) -> Line:
            return line(
                name, [0], upload_requests=[up], upload_polls=[9],
                delete_requests=[down], delete_polls=[0],
            )  # fmt: skip

        return case(
            "requests", counts("fv1-known", upload, delete), counts("peer-known", 10, 1)
        )

    start = "fewer requests"
    assert verdict(start, requests(9, 1)).outcome == targets.MET
    assert verdict(start, requests(10, 1)).outcome == targets.MISSED
    assert verdict(start, requests(9, 2)).outcome == targets.MISSED


@pytest.mark.parametrize(
    ("ours", "expected"), [([1.2, 1.1], targets.MET), ([1.3, 1.2], targets.MISSED)]
)
def test_a_volume_from_a_replica_takes_as_long_as_from_the_original(
    ours: list[float], expected: str
) -> None:
    """The slower of the sizes decides."""
    found = verdict(
        "volume on another FlexVol",
        case(
            "volume-replica",
            *(line("original-1", [1, 1]), line("replica-1", [0.9, 0.9])),
            *(line("original-4", [1, 1]), line("replica-4", ours)),
        ),
    )
    assert found.outcome == expected


@pytest.mark.parametrize(
    ("second", "expected"), [(1.5, targets.MET), (1.6, targets.MISSED)]
)
def test_the_first_byte_in_a_second_process_is_compared_with_the_first(
    second: float, expected: str
) -> None:
    found = verdict(
        "first byte in a second process",
        case(
            "first-byte",
            line("fv1-first", [9], first_byte_s=[1]),
            line("fv1-second", [9], first_byte_s=[second]),
        ),
    )
    assert found.outcome == expected


def test_a_repeated_download_is_judged_only_if_attachments_can_be_kept() -> None:
    start = "download again"
    pread = line("pread", [0.85])
    kept = line("fv1-again", [1], linger_s=[5])
    assert verdict(start, case("first-byte", kept, pread)).outcome == targets.MET
    slow = line("fv1-again", [1.1], linger_s=[5])
    assert verdict(start, case("first-byte", slow, pread)).outcome == targets.MISSED
    old = line("fv1-again", [1])
    assert verdict(start, case("first-byte", old, pread)).outcome == targets.UNKNOWN


@pytest.mark.parametrize(
    ("speed", "expected"), [(90, targets.MET), (80, targets.MISSED)]
)
def test_uploads_together_are_compared_with_one(speed: float, expected: str) -> None:
    found = verdict(
        "8 uploads together",
        case(
            "store-uploads",
            line("fv1-1", [1], bytes_per_s=[100]),
            line("fv1-8", [8], bytes_per_s=[speed]),
        ),
    )
    assert found.outcome == expected


@pytest.mark.parametrize(
    ("made", "used", "by_a_host", "expected"),
    [
        (0, 0, 20 * MIB, targets.MET),
        (0, 7, 0, targets.MISSED),
        (7, 0, 0, targets.MISSED),
        (0, 0, 2048 * MIB, targets.MISSED),
    ],
)
def test_no_byte_of_a_replica_passes_glance_or_a_host(
    made: float, used: float, by_a_host: float, expected: str
) -> None:
    found = verdict(
        "replica by the array",
        case("replica", line("array-1", [1], glance_bytes=[made])),
        case(
            "volume-replica",
            line("replica-1", [1], glance_bytes=[used], host_bytes=[by_a_host]),
        ),
    )
    assert found.outcome == expected
    assert f"at most {max(made, used)} bytes" in found.measured
    assert f"at most {by_a_host / MIB / 1024:.1%}" in found.measured


@pytest.mark.parametrize(
    ("fallbacks", "new", "expected"),
    [(0, 0, targets.MET), (1, 0, targets.MISSED), (0, MIB, targets.MISSED)],
)
def test_every_volume_of_a_storm_must_be_a_clone(
    fallbacks: float, new: float, expected: str
) -> None:
    def storm(count: int, fallbacks: float, new: float) -> Line:
        return line(
            f"storm-{count}",
            [9],
            volumes=[count],
            fallbacks=[fallbacks],
            unshared_bytes=[new],
        )

    found = verdict(
        "20 and 100 volumes at once over all",
        case("volumes-storm", storm(20, 0, 0), storm(100, fallbacks, new)),
    )
    assert found.outcome == expected
    assert "of 20 are no clones" in found.measured
    assert f"{fallbacks} of 100 are no clones" in found.measured


def test_volumes_on_the_images_flexvol_must_be_clones_too() -> None:
    few = line("fv1-20", [9], volumes=[20], fallbacks=[0], unshared_bytes=[0])
    many = line("fv1-100", [9], volumes=[100], fallbacks=[2], unshared_bytes=[MIB])
    start = "20 and 100 volumes at once on the image's"
    assert verdict(start, case("volumes-many", few)).outcome == targets.MET
    found = verdict(start, case("volumes-many", few), case("volumes-hundred", many))
    assert found.outcome == targets.MISSED
    assert "2 of 100 are no clones, 1.0 MiB are new" in found.measured


@pytest.mark.parametrize(
    ("start", "ours", "expected"),
    [
        ("volume from an image, recommended", {"one": 0.7}, targets.MET),
        ("volume from an image, recommended", {"one": 0.71}, targets.MISSED),
        ("20 volumes at once, recommended configuration: at most 0.7", {}, targets.MET),
        (
            "20 volumes at once, recommended configuration: at most 0.7",
            {"all": 7.1},
            targets.MISSED,
        ),
        ("20 volumes at once, recommended configuration: at most 0.5", {}, targets.MET),
        (
            "20 volumes at once, recommended configuration: at most 0.5",
            {"cpu": 5.1},
            targets.MISSED,
        ),
    ],
)
def test_the_recommended_configuration_is_compared_with_upstreams(
    start: str, ours: dict[str, float], expected: str
) -> None:
    def volumes(name: str, all_s: float, one_s: float, cpu_s: float) -> Line:
        return line(name, [all_s], one_volume_s=[one_s], cpu_s=[cpu_s])

    found = verdict(
        start,
        case(
            "volumes-locations",
            volumes(
                "fv1-token",
                ours.get("all", 7),
                ours.get("one", 0.7),
                ours.get("cpu", 5),
            ),
            volumes("peer-login", 10, 1, 10),
            volumes("peer-token", 1, 0.1, 1),
        ),
    )
    assert found.outcome == expected


def test_a_failed_sample_does_not_count() -> None:
    ours = line("fv1", [1, 1])
    ours.samples.append(Sample(3, failure="broken"))
    found = verdict(
        "upload of random data: at least 1.8",
        case("store-upload", ours, line("peer", [2, 2, 2])),
    )
    assert found.outcome == targets.MET
