# SPDX-License-Identifier: Apache-2.0
"""Finds the owner of an image, when it may not be the requester's project."""

import dataclasses
import re
from urllib import parse

from keystoneauth1 import exceptions
from keystoneauth1.session import Session
from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store import identity
from glance_ontap_store.images import access
from glance_ontap_store.images.access import Verdict
from glance_ontap_store.images.record import Record
from glance_ontap_store.requester import Requester
from glance_ontap_store.settings import Settings

LOG = logging.getLogger(__name__)

# Glance may be asked by one of its own threads while all others are busy in the
# same way: then the request is not answered, and the wait must end by itself.
TIMEOUT_S = 5


class Owners:
    """Asks Glance's API, with the requester's token.

    `add` gets the image's id and no owner. Glance lets its users upload into images
    of their own project alone, so it is asked for administrators and services, and
    for its own copies, whose context is elevated.
    """

    def __init__(self, settings: Settings, session: Session) -> None:
        self._settings = settings
        self._session = session

    def owner_of(self, image_id: str, requester: Requester) -> str | None:
        """The project that owns the image: the requester's, where that is certain.

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

    def check_may_delete(
        self, volume_id: str, record: Record, requester: Requester
    ) -> None:
        """Refuse a deletion that `access.may_delete` does not permit.

        :raises errors.Refused: the image is another project's, or Glance does not
            tell whose it is
        """
        verdict = access.may_delete(record, requester)
        if verdict is Verdict.ASK_GLANCE:
            verdict = self._verdict_of_glance(record, requester)
        if verdict is not Verdict.YES:
            raise access.refusal(volume_id)

    def _verdict_of_glance(self, record: Record, requester: Requester) -> Verdict:
        try:
            owner = self.ask(record.image_id or "", requester)
        except errors.StoreError as error:
            LOG.info("Project %s: %s", requester.project_id, error)
            return Verdict.NO
        return Verdict.YES if owner == requester.project_id else Verdict.NO

    def ask(self, image_id: str, requester: Requester) -> str | None:
        """The project that owns the image, as Glance says within `TIMEOUT_S` seconds.

        :raises errors.Refused: Glance does not show the image to the requester
        :raises errors.Broken: Glance does not answer, or its answer makes no sense
        :raises errors.Misconfigured: Glance is not in the service catalog
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
                f"{base}/v2/images/{parse.quote(image_id, safe='')}",
                auth=identity.acting_for(requester, endpoint, self._session),
                timeout=TIMEOUT_S,
                connect_retries=0,
            )
            owner = answer.json()["owner"]
        except exceptions.HTTPClientError as error:
            raise errors.Refused(
                f"Glance does not tell who owns image {image_id}: {error}. Check"
                " ontap_os_region_name and glance-api's log."
            ) from error
        except (
            exceptions.ClientException,
            ValueError,
            LookupError,
            TypeError,
        ) as error:
            raise errors.Broken(
                f"No answer from Glance about image {image_id}: {error!r}. Check"
                " ontap_os_region_name and glance-api's log."
            ) from error
        return None if owner is None else str(owner)
