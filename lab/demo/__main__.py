# SPDX-License-Identifier: Apache-2.0
"""Start the lab and run the show in it: ``tox -e demo -- [--json FILE]``."""

import argparse
import os
import sys

from lab.demo import show


def main() -> None:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    show.add_arguments(parser)
    parsed = parser.parse_args()
    command = [
        "-m",
        "lab.demo.show",
        f"--size-gib={parsed.size_gib}",
    ]
    if parsed.json:
        # The lab may run the command in another directory.
        command.append(f"--json={os.path.abspath(parsed.json)}")
    python = sys.executable
    os.execv(
        python,
        [python, "-m", "lab", "run", python, *command],
    )


if __name__ == "__main__":
    main()
