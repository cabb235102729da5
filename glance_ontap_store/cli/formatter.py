# SPDX-License-Identifier: Apache-2.0
"""Findings for people: one line each; on a terminal, folded to its width."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
import shutil
import textwrap
from typing import Any
from typing import TextIO

from cliff.formatters import base

_INDENT = " " * 4


class LinesFormatter(base.ListFormatter):
    """The columns of a row side by side, the last two as one sentence.

    Never cut, so that grep finds whole findings. On a terminal, where it would
    be folded anywhere, problem and remedy have lines of their own.
    """

    def add_argument_group(self, parser: argparse.ArgumentParser) -> None:
        """It has no options."""

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        rows = [[str(each) for each in row] for row in data]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        # With -c there may be no texts.
        texts = sum(each in column_names for each in ("Problem", "Remedy"))
        narrow = len(column_names) - texts
        for row in rows:
            head = "  ".join(map(str.ljust, row[:narrow], widths)).rstrip()
            said = [each for each in row[narrow:] if each]
            if stdout.isatty():
                stdout.write("\n".join([head, *map(_folded, said)]) + "\n")
            else:
                aligned = "  ".join(map(str.ljust, row[:narrow], widths))
                stdout.write(f"{aligned}  {' '.join(said)}".strip() + "\n")


def _folded(text: str) -> str:
    width = max(40, min(shutil.get_terminal_size().columns, 100))
    return textwrap.fill(
        text,
        width,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
