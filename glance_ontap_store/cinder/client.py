# SPDX-License-Identifier: Apache-2.0
"""`service.VolumeService` over python-cinderclient, its only importer."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
from typing import Any

from cinderclient import client as cinderclient
from cinderclient import exceptions as cinder_errors
from keystoneauth1 import exceptions as keystone_errors
from keystoneauth1 import session as keystone_session
from oslo_utils import strutils

from glance_ontap_store import errors
from glance_ontap_store import identity
from glance_ontap_store.cinder.api import Attachment
from glance_ontap_store.cinder.api import Fault
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.requester import Requester
from glance_ontap_store.settings import Settings
from glance_ontap_store.settings import expand

# 3.54: the attach mode is an argument of the attachment (older Cinder: none
# since Train). Nothing newer is needed.
_MICROVERSION = "3.54"


class CinderClient:
    """One store's view of Cinder, with the store's own session.

    Or a requester's: with its token, at the endpoint for its project.

    Requests that are safe to repeat go through a client that repeats them when
    the connection is lost; the others through one that does not: a POST that
    was answered into a broken connection must not create a second volume.
    """

    def __init__(
        self,
        settings: Settings,
        session: keystone_session.Session,
        requester: Requester | None = None,
    ) -> None:
        self._settings = settings
        self._who = settings.describe_identity()
        self._whose_quota = f"the project of {self._who}"
        # Where the store's volumes are in the requesters' projects, lists must
        # reach beyond its own. Cinder minds it for administrators only.
        self._everywhere = {"all_tenants": 1} if settings.owned_by_project else {}
        auth = None
        if requester:
            self._who = f"the requester's token, of project {requester.project_id}"
            self._whose_quota = f"project {requester.project_id}, the requester's"
            self._everywhere = {}
            endpoint = _endpoint(settings, requester)
            auth = identity.acting_for(requester, endpoint, session)

        def client(retries: int) -> Any:
            return cinderclient.Client(
                _MICROVERSION,
                session=session,
                auth=auth,
                service_type=settings.catalog.service_type,
                service_name=settings.catalog.service_name,
                interface=settings.catalog.interface,
                region_name=settings.region_name,
                connect_retries=retries,
            )

        self._once = client(0)
        self._repeating = client(settings.http_retries)

    def create(self, new: NewVolume) -> Volume:
        try:
            with self._translated(f"create volume {new.name!r}"):
                return volume_from(
                    self._once.volumes.create(
                        new.size_gib,
                        name=new.name,
                        volume_type=new.volume_type,
                        metadata=dict(new.metadata),
                        source_volid=new.source_id,
                    )
                )
        except errors.ImageVolumeGone as error:
            # The only thing that a create can miss is its volume type.
            raise errors.Misconfigured(
                f"Volume type {new.volume_type!r} does not exist, or is private to"
                f" other projects than {self._whose_quota}."
                " Create it or change ontap_volume_type."
            ) from error

    def get(self, volume_id: str) -> Volume:
        with self._translated(f"show volume {volume_id}"):
            return volume_from(self._repeating.volumes.get(volume_id))

    def find(self, name: str) -> list[Volume]:
        with self._translated(f"list volumes named {name!r}"):
            found = self._repeating.volumes.list(
                search_opts={"name": name, **self._everywhere}
            )
            return [volume_from(volume) for volume in found]

    def delete(self, volume_id: str) -> None:
        with self._translated(f"delete volume {volume_id}", on_state=True):
            self._repeating.volumes.delete(volume_id)

    def extend(self, volume_id: str, size_gib: int) -> None:
        with self._translated(
            f"extend volume {volume_id} to {size_gib} GiB", on_state=True
        ):
            self._once.volumes.extend(volume_id, size_gib)

    def set_metadata(self, volume_id: str, metadata: Mapping[str, str]) -> None:
        with self._translated(f"set the metadata of volume {volume_id}"):
            self._repeating.volumes.set_metadata(volume_id, dict(metadata))

    def set_readonly(self, volume_id: str) -> None:
        with self._translated(f"make volume {volume_id} read-only"):
            self._repeating.volumes.update_readonly_flag(volume_id, True)

    def has_snapshots(self, volume_id: str) -> bool:
        with self._translated(f"list the snapshots of volume {volume_id}"):
            found = self._repeating.volume_snapshots.list(
                detailed=False,
                search_opts={"volume_id": volume_id, **self._everywhere},
                limit=1,
            )
            return bool(found)

    def last_fault(self, volume_id: str) -> Fault | None:
        with self._translated(f"list the messages about volume {volume_id}"):
            found = self._repeating.messages.list(
                search_opts={"resource_uuid": volume_id}, sort="created_at:desc"
            )
            if not found:
                return None
            return Fault(found[0].event_id, found[0].user_message)

    def attach(
        self, volume_id: str, connector: Mapping[str, Any], mode: str
    ) -> Attachment:
        what = f"attach volume {volume_id}"
        with self._translated(what, on_state=True):
            reserved = self._once.attachments.create(volume_id, None, mode=mode)
            attachment_id: str = reserved["id"]
        try:
            with self._translated(what):
                answer = self._once.attachments.update(
                    attachment_id, {**connector, "mountpoint": "glance_store"}
                )
                return Attachment(attachment_id, volume_id, answer.connection_info)
        except BaseException as error:
            self._take_back(attachment_id, error)
            raise

    def _take_back(self, attachment_id: str, cause: BaseException) -> None:
        """Delete an attachment that could not be connected, because of *cause*."""
        try:
            self.detach(attachment_id)
        except errors.StoreError as error:
            errors.note(cause, f"Attachment {attachment_id} stays: {error}")

    def attachments(self, volume_id: str) -> list[str]:
        with self._translated(f"list the attachments of volume {volume_id}"):
            found = self._repeating.attachments.list(
                search_opts={"volume_id": volume_id, **self._everywhere}
            )
            return [each.id for each in found]

    def complete(self, attachment_id: str) -> None:
        with self._translated(f"complete attachment {attachment_id}"):
            self._once.attachments.complete(attachment_id)

    def detach(self, attachment_id: str) -> None:
        with contextlib.suppress(errors.ImageVolumeGone):
            with self._translated(f"delete attachment {attachment_id}"):
                self._repeating.attachments.delete(attachment_id)

    def volume_format(self, attachment_id: str) -> str | None:
        with self._translated(f"show attachment {attachment_id}"):
            shown = self._repeating.attachments.show(attachment_id)
            found: str | None = shown.connection_info.get("format")
            return found

    @contextlib.contextmanager
    def _translated(self, what: str, on_state: bool = False) -> Iterator[None]:
        """Cinder's and Keystone's errors as ours; *what* is a verb phrase.

        *on_state*: the action needs a certain state of the volume, and Cinder
        answers 400 when it has another.
        """
        try:
            yield
        except cinder_errors.ClientException as error:
            raise self._from_answer(what, error, on_state) from error
        except (
            cinder_errors.EndpointNotFound,
            keystone_errors.ClientException,
        ) as error:
            raise self._from_session(what, error) from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # cinderclient takes an answer apart without a look at it.
            raise errors.Broken(
                f"Cannot {what}: the answer is not one of Cinder's ({error!r}). Is"
                " there a proxy between? Check the endpoint in Keystone's catalog."
            ) from error

    def _from_answer(
        self, what: str, error: cinder_errors.ClientException, on_state: bool
    ) -> errors.StoreError:
        match error.code:
            case 404 if _is_cinders_own(error):
                return errors.ImageVolumeGone(f"Cannot {what}: {error}")
            case 404:
                # Gone would make Glance forget where the image lies.
                return errors.Broken(
                    f"Cannot {what}: not found, but it was not Cinder who said so. Is"
                    " there a proxy between? Check the endpoint in Keystone's catalog."
                )
            case 413:
                return errors.NoSpace(
                    f"Cannot {what}: {error}. Raise the Cinder quota of"
                    f" {self._whose_quota}, or delete images."
                )
            case 401:
                return errors.NotAuthenticated(
                    f"Cannot {what}: Cinder does not accept {self._who}: {error}. Has"
                    " the token expired or been revoked, or does Cinder have another"
                    " Keystone ([keystone_authtoken] of cinder.conf)?"
                )
            case 403:
                return errors.Refused(
                    f"Cannot {what}: Cinder refuses {self._who}: {error}. Check its"
                    " roles and Cinder's policies."
                )
            case 400 | 409 if on_state:
                return errors.ImageVolumeInUse(f"Cannot {what}: {error}")
        return errors.Broken(f"Cannot {what}: {error}")

    def _from_session(self, what: str, error: Exception) -> errors.StoreError:
        who = self._settings.describe_identity()
        reason = strutils.mask_password(str(error))
        match error:
            case keystone_errors.Unauthorized() | keystone_errors.Forbidden():
                return errors.Refused(
                    f"Cannot {what}: Keystone at {self._settings.auth_url} refuses"
                    f" {who}: {reason}. Check the credentials of store"
                    f" {self._settings.store_id!r}."
                )
            case keystone_errors.NotFound() if self._settings.is_by_application:
                return errors.Refused(
                    f"Cannot {what}: Keystone at {self._settings.auth_url} does not"
                    f" know {who}: {reason}. Was it deleted? Check also that"
                    " ontap_store_auth_address is Keystone's."
                )
            case keystone_errors.EndpointNotFound() | cinder_errors.EndpointNotFound():
                return errors.Misconfigured(
                    f"Cannot {what}: Keystone's catalog has no Cinder endpoint:"
                    f" {reason}. Check ontap_catalog_info and ontap_os_region_name."
                )
            case keystone_errors.SSLError():
                return errors.Misconfigured(
                    f"Cannot {what}: a certificate was refused: {reason}. Set"
                    " ontap_ca_certificates_file to the file of its authority."
                )
        return errors.CinderUnreachable(
            f"Cannot {what}: no answer from Cinder or Keystone: {reason}. Check"
            f" ontap_store_auth_address ({self._settings.auth_url}), the endpoint in"
            " Keystone's catalog (ontap_catalog_info) and the network."
        )


def _endpoint(settings: Settings, requester: Requester) -> str:
    if settings.endpoint_template:
        return expand(settings.endpoint_template, requester.project_id)
    return identity.endpoint_of(requester, settings.catalog, settings.region_name)


def _is_cinders_own(error: cinder_errors.ClientException) -> bool:
    """Whether the answer had the form of Cinder's errors, and not a proxy's."""
    # cinderclient sets the details only where it could parse a body.
    return error.details is not None and error.message != "n/a"


def volume_from(volume: Any) -> Volume:
    """Of what cinderclient makes of a volume in an answer."""
    return Volume(
        id=volume.id,
        status=volume.status,
        size_gib=volume.size,
        metadata=dict(volume.metadata),
        volume_type=volume.volume_type,
        encrypted=bool(volume.encrypted),
    )
