# SPDX-License-Identifier: Apache-2.0
"""Ask Glance for images, their names, and their locations."""

from collections.abc import Iterable
from collections.abc import Mapping
import functools
import re
from typing import Any
from urllib import parse

from keystoneauth1 import exceptions
from keystoneauth1.session import Session
from oslo_utils import uuidutils

from glance_ontap_store.errors import Reason
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey import keystone
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.image import Image
from glance_ontap_store.survey.image import ImageLocation

# The most that Glance shows at once by default (limit of glance-api.conf).
_PAGE = 1000
_NOBODY = Unknown(Reason.NOT_GIVEN, "there is no user to ask as")
_NOT_GLANCES = Unknown(Reason.BROKEN, "the answer is not one of Glance's")


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


def images(session: Session, settings: Settings) -> Answer[Mapping[str, Image]]:
    """Return all images that the user may see, by id; an administrator sees all.

    Hidden, deactivated, queued and other projects' images are among them, and deleted
    ones are not.
    """
    found = _images(session, settings, "visibility=all")
    if isinstance(found, Unknown):
        return found
    try:
        return {key: Image.parse(each) for key, each in found.items()}
    except (LookupError, TypeError, ValueError):
        return _NOT_GLANCES


def image(session: Session, settings: Settings, image_id: str) -> Answer[Image | None]:
    """Return one image as it is now; None if Glance says that there is none."""
    path = f"/v2/images/{parse.quote(image_id, safe='')}"
    try:
        return Image.parse(_page(session, settings, path))
    except exceptions.NotFound as error:
        # A proxy's 404 would mean nothing. Glance names the image.
        text = error.response.text if error.response is not None else ""
        return None if image_id in text else _NOT_GLANCES
    except exceptions.ClientException as error:
        return keystone.unknown(error)
    except (LookupError, TypeError, ValueError):
        return _NOT_GLANCES


def locations(
    session: Session, settings: Settings, image_id: str
) -> Answer[tuple[ImageLocation, ...]]:
    """Return the locations of one image, which Glance shows to services by default.

    Glance before 2025.1 does not have the request.
    """
    path = f"/v2/images/{parse.quote(image_id, safe='')}/locations"
    shown = _asked(session, settings, path)
    if isinstance(shown, Unknown):
        return shown
    try:
        return tuple(map(ImageLocation.parse, shown))
    except (LookupError, TypeError, ValueError):
        return _NOT_GLANCES


def first_locations(
    sessions: Iterable[Session], settings: Settings, image_id: str
) -> Answer[tuple[ImageLocation, ...]]:
    """Return the locations of one image, asked as the first user who may see them."""
    answer: Answer[tuple[ImageLocation, ...]] = _NOBODY
    for session in sessions:
        answer = locations(session, settings, image_id)
        if not isinstance(answer, Unknown):
            break
    return answer


def called(
    session: Session, settings: Settings, text: str
) -> Answer[tuple[Image, ...]]:
    """Return the images with this id or name that the user may see."""
    if uuidutils.is_uuid_like(text):
        found = image(session, settings, text)
        if isinstance(found, Unknown):
            return found
        if found is not None:
            return (found,)
    query = f"visibility=all&name={parse.quote(text, safe='')}"
    named = _images(session, settings, query)
    if isinstance(named, Unknown):
        return named
    try:
        parsed = (Image.parse(each) for each in named.values())
        # A list of names would be split at the commas.
        return tuple(each for each in parsed if each.name == text)
    except (LookupError, TypeError, ValueError):
        return _NOT_GLANCES


def members(
    session: Session, settings: Settings, image_id: str
) -> Answer[frozenset[str]]:
    """Return the ids of the projects that a shared image is shared with."""
    path = f"/v2/images/{parse.quote(image_id, safe='')}/members"
    shown = _asked(session, settings, path)
    if isinstance(shown, Unknown):
        return shown
    try:
        return frozenset(str(each["member_id"]) for each in shown["members"])
    except (LookupError, TypeError):
        return _NOT_GLANCES


def stores(session: Session, settings: Settings) -> Answer[frozenset[str]]:
    """Return the ids of the stores that Glance has."""
    path = "/v2/info/stores"
    shown = _asked(session, settings, path)
    if isinstance(shown, Unknown):
        return shown
    try:
        return frozenset(str(each["id"]) for each in shown["stores"])
    except (LookupError, TypeError):
        return _NOT_GLANCES


def _images(
    session: Session, settings: Settings, query: str
) -> Answer[dict[str, Mapping[str, Any]]]:
    """Return the images of a list of Glance, hidden ones too, by id."""
    found: dict[str, Mapping[str, Any]] = {}
    for hidden in ("false", "true"):
        path: str | None = f"/v2/images?{query}&os_hidden={hidden}&limit={_PAGE}"
        while path:
            page = _asked(session, settings, path)
            if isinstance(page, Unknown):
                return page
            try:
                found |= {image["id"]: image for image in page["images"]}
                path = page.get("next")
            except (LookupError, TypeError):
                return _NOT_GLANCES
    return found


def _asked(session: Session, settings: Settings, path: str) -> Answer[Any]:
    try:
        return keystone.asked(functools.partial(_page, session, settings, path))
    except ValueError:
        return _NOT_GLANCES


def _page(session: Session, settings: Settings, path: str) -> Any:
    endpoint = session.get_endpoint(
        service_type="image",
        interface=settings.catalog.interface,
        region_name=settings.region_name,
    )
    # Some catalogs have the version, some do not.
    base = re.sub(r"(/v2)?/*$", "", endpoint or "")
    answer = session.get(f"{base}{path}", headers={"Accept": "application/json"})
    return answer.json()
