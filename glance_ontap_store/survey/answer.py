# SPDX-License-Identifier: Apache-2.0
"""What was learned by asking, or why it was not.

A question to a service has an answer or an `Unknown`; nothing that could not be
asked is ever taken for good.
"""

import dataclasses
import enum
from typing import TypeAlias
from typing import TypeVar
from typing import Union


class Reason(enum.Enum):
    """Why something is not known. What to do next depends on it."""

    UNREACHABLE = "no answer came"
    UNAUTHORIZED = "the credentials were refused"
    FORBIDDEN = "the credentials do not permit it"
    MISSING = "it does not exist"
    NO_ENDPOINT = "the catalog has no such endpoint"
    CERTIFICATE = "a certificate was refused"
    BROKEN = "the answer made no sense"
    UNREADABLE = "it cannot be read"
    NOT_GIVEN = "nobody said where to ask"
    EARLIER = "an earlier question has no answer"


@dataclasses.dataclass(frozen=True)
class Unknown:
    """No answer. *text* is a clause for people, without any secret."""

    reason: Reason
    text: str


T = TypeVar("T")
# Spelt so that mypy takes it for an alias with a parameter.
Answer: TypeAlias = Union[T, Unknown]  # noqa: UP007
