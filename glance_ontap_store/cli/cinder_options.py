# SPDX-License-Identifier: Apache-2.0
"""The options about Cinder that more than one command has."""

import argparse

from glance_ontap_store import errors
from glance_ontap_store.survey import release


def add(parser: argparse.ArgumentParser) -> None:
    """Add ``--cinder-conf`` and ``--cinder-release``, a major version or None."""
    parser.add_argument(
        "--cinder-conf",
        metavar="FILE",
        help="a copy of cinder-volume's cinder.conf, to check whether Cinder can"
        " clone images",
    )
    parser.add_argument(
        "--cinder-release",
        metavar="RELEASE",
        type=_major,
        help="the release of Cinder, such as 2025.1 or 26.1.0, which Cinder's API"
        " does not tell: some answers depend on it",
    )


def _major(text: str) -> int:
    """Return the major version of Cinder that *text* names, for argparse."""
    try:
        return release.cinder_major(text)
    except errors.Misconfigured as error:
        raise argparse.ArgumentTypeError(str(error)) from error
