# SPDX-License-Identifier: Apache-2.0
"""The JSON schema of a policy file.

Each ``title`` says what a value has to be, and ends the sentence "it is not ...".
"""

from collections.abc import Mapping
from typing import Any

from glance_ontap_store.replication.step import Verify

VISIBILITIES = ("public", "community", "shared", "private")
_MOST_PARALLEL = 16


def _texts(title: str, **more: Any) -> dict[str, Any]:
    """Return the schema of a text, or a list of texts."""
    one = {"title": title, "minLength": 1, **more}
    items = {"type": "string", **one}
    return {"type": ["string", "array"], "minItems": 1, "items": items, **one}


def _number(title: str, least: float, most: float, kind: str = "number") -> Any:
    return {"type": kind, "minimum": least, "maximum": most, "title": title}


def _closed(title: str, properties: Mapping[str, Any], *required: str) -> Any:
    return {
        "type": "object",
        "title": title,
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_GIB = "a number of GiB, 0 or more"
_PERCENT = "a percentage from 0 to 100"
_STORE = "the id of a store"
_OF_RULES = {
    "stores": {
        "type": "array",
        "title": "a list of ids of stores, such as [fv1, fv2]; [] for none",
        "items": {"type": "string", "minLength": 1, "title": _STORE},
        "uniqueItems": True,
    },
    "ttl": {"type": "string", "title": "a duration such as 12h or 30d, or never"},
    "verify": {
        "enum": [each.value for each in Verify],
        "title": "one of none, sample and full",
    },
}
_LIMITS = {
    "free_floor_gib": _number(_GIB, 0, 1e9),
    "free_floor_percent": _number(_PERCENT, 0, 100),
    "max_percent_of_flexvol": _number(_PERCENT, 0, 100),
    "parallel": _number(f"a number from 1 to {_MOST_PARALLEL}", 1, 16, "integer"),
    "per_pool": _number(f"a number from 1 to {_MOST_PARALLEL}", 1, 16, "integer"),
}
_MATCH = {
    "tag": _texts("a tag, or a list of tags"),
    "property": {
        "type": "object",
        "title": "a mapping of properties to their values, such as {os_distro: debian}",
        "minProperties": 1,
        "propertyNames": {"type": "string", "title": "the name of a property"},
        "additionalProperties": _texts("a text, or a list of texts"),
    },
    "visibility": _texts(
        "one of public, community, shared and private",
        pattern=f"^({'|'.join(VISIBILITIES)})$",
    ),
    "project": _texts("the id of a project, or a list of ids"),
    "name": _texts("a pattern for names, such as debian-*, or a list of patterns"),
    "disk_format": _texts("a format such as raw, or a list of formats"),
    "min_size_gib": _number(_GIB, 0, 1e9),
    "max_size_gib": _number(_GIB, 0, 1e9),
}
_RULE = _closed(
    "a rule, such as {match: {tag: golden}, stores: [fv2]}",
    {
        "match": _closed("a mapping of conditions; {} matches all images", _MATCH),
        **_OF_RULES,
    },
    "match",
)
_BACKENDS = {
    "type": "array",
    "title": "a list of two or more back ends of one ONTAP cluster",
    "minItems": 2,
    "items": {
        "type": "string",
        "pattern": "^[^@#]+@[^@#]+$",
        "title": "a back end as Cinder names it: host@backend",
    },
}
SCHEMA: Mapping[str, Any] = _closed(
    "a mapping with the keys defaults and rules",
    {
        "defaults": _closed("a mapping of settings", {**_OF_RULES, **_LIMITS}),
        "rules": {
            "type": "array",
            "title": "a list of at least one rule",
            "minItems": 1,
            "items": _RULE,
        },
        "same_cluster": {
            "type": "array",
            "title": "a list of lists of back ends: [[host@a, host@b]]",
            "items": _BACKENDS,
        },
    },
    "rules",
)
# Settings that all rules share.
SHARED = frozenset(_LIMITS)
