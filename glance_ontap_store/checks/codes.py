# SPDX-License-Identifier: Apache-2.0
"""The codes of all findings, each with its severities and its meaning.

The table of codes in doc/source/admin/commands.rst is generated from here:
``python -m glance_ontap_store.checks`` prints it, and a test compares both.
"""

from collections.abc import Iterator
import dataclasses

from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.finding import Severity

_ERROR = Severity.ERROR
_WARNING = Severity.WARNING
_INFO = Severity.INFO


@dataclasses.dataclass(frozen=True)
class Code:
    """A code. Calling it is the only way to make a finding with it.

    *severities* are those that its findings may have, the usual one first.
    """

    name: str
    severities: tuple[Severity, ...]
    summary: str

    def __call__(
        self,
        subject: str,
        problem: str,
        remedy: str,
        severity: Severity | None = None,
    ) -> Finding:
        """Return a finding with this code, of the usual severity unless one is given.

        :raises ValueError: the code is not registered with that severity
        """
        chosen = self.severities[0] if severity is None else severity
        if chosen not in self.severities:
            raise ValueError(f"{self.name} is never of severity {chosen.name}")
        return Finding(chosen, self.name, subject, problem, remedy)


_codes: dict[str, Code] = {}


def _code(name: str, severities: tuple[Severity, ...], summary: str) -> Code:
    if name in _codes:
        raise ValueError(f"code {name} is registered twice")
    _codes[name] = Code(name, severities, summary)
    return _codes[name]


def _error(name: str, summary: str) -> Code:
    return _code(name, (_ERROR,), summary)


def registered() -> Iterator[Code]:
    """Return all codes, in the order of the documentation."""
    yield from _codes.values()


NOT_ASKED = _code(
    "not-asked",
    (_INFO,),
    "Something could not be checked. The remedy says what would make it possible.",
)


def not_asked(subject: str, what: str, why: str, remedy: str) -> Finding:
    """Return a note that *what* was not checked.

    An unanswered question is never treated as "OK".
    """
    return NOT_ASKED(subject, f"Not checked: {what}: {why}", remedy)


# glance-api.conf
CONFIG_UNREADABLE = _error(
    "config-unreadable", "A file of Glance's configuration cannot be read."
)
NO_STORE = _error("no-store", "``enabled_backends`` has no store of type ``ontap``.")
BAD_OPTIONS = _error(
    "bad-options", "Options of the store are wrong; it refuses every request."
)
LOCK_PATH_UNSET = _error(
    "lock-path-unset", "``lock_path`` in ``[oslo_concurrency]`` is not set."
)
LOCK_PATH_UNUSABLE = _error(
    "lock-path-unusable", "The directory ``lock_path`` cannot be used."
)
LOCATIONS_EXPOSED = _code(
    "locations-exposed",
    (_WARNING,),
    "Glance shows locations to its users, or lets them set locations (OSSN-0065,"
    " OSSN-0090).",
)
IMAGE_CACHE = _code(
    "image-cache",
    (_INFO,),
    "Glance keeps a copy of each downloaded image on the disk of this host.",
)
STORE_ID_PREFIX = _code(
    "store-id-prefix",
    (_WARNING,),
    "One store's id is a prefix of another's; Glance may confuse the two.",
)
SAME_VOLUME_TYPE = _code(
    "same-volume-type",
    (_WARNING, _INFO),
    "Two stores use the same volume type. A note if the other store is of upstream's"
    " type ``cinder``.",
)
MOUNT_BASE_UNUSABLE = _error(
    "mount-base-unusable", "The directory ``ontap_mount_point_base`` cannot be used."
)
MOUNT_BASE_NOT_LOCAL = _error(
    "mount-base-not-local",
    "The directory ``ontap_mount_point_base`` is on NFS, or another file system that"
    " several hosts share.",
)
MOUNT_BASE_SHARED = _error(
    "mount-base-shared",
    "A store of upstream's type ``cinder`` uses the same directory for its mounts.",
)
MOUNT_BASE_DIFFERS = _code(
    "mount-base-differs",
    (_WARNING,),
    "The stores use different directories for their mounts.",
)

# The host
PROGRAM_MISSING = _error(
    "program-missing",
    "A program is missing on this host (mount.nfs, sudo, glance-rootwrap ...).",
)
PACKAGE_MISSING = _error(
    "package-missing", "A Python package is missing (os-brick ...)."
)
ROOTWRAP = _error("rootwrap", "glance-rootwrap would not start the helper that mounts.")
SUDO = _error("sudo", "Glance's user may not run glance-rootwrap with sudo.")

# Keystone
KEYSTONE_UNREACHABLE = _error("keystone-unreachable", "Keystone does not answer.")
CERTIFICATE_REFUSED = _error(
    "certificate-refused", "This host does not trust Keystone's certificate."
)
CREDENTIALS_REFUSED = _error(
    "credentials-refused",
    "User, password, project or application credential are wrong.",
)
ROLE_MISSING = _code(
    "role-missing",
    (_ERROR, _WARNING),
    "The store's user has no role in its project, or not one of member, manager and"
    " admin, which may create volumes. With ``ontap_image_volume_owner = project`` it"
    " also needs admin, and service (a warning).",
)

