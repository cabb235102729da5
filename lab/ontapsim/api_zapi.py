# SPDX-License-Identifier: Apache-2.0
"""ZAPI (ONTAPI), ONTAP's XML API: the calls of Cinder's REST client.

Cinder's NetApp driver makes a ZAPI client beside its REST client, for methods that
REST lacks: always before Cinder 29, and there where ``netapp_allow_zapi_fallback``
says so. Making one asks for the versions and the nodes; the NFS driver then asks for
deduplication, clone splits, and snapshots that wait for their deletion. Files are
cloned by REST.

Every other call is answered "Unable to find API", as ONTAP answers one that it does not
have, and logged at ERROR. So is an argument that would be ignored.

Source: NetApp Manageability SDK, "ONTAPI reference"; the codes are those that Cinder's,
Ansible's and Trident's clients test for.
"""

from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import dataclass
import fnmatch
import logging
from xml.etree import ElementTree

import defusedxml
import defusedxml.ElementTree

from lab.ontapsim import records
from lab.ontapsim.state import Array
from lab.ontapsim.state import User

LOG = logging.getLogger(__name__)

PATH = "/servlets/netapp.servlets.admin.XMLrequest_filer"
NAMESPACE = "http://www.netapp.com/filer/admin"
# errno of a failed call.
UNREADABLE = 13001
NO_RIGHT = 13003
NO_SUCH_API = 13005
NO_SUCH_OBJECT = 15661
NO_SUCH_SVM = 15698

Element = ElementTree.Element
# The values of a record by the names of its elements.
Values = dict[str, str]


@dataclass(frozen=True)
class Call:
    """A call after parsing. ``svm`` is that of the envelope or login, or None."""

    array: Array
    element: Element
    svm: str | None


class ZapiError(Exception):
    """Answered with HTTP status 200, and ``status="failed"`` in the result."""

    def __init__(self, errno: int, reason: str) -> None:
        super().__init__(reason)
        self.errno = errno
        self.reason = reason


def answer(array: Array, user: User, request: bytes) -> bytes:
    """Return the XML answer to an XML request, failed calls included."""
    results = Element("results", status="passed")
    try:
        results.extend(_call(array, user, request))
    except ZapiError as error:
        LOG.error("ZAPI: errno %d, %s: %r", error.errno, error.reason, request[:1000])
        results.attrib = {
            "status": "failed",
            "errno": str(error.errno),
            "reason": error.reason,
        }
    version = ".".join(map(str, ontapi_version(array)))
    envelope = Element("netapp", xmlns=NAMESPACE, version=version)
    envelope.append(results)
    text: bytes = ElementTree.tostring(envelope, "UTF-8", xml_declaration=True)
    return text


def ontapi_version(array: Array) -> tuple[int, int]:
    """Return the version of ZAPI: 1.180 for ONTAP 9.8, 1.191 for 9.9.1."""
    _, major, minor = array.cluster.version
    return 1, 100 + 10 * major + minor


def _call(array: Array, user: User, request: bytes) -> list[Element]:
    """Return the elements of the result of a call.

    :raises ZapiError: the request is no call, or the call fails
    """
    try:
        envelope = defusedxml.ElementTree.fromstring(request)
        (element,) = envelope
    except (
        ElementTree.ParseError,
        defusedxml.DefusedXmlException,
        ValueError,
    ) as error:
        raise ZapiError(UNREADABLE, f"Not a request: {error}") from error
    svm = envelope.get("vfiler")
    if svm is not None and svm not in array.svms:
        raise ZapiError(NO_SUCH_SVM, "Specified vserver not found")
    if user.role == "none":
        raise ZapiError(NO_RIGHT, f"Insufficient privileges: user '{user.name}'")
    if svm is None and user.role == "vsadmin":
        svm = next(iter(array.svms))
    name = _local_name(element)
    if name not in CALLS or (svm and name in _CLUSTER_ONLY):
        raise ZapiError(NO_SUCH_API, f"Unable to find API: {name}")
    return CALLS[name](Call(array, element, svm))


def _get_ontapi_version(call: Call) -> list[Element]:
    _arguments(call, ())
    major, minor = ontapi_version(call.array)
    return [_text("major-version", major), _text("minor-version", minor)]


def _get_version(call: Call) -> list[Element]:
    _arguments(call, ())
    names = ("generation", "major", "minor")
    numbers = zip(names, call.array.cluster.version, strict=True)
    return [
        _text("is-clustered", "true"),
        _text("version", call.array.cluster.release),
        _nested(
            "version-tuple",
            _nested("system-version-tuple", *(_text(*number) for number in numbers)),
        ),
    ]


