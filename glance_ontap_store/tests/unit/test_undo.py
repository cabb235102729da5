# SPDX-License-Identifier: Apache-2.0
"""Clean-up steps report their own failures and hide no earlier one."""

import contextlib

import pytest

from glance_ontap_store import errors
from glance_ontap_store import undo


def fail(error):
    def action():
        raise error

    return action


def run(failure, *steps):
    with contextlib.ExitStack() as stack:
        for what, action in steps:
            undo.always(stack, what, action)
        if failure is not None:
            raise failure


class TestAlways:
    @pytest.mark.parametrize("failure", [None, ValueError("first")])
    def test_the_action_runs_in_any_case(self, failure):
        done = []
        with contextlib.suppress(ValueError):
            run(failure, ("close it", lambda: done.append(1)))
        assert done == [1]

    @pytest.mark.parametrize(
        "failed", [errors.Broken("busy"), OSError(5, "I/O error"), RuntimeError("x")]
    )
    def test_an_earlier_error_stays_the_error(self, failed):
        first = errors.NoSpace("full")
        with pytest.raises(errors.NoSpace) as caught:
            run(first, ("close it", fail(failed)))
        assert caught.value is first
        assert "Could not close it" in errors.describe(first)
        assert str(failed) in errors.describe(first)

    def test_an_error_of_ours_is_raised_as_it_is(self):
        failed = errors.ImageVolumeInUse("busy")
        with pytest.raises(errors.ImageVolumeInUse) as caught:
            run(None, ("detach it", fail(failed)))
        assert caught.value is failed

    def test_another_error_is_raised_as_ours(self):
        with pytest.raises(errors.Broken, match=r"Could not close it: .*I/O") as caught:
            run(None, ("close it", fail(OSError(5, "I/O error"))))
        assert isinstance(caught.value.__cause__, OSError)

    def test_the_next_step_hears_of_the_failure_of_the_one_before(self):
        done = []
        with pytest.raises(errors.Broken, match="close"):
            run(
                None,
                ("unmount it", lambda: done.append("unmount")),
                ("close it", fail(OSError(5, "I/O error"))),
            )
        assert done == ["unmount"]


class TestOnFailure:
    def test_it_is_told_of_the_error(self):
        told = []
        error = ValueError("first")
        with pytest.raises(ValueError, match="first"):
            with contextlib.ExitStack() as stack:
                undo.on_failure(stack, told.append)
                raise error
        assert told == [error]

    def test_it_does_not_run_after_success(self):
        told = []
        with contextlib.ExitStack() as stack:
            undo.on_failure(stack, told.append)
        assert not told
