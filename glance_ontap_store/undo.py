# SPDX-License-Identifier: Apache-2.0
"""Clean-up steps of an ExitStack that never hide what went wrong before them."""

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

    If the block failed already, a failure of *action* becomes a note on that error.
    Otherwise it is raised, as `errors.Broken` unless it is an error of ours.
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
