# SPDX-License-Identifier: Apache-2.0
"""Whose an image is, where the requester's project does not say it."""

import dataclasses
import re

from keystoneauth1 import exceptions
from keystoneauth1 import session as keystone_session
from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store import identity
from glance_ontap_store.images.record import Record
from glance_ontap_store.requester import Requester
from glance_ontap_store.settings import Settings

LOG = logging.getLogger(__name__)

# Glance may be asked by one of its own threads while all others are busy in the
# same way: then nobody answers, and the wait must end by itself.
TIMEOUT_S = 5


class Owners:
    """Asks Glance's API, with the requester's token.

    The contract of `add` has the image's id and no owner. Glance lets its users
    upload into images of their own project alone, so only administrators and
    services, and Glance's own copies (whose context is elevated), are worth the
    question.
    """

    def __init__(self, settings: Settings, session: keystone_session.Session) -> None:
        self._settings = settings
        self._session = session

    def owner_of(self, image_id: str, requester: Requester) -> str | None:
        """The project that owns the image; the requester's where that is sure.

        Where Glance does not tell, it is the requester's too, with a warning.
        """
        if not requester.is_trusted:
            return requester.project_id
        try:
            return self.ask(image_id, requester)
        except errors.StoreError as error:
            LOG.warning(
                "Image %s is taken as owned by project %s, which uploads it: %s If it"
                " is another's, its volumes are downloads for all other projects:"
                " set image_owner in the metadata of the image-volume.",
                image_id,
                requester.project_id,
                error,
            )
            return requester.project_id

    def may_delete(self, record: Record, requester: Requester) -> bool:
        """Whether the image-volume's image is the requester's, or it may do anything.

        The store is not told which image is being deleted: a location that got into
        another image must not take the volume along. Where the metadata names
        another project, an administrator may have given the image away since then:
        Glance knows.
        """
        if requester.is_trusted or record.owner in (None, requester.project_id):
            return True
        if record.image_id is None:
            return False
        try:
            return self.ask(record.image_id, requester) == requester.project_id
        except errors.StoreError as error:
            LOG.info("Project %s: %s", requester.project_id, error)
            return False

    def ask(self, image_id: str, requester: Requester) -> str | None:
        """What Glance says, within `TIMEOUT_S` seconds.

        :raises errors.Refused: it shows the requester no such image
        :raises errors.Broken: it does not answer, or nothing sensible
        :raises errors.Misconfigured: it is not in the catalog
        """
        if not requester.token:
            raise errors.Refused("The request has no token to ask Glance with.")
        endpoint = identity.endpoint_of(
            requester,
            dataclasses.replace(
                self._settings.catalog, service_type="image", service_name=None
            ),
            self._settings.region_name,
        )
        # Some catalogs have the version, some do not.
        base = re.sub(r"(/v2)?/*$", "", endpoint)
        try:
            answer = self._session.get(
                f"{base}/v2/images/{image_id}",
                auth=identity.acting_for(requester, endpoint, self._session),
                timeout=TIMEOUT_S,
                connect_retries=0,
            )
            owner = answer.json()["owner"]
        except exceptions.HTTPClientError as error:
            raise errors.Refused(
                f"Glance does not tell who owns image {image_id}: {error}."
            ) from error
        except (
            exceptions.ClientException,
            ValueError,
            LookupError,
            TypeError,
        ) as error:
            raise errors.Broken(
                f"No answer from Glance about image {image_id}: {error!r}."
            ) from error
        return None if owner is None else str(owner)
