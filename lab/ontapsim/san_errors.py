# SPDX-License-Identifier: Apache-2.0
"""The errors of SAN requests, with the codes of NetApp's REST reference.

Each page there ends with a table "ONTAP Error Response Codes", without HTTP statuses:
these are derived (404 not found, 409 exists or in use, 400 the rest). So are the codes
of a LUN number that is taken (1, ONTAP's "duplicate entry") and of a FlexVol without
room (see ``errors.py``).
"""

from dataclasses import dataclass

from lab.ontapsim.errors import OntapError

NO_SVM_GIVEN = 2621707
OTHER_FLEXVOL, CLONE_EXISTS = 1260121, 1260136
SAME_SIZE, TRANSFER_RUNS = 1254226, 7018919
INVALID_NAME = 5374127

NO_IGROUP, NO_IGROUP_OF_MAP, NO_LUN_OF_MAP = 5374852, 5374878, 1254201
IGROUP_EXISTS, IGROUP_IS_MAPPED = 5374023, 1254213
INITIATOR_EXISTS, NO_INITIATOR = 5374035, 5374034
BAD_INITIATOR, BAD_WWPN, BAD_IQN = 5373993, 5374038, 5374039
LUN_IS_MAPPED_THERE, NO_LUN_MAP = 1254207, 5374922
NO_LUN_GIVEN, NO_IGROUP_GIVEN = 5374901, 5374902

NO_SUBSYSTEM, NO_SUBSYSTEM_OF_NAME, SUBSYSTEM_EXISTS = 72090001, 72090021, 72090025
SUBSYSTEM_IS_MAPPED, SUBSYSTEM_HAS_HOSTS = 72090023, 72090024
HOST_EXISTS, NO_HOST, NO_NQN = 72089705, 72090004, 72090003
BAD_NQN = 72089772
NAMESPACE_IS_MAPPED, NO_NAMESPACE_MAP = 72089790, 72090019

NO_ISCSI_SERVICE = 5374078
CREDENTIAL_EXISTS, NO_CREDENTIAL, NO_CHAP_USER = 5374142, 5374895, 5374149


@dataclass(frozen=True)
class Kind:
    """What differs between LUNs and namespaces: words, limits, and codes."""

    name: str
    title: str
    path: str
    block_size: int
    os_types: frozenset[str]
    no_uuid: int
    no_name: int
    exists: int
    bad_characters: int
    too_small: int
    too_large: int
    bad_size: int
    shrinks: int
    is_mapped: int
    not_with_clone: int
    required: int


LUN = Kind(
    name="lun",
    title="LUN",
    path="/storage/luns",
    block_size=512,
    os_types=frozenset(
        [
            "aix",
            "hpux",
            "hyper_v",
            "linux",
            "netware",
            "openvms",
            "solaris",
            "solaris_efi",
            "vmware",
            "windows",
            "windows_2008",
            "windows_gpt",
            "xen",
            "image",
        ]
    ),
    no_uuid=5374875,
    no_name=5374876,
    exists=5374242,
    bad_characters=5374121,
    too_small=5374124,
    too_large=5374125,
    bad_size=5374130,
    shrinks=5374892,
    is_mapped=1254197,
    not_with_clone=5374883,
    required=5374884,
)
NAMESPACE = Kind(
    name="namespace",
    title="NVMe namespace",
    path="/storage/namespaces",
    block_size=4096,
    os_types=frozenset(["aix", "linux", "vmware", "windows"]),
    no_uuid=72090006,
    no_name=72090007,
    exists=72089725,
    bad_characters=72089732,
    too_small=72089723,
    too_large=72089724,
    bad_size=72089723,
    shrinks=72090038,
    is_mapped=72089796,
    not_with_clone=72090012,
    required=72090013,
)


def missing(code: int, message: str, target: str | None = None) -> OntapError:
    """Something that a request names does not exist."""
    return OntapError(404, code, message, target)


def conflict(code: int, message: str, target: str | None = None) -> OntapError:
    """Something exists already, or is in use."""
    return OntapError(409, code, message, target)


def refused(code: int, message: str, target: str | None = None) -> OntapError:
    """A request that cannot be, whatever exists."""
    return OntapError(400, code, message, target)


def no_svm_given() -> OntapError:
    """Neither the body nor the header nor the login says which SVM."""
    message = "No SVM was specified. Supply svm.name or svm.uuid."
    return refused(NO_SVM_GIVEN, message, "svm.name")


def no_unit(kind: Kind, what: str, target: str = "uuid") -> OntapError:
    """A LUN or namespace that a URL or a body names does not exist."""
    code = kind.no_uuid if target.endswith("uuid") else kind.no_name
    return missing(code, f"The specified {kind.title} was not found: {what}", target)


def exists(kind: Kind, name: str, code: int | None = None) -> OntapError:
    """A path is taken by a LUN, a namespace or another file."""
    message = f"A LUN or NVMe namespace already exists at the specified path: {name}"
    return conflict(code or kind.exists, message, "name")