# Cinder
CINDER_ENDPOINT = _error(
    "cinder-endpoint", "Keystone's catalog does not have the endpoint asked for."
)
CINDER_UNREACHABLE = _error(
    "cinder-unreachable", "Cinder does not answer at its endpoint."
)
CINDER_TOO_OLD = _error("cinder-too-old", "Cinder is older than Victoria.")
VOLUME_TYPE_UNSET = _code(
    "volume-type-unset", (_WARNING,), "``ontap_volume_type`` is not set."
)
VOLUME_TYPE_MISSING = _error(
    "volume-type-missing", "The store's volume type does not exist."
)
VOLUME_TYPE_PRIVATE = _code(
    "volume-type-private",
    (_ERROR, _WARNING),
    "The volume type is private to other projects. A warning if the store can use it,"
    " but not every project that stores images does.",
)
VOLUME_TYPE_ENCRYPTED = _error(
    "volume-type-encrypted", "The volume type encrypts on the host."
)
VOLUME_TYPE_BACKEND = _error(
    "volume-type-backend",
    "No back end of Cinder has the volume type's ``volume_backend_name``.",
)
VOLUME_TYPE_NOT_ONTAP = _error(
    "volume-type-not-ontap",
    "The volume type leads to a back end without NetApp's driver.",
)
VOLUME_TYPE_PROTOCOL = _error(
    "volume-type-protocol",
    "The volume type leads to a protocol that the store does not support.",
)
VOLUME_TYPE_POOL = _error(
    "volume-type-pool", "The volume type is pinned to a pool that does not exist."
)
VOLUME_TYPE_UNPINNED = _code(
    "volume-type-unpinned",
    (_WARNING,),
    "The volume type leads to more than one FlexVol.",
)
VOLUME_TYPE_QOS = _code(
    "volume-type-qos",
    (_WARNING,),
    "The volume type has a QoS policy, which slows uploads and downloads.",
)
FLEXGROUP = _code(
    "flexgroup", (_WARNING,), "The pool is a FlexGroup, where cloning needs ONTAP 9.14."
)
SHARED_BLOCKS = _code(
    "shared-blocks",
    (_WARNING,),
    "The FlexVol has used 90 % or more of the blocks that its files may share.",
)
REPLICATION = _code(
    "replication", (_INFO,), "The back end of the pool is replicated to another array."
)
BLOCK_HOST_NAME = _error(
    "block-host-name",
    "The host has no initiator name, FC port or NQN for the store's block protocol.",
)
MULTIPATHD = _error(
    "multipathd", "``ontap_use_multipath`` is set, and multipathd does not run."
)
NO_PATH_RETRY = _code(
    "no-path-retry",
    (_WARNING,),
    "multipath queues without end when all paths to a LUN are lost"
    " (``no_path_retry``).",
)
BRICK_LOCK_PATH = _code(
    "brick-lock-path",
    (_WARNING,),
    "The store's volumes are LUNs, and ``lock_path`` in ``[os_brick]`` is not set, or"
    " cinder-volume or nova-compute of this host has another one.",
)
LUN_SPACE_RESERVATION = _code(
    "lun-space-reservation",
    (_WARNING,),
    "LUNs take their full size of the FlexVol, and so do their clones"
    " (``netapp_lun_space_reservation``).",
)
LUN_SPACE_ALLOCATION = _code(
    "lun-space-allocation",
    (_WARNING,),
    "LUNs have no space allocation, because the volume type does not turn it on"
    " (``netapp:space_allocation``): a full FlexVol takes the LUN offline.",
)
POOL_GONE = _code(
    "pool-gone",
    (_WARNING,),
    "Image-volumes are in a pool that Cinder does not know (any more).",
)
AVAILABILITY_ZONE = _error(
    "availability-zone", "The image-volumes' availability zone does not have the pool."
)
CINDER_CLUSTER = _code(
    "cinder-cluster",
    (_WARNING, _INFO),
    "cinder-volume runs as a cluster, and Cinder is older than 2026.1. A note if its"
    " release is unknown.",
)
DISK_FORMAT = _code(
    "disk-format",
    (_WARNING,),
    "The bytes of images that Glance calls raw are qcow2, vmdk or the like.",
)
QUOTA = _code(
    "quota",
    (_ERROR, _WARNING),
    "A Cinder quota of the store's project has no room for another volume of 1 GiB."
    " A warning if there is room for fewer than 10 volumes or less than 100 GiB.",
)

# Replicas
REPLICA_TYPE_MISSING = _error(
    "replica-type-missing", "``ontap_replica_volume_type`` does not exist."
)
REPLICA_TYPE_PRIVATE = _error(
    "replica-type-private",
    "``ontap_replica_volume_type`` is private to other projects.",
)
REPLICA_TYPE_ENCRYPTED = _error(
    "replica-type-encrypted", "``ontap_replica_volume_type`` encrypts on the host."
)
REPLICA_TYPE_PINNED = _error(
    "replica-type-pinned",
    "``ontap_replica_volume_type`` is pinned, so that Cinder cannot move a replica to"
    " the store's FlexVol.",
)
REPLICA_TYPE_BACKEND = _error(
    "replica-type-backend",
    "``ontap_replica_volume_type`` is for another back end than the store's volume"
    " type.",
)
REPLICA_TYPE_PROTOCOL = _code(
    "replica-type-protocol",
    (_INFO,),
    "``ontap_replica_volume_type`` is set for a store of LUNs or namespaces, of which"
    " the array makes no replicas.",
)

