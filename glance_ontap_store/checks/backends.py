# SPDX-License-Identifier: Apache-2.0
"""Judge the ONTAP back ends of cinder.conf, and Cinder's release."""

from collections.abc import Iterator

from glance_ontap_store import nfs_options
from glance_ontap_store.checks import codes
from glance_ontap_store.checks import volume_types
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.registry import Judges
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import CinderBackend
from glance_ontap_store.survey.facts import CinderConfig
from glance_ontap_store.survey.facts import Facts
from glance_ontap_store.survey.facts import StoreFacts

# Cinder asks Glance's location API from here on (cinder/image/glance.py).
ASKS_FOR_LOCATIONS = 27

judges = Judges()


def is_ontap(backend: CinderBackend) -> bool:
    """Return whether the back end uses NetApp's driver over NFS."""
    return is_supported(backend) and backend.protocol == volume_types.PROTOCOL


def is_supported(backend: CinderBackend) -> bool:
    """Return whether the back end uses NetApp's driver and a protocol of the store."""
    is_netapp = ".netapp." in (backend.driver or "")
    return is_netapp and volume_types.is_supported(backend.protocol)


@judges.once("cinder")
def cinder_can_learn_locations(facts: Facts, config: CinderConfig) -> Iterator[Finding]:
    """Report a Cinder that is too old for the locations that Glance hides."""
    glance = facts.glance
    if glance.show_image_direct_url or glance.show_multiple_locations:
        return
    if facts.cinder_release is None:
        yield codes.not_asked(
            "cinder",
            "whether this release of Cinder can learn locations that Glance hides",
            "Cinder's API does not tell its release",
            "Give it, for example: check --cinder-release 2025.1.",
        )
    elif facts.cinder_release < ASKS_FOR_LOCATIONS:
        yield codes.LOCATIONS_HIDDEN(
            "cinder",
            "Cinder before 2025.2 reads where an image is from its direct_url, which"
            f" this Glance hides: every volume is a download. ({_files(facts)})",
            "Set show_image_direct_url = true on a glance-api that only services can"
            " reach, and point glance_api_servers of cinder.conf to it; check that"
            " glance-api with --config-file. Or upgrade Cinder to 2025.2 or later.",
        )


def _files(facts: Facts) -> str:
    return ", ".join(facts.glance.files)


@judges.once("cinder")
def backends_use_rest(_facts: Facts, config: CinderConfig) -> Iterator[Finding]:
    """Report back ends with the driver's older client."""
    for backend in filter(is_ontap, config.backends):
        if backend.uses_zapi:
            yield codes.LEGACY_CLIENT(
                "cinder",
                f"[{backend.section}] of cinder.conf does not set"
                " netapp_use_legacy_client = false: the driver uses ZAPI, which newer"
                " releases of ONTAP do not have. The store is tested with REST.",
                "Set it to false and restart cinder-volume.",
            )


@judges.once("cinder")
def files_are_sparse(_facts: Facts, config: CinderConfig) -> Iterator[Finding]:
    """Report back ends whose files take their full space at once."""
    for backend in filter(is_ontap, config.backends):
        if not backend.is_sparse:
            yield codes.THICK_VOLUMES(
                "cinder",
                f"nfs_sparsed_volumes = false in [{backend.section}] of cinder.conf:"
                " Cinder writes each new volume full of zeros, and the store writes"
                " every byte of an image after that.",
                "Set it to true, unless you want thick volumes.",
            )


@judges.once("cinder")
def images_of_volumes_are_the_stores(
    facts: Facts, config: CinderConfig
) -> Iterator[Finding]:
    """Report images that Cinder makes by cloning, and that no store can serve."""
    projects = {
        store.login.project_id
        for store in facts.stores
        if not isinstance(store.login, Unknown)
    }
    for backend in filter(is_ontap, config.backends):
        if not backend.is_cloning_uploads or not projects:
            continue
        problem = None
        if not backend.is_internal:
            problem = "image_upload_use_internal_tenant is not true"
        elif config.internal_project is None:
            problem = (
                "cinder_internal_tenant_project_id and cinder_internal_tenant_user_id"
                " are not both set"
            )
        elif config.internal_project not in projects:
            problem = (
                f"cinder_internal_tenant_project_id = {config.internal_project} is not"
                " a store's project"
            )
        if problem:
            yield codes.INTERNAL_TENANT(
                "cinder",
                f"image_upload_use_cinder_backend = true in [{backend.section}] of"
                f" cinder.conf, but {problem}: no store can serve or delete the images"
                " that Cinder makes of volumes.",
                "Set image_upload_use_internal_tenant = true,"
                f" cinder_internal_tenant_project_id = {min(projects)} and"
                " cinder_internal_tenant_user_id to the store's user, or"
                " image_upload_use_cinder_backend = false.",
            )


@judges.per_store("settings", "facts", "facts.cinder")
def nfs_versions_agree(
    store: StoreFacts, settings: Settings, facts: Facts, config: CinderConfig
) -> Iterator[Finding]:
    """Report that Glance and Cinder use NFS 3 and 4 on the same FlexVol."""
    ours = nfs_options.version(settings.nfs_mount_options) or "4"
    for backend in _backends_of(store, facts, config):
        theirs = nfs_options.version(backend.mount_options)
        if theirs is not None and theirs[0] != ours[0]:
            yield codes.MOUNT_OPTIONS(
                store.id,
                f"cinder-volume mounts with {backend.mount_options!r}"
                f" ([{backend.section}] of cinder.conf), and Glance with"
                f" {settings.nfs_mount_options or 'NFS 4 if it can'!r}: locks and"
                " owners differ between NFS 3 and 4, or Glance cannot mount at all.",
                f"Set ontap_nfs_mount_options = {backend.mount_options}, unless the"
                " shares file has these options.",
            )


def _backends_of(
    store: StoreFacts, facts: Facts, config: CinderConfig
) -> Iterator[CinderBackend]:
    """Return the ONTAP back ends that the store may use, as far as known."""
    types = facts.admin.volume_types
    kind = None
    if not isinstance(types, Unknown):
        kind = volume_types.full_type(store, facts.admin, types)
    wanted = kind.extra_specs.get("volume_backend_name") if kind else None
    for backend in filter(is_ontap, config.backends):
        if wanted in (None, backend.backend_name):
            yield backend
