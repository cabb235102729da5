# SPDX-License-Identifier: Apache-2.0
"""The settings of one store, checked together when they are read."""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import os
from typing import Any
from urllib import parse

from glance_ontap_store import errors
from glance_ontap_store import nfs_options
from glance_ontap_store import units

_PREFIX = "ontap_"


@dataclasses.dataclass(frozen=True)
class Password:
    """Name and password of a user, and the project to log in to."""

    user_name: str
    user_domain_name: str
    password: str = dataclasses.field(repr=False)
    project_name: str
    project_domain_name: str


@dataclasses.dataclass(frozen=True)
class ApplicationCredential:
    """Id and secret of an application credential; Keystone knows its project."""

    id: str
    secret: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Catalog:
    """The entry of Keystone's catalog with the URL of Cinder."""

    service_type: str
    service_name: str | None
    interface: str


@dataclasses.dataclass(frozen=True)
class Settings:
    """The operator's settings of one store. Names that end in ``_s`` are seconds.

    Settings whose option may be empty are None then.
    """

    store_id: str | None
    volume_type: str | None
    # None: no replicas are made in the store.
    replica_volume_type: str | None
    # None: that of the volume type, or Cinder's default.
    availability_zone: str | None
    auth_url: str
    credential: Password | ApplicationCredential
    # Ids of the projects that may store images. Empty means all.
    allowed_projects: frozenset[str]
    # True if image-volumes are created in the requester's project.
    owned_by_project: bool
    endpoint_template: str | None
    catalog: Catalog
    region_name: str | None
    # As ``verify`` of requests: False, True, or the path of a CA file.
    verify: bool | str
    http_retries: int
    api_timeout_s: int
    transition_timeout_s: int
    attach_wait_s: int
    delete_wait_s: int
    # 0: an image-volume is detached after its last reader.
    linger_s: int
    # 0: there are no rounds of recovery.
    recovery_interval_s: int
    thin_upload: bool
    # Bytes, for all transfers of the process.
    transfer_memory: int
    mount_point_base: str
    # Separated by commas; "" means those that Cinder gives.
    nfs_mount_options: str
    # All paths to a LUN are used; and it is refused where that is not possible.
    use_multipath: bool
    enforce_multipath: bool
    rootwrap_config: str
    # None: nothing is measured.
    metrics_directory: str | None

    @classmethod
    def from_options(
        cls, values: Mapping[str, Any], store_id: str | None
    ) -> "Settings":
        """Check *values*, one for each option of `opts.OPTIONS`; return the settings.

        :raises errors.Misconfigured: with every mistake in one message
        """
        mistakes = list(_mistakes(values))
        if mistakes:
            raise errors.Misconfigured(
                f"Store {store_id!r} is misconfigured: " + "; ".join(mistakes)
            )
        verify: bool | str = values["ontap_ca_certificates_file"] or True
        return cls(
            store_id=store_id,
            volume_type=values["ontap_volume_type"] or None,
            replica_volume_type=values["ontap_replica_volume_type"] or None,
            availability_zone=values["ontap_availability_zone"] or None,
            auth_url=values["ontap_store_auth_address"],
            credential=_credential(values),
            allowed_projects=frozenset(values["ontap_allowed_projects"]) - {""},
            owned_by_project=values["ontap_image_volume_owner"] == "project",
            endpoint_template=values["ontap_endpoint_template"] or None,
            catalog=_catalog(values["ontap_catalog_info"]),
            region_name=values["ontap_os_region_name"] or None,
            verify=False if values["ontap_api_insecure"] else verify,
            http_retries=values["ontap_http_retries"],
            api_timeout_s=values["ontap_api_timeout"],
            transition_timeout_s=values["ontap_state_transition_timeout"],
            attach_wait_s=values["ontap_attach_wait"],
            delete_wait_s=values["ontap_delete_wait"],
            linger_s=values["ontap_linger"],
            recovery_interval_s=values["ontap_recovery_interval"],
            thin_upload=values["ontap_store_thin_upload"],
            transfer_memory=values["ontap_transfer_memory"] * units.MIB,
            mount_point_base=os.path.normpath(values["ontap_mount_point_base"]),
            nfs_mount_options=values["ontap_nfs_mount_options"] or "",
            use_multipath=values["ontap_use_multipath"],
            enforce_multipath=values["ontap_enforce_multipath"],
            rootwrap_config=values["ontap_rootwrap_config"],
            metrics_directory=values["ontap_metrics_directory"] or None,
        )

    @property
    def is_by_application(self) -> bool:
        """Return whether the store logs in with an application credential."""
        return isinstance(self.credential, ApplicationCredential)

    def describe_identity(self) -> str:
        """Return the store's user or credential for messages, without secrets."""
        if isinstance(self.credential, ApplicationCredential):
            return f"application credential {self.credential.id}"
        return (
            f"user {self.credential.user_name!r} in project"
            f" {self.credential.project_name!r}"
        )


