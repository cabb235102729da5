"""Puts the parts of one store together."""

from collections.abc import Callable
import dataclasses

from oslo_log import log as logging

from glance_ontap_store import identity
from glance_ontap_store import lifecycle
from glance_ontap_store import ownership
from glance_ontap_store import requester as requester_
from glance_ontap_store import settings as settings_
from glance_ontap_store.attach import brick
from glance_ontap_store.attach import mounts
from glance_ontap_store.attach import session
from glance_ontap_store.cinder import client
from glance_ontap_store.cinder import creating
from glance_ontap_store.cinder import service
from glance_ontap_store.cinder import waiting

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Backend:
    """What a configured store works with."""

    settings: settings_.Settings
    images: lifecycle.Lifecycle
    owners: ownership.Owners
    # Who creates the volume of a request's upload.
    creator_for: Callable[[requester_.Requester], service.Creator]


def build(settings: settings_.Settings) -> Backend:
    """The store's parts, over the real Cinder and this host.

    Nothing is asked of any service yet: Glance starts without them. Mounts that
    a worker left behind when it died are taken away.
    """
    clock = waiting.SystemClock()
    session_ = identity.session_for(settings)
    volumes = client.CinderClient(settings, session_)
    mounts_ = mounts.Mounts(
        settings.mount_point_base, brick.NfsMounter(settings.mount_point_base)
    )
    host = brick.Brick(settings.rootwrap_config)
    for export in mounts_.unmount_unused():
        LOG.info("%s had been left mounted; it is unmounted now", export)
    images = lifecycle.Lifecycle(
        store_id=settings.store_id,
        volume_type=settings.volume_type,
        volumes=volumes,
        attacher=session.Attacher(volumes, host, mounts_, clock),
        clock=clock,
        transition_timeout_s=settings.transition_timeout_s,
        attach_wait_s=settings.attach_wait_s,
        delete_wait_s=settings.delete_wait_s,
        thin_upload=settings.thin_upload,
    )

    def creator_for(requester: requester_.Requester) -> service.Creator:
        if not settings.owned_by_project:
            return volumes
        if not requester.token:
            LOG.warning("The request has no token: the store creates its volume")
            return volumes
        return creating.ForRequester(
            client.CinderClient(settings, session_, requester),
            volumes,
            clock,
            settings.transition_timeout_s,
        )

    return Backend(settings, images, ownership.Owners(settings, session_), creator_for)
