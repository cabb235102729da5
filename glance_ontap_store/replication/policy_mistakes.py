# SPDX-License-Identifier: Apache-2.0
"""Find all mistakes in a policy file: in its shape, and in what it says. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import difflib
import math
import reprlib
from typing import Any
from typing import TypeAlias

import jsonschema
import yaml

from glance_ontap_store import units
from glance_ontap_store.replication import policy_schema

# The type, in enabled_backends, of the stores that get replicas.
_ONTAP = "ontap"
_NEVER = "never"
_Path: TypeAlias = tuple[str | int, ...]
# A mistake before its line is known: where it is, the problem, and the remedy.
_Found: TypeAlias = tuple[_Path, str, str]


@dataclasses.dataclass(frozen=True, order=True)
class Mistake:
    """One mistake: its *line* (from 1) and *place* (``rules[2].match.visibility``).

    *remedy* is empty where the problem says what is wanted.
    """

    line: int
    place: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return f"line {self.line}: {place}{self.problem} {self.remedy}".rstrip()


def of(node: Any, document: Any, kinds: Mapping[str, str] | None) -> list[Mistake]:
    """Return the mistakes in the order of their lines.

    *node* and *document* are the nodes and the values of the file's YAML. *kinds* are
    the types of Glance's stores by their ids, or None.
    """
    found = [
        *_repeated(node, (), set()),
        *_of_shape(document),
        *_of_durations(document),
        *_of_rules(document),
        *_of_stores(document, kinds),
    ]
    return sorted(
        Mistake(_line(node, path), place(path), problem, remedy)
        for path, problem, remedy in found
    )


def place(path: _Path) -> str:
    """Return the path as people write it: ``rules[2].match.visibility``."""
    text = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in path
    )
    return text.removeprefix(".")


def _line(node: Any, path: _Path) -> int:
    """Return the line of a place, or of what is nearest around it."""
    for part in path:
        inner = _inner(node, part)
        if inner is None:
            break
        node = inner
    return node.start_mark.line + 1 if node is not None else 1


def _inner(node: Any, part: str | int) -> Any:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        return node.value[part]
    if isinstance(node, yaml.MappingNode):
        found = (value for key, value in node.value if key.value == str(part))
        return next(found, None)
    return None


def _repeated(node: Any, path: _Path, seen: set[int]) -> Iterator[_Found]:
    """Yield the keys that a mapping has twice, of which YAML keeps the last."""
    # An alias may lead back to where it is.
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, each in enumerate(node.value):
            yield from _repeated(each, (*path, number), seen)
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key.value, str)]
        for key in sorted({key for key in keys if keys.count(key) > 1}):
            yield (*path, key), "The key is there more than once.", "Keep one of them."
        for key, value in node.value:
            yield from _repeated(value, (*path, str(key.value)), seen)


def _is_number(_checker: Any, value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


_BASE = jsonschema.Draft202012Validator
# YAML knows .nan and .inf, which no limit keeps out.
_Validator = jsonschema.validators.extend(
    _BASE, type_checker=_BASE.TYPE_CHECKER.redefine("number", _is_number)
)


def _of_shape(document: Any) -> Iterator[_Found]:
    for error in _Validator(policy_schema.SCHEMA).iter_errors(document):
        path: _Path = tuple(error.absolute_path)
        schema, value = error.schema, error.instance
        if error.validator == "additionalProperties":
            for key in value:
                if key not in schema["properties"]:
                    yield (*path, str(key)), *_unknown_key(key, schema, path)
        elif error.validator == "required":
            (key,) = schema["required"]
            yield path, f"The key {key} is missing.", f"It is {_title(schema, key)}."
        elif error.validator == "uniqueItems":
            yield path, "A store is there more than once.", "Name each store once."
        else:
            problem = f"{_short(value)} is not {schema['title']}."
            yield path, problem, _remedy(value, schema)


def _title(schema: Mapping[str, Any], key: str) -> str:
    return str(schema["properties"][key]["title"])


def _unknown_key(key: Any, schema: Mapping[str, Any], path: _Path) -> tuple[str, str]:
    known = list(schema["properties"])
    if key in policy_schema.SHARED and path:
        return "All rules share this setting.", "Put it under defaults."
    near = difflib.get_close_matches(str(key), known, 1)
    remedy = f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(known)}."
    return "The key is not known.", remedy


def _remedy(value: Any, schema: Mapping[str, Any]) -> str:
    """Return what else there is to say: the problem says what is wanted."""
    is_text_wanted = "minLength" in schema
    if is_text_wanted and not isinstance(value, str | list | dict | None):
        return "YAML takes it for no text: put it in quotes."
    return ""


def _short(value: Any) -> str:
    return "Nothing" if value is None else reprlib.repr(value)


def _of_durations(document: Any) -> Iterator[_Found]:
    for path, section in _sections(document):
        text = section.get("ttl")
        if isinstance(text, str) and ttl(text) is None and text != _NEVER:
            yield (
                (*path, "ttl"),
                f"{_short(text)} is not a duration.",
                "Give a number and a unit (s, min, h or d), such as 30d, or never.",
            )


def _of_rules(document: Any) -> Iterator[_Found]:
    """Yield the mistakes that rules make together."""
    has_stores = "stores" in _mapping(_mapping(document).get("defaults"))
    earlier: list[tuple[_Path, Any]] = []
    for path, rule in rules(document):
        match = rule.get("match")
        blocking = next(
            (before for before, each in earlier if each in ({}, match)), None
        )
        if isinstance(match, dict):
            if blocking is not None:
                yield (
                    path,
                    f"The rule never matches: {place(blocking)} has all its images.",
                    "The first rule that matches wins. Change their order, or delete"
                    " one of them.",
                )
            earlier.append((path, match))
            yield from _of_sizes(path, match)
        if "stores" not in rule and not has_stores:
            yield (
                path,
                "Neither the rule nor defaults says which stores.",
                "Give it stores: [fv1, fv2], or [] for none.",
            )


def _of_sizes(path: _Path, match: Mapping[Any, Any]) -> Iterator[_Found]:
    least: Any
    most: Any
    least, most = match.get("min_size_gib"), match.get("max_size_gib")
    if not (_is_number(None, least) and _is_number(None, most)):
        return
    if least > most:
        yield (
            (*path, "match"),
            f"min_size_gib {least} is greater than max_size_gib {most}.",
            "No image has such a size: exchange them.",
        )


def _of_stores(document: Any, kinds: Mapping[str, str] | None) -> Iterator[_Found]:
    if kinds is None:
        return
    known = ", ".join(sorted(key for key, kind in kinds.items() if kind == _ONTAP))
    for path, section in _sections(document):
        stores = section.get("stores")
        for number, store in enumerate(stores if isinstance(stores, list) else ()):
            if not isinstance(store, str) or kinds.get(store) == _ONTAP:
                continue
            problem = f"Glance has no store {store!r}."
            if store in kinds:
                problem = f"Store {store!r} is of type {kinds[store]}, not ontap."
            remedy = f"The stores of type ontap are: {known or '(none)'}."
            yield (*path, "stores", number), problem, remedy


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


def rules(document: Any) -> Iterator[tuple[_Path, Mapping[Any, Any]]]:
    rules = _mapping(document).get("rules")
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict):
            yield ("rules", number), rule


def _sections(document: Any) -> Iterator[tuple[_Path, Mapping[Any, Any]]]:
    """Yield the defaults and the rules, as far as they are mappings."""
    yield ("defaults",), _mapping(_mapping(document).get("defaults"))
    yield from rules(document)


def ttl(text: str) -> float | None:
    """Return the seconds of a duration; None for ``never``, and for what is none."""
    return None if text == _NEVER else units.seconds(text)
