# SPDX-License-Identifier: Apache-2.0
"""Runs the lab's command line."""

import sys

from lab import cli

if __name__ == "__main__":
    sys.exit(cli.main())
