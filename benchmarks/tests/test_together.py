# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
import threading

from benchmarks import together
from benchmarks.results import Sample


def test_all_requests_are_on_their_way_at_the_same_time() -> None:
    # Nobody passes before all have come.
    gate = threading.Barrier(30, timeout=60)

    def do(item: int) -> int:
        gate.wait()
        return 2 * item

    assert together.ask(do, range(30)) == ([2 * item for item in range(30)], [])


def test_requests_that_fail_are_told_beside_the_results_of_the_others() -> None:
    made, errors = together.ask(lambda item: 10 // item, [5, 0, 2])
    assert made == [2, 5]
    assert [type(error) for error in errors] == [ZeroDivisionError]


def transferred(do: Callable[[], int], count: int) -> Sample:
    """Transfer an image of 100 bytes *count* times at once."""
    return together.transfer(100, do, "readers", count, 2)


def test_all_transfers_finish() -> None:
    sample = transferred(lambda: 100, 3)
    assert sample.repeat == 2
    assert sample.note == ""
    assert sample.metrics["finished"] == sample.metrics["readers"] == 3
    speed = sample.metrics["bytes_per_s"] * sample.metrics["seconds"]
    assert round(speed) == 300


def test_a_failed_transfer_is_counted_and_its_error_shown() -> None:
    sizes = iter([100, 100])
    sample = transferred(lambda: next(sizes), 3)
    assert sample.metrics["finished"] == 2
    assert sample.note.startswith("2 of 3 finished; StopIteration")


def test_a_transfer_of_fewer_bytes_has_not_finished() -> None:
    sample = transferred(lambda: 99, 2)
    assert sample.note == "0 of 2 finished"
    assert "seconds" not in sample.metrics
