# SPDX-License-Identifier: Apache-2.0
"""The configuration of tempest and Glance for a phase: decided here, from values."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import ini
from lab.ini import Value
from lab.suites import files
from lab.suites.phases import Options

# The type of the second glance-api's service in Keystone's catalogue.
SECOND_IMAGE_SERVICE = "image_remote"
# Tempest's tests of locations know upstream's http store by this id.
HTTP_STORE = "web"


@dataclass(frozen=True)
class Cloud:
    """What tempest must know of the lab."""

    auth_url: str
    region: str
    user: str
    password: str
    project: str
    # URLs of a raw and of a qcow2 image, for Glance to fetch.
    raw_url: str
    qcow2_url: str
    # A public image of Glance.
    image: str
    # A directory for locks and logs.
    work: Path


def cloud_from(clouds: Mapping[str, Any], url: str, image: str, work: Path) -> Cloud:
    """Return the facts from the content of clouds.yaml.

    *url* serves the images of `lab.suites.files`; *image* is the id of a public one.
    """
    admin = clouds["clouds"]["admin"]
    return Cloud(
        auth_url=admin["auth"]["auth_url"],
        region=admin["region_name"],
        user=admin["auth"]["username"],
        password=admin["auth"]["password"],
        project=admin["auth"]["project_name"],
        raw_url=f"{url}/{files.RAW}",
        qcow2_url=f"{url}/{files.QCOW2}",
        image=image,
        work=work,
    )


def tempest_conf(cloud: Cloud, extra: Options) -> str:
    """Return tempest.conf with the options *extra* of a phase."""
    sections = _of_every_phase(cloud)
    for (group, name), value in extra.items():
        sections.setdefault(group, {})[name] = value
    return ini.render(sections)


def _of_every_phase(cloud: Cloud) -> dict[str, dict[str, Value]]:
    return {
        "DEFAULT": {"log_file": cloud.work / "tempest.log"},
        "oslo_concurrency": {"lock_path": cloud.work / "locks"},
        "auth": {
            "use_dynamic_credentials": True,
            # Any role here would also go to users that are to be readers only.
            "tempest_roles": "",
            "admin_username": cloud.user,
            "admin_password": cloud.password,
            "admin_project_name": cloud.project,
            "admin_domain_name": "Default",
            "create_isolated_networks": False,
        },
        "identity": {
            "auth_version": "v3",
            "uri_v3": cloud.auth_url,
            "region": cloud.region,
        },
        "service_available": {
            "glance": True,
            "cinder": True,
            "nova": False,
            "neutron": False,
            "swift": False,
            "horizon": False,
        },
        # Its name is from times before Cinder: volumes are made from this image.
        "compute": {"image_ref": cloud.image, "image_ref_alt": cloud.image},
        "image": {
            "alternate_image_endpoint": SECOND_IMAGE_SERVICE,
            "image_caching_enabled": True,
            "http_image": cloud.raw_url,
            "http_qcow2_image": cloud.qcow2_url,
        },
        "image-feature-enabled": {"http_store_enabled": True},
        "volume": {
            "catalog_type": "volumev3",
            "backend_names": "ontap",
            "volume_type": "ontap",
            "storage_protocol": "NFS",
            "vendor_name": "NetApp",
            "backup_driver": "posix",
            "max_microversion": "latest",
        },
        "volume-feature-enabled": {"backup": True, "concurrency_tests": True},
        # Against the lab's own copying, which is slow under load.
        "service-clients": {"http_timeout": 300},
    }


def glance_options(
    stores: Sequence[str], cache: Path, hosts: Sequence[str], extra: Options
) -> dict[tuple[str, str], Value]:
    """Return the options that Glance has in a phase, in addition to the lab's.

    *stores* are the lab's, the default one first; *hosts* may be fetched from.
    """
    types = {"peer": "cinder", "file": "file", HTTP_STORE: "http"}
    # Tempest compares an image's stores with a sorted list, and Glance names them in
    # the order of this option.
    enabled = [f"{s}:{types.get(s, 'ontap')}" for s in sorted([*stores, HTTP_STORE])]
    return {
        ("DEFAULT", "enabled_backends"): enabled,
        ("DEFAULT", "enabled_import_methods"): (
            "[glance-direct,web-download,glance-download,copy-image]"
        ),
        ("DEFAULT", "image_cache_dir"): cache,
        ("paste_deploy", "flavor"): "keystone+cachemanagement",
        ("import_filtering_opts", "allowed_hosts"): f"[{','.join(hosts)}]",
        **extra,
    }


def apply(text: str, options: Options) -> str:
    """Return the text of an ini file with the options set."""
    for (group, name), value in options.items():
        text = ini.set_option(text, group, name, value)
    return text
