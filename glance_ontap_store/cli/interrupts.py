# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C during a long run: the step that has begun ends, and no other begins."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import signal

# The exit code of a shell's command that SIGINT ended.
INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Whether a signal has asked to stop."""

    is_asked = False


@contextlib.contextmanager
def noticed(say: Callable[[str], object]) -> Iterator[Interrupts]:
    """Note the first signal while the block runs; a second one ends it at once.

    :raises KeyboardInterrupt: from within the block, at a second signal
    """
    found = Interrupts()

    def stop(number: int, _frame: object) -> None:
        if found.is_asked:
            raise KeyboardInterrupt(signal.Signals(number).name)
        found.is_asked = True
        say("Interrupted: ending the step that has begun ...")

    before = {
        number: signal.signal(number, stop)
        for number in _SIGNALS
        # Under nohup(1) SIGHUP is ignored, and must stay so.
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
