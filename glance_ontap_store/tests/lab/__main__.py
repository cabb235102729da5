"""Runs the lab's command line."""

import sys

from glance_ontap_store.tests.lab import cli

if __name__ == "__main__":
    sys.exit(cli.main())
