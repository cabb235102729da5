# SPDX-License-Identifier: Apache-2.0
"""Find out whether threads of this process run at the same time."""

import sys


def are_real() -> bool:
    """Return whether threads are those of the system; eventlet can make them green.

    Green threads take turns only where they wait for a socket, and a transfer does
    not. eventlet is not imported here: code that patches has imported it already.
    """
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is None or not patcher.is_monkey_patched("thread")
