# SPDX-License-Identifier: Apache-2.0
"""Print findings for people: one line for each, folded on a terminal."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
import shutil
import textwrap
from typing import Any
from typing import TextIO

from cliff import columns
from cliff.formatters import base

_INDENT = " " * 4
# The columns that are sentences, at the end of a row.
_TEXTS = ("Problem", "Remedy", "Why", "Action", "Certainty")


class LinesFormatter(base.ListFormatter):
    """Prints the columns of a row side by side; its sentences as one text.

    A line is never cut, so that grep finds whole findings. On a terminal, sentences
    have their own lines, which are folded to the terminal's width.
    """

    def add_argument_group(self, parser: argparse.ArgumentParser) -> None:
        """Add no options: the formatter has none."""

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Print the rows to *stdout*."""
        rows = [[_text(cell) for cell in row] for row in data]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        # -c may leave out the texts.
        texts = sum(name in column_names for name in _TEXTS)
        narrow = len(column_names) - texts
        for row in rows:
            head = "  ".join(map(str.ljust, row[:narrow], widths)).rstrip()
            sentences = [text for text in row[narrow:] if text]
            if stdout.isatty():
                stdout.write("\n".join([head, *map(_folded, sentences)]) + "\n")
            else:
                aligned = "  ".join(map(str.ljust, row[:narrow], widths))
                stdout.write(f"{aligned}  {' '.join(sentences)}".strip() + "\n")


def _text(cell: Any) -> str:
    if isinstance(cell, columns.FormattableColumn):
        return str(cell.human_readable())
    return str(cell)


def _folded(text: str) -> str:
    """Return the text folded to the terminal's width, with a command on its own line.

    The command is not folded: it would not run if it were pasted into a shell.
    """
    width = max(40, min(shutil.get_terminal_size().columns, 100))
    prose, is_command, command = text.partition(": openstack ")
    if is_command:
        return f"{_folded(f'{prose}:')}\n{_INDENT * 2}openstack {command}"
    return textwrap.fill(
        text,
        width,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
