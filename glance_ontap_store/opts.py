# SPDX-License-Identifier: Apache-2.0
"""The options of a store.

An option that upstream's cinder store has too is called the same, with ``ontap_``
for ``cinder_``. Options are read from the group with the store's id (see
``enabled_backends``), or else from ``[backend_defaults]``.

A help text says what the option sets, its unit, and what a wrong value causes. Each
paragraph is one line, because oslo-config-generator keeps line ends when it wraps.
"""

from collections.abc import Sequence
import copy
from typing import Any

from oslo_config import cfg

#: The group of the options that all stores share.
SHARED = "backend_defaults"
# The options of the helper that mounts, whichever store it mounts for.
HELPER_GROUP = "privsep_ontap"

OPTIONS: list[cfg.Opt] = [
    cfg.StrOpt(
        "ontap_volume_type",
        help=(
            "Volume type of the image-volumes. Pin it to one FlexVol (extra spec"
            " ``pool_name``), so that all images of the store lie on that FlexVol and"
            " volumes on the same FlexVol are clones. Give each store a volume type"
            " of its own. If unset, Cinder uses its default type, and its scheduler"
            " may choose another FlexVol for each image."
        ),
    ),
    cfg.StrOpt(
        "ontap_replica_volume_type",
        help=(
            "Volume type of the replicas that ``glance-ontap replicate`` makes for this"
            " store: one with the same ``volume_backend_name`` as ``ontap_volume_type``"
            " and without ``pool_name``, or with the FlexVols of both ends (``<or> A"
            " <or> B``). A replica begins as a clone beside its source, and the array"
            " then copies it to this store's FlexVol: Cinder lets neither happen with a"
            " type that is pinned to one FlexVol. If unset, no replicas are made in"
            " this store."
        ),
    ),
    cfg.StrOpt(
        "ontap_availability_zone",
        help=(
            "Availability zone of the image-volumes, as Cinder names it (openstack"
            " availability zone list --volume). Set it if the FlexVol's back end is in"
            " another zone than Cinder's default (``backend_availability_zone``):"
            " otherwise no pool fits, and uploads fail with 413. If unset, the extra"
            " spec ``RESKEY:availability_zones`` of the volume type decides, or else"
            " Cinder's default."
        ),
    ),
    cfg.StrOpt(
        "ontap_store_auth_address",
        help=(
            "URL of Keystone, for example ``https://keystone.example.com/v3``."
            " Required. The store logs in there with the credentials below."
        ),
    ),
    cfg.StrOpt(
        "ontap_store_user_name",
        help=(
            "Name of the user that the store logs in as. The user needs the role"
            " ``member`` in the project of ``ontap_store_project_name``. Required"
            " without an application credential."
        ),
    ),
    cfg.StrOpt(
        "ontap_store_user_domain_name",
        default="Default",
        help="Name of the domain of ``ontap_store_user_name``.",
    ),
    cfg.StrOpt(
        "ontap_store_password",
        secret=True,
        help=(
            "Password of ``ontap_store_user_name``. Required without an application"
            " credential."
        ),
    ),
    cfg.StrOpt(
        "ontap_store_project_name",
        help=(
            "Name of the project that the image-volumes belong to. Its Cinder quota"
            " limits the number and the size of all images of the store. Required"
            " without an application credential."
        ),
    ),
    cfg.StrOpt(
        "ontap_store_project_domain_name",
        default="Default",
        help="Name of the domain of ``ontap_store_project_name``.",
    ),
    cfg.StrOpt(
        "ontap_store_application_credential_id",
        help=(
            "Id of an application credential. It replaces user, password and"
            " project; set ``ontap_store_application_credential_secret`` as well."
        ),
    ),
    cfg.StrOpt(
        "ontap_store_application_credential_secret",
        secret=True,
        help="Secret of ``ontap_store_application_credential_id``.",
    ),
    cfg.ListOpt(
        "ontap_allowed_projects",
        default=[],
        help=(
            "Ids of the projects that may store images here, separated by commas."
            " If empty, all projects may. Uploads of images that belong to any other"
            " project fail with 403 before anything is created, also for"
            " administrators. Downloads are not restricted: Glance decides who may"
            " read an image. Names are not accepted, because Glance knows only ids."
        ),
    ),
    cfg.StrOpt(
        "ontap_image_volume_owner",
        default="service",
        choices=[
            ("service", "the project of the store's credentials; users never see them"),
            ("project", "the project that uploads: its quota and its bill"),
        ],
        help=(
            "Project that the image-volumes belong to. With ``project`` the store"
            " creates them with the token of the request, and does everything else"
            " with its own credentials. Its user then needs the roles ``admin`` and"
            " ``service``."
        ),
    ),
    cfg.StrOpt(
        "ontap_catalog_info",
        default="volumev3::internalURL",
        help=(
            "Entry of Keystone's catalog with the URL of Cinder, as ``<service"
            " type>:<service name>:<endpoint type>``. The service name may be empty."
        ),
    ),
    cfg.StrOpt(
        "ontap_endpoint_template",
        help=(
            "URL of Cinder for requests with the user's token"
            " (``ontap_image_volume_owner = project``), for example"
            " ``http://cinder.example.com/v3/%(project_id)s``. It replaces the URL"
            " in the request's service catalog. ``%(project_id)s`` or"
            " ``%(tenant)s`` stands for the id of the user's project; both may be"
            " left out."
        ),
    ),
    cfg.StrOpt(
        "ontap_os_region_name",
        help=(
            "Region of the Cinder endpoint. Set it if the catalog has more than one"
            " region: otherwise the first endpoint is used."
        ),
    ),
    cfg.StrOpt(
        "ontap_ca_certificates_file",
        help=(
            "File with the CA certificates that verify Keystone and Cinder. If unset,"
            " the certificates of Python's requests library or of the system are used."
        ),
    ),
    cfg.BoolOpt(
        "ontap_api_insecure",
        default=False,
        help=(
            "Do not verify the certificates of Keystone and Cinder. For tests only:"
            " an attacker on the network can then read the store's password."
        ),
    ),
    cfg.IntOpt(
        "ontap_http_retries",
        default=3,
        min=0,
        help=(
            "Number of times that the first request of an operation is sent again when"
            " Cinder or Keystone is not reached, or answers 429, 500, 502, 503 or 504."
            " The pauses grow from half a second to ten, or are those that the service"
            " asks for (Retry-After); after 30 seconds there is no other try. 0 means"
            " never. Later requests, after which a failure would throw an upload away"
            " or leave something behind, are repeated for"
            " ``ontap_state_transition_timeout`` seconds, whatever this number is."
        ),
    ),
    cfg.IntOpt(
        "ontap_api_timeout",
        default=300,
        min=1,
        help=(
            "Seconds to wait for one answer of Cinder or Keystone. Cinder may need"
            " minutes to attach a volume on a busy array: with too small a value,"
            " uploads fail that would succeed."
        ),
    ),
    cfg.IntOpt(
        "ontap_state_transition_timeout",
        default=300,
        min=1,
        help=(
            "Seconds to wait until Cinder has created or extended an image-volume, and"
            " to go on asking while Cinder or Keystone is away once an operation has"
            " begun. After that the upload fails and the volume is deleted. With too"
            " small a value, a restart of Cinder ends uploads."
        ),
    ),
    cfg.IntOpt(
        "ontap_attach_wait",
        default=120,
        min=0,
        help=(
            "Seconds that a download waits for an image-volume that another process"
            " has attached. It waits only if it cannot read from a temporary clone,"
            " for example because the quota is full. After that Glance tries the"
            " image's next location, or the download fails."
        ),
    ),
    cfg.IntOpt(
        "ontap_delete_wait",
        default=10,
        min=0,
        help=(
            "Seconds that the deletion of an image waits for running downloads. After"
            " that it fails with 409 (in use) and the image stays."
        ),
    ),
    cfg.IntOpt(
        "ontap_linger",
        default=0,
        min=0,
        help=(
            "Seconds that an image-volume stays attached after its last reader, so that"
            " the next reader in the same process opens it at once, without a request"
            " to Cinder. With 0 it is detached after its last reader. For readers in"
            " other processes and on other hosts the volume is in use meanwhile: they"
            " read a temporary clone, which Cinder has to make and to delete, and whose"
            " first byte came a tenth later in the lab than with an attachment. So set"
            " it only where no more than two processes, of all hosts, serve the readers"
            " of an image. It must be smaller than ``ontap_delete_wait``: the deletion"
            " of an image by another process waits until it is detached."
        ),
    ),
    cfg.IntOpt(
        "ontap_recovery_interval",
        default=600,
        min=0,
        help=(
            "Seconds between two rounds of recovery, which releases what dead processes"
            " of this host left: attachments, unfinished image-volumes, temporary"
            " clones and mounts. The first round begins when a process first uses the"
            " store. A round sends requests to Cinder only if a process has died. With"
            " 0 there are no rounds: what is left stays until a deletion or a download"
            " of that image meets it, or until ``glance-ontap sweep``."
        ),
    ),
    cfg.BoolOpt(
        "ontap_store_thin_upload",
        default=True,
        help=(
            "Skip runs of zeros (4 KiB or more, aligned) during an upload. They then"
            " take neither time nor space on the FlexVol. The store skips them only"
            " in files that the file system reports as empty, because other files"
            " may contain old data. Set it to false to write every byte."
        ),
    ),
    cfg.IntOpt(
        "ontap_transfer_memory",
        default=512,
        min=16,
        help=(
            "Memory in MiB for the data of all uploads and downloads of a process. An"
            " upload takes 32 MiB, and works with 8 if there is no more; then the next"
            " one waits until another has ended. A download takes 5 MiB to read ahead,"
            " and reads nothing ahead if there is no room. With too small a value,"
            " transfers are slow, and uploads wait for those of slow clients."
            " A verifier of signatures adds 4 MiB to an upload. The stores of a process"
            " share the memory: set it in ``[backend_defaults]``. If stores have"
            " different values, the smallest counts."
        ),
    ),
    cfg.StrOpt(
        "ontap_mount_point_base",
        default="/var/lib/glance/ontap-mnt",
        help=(
            "Directory for the NFS mounts of the FlexVols and for their lock files,"
            " as an absolute path. All stores and workers of a host must use the"
            " same directory. No other program may use it, upstream's cinder store"
            " included."
        ),
    ),
    cfg.StrOpt(
        "ontap_nfs_mount_options",
        help=(
            "Mount options of NFS for the FlexVols on this host, separated by commas,"
            " for example ``vers=3,nolock`` or ``vers=4.1,nconnect=8``. They replace"
            " those in Cinder's shares file. Cinder's option ``nfs_mount_options`` is"
            " not known to Glance: set the same value here if the FlexVols need it."
            " If unset, and the shares file has none, the newest version is used that"
            " os-brick, the host and the LIF support (4.2 from os-brick 7.0 on, then"
            " 4.1, then the host's default)."
            " Stores with the same FlexVol must have the same options, because they"
            " share one mount. ``nosuid,nodev,noexec`` are always added."
        ),
    ),
    cfg.BoolOpt(
        "ontap_use_multipath",
        default=False,
        help=(
            "Connect this host to LUNs by all paths that the array offers (iSCSI, FC),"
            " or to namespaces by all portals (NVMe/TCP). multipathd must run, or the"
            " kernel's own multipath of NVMe be on. With false, one path is used, and"
            " transfers fail when it is lost. Cinder's driver tells all paths in any"
            " case. It changes nothing for NFS."
        ),
    ),
    cfg.BoolOpt(
        "ontap_enforce_multipath",
        default=False,
        help=(
            "With ``ontap_use_multipath``, refuse to connect where multipathd does not"
            " run. With false, the host then connects by one path without a word, and"
            " transfers fail when that is lost."
        ),
    ),
    cfg.StrOpt(
        "ontap_rootwrap_config",
        default="/etc/glance/rootwrap.conf",
        help=(
            "Configuration file of ``glance-rootwrap``, as an absolute path."
            " ``glance-rootwrap`` starts the helper that mounts as root. The filters"
            " that the file names must include ``glance_ontap_store.filters``."
        ),
    ),
    cfg.StrOpt(
        "ontap_metrics_directory",
        help=(
            "Directory in which the processes of this host record metrics, as an"
            " absolute path, for example ``/run/glance/ontap-metrics``;"
            " ``glance-ontap metrics`` writes them for Prometheus. If unset, nothing is"
            " recorded. Set it in ``[backend_defaults]``: the stores of a process share"
            " the directory. Glance's user must be able to write there, and no other"
            " host may use it. Take a directory that is empty after a reboot (tmpfs),"
            " with 1 MiB for each process. It needs the extra ``metrics`` of this"
            " package. Whatever is wrong with it causes a warning in the log and no"
            " metrics; images are stored all the same."
        ),
    ),
]


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return all options for oslo-config-generator, with ``ontap`` as store id.

    The helper that mounts has those of oslo.privsep, except ``capabilities``: with
    another list than its own it could not mount.
    """
    # glance-api imports it with os-brick, and only if a store is used.
    from oslo_privsep import priv_context

    helper = [
        copy.copy(option)
        for option in priv_context.OPTS
        if option.name != "capabilities"
    ]
    return [("ontap", OPTIONS), (HELPER_GROUP, helper)]


# The next two functions repeat BackendGroupConfiguration of glance_store and of Cinder,
# which cannot be used everywhere. glance_store has it from release 5 on, and it
# registers in the global cfg.CONF, which is the configuration that os-brick and
# oslo.privsep read in the command's process. Cinder need not be installed here. A test
# compares the values with those of glance_store's class.
def declare(conf: cfg.ConfigOpts, options: Sequence[cfg.Opt], group: str) -> None:
    """Register *options* in *group*, and in the group that all stores share."""
    conf.register_opts(options, group=SHARED)
    conf.register_opts(options, group=group)
    for option in options:
        # None means that the group does not set it: see value.
        conf.set_default(option.dest, None, group=group)


def value(conf: cfg.ConfigOpts, group: str, dest: str) -> Any:
    """Return the value in *group*, or that in ``[backend_defaults]``, or the default.

    :raises oslo_config.cfg.ConfigFileValueError: the value in the file is not valid
    """
    own = conf[group][dest]
    return conf[SHARED][dest] if own is None else own
