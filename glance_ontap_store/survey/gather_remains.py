# SPDX-License-Identifier: Apache-2.0
"""Ask Cinder, Glance and this host for the facts by which leftovers are found.

Volumes are listed before images: an image that is made meanwhile is seen then, and its
new volume is not.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
from typing import TypeAlias

from keystoneauth1.session import Session

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import AttachmentState
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.errors import Reason
from glance_ontap_store.images.record import Record
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.liveness.processes import Fate
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey import glance
from glance_ontap_store.survey import listing
from glance_ontap_store.survey import local_remains
from glance_ontap_store.survey import remains
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.facts import StoreConfig
from glance_ontap_store.survey.image import Image
from glance_ontap_store.survey.image import volumes_in
from glance_ontap_store.survey.listing import StoreVolumes
from glance_ontap_store.survey.local_remains import Owners
from glance_ontap_store.survey.remains import Held
from glance_ontap_store.survey.remains import Hold
from glance_ontap_store.survey.remains import Remains
from glance_ontap_store.survey.remains import StoreRemains

# The statuses of attachments that a volume in an answer does not show.
_UNSHOWN = ("reserved", "attaching", "detaching")
# Attachments by the id of their volume.
_States: TypeAlias = Mapping[str, Sequence[AttachmentState]]
# Requests after which the progress is told.
_SOME = 100
# A reader connects within this time after its reservation, or finds it taken back.
RESERVED_GRACE_S = 5.0

_NOT_ADMIN = Unknown(Reason.NOT_GIVEN, "it needs an administrator's credentials")


@dataclasses.dataclass(frozen=True)
class Gathered:
    """The facts, and the stores that were asked for them."""

    remains: Remains
    stores: tuple[StoreVolumes, ...]


class Gatherer:
    """Gathers the facts about stores; *admin* is an administrator's session, or None.

    *say* gets lines about the progress.

    :raises errors.Broken: the user of *admin* cannot log in
    """

    def __init__(
        self,
        config: GlanceConfig,
        admin: Session | None,
        clock: Clock,
        say: Callable[[str], object],
    ) -> None:
        self._config = config
        self._clock = clock
        self._say = say
        self._admin = admin if admin is not None and listing.is_admin(admin) else None

    @property
    def is_admin(self) -> bool:
        """Return whether an administrator asks."""
        return self._admin is not None

    def gather(self, stores: Sequence[StoreConfig], with_files: bool) -> Gathered:
        """Return all facts. With *with_files*, mount the FlexVols and look at them.

        :raises errors.Misconfigured: a store's options are wrong
        :raises errors.Broken: the volumes of a store could not be listed
        """
        self._say("Listing volumes ...")
        found = tuple(listing.volumes(stores, self._admin, self._say))
        seen_at = self._clock.monotonic()
        unshown = self._unshown(found)
        caches = self._cache_volumes(found)
        self._say("Listing images ...")
        images = self._images(found)
        owners = local_remains.owners(each.settings for each in found)
        held = {
            each.store.id: _held(each.volumes, unshown[each.store.id], owners)
            for each in found
        }
        twice = self._seen_twice(found, held, seen_at)
        known = self._stores_of_glance(found)
        facts = Remains(
            now=datetime.datetime.now(datetime.timezone.utc),
            stores=tuple(
                StoreRemains(
                    each.store.id,
                    held[each.store.id],
                    twice,
                    known if isinstance(known, Unknown) else each.store.id in known,
                )
                for each in found
            ),
            fates=owners.fates(_marks(held.values())),
            images=images,
            delays_deletion=self._config.delays_deletion,
            cache_volumes=caches,
        )
        facts = self._with_urls(facts, found)
        return Gathered(self._with_host(facts, found, with_files), found)

    def with_images(self, facts: Remains, stores: Sequence[StoreVolumes]) -> Remains:
        """Return the facts with the images, and their locations, as they are now."""
        facts = dataclasses.replace(facts, images=self._images(stores))
        return self._with_urls(facts, stores)

    def _unshown(self, stores: Iterable[StoreVolumes]) -> Mapping[str, _States]:
        """Return each store's attachments in a status that no volume shows.

        :raises errors.Broken: they cannot be listed
        """
        lists: dict[object, _States] = {}
        found = {}
        for store in stores:
            settings = store.settings
            # An administrator's list is the same for all stores of one Cinder.
            key: object = (settings.auth_url, settings.region_name, settings.catalog)
            key = key if store.is_complete else store.store.id
            if key not in lists:
                lists[key] = _by_volume(_unshown(store))
            found[store.store.id] = lists[key]
        return found

    def _seen_twice(
        self,
        stores: Iterable[StoreVolumes],
        held: Mapping[str, tuple[Held, ...]],
        seen_at: float,
    ) -> frozenset[str]:
        """Return the reservations that are still there after `RESERVED_GRACE_S`."""
        reserved = {
            hold.id
            for volumes in held.values()
            for each in volumes
            for hold in each.holds
            if hold.status == "reserved" and hold.mark is None
        }
        if not reserved:
            return frozenset()
        self._say("Looking at reservations a second time ...")
        left = seen_at + RESERVED_GRACE_S - self._clock.monotonic()
        if left > 0:
            self._clock.sleep(left)
        still = {
            state.id
            for volumes in self._unshown(stores).values()
            for states in volumes.values()
            for state in states
            if state.status == "reserved"
        }
        return frozenset(reserved & still)

    def _images(self, stores: Sequence[StoreVolumes]) -> Answer[Mapping[str, Image]]:
        if self._admin is None:
            return _NOT_ADMIN
        return glance.images(self._admin, stores[0].settings, say=self._say)

    def _stores_of_glance(
        self, stores: Sequence[StoreVolumes]
    ) -> Answer[frozenset[str]]:
        if self._admin is None:
            return _NOT_ADMIN
        return glance.stores(self._admin, stores[0].settings)

    def _with_urls(self, facts: Remains, stores: Sequence[StoreVolumes]) -> Remains:
        """Add the locations of the images that may use a volume without an image."""
        asked = [each.id for each in remains.rivals(facts) if each.urls is None]
        return dataclasses.replace(facts, urls=self._urls(asked, stores))

    def _urls(
        self, image_ids: Sequence[str], stores: Sequence[StoreVolumes]
    ) -> dict[str, Answer[tuple[str, ...]]]:
        """Return images' locations; Glance shows them to services, if to anybody."""
        sessions = [each.session for each in stores]
        sessions = [self._admin, *sessions] if self._admin else sessions
        users = glance.LocationUsers(sessions, stores[0].settings)
        urls: dict[str, Answer[tuple[str, ...]]] = {}
        for number, image_id in enumerate(image_ids, 1):
            found = users.locations(image_id)
            urls[image_id] = (
                found
                if isinstance(found, Unknown)
                else tuple(each.url for each in found)
            )
            if number % _SOME == 0:
                self._say(f"Asking for locations: {number} of {len(image_ids)} ...")
        return urls

    def with_unlisted(
        self, gathered: Gathered, wanted: Iterable[tuple[StoreRemains, Image]]
    ) -> Remains:
        """Return the facts with the locations of *wanted*, and the volumes there."""
        facts = gathered.remains
        wanted = tuple(wanted)
        urls = {**facts.urls, **{each.id: each.urls for _, each in wanted if each.urls}}
        asked = dict.fromkeys(each.id for _, each in wanted if not each.urls)
        urls |= self._urls(tuple(asked), gathered.stores)
        added: dict[str, list[Held]] = {}
        stores_of = {each.store.id: each for each in gathered.stores}
        for number, (store, image) in enumerate(wanted, 1):
            if number % _SOME == 0:
                self._say(f"Asking for volumes: {number} of {len(wanted)} ...")
            found = urls[image.id]
            if isinstance(found, Unknown):
                continue
            for volume_id in volumes_in(found):
                volume = stores_of[store.store_id].cinder.volume(volume_id)
                if not isinstance(volume, Unknown):
                    added.setdefault(store.store_id, []).append(Held(volume))
        stores = tuple(
            dataclasses.replace(
                each, volumes=(*each.volumes, *added.get(each.store_id, ()))
            )
            for each in facts.stores
        )
        return dataclasses.replace(facts, urls=urls, stores=stores)

    def pools(self, stores: Sequence[StoreVolumes]) -> Answer[frozenset[str]]:
        """Return the names of all pools of Cinder."""
        if self._admin is None:
            return _NOT_ADMIN
        found = stores[0].cinder.pools()
        if isinstance(found, Unknown):
            return found
        return frozenset(each.name for each in found)

    def image(self, image_id: str, settings: Settings) -> Answer[Image | None]:
        """Return an image as it is now; None if Glance does not have it."""
        if self._admin is None:
            return _NOT_ADMIN
        return glance.image(self._admin, settings, image_id)

    def _cache_volumes(
        self, stores: Sequence[StoreVolumes]
    ) -> Answer[tuple[Volume, ...]]:
        if self._admin is None:
            return _NOT_ADMIN
        found = stores[0].cinder.volumes(**{"all_tenants": 1, "name~": "image-"})
        if isinstance(found, Unknown):
            return found
        # Those of our stores have such names too, and are no longer needed.
        return tuple(
            each for each in found if not Record.parse(each.metadata).is_by_this_store
        )

    def _with_host(
        self, facts: Remains, stores: Sequence[StoreVolumes], with_files: bool
    ) -> Remains:
        settings = [each.settings for each in stores]
        files: Answer[tuple[remains.CacheFile, ...]] = Unknown(
            Reason.NOT_GIVEN, "it needs --files"
        )
        if with_files:
            self._say("Looking at the files on the FlexVols ...")
            files = local_remains.cache_files(self._config, stores)
        return dataclasses.replace(
            facts,
            mounts=local_remains.mounts(settings),
            processes=local_remains.dead_processes(settings),
            cache_files=files,
        )


