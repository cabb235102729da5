# SPDX-License-Identifier: Apache-2.0
"""The options of a store: its unit, its default and what it changes.

Names follow upstream's cinder store with ``ontap_`` for ``cinder_``. They are
read from the group named after the store's id in ``enabled_backends``, or else
from ``[backend_defaults]``.
"""

from oslo_config import cfg

OPTIONS: list[cfg.Opt] = [
    cfg.StrOpt(
        "ontap_volume_type",
        help="""
Volume type of the image-volumes. One pinned to a FlexVol (extra spec
``pool_name``) keeps every image of the store on that FlexVol, so that volumes
there are clones. Give each store a type of its own. Without it Cinder's default
type is used.
""",
    ),
    cfg.StrOpt(
        "ontap_store_auth_address",
        help="""
URL of Keystone (``https://keystone.example.com/v3``). Required: image-volumes
belong to the project of the credentials below, and users never see them.
""",
    ),
    cfg.StrOpt(
        "ontap_store_user_name",
        help="User that owns the image-volumes. Needs role member in its project.",
    ),
    cfg.StrOpt(
        "ontap_store_user_domain_name",
        default="Default",
        help="Domain of ``ontap_store_user_name``.",
    ),
    cfg.StrOpt(
        "ontap_store_password",
        secret=True,
        help="Password of ``ontap_store_user_name``.",
    ),
    cfg.StrOpt(
        "ontap_store_project_name",
        help="Project of the image-volumes. Its Cinder quota bounds all images.",
    ),
    cfg.StrOpt(
        "ontap_store_project_domain_name",
        default="Default",
        help="Domain of ``ontap_store_project_name``.",
    ),
    cfg.StrOpt(
        "ontap_store_application_credential_id",
        help="""
Id of an application credential, used in place of user, password and project.
""",
    ),
    cfg.StrOpt(
        "ontap_store_application_credential_secret",
        secret=True,
        help="Secret of ``ontap_store_application_credential_id``.",
    ),
    cfg.ListOpt(
        "ontap_allowed_projects",
        default=[],
        help="""
Ids of the projects whose images the store takes; empty: everybody's. The upload of
another project's image is refused (403) before anything is created, whoever
uploads. Reading is not restricted: Glance decides who may read an image. Ids and not
names, since Glance knows only ids.
""",
    ),
    cfg.StrOpt(
        "ontap_image_volume_owner",
        default="service",
        choices=[
            ("service", "the project of the credentials above; users never see them"),
            ("project", "the project of who uploads: its quota, its bill"),
        ],
        help="""
To whom the image-volumes belong. With ``project`` they are created with the
request's token; all else is done with the store's credentials, whose user then
needs role ``admin`` in Cinder and role ``service``.
""",
    ),
    cfg.StrOpt(
        "ontap_catalog_info",
        default="volumev3::internalURL",
        help="""
Where Keystone's catalog has Cinder:
``<service type>:<service name>:<endpoint type>``. The name may be empty.
""",
    ),
    cfg.StrOpt(
        "ontap_endpoint_template",
        help="""
URL of Cinder for ``ontap_image_volume_owner = project``, in place of the one in
the request's service catalog: ``http://cinder.example.com/v3/%(project_id)s``.
The requester's project id takes the place of ``%(project_id)s`` or
``%(tenant)s``; both may be left out.
""",
    ),
    cfg.StrOpt(
        "ontap_os_region_name",
        help="Region of the Cinder endpoint. Needed where there are several.",
    ),
    cfg.StrOpt(
        "ontap_ca_certificates_file",
        help="""
File with the certificates that Keystone's and Cinder's are checked against.
Without it the system's are used.
""",
    ),
    cfg.BoolOpt(
        "ontap_api_insecure",
        default=False,
        help="""
Do not check the certificates of Keystone and Cinder. Anybody on the way can
then read the store's password: for tests only.
""",
    ),
    cfg.IntOpt(
        "ontap_http_retries",
        default=3,
        min=0,
        help="""
How often a request that changes nothing, or the same thing when repeated, is
sent again after a lost connection.
""",
    ),
    cfg.IntOpt(
        "ontap_api_timeout",
        default=300,
        min=1,
        help="""
Seconds to wait for an answer of Cinder or Keystone. Attaching may take Cinder
minutes on a busy array: too short a time fails uploads that would succeed.
""",
    ),
    cfg.IntOpt(
        "ontap_state_transition_timeout",
        default=300,
        min=1,
        help="""
Seconds that an image-volume may take to be created or extended. Then the
upload fails and the volume is deleted.
""",
    ),
    cfg.IntOpt(
        "ontap_attach_wait",
        default=120,
        min=0,
        help="""
Seconds that a download waits for an image-volume that another process has
attached, where it cannot read from a temporary clone (the quota is full, say).
Then Glance tries the image's next location, if it has one.
""",
    ),
    cfg.IntOpt(
        "ontap_delete_wait",
        default=10,
        min=0,
        help="""
Seconds that an image's deletion waits for readers of its image-volume to
finish. Then it is refused as in use (409) and the image stays.
""",
    ),
    cfg.BoolOpt(
        "ontap_store_thin_upload",
        default=True,
        help="""
Do not write an image's runs of zeros (of 4 KiB and more, aligned): they take no
time and no room on the FlexVol. That is done only in files that the file system
says are empty, since others may hold old data. Switch it off to have every byte
written.
""",
    ),
    cfg.StrOpt(
        "ontap_mount_point_base",
        default="/var/lib/glance/ontap-mnt",
        help="""
Directory under which the FlexVols' NFS exports are mounted, and in which the
lock files of the mounts lie. All stores and workers of a host must use the same
one, and nothing else may use it: not upstream's cinder store either.
""",
    ),
    cfg.StrOpt(
        "ontap_rootwrap_config",
        default="/etc/glance/rootwrap.conf",
        help="""
Configuration of ``glance-rootwrap``, which starts the helper that mounts as
root. Its filters must include ``glance_ontap_store.filters``.
""",
    ),
]


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator: a store named ``ontap`` as the example."""
    return [("ontap", OPTIONS)]
