# SPDX-License-Identifier: Apache-2.0
"""A wrapper of any object, whose calls fail when a test wants it."""

import dataclasses
from typing import Any


@dataclasses.dataclass
class _Plan:
    method: str
    error: BaseException
    calls_before: int
    done: bool
    for_good: bool


class Faulty:
    """Passes every call on to *inner*, except those that `fail` planned."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.calls: list[str] = []
        self._plans: list[_Plan] = []

    def fail(
        self,
        method: str,
        error: BaseException,
        nth: int = 1,
        done: bool = False,
        for_good: bool = False,
    ) -> None:
        """Let the *nth* next call of *method* raise *error*.

        *done*: the call is carried out, and its answer is lost. *for_good*: every
        later call fails as well.
        """
        self._plans.append(_Plan(method, error, nth - 1, done, for_good))

    def recover(self) -> None:
        """Let no later call fail."""
        self._plans.clear()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            plan = self._due(name)
            if plan is None or plan.done:
                answer = found(*args, **kwargs)
            if plan is not None:
                raise plan.error
            return answer

        return call

    def _due(self, name: str) -> _Plan | None:
        for plan in self._plans:
            if plan.method != name:
                continue
            if plan.calls_before:
                plan.calls_before -= 1
                continue
            if not plan.for_good:
                self._plans.remove(plan)
            return plan
        return None
