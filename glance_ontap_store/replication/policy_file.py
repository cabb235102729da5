# SPDX-License-Identifier: Apache-2.0
"""Read a policy file."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import yaml

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.replication import policy
from glance_ontap_store.replication import policy_mistakes
from glance_ontap_store.replication.policy import Match
from glance_ontap_store.replication.policy import Policy
from glance_ontap_store.replication.policy import Rule
from glance_ontap_store.replication.policy_mistakes import Mistake
from glance_ontap_store.replication.step import Verify


class WrongPolicy(errors.Misconfigured):
    """A policy file that cannot be used, with all its *mistakes*."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        lines = "".join(f"\n  {mistake}" for mistake in mistakes)
        word = "mistake" if len(mistakes) == 1 else "mistakes"
        super().__init__(f"The policy file has {len(mistakes)} {word}:{lines}")
        self.mistakes = tuple(mistakes)


def parse(text: str, kinds: Mapping[str, str] | None) -> Policy:
    """Return the policy in *text*.

    *kinds* are the types of Glance's stores by their ids; None if they are not known,
    so that the ids in the policy are not looked at.

    :raises WrongPolicy: it has mistakes
    """
    try:
        node, document = _loaded(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise WrongPolicy([_no_yaml(error)]) from error
    found = policy_mistakes.of(node, document, kinds)
    if found:
        raise WrongPolicy(found)
    return _policy(document)


def _loaded(text: str) -> tuple[Any, Any]:
    """Return the nodes, which know their lines, and the values of a YAML text."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _no_yaml(error: Exception) -> Mistake:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return Mistake(
        mark.line + 1 if mark else 1,
        "",
        f"The file is not YAML: {problem}.",
        "Check indentation, brackets and quotes there.",
    )


def _policy(document: Mapping[str, Any]) -> Policy:
    """Return the values of a document without mistakes."""
    defaults = document.get("defaults", {})
    return Policy(
        rules=tuple(
            _rule(policy_mistakes.place(path), {**defaults, **rule})
            for path, rule in policy_mistakes.rules(document)
        ),
        free_floor_gib=defaults.get("free_floor_gib", 0),
        free_floor_percent=defaults.get(
            "free_floor_percent", policy.FREE_FLOOR_PERCENT
        ),
        max_percent=defaults.get("max_percent_of_flexvol", 100),
        parallel=defaults.get("parallel", policy.PARALLEL),
        per_pool=defaults.get("per_pool", policy.PER_POOL),
        same_cluster=tuple(map(frozenset, document.get("same_cluster", ()))),
    )


def _rule(name: str, given: Mapping[str, Any]) -> Rule:
    return Rule(
        place=name,
        match=_match(given["match"]),
        stores=tuple(given["stores"]),
        ttl_s=policy_mistakes.ttl(given.get("ttl", "never")),
        verify=Verify(given.get("verify", Verify.SAMPLE.value)),
    )


def _match(given: Mapping[str, Any]) -> Match:
    least, most = given.get("min_size_gib"), given.get("max_size_gib")
    return Match(
        tags=_texts(given.get("tag")),
        properties={
            key: _texts(value) for key, value in given.get("property", {}).items()
        },
        visibilities=_texts(given.get("visibility")),
        projects=_texts(given.get("project")),
        names=_texts(given.get("name")),
        disk_formats=_texts(given.get("disk_format")),
        min_size=None if least is None else least * units.GIB,
        max_size=None if most is None else most * units.GIB,
    )


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
