# SPDX-License-Identifier: Apache-2.0
"""Ask Cinder, Glance and this host how Cinder would make volumes from images.

An administrator asks. A question that decides little and gets no answer is an
`Unknown`; without the pools, the volume types or the image there is nothing to say.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent import futures
import contextlib
import os
import stat
from typing import Any
from typing import TypeAlias

from keystoneauth1.session import Session

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.errors import Reason
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey import answer
from glance_ontap_store.survey import facts
from glance_ontap_store.survey import gather
from glance_ontap_store.survey import glance
from glance_ontap_store.survey import keystone
from glance_ontap_store.survey import listing
from glance_ontap_store.survey import process_setup
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.cinder import CinderSurvey
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.facts import StoreConfig
from glance_ontap_store.survey.image import Image
from glance_ontap_store.survey.image import volumes_in
from glance_ontap_store.survey.placement_facts import CloudFacts
from glance_ontap_store.survey.placement_facts import ImageFacts
from glance_ontap_store.survey.placement_facts import Request
from glance_ontap_store.survey.remains import CACHE_FILE

# Images that are asked about at the same time, and those whose facts exist at a time.
_AT_ONCE = 8
_AHEAD = 200
# The files that count: the driver's copies of images, and image-volumes.
_FILES = (CACHE_FILE, "volume-")

Mounted: TypeAlias = Callable[
    [GlanceConfig, Settings, str], contextlib.AbstractContextManager[str]
]


class PlacementGatherer:
    """Gathers the facts with the session of an administrator.

    *stores* are those of Glance's configuration with valid options; the first one
    tells the region and the endpoints. *mounted* mounts an export for a while. *say*
    gets lines about the progress of long lists.

    :raises errors.Misconfigured: no store has valid options, or *admin* is not an
        administrator
    :raises errors.Broken: the user of *admin* cannot log in
    """

    def __init__(
        self,
        config: GlanceConfig,
        stores: Sequence[StoreConfig],
        admin: Session,
        mounted: Mounted = process_setup.mounted,
        say: Callable[[str], object] = lambda _text: None,
    ) -> None:
        self._config = config
        self._mounted = mounted
        self._stores = {
            each.id: each.settings for each in stores if each.settings is not None
        }
        if not self._stores:
            raise errors.Misconfigured(
                "No store has valid options. Try: glance-ontap check."
            )
        if not listing.is_admin(admin):
            raise errors.Misconfigured(
                "The credentials of --os-cloud or OS_* lack role admin, and Cinder"
                " shows pools to administrators only."
            )
        self._admin = admin
        self._settings = next(iter(self._stores.values()))
        self._say = say
        self._cinder = CinderSurvey(self._settings, admin, say)
        sessions = map(keystone.session_of, self._near().values())
        self._locations = glance.LocationUsers([admin, *sessions], self._settings)
        # Volumes that were listed for all images at once; None: ask for each.
        self._named: Mapping[str, list[Volume]] | None = None
        self._volumes: dict[str, Volume] = {}

    def _near(self) -> dict[str, Settings]:
        """Return the stores in the same cloud and region as the first one."""

        def place(settings: Settings) -> tuple[str, str | None]:
            return settings.auth_url, settings.region_name

        here = place(self._settings)
        return {key: each for key, each in self._stores.items() if place(each) == here}

    # The facts that all images share.

    def cloud(
        self,
        cinder_conf: Answer[Any],
        release: int | None,
        with_files: bool,
        say: Callable[[str], object],
    ) -> CloudFacts:
        """Return them. With *with_files*, mount the FlexVols and look at them.

        *say* gets the reason why an export could not be looked at.

        :raises errors.Broken: Cinder tells no pools or no types
        """
        pools = answer.known(self._cinder.pools(), "its pools")
        files: dict[str, Answer[Mapping[str, int]]] = {}
        for export in _exports(pools) if with_files else ():
            files[export] = found = self._files(export)
            if isinstance(found, Unknown):
                say(f"Not looked at: {export}: {found.text}.")
        return CloudFacts(
            pools=pools,
            services=self._cinder.services(),
            glance=self._config,
            cinder=gather.cinder_config(cinder_conf),
            release=release,
            files=files,
            stores=self._stores_by_pool(pools),
        )

    def _stores_by_pool(self, pools: Sequence[Pool]) -> dict[str, str]:
        types = self.types()
        found: dict[str, str] = {}
        for store_id, settings in self._near().items():
            kind = facts.called(settings.volume_type, types)
            names = [pool.name for pool in pools if kind and kind.allows(pool)]
            if len(names) == 1:
                found.setdefault(names[0], store_id)
        return found

    def _files(self, export: str) -> Answer[Mapping[str, int]]:
        """Return the sizes in bytes of the files that count on an export."""
        try:
            with self._mounted(self._config, self._settings, export) as directory:
                return files_in(directory)
        except (errors.StoreError, OSError) as error:
            return Unknown(Reason.UNREADABLE, str(error))

    # The request.

    def types(self) -> tuple[VolumeType, ...]:
        """Return all volume types.

        :raises errors.Broken: Cinder does not tell them
        """
        return answer.known(self._cinder.volume_types(), "its volume types")

    def request(
        self,
        project: str | None,
        size_gib: int | None,
        type_name: str | None,
        image: Image | None = None,
    ) -> Request:
        """Return the request for a volume.

        Without *type_name* it is the type that the *image* asks for, or the default of
        the project. Without an image it is any type that does not encrypt.

        :raises errors.Misconfigured: there is no such type
        :raises errors.Broken: Cinder does not tell the types
        """
        if image is not None and type_name is None:
            type_name = image.volume_type or self._default_type(project)
        if type_name is None:
            return Request(project, None, size_gib)
        types = self.types()
        kind = facts.called(type_name, types)
        if kind is None:
            names = ", ".join(sorted(each.name for each in types))
            raise errors.Misconfigured(
                f"Cinder has no volume type {type_name!r}. It has: {names}."
            )
        return Request(project, kind, size_gib, self._cinder.encrypts(kind.id))

    def _default_type(self, project: str | None) -> str:
        """Return the name or id of the type of a volume that asks for none."""
        defaults = self._cinder.default_types()
        login = keystone.login(self._admin)
        if isinstance(defaults, Unknown) or isinstance(login, Unknown):
            raise errors.Misconfigured(
                "Cinder does not tell the default volume types of projects. Give a"
                " type: --volume-type TYPE."
            )
        if project is not None and project in defaults:
            return defaults[project]
        if login.project_id in defaults:
            raise errors.Misconfigured(
                "The administrator's project has a default volume type of its own, so"
                " that Cinder does not tell that of others. Give a type: --volume-type"
                " TYPE."
            )
        return answer.known(self._cinder.default_type(), "its default volume type")

    # The images.

    def image(self, text: str) -> Image:
        """Return the image with this id or name.

        :raises errors.Misconfigured: there is none, or more than one
        :raises errors.Broken: Glance does not tell
        """
        found = glance.called(self._admin, self._settings, text)
        images = answer.known(found, "the image", "Glance")
        if not images:
            raise errors.Misconfigured(f"Glance has no image {text!r}.")
        if len(images) > 1:
            ids = ", ".join(sorted(each.id for each in images))
            raise errors.Misconfigured(f"Several images are called {text!r}: {ids}.")
        return images[0]

    def images(self) -> list[Image]:
        """Return all active images, by their names.

        :raises errors.Broken: Glance does not tell them
        """
        found = answer.known(
            glance.images(self._admin, self._settings, say=self._say),
            "images",
            "Glance",
        )
        active = [each for each in found.values() if each.status == "active"]
        return sorted(active, key=lambda each: (each.name or "", each.id))

    def facts_of_all(
        self, images: Sequence[Image], project: str | None
    ) -> Iterator[ImageFacts]:
        """Yield the facts about many images; without *project*, for their owners."""
        listed = self._cinder.volumes(**{"all_tenants": 1, "name~": "image-"})
        if not isinstance(listed, Unknown):
            self._volumes = {each.id: each for each in listed}
            self._named = {}
            for each in listed:
                self._named.setdefault(each.name or "", []).append(each)
        with futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            for begin in range(0, len(images), _AHEAD):
                if begin:
                    self._say(f"Asking for locations: {begin} of {len(images)} ...")
                yield from pool.map(
                    lambda each: self.facts(each, project or each.owner),
                    images[begin : begin + _AHEAD],
                )

    def facts(self, image: Image, project: str | None) -> ImageFacts:
        """Return the facts about one image, for a volume in *project*."""
        places: Answer[tuple[Any, ...]] | None = image.locations
        if places is None:
            places = self._locations.locations(image.id)
        named = self._called(f"image-{image.id}")
        ids = volumes_in([image.direct_url] if image.direct_url else [])
        if not isinstance(places, Unknown):
            ids |= volumes_in(each.url for each in places)
        elif not isinstance(named, Unknown):
            ids |= {each.id for each in named if _is_sealed(each)}
        cached = named
        if not isinstance(named, Unknown):
            cached = tuple(
                each for each in named if each.id not in ids and not _is_ours(each)
            )
        is_member = image.visibility != "shared" or image.owner == project
        return ImageFacts(
            image=image,
            locations=places,
            volumes={volume_id: self._volume(volume_id) for volume_id in ids},
            members=frozenset()
            if is_member
            else glance.members(self._admin, self._settings, image.id),
            cached=cached,
        )

    def _called(self, name: str) -> Answer[tuple[Volume, ...]]:
        if self._named is not None:
            return tuple(self._named.get(name, ()))
        return self._cinder.volumes(all_tenants=1, name=name)

    def _volume(self, volume_id: str) -> Answer[Volume | None]:
        if volume_id in self._volumes:
            return self._volumes[volume_id]
        found = self._cinder.volume(volume_id)
        if isinstance(found, Unknown) and found.reason is Reason.MISSING:
            return None
        return found


def files_in(directory: str) -> dict[str, int]:
    """Return the sizes in bytes of the files in a FlexVol's root that count, by name.

    :raises OSError: it cannot be read
    """
    found = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(_FILES):
                # Cinder may remove it meanwhile.
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        found[entry.name] = status.st_size
    return found


def _exports(pools: Iterable[Pool]) -> list[str]:
    """Return the exports of the FlexVols and FlexGroups among the pools."""
    names = (pool.pool_name for pool in pools if pool.is_ontap_nfs)
    return list(dict.fromkeys(filter(None, names)))


def _is_ours(volume: Volume) -> bool:
    """Return whether a store made the volume; Cinder's cache makes others."""
    return Record.parse(volume.metadata).is_by_this_store


def _is_sealed(volume: Volume) -> bool:
    return Record.parse(volume.metadata).state is State.SEALED
