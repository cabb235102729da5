# SPDX-License-Identifier: Apache-2.0
"""What was learned by asking, or why it was not.

A question to a service has an answer or an `Unknown`; nothing that could not be
asked is ever taken for good.
"""

import dataclasses
from typing import TypeAlias
from typing import TypeVar
from typing import Union

from glance_ontap_store.errors import Reason


@dataclasses.dataclass(frozen=True)
class Unknown:
    """No answer. *text* is a clause for people, without any secret."""

    reason: Reason
    text: str


T = TypeVar("T")
# Spelt so that mypy takes it for an alias with a parameter.
Answer: TypeAlias = Union[T, Unknown]  # noqa: UP007
