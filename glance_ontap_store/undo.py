# SPDX-License-Identifier: Apache-2.0
"""Clean-up steps of an ExitStack that never hide an earlier error."""

from collections.abc import Callable
import contextlib

from glance_ontap_store import errors


def on_failure(
    stack: contextlib.ExitStack, action: Callable[[BaseException], object]
) -> None:
    """Call *action* with the error if the block of *stack* fails."""

    def leave(_cls: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None:
            action(error)

    stack.push(leave)


def always(
    stack: contextlib.ExitStack, what: str, action: Callable[[], object]
) -> None:
    """Call *action* at the end of the block; *what* is a verb phrase for messages.

    If the block has failed, a failure of *action* becomes a note on the block's error.

    :raises errors.StoreError: *action* failed, but the block did not; any other
        exception of *action* is raised as `errors.Broken`
    """

    def leave(_cls: object, error: BaseException | None, _traceback: object) -> None:
        try:
            action()
        except Exception as failed:
            text = f"Could not {what}: {errors.describe(failed)}"
            if error is not None:
                errors.note(error, text)
            elif isinstance(failed, errors.StoreError):
                raise
            else:
                raise errors.Broken(text) from failed

    stack.push(leave)
