# SPDX-License-Identifier: Apache-2.0
from benchmarks import progress
from benchmarks.progress import ProgressLine


def test_the_rest_is_estimated_at_the_pace_so_far() -> None:
    assert progress.remaining(elapsed_s=200, done_s=100, expected_s=300) == 400
    assert progress.remaining(elapsed_s=900, done_s=310, expected_s=300) == 0


def test_the_first_minute_does_not_change_the_estimate() -> None:
    assert progress.remaining(elapsed_s=30, done_s=1, expected_s=300) == 299


def test_progress_on_a_terminal_redraws_one_line() -> None:
    written: list[str] = []
    line = ProgressLine(written.append, is_terminal=True)
    line.expect(100)
    line.doing("something")
    line.close()
    assert "something" in written[0]
    assert "about 1:40 left" in written[0]
    assert "\n" not in "".join(written)


def test_progress_in_a_log_is_one_line_for_each_step() -> None:
    written: list[str] = []
    line = ProgressLine(written.append, is_terminal=False)
    line.doing("one thing")
    line.doing("another")
    line.close()
    assert [text[-1] for text in written] == ["\n", "\n"]
    assert "\033" not in "".join(written)
