# SPDX-License-Identifier: Apache-2.0
"""Examples at the end of a help text."""

import argparse


def add(parser: argparse.ArgumentParser, *commands: str) -> None:
    """Let the parser's help end with *commands*, one on each line.

    They are what follows ``glance-ontap``, with the cloud of an administrator.
    """
    # The other formatters would fold the lines into one paragraph.
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(
        ["examples:", *(f"  glance-ontap --os-cloud admin {line}" for line in commands)]
    )
