# SPDX-License-Identifier: Apache-2.0
"""Durations on the command line: a number with a unit, such as ``12h`` or ``7d``."""

import argparse
import re

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_TEXT = re.compile(r"([0-9]{1,9})\s?(s|m|min|h|d)")


def seconds(text: str) -> float:
    """Return the seconds that *text* means, for argparse."""
    found = _TEXT.fullmatch(text.strip().lower())
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a duration: give a number and a unit (s, min, h or d),"
            " such as 12h"
        )
    return float(found[1]) * _UNITS[found[2]]
