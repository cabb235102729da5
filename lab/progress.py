# SPDX-License-Identifier: Apache-2.0
"""Progress lines on stderr: elapsed seconds, subject, message."""

import os
import sys
import time

_START = "GLANCE_ONTAP_LAB_STARTED"


def started() -> float:
    """Return the start of the outermost lab process (``time.time()``)."""
    return float(os.environ.setdefault(_START, repr(time.time())))


def say(subject: str, message: str) -> None:
    """Write a line in one call, so that lines of parallel starts do not mix."""
    elapsed = time.time() - started()
    if sys.stderr.isatty():
        text = f"\033[2m{elapsed:6.1f} s\033[0m  \033[1m{subject:<17}\033[0m {message}"
    else:
        text = f"{elapsed:6.1f} s  {subject:<17} {message}"
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
