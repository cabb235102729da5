# SPDX-License-Identifier: Apache-2.0
"""ONTAP's query language: fields, filters, order and pages, over plain records.

Pages: "Query parameters to filter results", "Requesting specific fields",
"Record counts and pagination". Everything here is pure.

A record is a nested dict as ONTAP's JSON has it. A field path has dots
(``space.snapshot.reserve_percent``); in a list it means "of each element".
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
import datetime
import fnmatch
import re
from typing import Any
from urllib.parse import quote
from urllib.parse import unquote_plus

from lab.ontapsim import errors

Record = dict[str, Any]

MAX_RECORDS_LIMIT = 10000
_MAX_RETURN_TIMEOUT_S = 120

# Query parameters that are not filters. "start.offset" is this simulator's own
# page token: clients must follow _links.next without looking into it.
_CONTROL = frozenset(
    {
        "fields",
        "max_records",
        "order_by",
        "return_records",
        "return_timeout",
        "return_unmatched_nested_array_objects",
        "ignore_unknown_fields",
        "start.offset",
    }
)


@dataclass(frozen=True)
class Query:
    """A parsed query string. Filters of one field path are in ``filters``."""

    fields: tuple[str, ...] = ()
    filters: Mapping[str, str] = field(default_factory=dict)
    max_records: int = MAX_RECORDS_LIMIT
    offset: int = 0
    order_by: tuple[tuple[str, bool], ...] = ()  # (path, descending)
    return_records: bool | None = None
    return_timeout_s: int = 0

    def without(self, *names: str) -> "tuple[Query, dict[str, str]]":
        """Split off parameters that are options of one request, not filters."""
        taken = {k: v for k, v in self.filters.items() if k in names}
        kept = {k: v for k, v in self.filters.items() if k not in names}
        return replace(self, filters=kept), taken


def parse(raw: str) -> Query:
    """Parse the raw (still quoted) query string of a URL.

    A stray "?" separates as "&" does: Cinder's driver asks for
    ``?return_records=false?max_records=10000``, and ONTAP takes it.
    """
    filters: dict[str, str] = {}
    control: dict[str, str] = {}
    for item in re.split("[&?]", raw):
        if not item:
            continue
        name, _, value = item.partition("=")
        name, value = unquote_plus(name), unquote_plus(value)
        (control if name in _CONTROL else filters)[name] = value
    return Query(
        fields=_split(control.get("fields", "")),
        filters=filters,
        max_records=_number(control, "max_records", MAX_RECORDS_LIMIT, 1, 2**31),
        offset=_number(control, "start.offset", 0, 0, 2**31),
        order_by=_order(control.get("order_by", "")),
        return_records=_truth(control, "return_records"),
        return_timeout_s=_number(
            control, "return_timeout", 0, 0, _MAX_RETURN_TIMEOUT_S
        ),
    )


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _number(
    control: Mapping[str, str], name: str, default: int, low: int, high: int
) -> int:
    text = control.get(name)
    if text is None:
        return default
    if not text.isdigit() or not low <= int(text) <= high:
        raise errors.bad_value(name, text)
    return int(text)


def _truth(control: Mapping[str, str], name: str) -> bool | None:
    text = control.get(name)
    if text is None:
        return None
    if text.lower() not in ("true", "false"):
        raise errors.bad_value(name, text)
    return text.lower() == "true"


def _order(text: str) -> tuple[tuple[str, bool], ...]:
    parts = []
    for part in _split(text):
        path, _, direction = part.partition(" ")
        if direction not in ("", "asc", "desc"):
            raise errors.bad_value("order_by", part)
        parts.append((path, direction == "desc"))
    return tuple(parts)


# Fields ---------------------------------------------------------------------


def values_at(record: object, path: str) -> list[Any]:
    """Return each value that a record has at a path, through lists."""
    if isinstance(record, list):
        return [value for item in record for value in values_at(item, path)]
    if not path:
        return [record]
    if not isinstance(record, dict):
        return []
    head, _, rest = path.partition(".")
    if head not in record:
        return []
    return values_at(record[head], rest)


def paths_of(record: object, prefix: str = "") -> set[str]:
    """Return every path that a record has, inner ones too."""
    found: set[str] = set()
    if isinstance(record, dict):
        for name, value in record.items():
            path = f"{prefix}.{name}" if prefix else name
            found.add(path)
            found |= paths_of(value, path)
    elif isinstance(record, list):
        for item in record:
            found |= paths_of(item, prefix)
    return found


def _with_parents(paths: Iterable[str]) -> set[str]:
    whole: set[str] = set()
    for path in paths:
        parts = path.split(".")
        whole |= {".".join(parts[:n]) for n in range(1, len(parts) + 1)}
    return whole


def project(record: Record, paths: Sequence[str], keys: Sequence[str]) -> Record:
    """Return a copy with the keys and the fields asked for.

    ``*`` and ``**`` mean everything; ``space.*`` means all of ``space``. In ONTAP a
    named field of an object brings the identity of that object too
    (``aggregates.name`` brings ``aggregates.uuid``): so it does here.
    """
    if any(path in ("*", "**") for path in paths):
        return record
    wanted = [*keys, "_links", *(p.removesuffix(".*") for p in paths)]
    return _pick(record, wanted)


def _pick(record: Record, wanted: Sequence[str]) -> Record:
    picked: Record = {}
    for name, value in record.items():
        inner = [w.partition(".")[2] for w in wanted if w.partition(".")[0] == name]
        if not inner:
            continue
        picked[name] = value if "" in inner else _pick_inner(value, inner)
    return picked


def _pick_inner(value: object, inner: Sequence[str]) -> object:
    if isinstance(value, list):
        return [_pick_inner(item, inner) for item in value]
    if isinstance(value, dict):
        identity = [name for name in ("name", "uuid") if name in value]
        return _pick(value, [*inner, *identity])
    return value


# Filters --------------------------------------------------------------------


def matches(record: Record, path: str, expression: str) -> bool:
    """Tell whether a record passes one filter.

    ``a|b`` (or ``a,b``) is "or", ``!x`` "not", ``*`` any characters, ``null``
    "has none", ``1..5`` a range, ``<5`` ``>=5`` comparisons; quotes or braces keep
    a text as it is.
    """
    values = [v for v in values_at(record, path) if v is not None]
    if expression.startswith("!"):
        return not matches(record, path, expression[1:])
    literal = _literal(expression)
    if literal is not None:
        return any(_text(value) == literal for value in values)
    alternatives = re.split(r"[|,]", expression)
    return any(_matches_one(values, alternative) for alternative in alternatives)


def _literal(expression: str) -> str | None:
    for first, last in (("{", "}"), ('"', '"')):
        if len(expression) > 1 and expression[0] == first and expression[-1] == last:
            return expression[1:-1]
    return None


def _matches_one(values: Sequence[Any], pattern: str) -> bool:
    if pattern.startswith("!"):
        return not _matches_one(values, pattern[1:])
    if pattern == "null":
        return not values
    return any(_value_matches(value, pattern) for value in values)


def _value_matches(value: object, pattern: str) -> bool:
    low, dots, high = pattern.partition("..")
    if dots:
        return _compare(value, ">=", low) and _compare(value, "<=", high)
    for sign in ("<=", ">=", "<", ">"):
        if pattern.startswith(sign):
            return _compare(value, sign, pattern[len(sign) :])
    if isinstance(value, bool):
        return _text(value) == pattern.lower()
    if "*" in pattern:
        # ONTAP knows only "*": quote what else fnmatch would take for special.
        quoted = re.sub(r"([\[?])", r"[\1]", pattern)
        return fnmatch.fnmatchcase(_text(value), quoted)
    return _text(value) == pattern


def _compare(value: object, sign: str, text: str) -> bool:
    left, right = _comparable(value), _comparable(text)
    if isinstance(left, float) and isinstance(right, float):
        less, equal = left < right, left == right
    else:
        less, equal = str(left) < str(right), str(left) == str(right)
    return {
        "<": less,
        "<=": less or equal,
        ">": not less and not equal,
        ">=": not less,
    }[sign]


def _comparable(value: object) -> float | str:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(value)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


# Collections ----------------------------------------------------------------


@dataclass(frozen=True)
class Collection:
    """The records of one collection, and what may be asked of them.

    ``keys`` come back always. ``optional`` are fields that a record may lack.
    """

    path: str  # "/storage/volumes", for the links
    records: Sequence[Record]
    keys: tuple[str, ...] = ("uuid", "name")
    optional: tuple[str, ...] = ()

    def known_paths(self) -> set[str]:
        """Return every field that may be named in a query."""
        known = _with_parents((*self.keys, *self.optional))
        for record in self.records:
            known |= paths_of(record)
        return known


def select(collection: Collection, query: Query) -> list[Record]:
    """Return the whole records that pass the filters, in order.

    :raises OntapError: a filter, field or order names what the collection lacks
    """
    known = collection.known_paths()
    for path in query.filters:
        if path not in known:
            raise errors.unexpected_argument(path)
    for path in (*query.fields, *(name for name, _ in query.order_by)):
        if path not in ("*", "**") and path.removesuffix(".*") not in known:
            raise errors.bad_value("fields", path)
    found = [
        record
        for record in collection.records
        if all(matches(record, path, text) for path, text in query.filters.items())
    ]
    for path, descending in reversed(query.order_by):
        found.sort(key=lambda r: _order_key(r, path), reverse=descending)
    return found


def _order_key(record: Record, path: str) -> tuple[int, Any]:
    values = values_at(record, path)
    if not values:
        return (0, "")
    value = _comparable(values[0])
    return (2, value) if isinstance(value, str) else (1, value)


def answer(collection: Collection, query: Query) -> Record:
    """Return ONTAP's body for GET of a collection: one page, and the next link.

    A filter's field comes back with the records, as in ONTAP.
    """
    found = select(collection, query)
    if query.return_records is False:
        return {"num_records": len(found)}
    page = found[query.offset : query.offset + query.max_records]
    shown = (*query.fields, *query.filters)
    body: Record = {
        "records": [project(record, shown, collection.keys) for record in page],
        "num_records": len(page),
        "_links": {"self": {"href": _href(collection.path, query, query.offset)}},
    }
    end = query.offset + query.max_records
    if end < len(found):
        body["_links"]["next"] = {"href": _href(collection.path, query, end)}
    return body


def _href(path: str, query: Query, offset: int) -> str:
    items = list(query.filters.items())
    if query.fields:
        items.append(("fields", ",".join(query.fields)))
    if query.order_by:
        order = (f"{path} {'desc' if down else 'asc'}" for path, down in query.order_by)
        items.append(("order_by", ",".join(order)))
    if query.max_records != MAX_RECORDS_LIMIT:
        items.append(("max_records", str(query.max_records)))
    if offset:
        items.append(("start.offset", str(offset)))
    text = "&".join(f"{quote(k)}={quote(v, safe='*,:.!/')}" for k, v in items)
    return f"/api{path}?{text}" if text else f"/api{path}"


def expand_dots(body: Mapping[str, Any]) -> Record:
    """Turn ``{"nas.path": x}`` into ``{"nas": {"path": x}}``: ONTAP takes both."""
    whole: Record = {}
    for name, value in body.items():
        inner = expand_dots(value) if isinstance(value, dict) else value
        target = whole
        *parents, last = name.split(".")
        for parent in parents:
            target = target.setdefault(parent, {})
        if isinstance(inner, dict) and isinstance(target.get(last), dict):
            target[last].update(inner)
        else:
            target[last] = inner
    return whole
