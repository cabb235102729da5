# SPDX-License-Identifier: Apache-2.0
"""Examples at the end of a help text."""

import argparse


class Command:
    """The base of a command that has examples; before cliff's own class."""

    def get_epilog(self) -> str:
        """Return no epilog, because the examples are one.

        cliff's would read the metadata of all installed packages, to say which one the
        command is from. That is a third of the time that the command needs to start.
        """
        return ""


def add(parser: argparse.ArgumentParser, *commands: str) -> None:
    """Let the parser's help end with *commands*, one on each line.

    They are what follows ``glance-ontap``, with the cloud of an administrator.
    """
    # The other formatters would fold the lines into one paragraph.
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(
        ["examples:", *(f"  glance-ontap --os-cloud admin {line}" for line in commands)]
    )
