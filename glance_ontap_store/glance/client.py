# SPDX-License-Identifier: Apache-2.0
"""Ask Glance for images and their locations, and have it copy and remove them."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import functools
import re
from typing import Any

from keystoneauth1 import exceptions
from keystoneauth1.session import Session

from glance_ontap_store.errors import Reason
from glance_ontap_store.glance.image import Image
from glance_ontap_store.glance.image import Place
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey import keystone
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import T
from glance_ontap_store.survey.answer import Unknown

# The most that Glance shows at once by default (limit of glance-api.conf).
_PAGE = 1000
_PATCH = "application/openstack-images-v2.1-json-patch"
_LOCATIONS = (
    "by its policy fetch_image_location (see the page on locations), and neither"
    " show_multiple_locations nor show_image_direct_url is on"
)


class Glance:
    """The Glance of a cloud, as an administrator.

    *session* is the administrator's. *vouching* is a store's, whose user may have the
    role ``service``, which Glance's policy asks for where it tells locations.
    *endpoint* is the URL of a glance-api; None for the one in the catalog.
    """

    def __init__(
        self,
        session: Session,
        settings: Settings,
        vouching: Session,
        endpoint: str | None = None,
    ) -> None:
        self._session = session
        self._settings = settings
        self._vouching = vouching
        self._endpoint = endpoint

    def images(self) -> Answer[dict[str, Image]]:
        """Return all images, hidden ones too, by their ids."""
        found: dict[str, Image] = {}
        for hidden in ("false", "true"):
            path: str | None = (
                f"/v2/images?visibility=all&os_hidden={hidden}&limit={_PAGE}"
            )
            while path:
                page = self._asked(functools.partial(self._get, path))
                if isinstance(page, Unknown):
                    return page
                found |= {each["id"]: image(each) for each in page["images"]}
                path = page.get("next")
        return found

    def image(self, image_id: str) -> Answer[Image]:
        """Return the image.

        Glance writes the store of a location anew here, if the store that it names is
        not enabled and another one says that the image-volume is its own.
        """
        return self._asked(lambda: image(self._get(f"/v2/images/{image_id}")), image_id)

    def places(self, image_id: str) -> Answer[tuple[Place, ...]]:
        """Return the image's locations, in Glance's order.

        An older Glance, or one whose policy does not tell, may show them in the image.
        """

        def ask() -> tuple[Place, ...]:
            token = self._vouching.get_token() or ""
            path = f"/v2/images/{image_id}/locations"
            return _places(self._get(path, {"X-Service-Token": token}))

        found = self._asked(ask, image_id)
        if not isinstance(found, Unknown):
            return found
        shown = self._asked(lambda: self._get(f"/v2/images/{image_id}"), image_id)
        if isinstance(shown, Unknown):
            return shown
        if isinstance(shown.get("locations"), list):
            return _places(shown["locations"])
        if "direct_url" in shown:
            return (Place(shown["direct_url"]),)
        return Unknown(found.reason, f"{found.text}; {_LOCATIONS}")

    def begin_copy(self, image_id: str, store_id: str) -> Answer[None]:
        """Begin to copy the image to a store."""
        body = {
            "method": {"name": "copy-image"},
            "stores": [store_id],
            "all_stores_must_succeed": True,
        }
        return self._asked(
            lambda: self._send("POST", f"/v2/images/{image_id}/import", body), image_id
        )

    def add_location(self, image_id: str, url: str, store_id: str) -> Answer[None]:
        """Add a location to an image that is active.

        The glance-api has to show locations (``show_multiple_locations``), and asks
        the store for the size. `Unknown` may leave it added: its answer may be lost.
        """
        value = {"url": url, "metadata": {"store": store_id}}
        body = [{"op": "add", "path": "/locations/-", "value": value}]
        return self._asked(
            lambda: self._send(
                "PATCH", f"/v2/images/{image_id}", body, {"Content-Type": _PATCH}
            ),
            image_id,
        )

    def remove(self, image_id: str, store_id: str) -> Answer[None]:
        """Remove the image from one of several stores that have it.

        Glance deletes the image-volume that the location names. `Reason.CONFLICT`:
        somebody reads it.
        """
        path = f"/v2/stores/{store_id}/{image_id}"
        return self._asked(lambda: self._send("DELETE", path), image_id)

    def _get(self, path: str, headers: Mapping[str, str] | None = None) -> Any:
        return self._session.get(
            f"{self._base()}{path}",
            headers={"Accept": "application/json", **(headers or {})},
        ).json()

    def _send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._session.request(
            f"{self._base()}{path}", method, json=body, headers=dict(headers or {})
        )

    def _base(self) -> str:
        endpoint = self._endpoint or self._session.get_endpoint(
            service_type="image",
            interface=self._settings.catalog.interface,
            region_name=self._settings.region_name,
        )
        # Some catalogs have the version, some do not.
        return re.sub(r"(/v2)?/*$", "", endpoint or "")

    @staticmethod
    def _asked(question: Callable[[], T], image_id: str = "") -> Answer[T]:
        """Return the answer; a 404 counts only if it names the image *image_id*.

        That of a proxy means nothing, and one of Glance names it.
        """

        def ask() -> Answer[T]:
            try:
                return question()
            except (exceptions.NotFound, exceptions.Gone) as error:
                said = error.response.text if error.response is not None else ""
                is_glances = bool(image_id) and image_id in said
                reason = Reason.MISSING if is_glances else Reason.BROKEN
                return Unknown(reason, str(error))
            except exceptions.Conflict as error:
                return Unknown(Reason.CONFLICT, str(error))

        try:
            return keystone.asked(ask)
        except (LookupError, TypeError, ValueError, AttributeError):
            return Unknown(Reason.BROKEN, "the answer is not one of Glance's")


def image(shown: Mapping[str, Any]) -> Image:
    """Return the value of an image in an answer of Glance."""
    return Image(
        id=shown["id"],
        status=shown["status"],
        name=shown.get("name"),
        size=shown.get("size"),
        owner=shown.get("owner"),
        disk_format=shown.get("disk_format"),
        checksum=shown.get("checksum"),
        hash_algo=shown.get("os_hash_algo"),
        hash_value=shown.get("os_hash_value"),
        stores=_names(shown.get("stores")),
        coming=_names(shown.get("os_glance_importing_to_stores")),
        is_importing="os_glance_import_task" in shown,
    )


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name for name in (text or "").split(",") if name)


def _places(shown: Sequence[Mapping[str, Any]]) -> tuple[Place, ...]:
    return tuple(
        Place(each["url"], (each.get("metadata") or {}).get("store")) for each in shown
    )
