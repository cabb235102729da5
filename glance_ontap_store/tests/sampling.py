# SPDX-License-Identifier: Apache-2.0
"""Leave a part of many similar cases to ``--long``, see `conftest`."""

from collections.abc import Iterable
from typing import Any

import pytest


def one_of(number: int, cases: Iterable[Any]) -> list[Any]:
    """Return the cases as parameters: the first of each *number* is not ``long``."""
    return one_tuple_of(number, ((case,) for case in cases))


def one_tuple_of(number: int, cases: Iterable[tuple[Any, ...]]) -> list[Any]:
    """The same for cases of several values."""
    return [
        pytest.param(*case, marks=pytest.mark.long if at % number else ())
        for at, case in enumerate(cases)
    ]