def _unshown(store: StoreVolumes) -> tuple[AttachmentState, ...]:
    found: list[AttachmentState] = []
    everywhere = {"all_tenants": 1} if store.is_complete else {}
    for status in _UNSHOWN:
        # Cinder allows the filter "status" too, and finds nothing by it.
        answer = store.cinder.attachments(attach_status=status, **everywhere)
        if isinstance(answer, Unknown):
            raise errors.Broken(
                f"The attachments of store {store.store.id!r} cannot be listed:"
                f" {answer.text}. Try: glance-ontap check."
            )
        found += answer
    return tuple(found)


def held_now(
    store: StoreVolumes, volume: Volume, states: Iterable[AttachmentState]
) -> tuple[Held, Mapping[Mark, Fate]]:
    """Return one volume with its attachments, and what is known of their makers."""
    owners = local_remains.owners([store.settings])
    (held,) = _held([volume], _by_volume(states), owners)
    return held, owners.fates(_marks([[held]]))


def _held(
    volumes: Iterable[Volume], unshown: _States, owners: Owners
) -> tuple[Held, ...]:
    """Return the volumes with their attachments."""
    return tuple(
        Held(volume, _holds(volume, unshown.get(volume.id, ()), owners))
        for volume in volumes
    )


def _by_volume(states: Iterable[AttachmentState]) -> _States:
    found: dict[str, list[AttachmentState]] = {}
    for state in states:
        found.setdefault(state.volume_id, []).append(state)
    return found


def _holds(
    volume: Volume, states: Iterable[AttachmentState], owners: Owners
) -> tuple[Hold, ...]:
    found = {
        shown.id: Hold(
            id=shown.id,
            volume_id=volume.id,
            status="attached",
            mark=Mark.of_device(shown.device) or owners.owner(shown.id, volume.id),
            host=shown.host_name,
            since=remains.time_of(shown.attached_at),
            instance=shown.server_id,
        )
        for shown in volume.attachments
    }
    for state in states:
        made = Hold(
            id=state.id,
            volume_id=volume.id,
            status=state.status,
            mark=owners.owner(state.id, volume.id),
            instance=state.instance,
        )
        # A list shows less of a complete one than its volume does.
        found.setdefault(state.id, made)
    return tuple(found.values())


def _marks(held: Iterable[Iterable[Held]]) -> frozenset[Mark]:
    """Return every mark of a process on volumes and attachments."""
    found: set[Mark] = set()
    for volumes in held:
        for each in volumes:
            mark = Mark.parse(each.record.lock)
            found |= {mark} if mark else set()
            found |= {hold.mark for hold in each.holds if hold.mark}
    return frozenset(found)
