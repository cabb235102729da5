# SPDX-License-Identifier: Apache-2.0
"""The answer to a question, or the reason why there is none.

An unanswered question is never treated as "OK".
"""

import dataclasses
from typing import TypeAlias
from typing import TypeVar
from typing import Union

from glance_ontap_store import errors
from glance_ontap_store.errors import Reason


@dataclasses.dataclass(frozen=True)
class Unknown:
    """The absence of an answer. *text* tells operators why, without any secret."""

    reason: Reason
    text: str


T = TypeVar("T")
# mypy takes this spelling for an alias with a parameter.
Answer: TypeAlias = Union[T, Unknown]  # noqa: UP007


def known(answer: Answer[T], what: str, service: str = "Cinder") -> T:
    """Return the answer to a question without which a command can do nothing.

    :raises errors.Broken: there is none
    """
    if isinstance(answer, Unknown):
        raise errors.Broken(
            f"{service} does not tell {what}: {answer.reason.value}: {answer.text}."
            " Try: glance-ontap check."
        )
    return answer
