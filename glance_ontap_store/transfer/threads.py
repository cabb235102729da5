# SPDX-License-Identifier: Apache-2.0
"""Whether threads are worth their while here."""

import sys


def are_real() -> bool:
    """Whether a thread is one of the system: eventlet makes them green.

    Green threads take turns only where they wait for a socket, which no transfer
    does. eventlet is not imported for that: who patched has imported it.
    """
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is None or not patcher.is_monkey_patched("thread")
