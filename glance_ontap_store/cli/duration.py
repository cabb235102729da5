# SPDX-License-Identifier: Apache-2.0
"""Durations on the command line: a number with a unit, such as ``12h`` or ``7d``."""

import argparse

from glance_ontap_store import units


def seconds(text: str) -> float:
    """Return the seconds that *text* means, for argparse."""
    found = units.seconds(text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a duration: give a number and a unit (s, min, h or d),"
            " such as 12h"
        )
    return found
