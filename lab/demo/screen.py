# SPDX-License-Identifier: Apache-2.0
"""The demo's output: progress lines, and the table at its end."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import sys
import textwrap
import threading
import time
from typing import Any


def human(count: int) -> str:
    """Return a number of bytes as a short text."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"


class Progress:
    """A line for each step, with its time and state.

    On a terminal the line is redrawn while the step runs. Elsewhere a line is printed
    at its start and at its end, so that a log stays readable.
    """

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()

    @contextlib.contextmanager
    def doing(self, what: str, state: Callable[[], str]) -> Iterator[None]:
        """Show *what* and *state* until the block ends."""
        began = time.monotonic()
        over = threading.Event()

        def line() -> str:
            return f"{time.monotonic() - began:6.1f} s  {what}  {state()}"

        def redraw() -> None:
            while not over.wait(0.2):
                print(f"\r\033[K{line()}", end="", file=sys.stderr, flush=True)

        thread = threading.Thread(target=redraw, daemon=True)
        if self._terminal:
            thread.start()
        else:
            print(f"   ...    {what}", file=sys.stderr, flush=True)
        try:
            yield
        finally:
            over.set()
            if self._terminal:
                thread.join()
            start = "\r\033[K" if self._terminal else ""
            print(f"{start}{line()}", file=sys.stderr, flush=True)


# Of the answers, in characters.
_WIDTH = 80
_PATHS = {
    "upload": "Glance wrote the stream to an image-volume on this FlexVol.",
    "clone": "ONTAP shares {shared} of blocks with the image-volume; no data moved.",
    "stream": "No image-volume lies on this FlexVol: Cinder downloaded the image.",
    "replica": "ONTAP copied the image-volume to this FlexVol; Glance knows both.",
}


def table(steps: list[dict[str, Any]]) -> str:
    """Return the steps as a table with a sentence under each line."""
    head = ("What", "Path", "Time", "Through hosts", "New on array", "Content")
    rows = [
        (
            step["name"],
            step["path"],
            f"{step['seconds']:.1f} s",
            human(step["bytes_through_hosts"]),
            human(step["new_bytes_on_array"]),
            "equal" if step["content_ok"] else "DIFFERS",
        )
        for step in steps
    ]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def show(row: tuple[str, ...]) -> str:
        cells = [row[0].ljust(widths[0]), row[1].ljust(widths[1])]
        cells += [
            cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)
        ]
        return "  ".join(cells).rstrip()

    rule = "-" * len(show(head))
    lines = [rule, show(head), rule]
    for step, row in zip(steps, rows, strict=True):
        lines.append(show(row))
        text = _PATHS[step["path"]].format(
            shared=human(step["bytes_shared_with_image"])
        )
        lines += textwrap.wrap(
            text, len(rule), initial_indent="    ", subsequent_indent="    "
        )
    return "\n".join([*lines, rule])


def answers(found: list[dict[str, Any]]) -> str:
    """Return what ``glance-ontap explain`` has told, and when it was asked."""
    lines = []
    for each in found:
        lines.append(f"glance-ontap explain, {each['when']}:")
        text = f"A volume of type {each['volume_type']} is made by {each['path']}"
        text += f" ({each['certainty']})."
        lines += textwrap.wrap(
            f"{text} {each['why']}".rstrip(),
            _WIDTH,
            initial_indent="    ",
            subsequent_indent="    ",
        )
    return "\n".join(lines)
