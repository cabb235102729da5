# SPDX-License-Identifier: Apache-2.0
"""Ask Glance for images, their names, and their locations."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import functools
import re
from typing import Any
from typing import TypeAlias
from urllib import parse

from keystoneauth1 import exceptions
from keystoneauth1.session import Session
from oslo_utils import uuidutils

from glance_ontap_store.errors import Reason
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey import keystone
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import T
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.image import Image
from glance_ontap_store.survey.image import ImageLocation

Say: TypeAlias = Callable[[str], object]
# The most that Glance shows at once by default (limit of glance-api.conf).
_PAGE = 1000
# The images that every user may see who asks, but for hidden ones.
_ALL = "visibility=all"
# A policy may depend on the image, so that one refusal says little.
_MOST_REFUSALS = 3
_NOBODY = Unknown(Reason.NOT_GIVEN, "there is no user to ask as")
_NOT_GLANCES = Unknown(Reason.BROKEN, "the answer is not one of Glance's")


def raw_images(session: Session, settings: Settings) -> Answer[frozenset[str]]:
    """Return the ids of the images with ``disk_format`` raw that the user may see.

    An administrator sees all. The region and the kind of endpoint are the store's.
    """
    found = _images(session, settings, "disk_format=raw", bool)
    return found if isinstance(found, Unknown) else frozenset(found)


def names(
    session: Session, settings: Settings, say: Say = lambda _text: None
) -> Answer[Mapping[str, str]]:
    """Return the names of the images that the user may see, by id.

    An image without a name is left out. *say*: see `images`.
    """
    found = _images(session, settings, _ALL, lambda each: each.get("name"), say=say)
    if isinstance(found, Unknown):
        return found
    return {key: str(name) for key, name in found.items() if name}


def images(
    session: Session,
    settings: Settings,
    endpoint: str | None = None,
    say: Say = lambda _text: None,
) -> Answer[Mapping[str, Image]]:
    """Return all images that the user may see, by id; an administrator sees all.

    Hidden, deactivated, queued and other projects' images are among them, and deleted
    ones are not. *endpoint* is the URL of a glance-api; None for that in the catalog.
    *say* gets a line after each page of a long list.
    """
    return _images(session, settings, _ALL, Image.parse, endpoint, say)


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


class LocationUsers:
    """Asks for the locations of many images, as users of whom some may not see them.

    A user who was refused several times, and never answered, is not asked again: with
    a store's user for each of many stores, each image would need as many requests.
    """

    def __init__(self, sessions: Iterable[Session], settings: Settings) -> None:
        self._sessions = tuple(sessions)
        self._settings = settings
        # By the number of the session; none any more once it got an answer.
        self._refusals = [0] * len(self._sessions)
        self._answers: set[int] = set()
        self._last: Unknown = _NOBODY

    def locations(self, image_id: str) -> Answer[tuple[ImageLocation, ...]]:
        """Return the locations of one image, asked as the first user who sees them.

        Several threads may ask at once.
        """
        answer: Answer[tuple[ImageLocation, ...]] = self._last
        for number, session in enumerate(self._sessions):
            if self._is_refused(number):
                continue
            answer = locations(session, self._settings, image_id)
            if not isinstance(answer, Unknown):
                self._answers.add(number)
                return answer
            if answer.reason is Reason.FORBIDDEN:
                self._refusals[number] += 1
                self._last = answer
        return answer

    def _is_refused(self, number: int) -> bool:
        refusals = self._refusals[number]
        return number not in self._answers and refusals >= _MOST_REFUSALS


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
    query = f"{_ALL}&name={parse.quote(text, safe='')}"
    named = _images(session, settings, query, Image.parse)
    if isinstance(named, Unknown):
        return named
    # A list of names would be split at the commas.
    return tuple(each for each in named.values() if each.name == text)


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
    session: Session,
    settings: Settings,
    query: str,
    of: Callable[[Mapping[str, Any]], T],
    endpoint: str | None = None,
    say: Say = lambda _text: None,
) -> Answer[dict[str, T]]:
    """Return *of* each image of a list of Glance, hidden ones too, by its id.

    No more than a page of what Glance shows exists at a time.
    """
    found: dict[str, T] = {}
    for hidden in ("false", "true"):
        path: str | None = f"/v2/images?{query}&os_hidden={hidden}&limit={_PAGE}"
        while path:
            page = _asked(session, settings, path, endpoint)
            if isinstance(page, Unknown):
                return page
            try:
                found |= {image["id"]: of(image) for image in page["images"]}
                path = page.get("next")
            except (AttributeError, LookupError, TypeError, ValueError):
                return _NOT_GLANCES
            if path:
                say(f"Listing images: {len(found)} so far ...")
    return found


def _asked(
    session: Session, settings: Settings, path: str, endpoint: str | None = None
) -> Answer[Any]:
    try:
        return keystone.asked(
            functools.partial(_page, session, settings, path, endpoint)
        )
    except ValueError:
        return _NOT_GLANCES


def _page(
    session: Session, settings: Settings, path: str, endpoint: str | None = None
) -> Any:
    endpoint = endpoint or session.get_endpoint(
        service_type="image",
        interface=settings.catalog.interface,
        region_name=settings.region_name,
    )
    # Some catalogs have the version, some do not.
    base = re.sub(r"(/v2)?/*$", "", endpoint or "")
    answer = session.get(f"{base}{path}", headers={"Accept": "application/json"})
    return answer.json()