_PASSWORD_OPTIONS = ("user_name", "password", "project_name")
_APPLICATION_OPTIONS = ("application_credential_id", "application_credential_secret")


def _mistakes(values: Mapping[str, Any]) -> Iterator[str]:
    yield from _url_mistakes(values["ontap_store_auth_address"])
    yield from _credential_mistakes(values)
    yield from _template_mistakes(values["ontap_endpoint_template"])
    if len(_catalog_parts(values["ontap_catalog_info"])) != 3:
        yield (
            f"ontap_catalog_info = {values['ontap_catalog_info']!r} must be"
            " <service type>:<service name>:<endpoint type>"
        )
    ca_file = values["ontap_ca_certificates_file"]
    if ca_file and not os.access(ca_file, os.R_OK):
        yield f"ontap_ca_certificates_file = {ca_file!r} cannot be read"
    if ca_file and values["ontap_api_insecure"]:
        yield (
            "ontap_ca_certificates_file and ontap_api_insecure are both set:"
            " remove one of them"
        )
    for option in nfs_options.refused(values["ontap_nfs_mount_options"] or ""):
        yield (
            f"ontap_nfs_mount_options contains {option!r}, which is not an option of"
            " NFS that is safe to use here: remove it"
        )
    linger_s, wait_s = values["ontap_linger"], values["ontap_delete_wait"]
    if linger_s and linger_s >= wait_s:
        yield (
            f"ontap_linger = {linger_s} must be smaller than ontap_delete_wait ="
            f" {wait_s}: otherwise other processes cannot delete an image that was read"
        )
    for name in ("ontap_mount_point_base", "ontap_rootwrap_config"):
        if not os.path.isabs(values[name] or ""):
            yield f"{name} = {values[name]!r} must be an absolute path"
    if values["ontap_enforce_multipath"] and not values["ontap_use_multipath"]:
        yield (
            "ontap_enforce_multipath is true, and ontap_use_multipath is not: set"
            " both, or remove the first"
        )
    directory = values["ontap_metrics_directory"]
    if directory and not os.path.isabs(directory):
        yield f"ontap_metrics_directory = {directory!r} must be an absolute path"


def _url_mistakes(url: str | None) -> Iterator[str]:
    if not url:
        yield "ontap_store_auth_address is missing: set it to the URL of Keystone"
    elif not _is_url(url):
        yield f"ontap_store_auth_address = {url!r} is not an http or https URL"


def _is_url(text: str) -> bool:
    try:
        parts = parse.urlsplit(text)
    except ValueError:  # an unclosed bracket
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def expand(template: str, project_id: str | None) -> str:
    """Return ``ontap_endpoint_template`` with *project_id* put into it.

    The upstream store calls a project ``tenant``.
    """
    for name in ("project_id", "tenant"):
        template = template.replace(f"%({name})s", project_id or "")
    return template


def _template_mistakes(template: str | None) -> Iterator[str]:
    if not template:
        return
    expanded = expand(template, "0")
    if "%" in expanded or not _is_url(expanded):
        yield (
            f"ontap_endpoint_template = {template!r} must be an http or https URL with"
            " %(project_id)s as its only placeholder"
        )


def _credential_mistakes(values: Mapping[str, Any]) -> Iterator[str]:
    application = [_value(values, name) for name in _APPLICATION_OPTIONS]
    names = [f"{_PREFIX}store_{name}" for name in _APPLICATION_OPTIONS]
    if any(application):
        for name, value in zip(names, application, strict=True):
            if not value:
                yield f"{name} is missing: set both id and secret of the credential"
        for name in ("user_name", "password"):
            if _value(values, name):
                yield (
                    f"{_PREFIX}store_{name} and an application credential are both set:"
                    " remove one of them"
                )
        return
    for name in _PASSWORD_OPTIONS:
        if not _value(values, name):
            yield (
                f"{_PREFIX}store_{name} is missing (or use an application credential)"
            )


def _value(values: Mapping[str, Any], name: str) -> Any:
    return values[f"{_PREFIX}store_{name}"]


def _credential(values: Mapping[str, Any]) -> Password | ApplicationCredential:
    if _value(values, "application_credential_id"):
        return ApplicationCredential(
            id=_value(values, "application_credential_id"),
            secret=_value(values, "application_credential_secret"),
        )
    return Password(
        user_name=_value(values, "user_name"),
        user_domain_name=_value(values, "user_domain_name"),
        password=_value(values, "password"),
        project_name=_value(values, "project_name"),
        project_domain_name=_value(values, "project_domain_name"),
    )


def _catalog_parts(text: str) -> list[str]:
    parts = text.split(":")
    return parts if parts[0] and parts[-1] else []


def _catalog(text: str) -> Catalog:
    service_type, service_name, interface = _catalog_parts(text)
    return Catalog(service_type, service_name or None, interface)
