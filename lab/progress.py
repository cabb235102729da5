# SPDX-License-Identifier: Apache-2.0
"""Progress lines on stderr: elapsed seconds, who, what."""

import os
import sys
import time

_START = "GLANCE_ONTAP_LAB_STARTED"


def started() -> float:
    """When the outermost lab process began (``time.time()``)."""
    return float(os.environ.setdefault(_START, repr(time.time())))


def say(who: str, what: str) -> None:
    """Writes one line at once, so that parallel starts do not mix."""
    elapsed = time.time() - started()
    if sys.stderr.isatty():
        line = f"\033[2m{elapsed:6.1f} s\033[0m  \033[1m{who:<17}\033[0m {what}\n"
    else:
        line = f"{elapsed:6.1f} s  {who:<17} {what}\n"
    sys.stderr.write(line)
    sys.stderr.flush()
