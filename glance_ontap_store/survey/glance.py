# SPDX-License-Identifier: Apache-2.0
"""Ask Glance for the names of images, and which of them it calls raw."""

from collections.abc import Mapping
import functools
import re
from typing import Any

from keystoneauth1.session import Session

from glance_ontap_store.errors import Reason
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey import keystone
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown

# The most that Glance shows at once by default (limit of glance-api.conf).
_PAGE = 1000


def raw_images(session: Session, settings: Settings) -> Answer[frozenset[str]]:
    """Return the ids of the images with ``disk_format`` raw that the user may see.

    An administrator sees all. The region and the kind of endpoint are the store's.
    """
    found = _images(session, settings, "disk_format=raw")
    return found if isinstance(found, Unknown) else frozenset(found)


def names(session: Session, settings: Settings) -> Answer[Mapping[str, str]]:
    """Return the names of the images that the user may see, by id.

    An image without a name is left out.
    """
    found = _images(session, settings, "visibility=all")
    if isinstance(found, Unknown):
        return found
    return {key: str(each["name"]) for key, each in found.items() if each.get("name")}


def _images(
    session: Session, settings: Settings, query: str
) -> Answer[dict[str, Mapping[str, Any]]]:
    """Return the images of a list of Glance, hidden ones too, by id."""
    found: dict[str, Mapping[str, Any]] = {}
    for hidden in ("false", "true"):
        path: str | None = f"/v2/images?{query}&os_hidden={hidden}&limit={_PAGE}"
        while path:
            page = keystone.asked(functools.partial(_page, session, settings, path))
            if isinstance(page, Unknown):
                return page
            try:
                found |= {image["id"]: image for image in page["images"]}
                path = page.get("next")
            except (LookupError, TypeError):
                return Unknown(Reason.BROKEN, "the answer is not one of Glance's")
    return found


def _page(session: Session, settings: Settings, path: str) -> Mapping[str, Any]:
    endpoint = session.get_endpoint(
        service_type="image",
        interface=settings.catalog.interface,
        region_name=settings.region_name,
    )
    # Some catalogs have the version, some do not.
    base = re.sub(r"(/v2)?/*$", "", endpoint or "")
    answer = session.get(f"{base}{path}", headers={"Accept": "application/json"})
    page: Mapping[str, Any] = answer.json()
    return page
