# SPDX-License-Identifier: Apache-2.0
"""Register judges with the facts that they need.

A judge is called only if all of its facts are known, and receives their values. So a
judge handles an `Unknown` only if it reports one.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import Facts

_Judge = Callable[..., Iterator[Finding]]


class Judges:
    """The judges of one area, in the order in which they are registered.

    Facts are named by their paths: in `Facts` (``cinder``, ``admin.pools``), or for
    a judge of stores in `StoreFacts` (``settings``, ``login``), where ``facts.``
    leads to `Facts`. A fact that is None or `Unknown` is not known.
    """

    def __init__(self) -> None:
        self._judges: list[Callable[[Facts], Iterator[Finding]]] = []

    def once(self, *needs: str) -> Callable[[_Judge], _Judge]:
        """Register a judge that is called once, as ``judge(facts, *values)``."""
        return self._registering(lambda facts: [facts], needs)

    def per_store(self, *needs: str) -> Callable[[_Judge], _Judge]:
        """Register a judge that is called for each store: ``judge(store, *values)``."""
        return self._registering(lambda facts: facts.stores, needs)

    def _registering(
        self, subjects: Callable[[Facts], Iterable[object]], needs: tuple[str, ...]
    ) -> Callable[[_Judge], _Judge]:
        def register(judge: _Judge) -> _Judge:
            def ask(facts: Facts) -> Iterator[Finding]:
                for subject in subjects(facts):
                    values = _known(needs, subject, facts)
                    if values is not None:
                        yield from judge(subject, *values)

            self._judges.append(ask)
            return judge

        return register

    def findings(self, facts: Facts) -> Iterator[Finding]:
        """Return all findings of these judges."""
        for ask in self._judges:
            yield from ask(facts)


def _known(needs: tuple[str, ...], root: object, facts: Facts) -> list[Any] | None:
    """Return the values of the facts that are needed; None unless all are known."""
    values = []
    for need in needs:
        value: Any = root
        for name in need.split("."):
            value = facts if name == "facts" else getattr(value, name)
            if value is None or isinstance(value, Unknown):
                return None
        values.append(value)
    return values
