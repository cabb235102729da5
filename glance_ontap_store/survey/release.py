# SPDX-License-Identifier: Apache-2.0
"""Read the release of Cinder that an operator names. Pure.

Cinder's API does not tell it: all releases from 2024.1 to 2026.2 have microversion
3.71.
"""

import re

from glance_ontap_store import errors

_OLDEST_BY_DATE = 2024


def cinder_major(text: str) -> int:
    """Return the major version of Cinder's package: 26 for 2025.1, 26, or 26.1.0.

    :raises errors.Misconfigured: *text* names no release
    """
    by_date = re.fullmatch(r"(20\d\d)\.([12])", text, re.ASCII)
    if by_date and int(by_date[1]) >= _OLDEST_BY_DATE:
        # 24 is 2024.1; there are two releases a year.
        half_years = 2 * (int(by_date[1]) - _OLDEST_BY_DATE) + int(by_date[2]) - 1
        return 24 + half_years
    by_version = re.fullmatch(r"(\d{1,2})(\.\d+)*", text, re.ASCII)
    if by_version:
        return int(by_version[1])
    raise errors.Misconfigured(
        f"{text!r} is not a release: give one like 2025.1, or the version of the"
        " package cinder, such as 26.1.0."
    )


def name(major: int) -> str:
    """Return how operators call the release with this major version, as 2025.1."""
    if major < 24:
        return f"{major}"
    years, half = divmod(major - 24, 2)
    return f"{_OLDEST_BY_DATE + years}.{half + 1}"