# cinder.conf
CINDER_CONF_UNREADABLE = _error(
    "cinder-conf-unreadable", "The file given with ``--cinder-conf`` cannot be read."
)
DIRECT_URL_SCHEMES = _error(
    "direct-url-schemes",
    "``allowed_direct_url_schemes`` lacks ``cinder``: Cinder never clones an image.",
)
GLANCE_USER = _error(
    "glance-user",
    "The user of ``[glance]`` in cinder.conf cannot log in.",
)
GLANCE_USER_ROLE = _error(
    "glance-user-role",
    "The user of ``[glance]`` in cinder.conf lacks the role service or admin, or the"
    " user of ``[service_user]`` lacks the role service.",
)
GLANCE_USER_LOGINS = _code(
    "glance-user-logins",
    (_INFO,),
    "Cinder logs in as the user of ``[glance]`` for each request for a location: its"
    " service token is faster and needs no role admin (see :doc:`locations`).",
)
LOCATION_POLICY = _error(
    "location-policy",
    "Glance's policy ``fetch_image_location`` does not accept the service token by"
    " which Cinder asks for locations: every volume is a download.",
)
SERVICE_USER = _error(
    "service-user",
    "``[service_user]`` of cinder.conf sends no service token, or its user cannot log"
    " in: Cinder cannot read locations without a user in ``[glance]``.",
)
LOCATIONS_HIDDEN = _error(
    "locations-hidden",
    "Cinder is older than 2025.2 and Glance hides locations: Cinder never clones.",
)
NO_ONTAP_BACKEND = _error(
    "no-ontap-backend",
    "No back end of cinder.conf uses NetApp's driver and a protocol of the store.",
)
QCOW2_VOLUMES = _error("qcow2-volumes", "``nfs_qcow2_volumes`` is set: uploads fail.")
THICK_VOLUMES = _code(
    "thick-volumes",
    (_INFO,),
    "``nfs_sparsed_volumes`` is false: new volumes are written full of zeros.",
)
LEGACY_CLIENT = _code(
    "legacy-client",
    (_WARNING,),
    "``netapp_use_legacy_client`` is not false: the driver uses ZAPI instead of REST.",
)
MOUNT_OPTIONS = _code(
    "mount-options",
    (_WARNING,),
    "Glance and cinder-volume mount the FlexVol with NFS 3 and 4.",
)
INTERNAL_TENANT = _code(
    "internal-tenant",
    (_WARNING,),
    "``image_upload_use_cinder_backend`` is set without the store's project as the"
    " internal tenant.",
)
SECURE_NFS = _code(
    "secure-nfs",
    (_INFO, _WARNING),
    "Cinder's files have, or may have, the mode 0660 (``nas_secure_file_permissions``)."
    " A warning if they belong to root.",
)

# check --deep
DEEP_STORED = _code(
    "deep-stored", (_INFO,), "The store stored an image and read it back."
)
DEEP_CLONE = _code(
    "deep-clone", (_INFO,), "Cinder cloned the image-volume to make a volume."
)
DEEP_DOWNLOAD = _code(
    "deep-download",
    (_WARNING,),
    "Cinder downloaded the image through Glance instead of cloning its image-volume.",
)
FILE_ACCESS = _code(
    "file-access",
    (_INFO,),
    "The rights by which this user opens the files of volumes: its own, or those of the"
    " files' owner through the helper.",
)
FILE_DENIED = _error(
    "file-denied",
    "This user may not open the files of volumes, and the helper may not either.",
)
REPLICA_RIGHTS = _error(
    "replica-rights",
    "The cloud's user lacks a right in Cinder that ``glance-ontap replicate`` needs.",
)
REPLICA_LOCATIONS = _error(
    "replica-locations",
    "The glance-api of ``--image-endpoint`` does not let the cloud's user add"
    " locations.",
)
DEEP_FAILED = _error("deep-failed", "A step of the trial failed.")
DEEP_WRONG_DATA = _error(
    "deep-wrong-data", "The volume that Cinder made does not hold the image."
)
DEEP_LEFT_BEHIND = _error(
    "deep-left-behind", "Something that the trial made could not be removed."
)


def table() -> str:
    """Return the table of all codes, in reStructuredText."""
    lines = [
        ".. list-table::",
        "   :header-rows: 1",
        "   :widths: 27 15 58",
        "",
        "   * - Code",
        "     - Severity",
        "     - Meaning",
    ]
    for code in registered():
        severities = ", ".join(severity.name.lower() for severity in code.severities)
        lines += [f"   * - ``{code.name}``", f"     - {severities}"]
        lines += [f"     - {code.summary}"]
    return "\n".join(lines) + "\n"