def _get_clone_split_status(call: Call) -> list[Element]:
    """Nothing splits here, as ``/storage/file/clone/split-status`` says too."""
    _arguments(call, ("volume-name",))
    name = call.element.findtext("{*}volume-name")
    if name not in {volume.name for volume in call.array.volumes(call.svm)}:
        raise ZapiError(NO_SUCH_OBJECT, f"Volume {name} does not exist")
    values = {"unsplit-clone-count": "0", "unsplit-size": "0"}
    return [_nested("clone-split-info", *(_text(*item) for item in values.items()))]


def _list_nodes(call: Call) -> list[Element]:
    node = records.node(call.array)
    values = {
        "node": node["name"],
        "node-model": node["model"],
        "is-all-flash-optimized": _flag(node["is_all_flash_optimized"]),
        "is-all-flash-select-optimized": _flag(node["is_all_flash_select_optimized"]),
    }
    return _listed(call, "node-details-info", tuple(values), [values])


def _list_sis(call: Call) -> list[Element]:
    """Deduplication and compression of FlexVols ("sis")."""
    found = [
        {
            "path": f"/vol/{volume.name}",
            "state": "enabled" if volume.dedupe != "none" else "disabled",
            "is-compression-enabled": _flag(volume.compression != "none"),
            "logical-data-size": str(volume.files.usage().used),
            "logical-data-limit": str(records.LOGICAL_DATA_LIMIT),
        }
        for volume in call.array.volumes(call.svm)
    ]
    known = (
        "path",
        "state",
        "is-compression-enabled",
        "logical-data-size",
        "logical-data-limit",
    )
    return _listed(call, "sis-status-info", known, found)


def _list_snapshots(call: Call) -> list[Element]:
    """No snapshot is busy here: clones of files share no blocks with one."""
    found = [
        {
            "name": snapshot.name,
            "volume": volume.name,
            "vserver": volume.svm,
            "busy": "false",
            "snapshot-instance-uuid": snapshot.uuid,
        }
        for volume in call.array.volumes(call.svm)
        for snapshot in volume.snapshots
    ]
    known = ("name", "volume", "vserver", "busy", "snapshot-instance-uuid")
    return _listed(call, "snapshot-info", known, found)


CALLS: dict[str, Callable[[Call], list[Element]]] = {
    "clone-split-status": _get_clone_split_status,
    "sis-get-iter": _list_sis,
    "snapshot-get-iter": _list_snapshots,
    "system-get-ontapi-version": _get_ontapi_version,
    "system-get-version": _get_version,
    "system-node-get-iter": _list_nodes,
}
# Not found by the login of an SVM, nor through the ``vfiler`` of the envelope.
_CLUSTER_ONLY = ("system-node-get-iter",)


# Parsing and answering -------------------------------------------------------


def _arguments(call: Call, known: tuple[str, ...]) -> dict[str, Element]:
    """Return the arguments by name.

    :raises ZapiError: another argument, which would be ignored
    """
    found = {_local_name(argument): argument for argument in call.element}
    _refuse_unknown(found, known)
    return found


def _refuse_unknown(names: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ZapiError(UNREADABLE, f"ontapsim does not model {', '.join(unknown)}")


def _listed(
    call: Call, kind: str, known: tuple[str, ...], found: list[Values]
) -> list[Element]:
    """Answer a call ``...-get-iter``: the records that the query matches, one page.

    ``known`` are the names of a record's elements. A pattern of the query may have
    ``*``. Without desired attributes a record is shown whole.
    """
    arguments = _arguments(call, ("desired-attributes", "max-records", "query"))
    query = _leaves(arguments.get("query"), kind)
    desired = _leaves(arguments.get("desired-attributes"), kind)
    _refuse_unknown([*query, *desired], known)
    page = _nested("attributes-list")
    for values in found:
        if all(fnmatch.fnmatchcase(values[n], query[n]) for n in query):
            shown = (_text(name, values[name]) for name in desired or known)
            page.append(_nested(kind, *shown))
    return [page, _text("num-records", len(page))]


def _leaves(argument: Element | None, kind: str) -> Values:
    """Return the texts of ``<query><KIND>...`` by name."""
    if argument is None:
        return {}
    _refuse_unknown((_local_name(part) for part in argument), (kind,))
    return {_local_name(leaf): leaf.text or "" for part in argument for leaf in part}


def _local_name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _nested(name: str, *parts: Element) -> Element:
    element = Element(name)
    element.extend(parts)
    return element


def _text(name: str, value: object) -> Element:
    element = Element(name)
    element.text = str(value)
    return element


def _flag(is_set: bool) -> str:
    return "true" if is_set else "false"
