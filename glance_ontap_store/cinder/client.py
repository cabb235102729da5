# SPDX-License-Identifier: Apache-2.0
"""Cinder as the stores and the survey ask it: the only user of python-cinderclient."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import datetime
from typing import Any

from cinderclient import client as cinderclient
from cinderclient import exceptions as cinder_errors
from keystoneauth1 import exceptions as keystone_errors
from keystoneauth1.session import Session

from glance_ontap_store import errors
from glance_ontap_store import identity
from glance_ontap_store.cinder import api
from glance_ontap_store.cinder import translate
from glance_ontap_store.cinder.api import AttachmentState
from glance_ontap_store.cinder.api import Connected
from glance_ontap_store.cinder.api import Fault
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Room
from glance_ontap_store.cinder.api import Service
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.cinder.translate import Translator
from glance_ontap_store.requester import Requester
from glance_ontap_store.settings import Settings
from glance_ontap_store.settings import expand
from glance_ontap_store.telemetry import recording

# Since 3.54 the attach mode is an argument of the attachment, since 3.60 volumes are
# found by their age, and since 3.61 (Victoria) administrators see a volume's cluster.
MICROVERSION = "3.61"
# The default volume types of projects.
_DEFAULT_TYPES = "3.62"
# The most that Cinder shows at once by default (osapi_max_limit).
_PAGE = 1000
# Answers of Cinder to a connection that its driver does not make.
_REFUSALS = (400, 409, 500)
_ERRORS = (
    cinder_errors.ClientException,
    cinder_errors.EndpointNotFound,
    keystone_errors.ClientException,
    *translate.MALFORMED,
)


class _Http(cinderclient.SessionClient):  # type: ignore[misc]
    """Refuses answers that are not Cinder's, and keeps those that are errors.

    cinderclient does not read the answer of a request that has no result: the page of
    a proxy would be a success. An error's answer may have a header ``Retry-After``.
    """

    def request(self, *args: Any, raise_exc: bool = True, **kwargs: Any) -> Any:
        """Send a request, as cinderclient does."""
        answer, body = super().request(*args, raise_exc=False, **kwargs)
        if raise_exc and answer.status_code >= 400:
            error = cinder_errors.from_response(answer, body)
            error.response = answer
            raise error
        if body is None and answer.content.strip():
            raise ValueError(f"HTTP {answer.status_code} with a body that is no JSON")
        return answer, body


class CinderClient:
    """`api.VolumeService`, and the questions of the survey, with one session.

    The session is a store's, an administrator's, or a store's with the token of a
    *requester* at the endpoint for its project.

    It sends each request once, but for an expired token: `cinder.patience` repeats
    what is safe to repeat, and `cinder.volumes` looks what became of the others.
    """

    def __init__(
        self,
        settings: Settings,
        session: Session,
        requester: Requester | None = None,
    ) -> None:
        who = settings.describe_identity()
        quota_owner = f"the project of {who}"
        # Where the store's volumes are in the requesters' projects, lists must
        # reach beyond its own. Cinder heeds it for administrators only.
        self._everywhere = {"all_tenants": 1} if settings.owned_by_project else {}
        auth = None
        if requester:
            who = f"the requester's token, of project {requester.project_id}"
            quota_owner = f"project {requester.project_id}, the requester's"
            self._everywhere = {}
            endpoint = _endpoint(settings, requester)
            auth = identity.acting_for(requester, endpoint, session)
        self._translator = Translator(settings, who, quota_owner)
        self._type_names: dict[str, str] = {}

        self._session, self._auth = session, auth
        access: dict[str, Any] = {
            "session": session,
            "auth": auth,
            "service_type": settings.catalog.service_type,
            "service_name": settings.catalog.service_name,
            "interface": settings.catalog.interface,
            "region_name": settings.region_name,
            "connect_retries": 0,
        }
        self._access = access
        self._cinder = self._client(MICROVERSION)

    def _client(self, microversion: str) -> Any:
        client = cinderclient.Client(microversion, **self._access)
        client.client = _Http(api_version=client.api_version, **self._access)
        return client

    # The requests of `api.VolumeService`.

    def create(self, new: NewVolume) -> Volume:
        """Begin to create a volume; see `VolumeService.create`.

        :raises errors.Misconfigured: the volume type or availability zone does not
            exist, or the type is none for a clone of the source
        """
        name = "create volume"
        self._log_in(name, repr(new.name))
        try:
            # Cinder answers 400 when a source's status permits no clone.
            is_clone = new.source_id is not None
            with self._request(name, repr(new.name), on_state=is_clone):
                return _volume(
                    self._cinder.volumes.create(
                        new.size_gib,
                        name=new.name,
                        volume_type=new.volume_type,
                        metadata=dict(new.metadata),
                        source_volid=new.source_id,
                        availability_zone=new.availability_zone,
                    )
                )
        except errors.ImageVolumeInUse as error:
            if _says(error.__cause__, _OTHER_BACKEND):
                raise errors.Misconfigured(
                    f"Cinder makes no clone of volume {new.source_id} with volume type"
                    f" {new.volume_type!r}: {error.__cause__}. Give it the"
                    " volume_backend_name of the source's type, or change"
                    " ontap_replica_volume_type."
                ) from error.__cause__
            raise
        except errors.ImageVolumeGone as error:
            if new.source_id is not None and not _says(error.__cause__, "Volume type"):
                raise
            # Besides its source, a create can only miss its volume type.
            raise errors.Misconfigured(
                f"Volume type {new.volume_type!r} does not exist, or is private to"
                f" other projects than {self._translator.quota_owner}."
                " Create it, or change ontap_volume_type or ontap_replica_volume_type."
            ) from error
        except errors.Broken as error:
            if _is_about_zone(error.__cause__):
                raise errors.Misconfigured(
                    f"Cinder has no availability zone {new.availability_zone!r} in"
                    f" which it runs: {error.__cause__}. Correct"
                    " ontap_availability_zone (openstack availability zone list"
                    " --volume)."
                ) from error.__cause__
            raise

    def get(self, volume_id: str) -> Volume:
        """The volume as it is now."""
        with self._request("show volume", volume_id):
            return _volume(self._cinder.volumes.get(volume_id))

    def find(self, name: str) -> list[Volume]:
        """The volumes of that name."""
        return self.list_volumes({"name": name, **self._everywhere})

    def search(
        self,
        status: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> list[Volume]:
        """The volumes in that status and with that metadata."""
        wanted: dict[str, Any] = dict(self._everywhere)
        if status:
            wanted["status"] = status
        if metadata:
            wanted["metadata"] = dict(metadata)
        return self.list_volumes(wanted)

    def type_name(self, text: str | None) -> str | None:
        """The name of the type whose name or id is *text*."""
        if not text:
            return text
        if text not in self._type_names:
            named = (kind.name for kind in self.volume_types() if kind.is_called(text))
            self._type_names[text] = next(named, text)
        return self._type_names[text]

    def delete(self, volume_id: str) -> None:
        """Begin to delete the volume."""
        with self._request("delete volume", volume_id, on_state=True):
            self._cinder.volumes.delete(volume_id)

    def extend(self, volume_id: str, size_gib: int) -> None:
        """Begin to extend the volume."""
        name, subject = "extend volume", f"{volume_id} to {size_gib} GiB"
        self._log_in(name, subject)
        with self._request(name, subject, on_state=True):
            self._cinder.volumes.extend(volume_id, size_gib)

    def set_metadata(self, volume_id: str, metadata: Mapping[str, str]) -> None:
        """Set these keys and keep the others."""
        with self._request("set the metadata of volume", volume_id):
            self._cinder.volumes.set_metadata(volume_id, dict(metadata))

    def set_readonly(self, volume_id: str, is_readonly: bool = True) -> None:
        """Let Cinder attach the volume read-only from now on, or not."""
        with self._request("set the read-only flag of volume", volume_id):
            self._cinder.volumes.update_readonly_flag(volume_id, is_readonly)

    def has_snapshots(self, volume_id: str) -> bool:
        """Return whether a snapshot depends on the volume."""
        with self._request("list the snapshots of volume", volume_id):
            found = self._cinder.volume_snapshots.list(
                detailed=False,
                search_opts={"volume_id": volume_id, **self._everywhere},
                limit=1,
            )
            return bool(found)

    def last_fault(self, volume_id: str) -> Fault | None:
        """The message that Cinder kept about the last failure, if any."""
        with self._request("list the messages about volume", volume_id):
            found = self._cinder.messages.list(
                search_opts={"resource_uuid": volume_id}, sort="created_at:desc"
            )
            if not found:
                return None
            return Fault(found[0].event_id, found[0].user_message)

    def reserve(self, volume_id: str, mode: str) -> str:
        """Reserve the volume; the attachment's id."""
        name = "attach volume"
        self._log_in(name, volume_id)
        with self._request(name, volume_id, on_state=True):
            reserved = self._cinder.attachments.create(volume_id, None, mode=mode)
            return str(reserved["id"])

    def connect(
        self, volume_id: str, attachment_id: str, connector: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Connect a reserved volume; the way to reach it."""
        # Cinder shows the mount point as the attachment's device.
        properties = {"mountpoint": "glance_store", **connector}
        name = "connect volume"
        self._log_in(name, volume_id)
        try:
            with self._request(name, volume_id):
                answer = self._cinder.attachments.update(attachment_id, properties)
                # It is checked here, where a page of a proxy is an error of ours.
                return dict(answer.connection_info)
        except errors.Broken as error:
            if getattr(error.__cause__, "code", None) in _REFUSALS:
                refusal = errors.NotConnected(str(error))
                refusal.reason, refusal.transient = error.reason, error.transient
                raise refusal from error.__cause__
            raise

    def reservations(self, volume_id: str) -> list[str]:
        """Ids of the volume's attachments that are reserved and not yet connected."""
        return [
            attachment.id
            for attachment in self._attachments(volume_id)
            if attachment.status == "reserved"
        ]

    def attachments(self, volume_id: str) -> list[str]:
        """Ids of all the volume's attachments."""
        return [attachment.id for attachment in self._attachments(volume_id)]

    def _attachments(self, volume_id: str) -> list[Any]:
        with self._request("list the attachments of volume", volume_id):
            found = self._cinder.attachments.list(
                search_opts={"volume_id": volume_id, **self._everywhere}
            )
            # Half an answer is an error here, and not where its parts are used.
            return [one for one in found if one.id and one.status]

    def connection_info(self, attachment_id: str) -> Mapping[str, Any]:
        """The way to reach an attached volume."""
        try:
            with self._request("show attachment", attachment_id):
                shown = self._cinder.attachments.show(attachment_id)
                info = dict(shown.connection_info or {})
        except errors.ImageVolumeGone as error:
            # It is the attachment that is gone.
            raise api.taken_back(attachment_id) from error
        # Of a reserved volume Cinder shows the format, but no connection.
        return info if "driver_volume_type" in info else {}

    def complete(self, attachment_id: str) -> None:
        """Say that the host has connected."""
        with self._request("complete attachment", attachment_id):
            self._cinder.attachments.complete(attachment_id)

    def detach(self, attachment_id: str) -> None:
        """Delete the attachment, if it is there."""
        with contextlib.suppress(errors.ImageVolumeGone):
            with self._request("delete attachment", attachment_id):
                self._cinder.attachments.delete(attachment_id)

    # Requests of the survey; Cinder answers some to administrators only.

    def newest_microversion(self) -> tuple[int, int]:
        """The newest microversion that Cinder has."""
        with self._request("show the versions of Cinder"):
            major, minor = max(
                tuple(int(part) for part in shown.version.split("."))
                for shown in self._cinder.services.server_api_version()
                if shown.version
            )
            return major, minor

    def volume_types(self) -> tuple[VolumeType, ...]:
        """The types that the user may use; for an administrator, all types."""
        with self._request("list volume types"):
            return tuple(
                VolumeType(
                    id=kind.id,
                    name=kind.name,
                    is_public=kind.is_public,
                    extra_specs=dict(getattr(kind, "extra_specs", {})),
                    qos_specs_id=getattr(kind, "qos_specs_id", None),
                )
                for kind in self._cinder.volume_types.list()
            )

    def migrate(self, volume_id: str, pool: str) -> None:
        """Begin to move the volume to the pool; see `Operator.migrate`."""
        name, subject = "migrate volume", f"{volume_id} to {pool}"
        self._log_in(name, subject)
        with self._request(name, subject, on_state=True):
            self._cinder.volumes.migrate_volume(
                volume_id, pool, force_host_copy=False, lock_volume=False
            )

    def default_types(self) -> dict[str, str]:
        """The ids of the types that projects have by default. For administrators.

        A project without one has `default_type`.
        """
        with self._request("list default volume types"):
            found = self._client(_DEFAULT_TYPES).default_types.list()
            return {each.project_id: each.volume_type_id for each in found}

    def default_type(self) -> str:
        """The name of the default type of the user's project."""
        with self._request("show the default volume type"):
            return str(self._cinder.volume_types.default().name)

    def encrypts(self, type_id: str) -> bool:
        """Return whether the host encrypts volumes of the type. For administrators."""
        with self._request("show the encryption of volume type", type_id):
            shown = self._cinder.volume_encryption_types.get(type_id)
            return bool(getattr(shown, "provider", None))

    def quota(self, project_id: str) -> dict[str, Room]:
        """All quotas of the project, by Cinder's names."""
        with self._request("show the quota of project", project_id):
            shown = self._cinder.quotas.get(project_id, usage=True).to_dict()
            return {
                name: Room(quota["limit"], quota["in_use"] + quota["reserved"])
                for name, quota in shown.items()
                if isinstance(quota, dict)
            }

    def pools(self) -> tuple[Pool, ...]:
        """All pools that the scheduler knows. For administrators."""
        with self._request("list pools"):
            return tuple(
                _pool(shown) for shown in self._cinder.pools.list(detailed=True)
            )

    def volume_services(self) -> tuple[Service, ...]:
        """Every cinder-volume, whether it runs or not. For administrators."""
        with self._request("list services"):
            return tuple(
                Service(
                    host=shown.host,
                    zone=shown.zone,
                    cluster=getattr(shown, "cluster", None),
                )
                for shown in self._cinder.services.list(binary="cinder-volume")
            )

    def list_volumes(
        self,
        search: Mapping[str, Any],
        on_page: Callable[[int], object] = lambda _count: None,
    ) -> list[Volume]:
        """All volumes that match, however many pages Cinder makes of them.

        *on_page* is called after each page that another one follows, with the number
        of volumes so far.
        """
        found: list[Volume] = []
        with self._request("list volumes", f"that match {dict(search)}"):
            page = self._page_of_volumes(search, None)
            found += page
            # A page that is not full is the last one: where Cinder itself shows fewer
            # at once, cinderclient asks until this one is full.
            while len(page) == _PAGE:
                on_page(len(found))
                page = self._page_of_volumes(search, page[-1].id)
                found += page
        return found

    def _page_of_volumes(
        self, search: Mapping[str, Any], marker: str | None
    ) -> list[Volume]:
        # cinderclient's objects take several times the memory of a Volume: no more
        # than a page of them exists at a time.
        shown = self._cinder.volumes.list(
            search_opts=dict(search) or None, marker=marker, limit=_PAGE
        )
        return [_volume(each) for each in shown]

    def volumes_since(
        self,
        moment: datetime.datetime,
        on_page: Callable[[int], object] = lambda _count: None,
    ) -> list[Volume]:
        """All volumes of all projects that were made since. For administrators.

        *moment* has a zone. *on_page*: see `list_volumes`.
        """
        text = f"gte:{moment.astimezone(datetime.timezone.utc):%Y-%m-%dT%H:%M:%S}"
        return self.list_volumes({"all_tenants": 1, "created_at": text}, on_page)

    def list_attachments(self, search: Mapping[str, Any]) -> list[AttachmentState]:
        """All attachments that match; an administrator may ask for all tenants'."""
        found: list[AttachmentState] = []
        with self._request("list attachments", f"that match {dict(search)}"):
            # Cinder ends a page without a link to the next one.
            page = self._page_of_attachments(search, None)
            while page:
                found += page
                page = self._page_of_attachments(search, page[-1].id)
        return found

    def _page_of_attachments(
        self, search: Mapping[str, Any], marker: str | None
    ) -> list[AttachmentState]:
        shown = self._cinder.attachments.list(
            search_opts=dict(search), marker=marker, limit=_PAGE
        )
        return [
            AttachmentState(
                id=each.id,
                volume_id=each.volume_id,
                status=each.status,
                instance=each.instance or None,
            )
            for each in shown
        ]

    def _log_in(self, name: str, subject: str) -> None:
        """Have tokens, so that a failure of Keystone cannot be taken for Cinder's."""
        try:
            with self._translated(name, subject):
                self._session.get_auth_headers(self._auth)
        except errors.StoreError as error:
            if error.transient is not None:
                error.transient = dataclasses.replace(
                    error.transient, doubt=errors.Doubt.UNSENT
                )
            raise

    @contextlib.contextmanager
    def _request(
        self, name: str, subject: str = "", on_state: bool = False
    ) -> Iterator[None]:
        """One request; its errors become ours.

        *name* is a verb phrase, one of few, fit for a metric's label; *subject* is
        whatever has ids in it. *on_state*: see `Translator.error`.
        """
        with recording.request(name), self._translated(name, subject, on_state):
            yield

    @contextlib.contextmanager
    def _translated(
        self, name: str, subject: str, on_state: bool = False
    ) -> Iterator[None]:
        try:
            yield
        except _ERRORS as error:
            what = f"{name} {subject}".rstrip()
            made = self._translator.error(what, error, on_state)
            made.request = name
            raise made from error


def _endpoint(settings: Settings, requester: Requester) -> str:
    if settings.endpoint_template:
        return expand(settings.endpoint_template, requester.project_id)
    return identity.endpoint_of(requester, settings.catalog, settings.region_name)


# Cinder's answers have no codes for their reasons: see cinder/volume/api.py.
_OTHER_BACKEND = "requested type is not compatible"


def _says(error: BaseException | None, text: str) -> bool:
    return isinstance(error, cinder_errors.ClientException) and text in str(error)


def _is_about_zone(error: BaseException | None) -> bool:
    """Return whether Cinder does not know a volume's availability zone.

    Its answer has no code for it: see InvalidAvailabilityZone in cinder/exception.py.
    """
    is_answer = isinstance(error, cinder_errors.BadRequest)
    return is_answer and "availability zone" in str(error).lower()


def _volume(volume: Any) -> Volume:
    """The value of what cinderclient makes of a volume in an answer."""
    shown: Mapping[str, Any] = volume.to_dict()
    host = shown.get("os-vol-host-attr:host")
    return Volume(
        id=volume.id,
        status=volume.status,
        size_gib=volume.size,
        metadata=dict(volume.metadata),
        volume_type=volume.volume_type,
        encrypted=bool(volume.encrypted),
        is_shared=bool(shown.get("multiattach")),
        name=shown.get("name"),
        # The scheduler names its pools by the cluster, if there is one.
        pool=shown.get("cluster_name") or host,
        host=host,
        project_id=shown.get("os-vol-tenant-attr:tenant_id"),
        created_at=shown.get("created_at"),
        updated_at=shown.get("updated_at"),
        name_id=shown.get("os-vol-mig-status-attr:name_id"),
        migration=_migration(shown),
        availability_zone=shown.get("availability_zone"),
        attachments=tuple(map(_connected, shown.get("attachments") or ())),
        image_id=(shown.get("volume_image_metadata") or {}).get("image_id"),
    )


def _migration(shown: Mapping[str, Any]) -> str | None:
    key = "os-vol-mig-status-attr:migstat"
    return str(shown[key] or "") if key in shown else None


def _connected(shown: Mapping[str, Any]) -> Connected:
    return Connected(
        id=shown["attachment_id"],
        device=shown.get("device"),
        host_name=shown.get("host_name"),
        attached_at=shown.get("attached_at"),
        # Without a server Cinder shows null, or "".
        server_id=shown.get("server_id") or None,
    )


def _pool(shown: Any) -> Pool:
    # Drivers report a list of spellings, or one of them.
    protocol = getattr(shown, "storage_protocol", None)
    if isinstance(protocol, list):
        protocol = protocol[0] if protocol else None
    return Pool(
        name=shown.name,
        pool_name=getattr(shown, "pool_name", None),
        backend_name=getattr(shown, "volume_backend_name", None),
        vendor=getattr(shown, "vendor_name", None),
        protocol=str(protocol).lower() if protocol else None,
        # The driver reports the text "true" or "false".
        is_flexgroup=str(getattr(shown, "netapp_is_flexgroup", "")).lower() == "true",
        is_replicated=bool(getattr(shown, "replication_enabled", False)),
        shared_blocks_percent=getattr(shown, "netapp_dedupe_used_percent", None) or 0.0,
        clones_across_pools=bool(getattr(shown, "clone_across_pools", False)),
        is_thick=bool(getattr(shown, "thick_provisioning_support", False)),
        total_gib=_gib(getattr(shown, "total_capacity_gb", None)),
        free_gib=_gib(getattr(shown, "free_capacity_gb", None)),
    )


def _gib(shown: Any) -> float | None:
    """Return a capacity; None for ``unknown`` and ``infinite``, and for no capacity."""
    return None if shown is None or isinstance(shown, str) else float(shown)
