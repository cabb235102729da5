# SPDX-License-Identifier: Apache-2.0
"""A script that the kernel runs as its first process, with the checkout and Python."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
import shlex
import sys
import tempfile

import glance_ontap_store
from glance_ontap_store.tests.kernel import machine
from glance_ontap_store.tests.kernel import system
from glance_ontap_store.tests.kernel.errors import Unusable

CHECKOUT = Path(glance_ontap_store.__file__).parent.parent
RIGHT, WRONG, UNUSABLE, INTERRUPTED = 0, 1, 2, 130


def run(
    lines: Sequence[str], disks: Mapping[str, int], memory_mib: int, limit_s: float
) -> int:
    """Boot the kernel, and run the *lines* of a script; print what they print.

    *disks*, *memory_mib* and *limit_s* as of `machine.run`. Return `RIGHT`, or `WRONG`
    if the script failed, or `UNUSABLE`.
    """
    try:
        unpacked = system.ensure(CHECKOUT / ".kernel")
        with tempfile.TemporaryDirectory(prefix="kernel-") as directory:
            job = Path(directory)
            script = "\n".join([*_beginning(), *lines])
            (job / "run").write_text(script, encoding="utf-8")
            status = machine.run(unpacked, job, disks, memory_mib, limit_s, _say)
    except (Unusable, OSError) as error:
        text = f"kernel: THE TESTS DID NOT RUN TO THEIR END: {error}"
        print(text, file=sys.stderr, flush=True)
        return UNUSABLE
    return RIGHT if status == 0 else WRONG


def python(*arguments: str) -> str:
    """The line of a script that runs this Python."""
    # The console is a terminal, in which pytest would go back.
    return f"{shlex.join([sys.executable, *arguments])} 2>&1 | cat"


def finish(main: Callable[[], int]) -> None:
    """End this process with what *main* returns."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nkernel: interrupted, and the kernel is ended", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _say(text: str) -> None:
    print(text, end="", flush=True)


def _beginning() -> list[str]:
    checkout = shlex.quote(str(CHECKOUT))
    return [
        f"cd {checkout}",
        f"export PYTHONPATH={checkout}",
        f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH",
        "export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 COLUMNS=88",
        "set -o pipefail",
    ]
