# SPDX-License-Identifier: Apache-2.0
"""Ask Cinder and Glance for the facts of a plan, each list once."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime

from keystoneauth1.session import Session

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Room
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.images import access
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.replication import retiring
from glance_ontap_store.replication import rights
from glance_ontap_store.replication.facts import Copy
from glance_ontap_store.replication.facts import Facts
from glance_ontap_store.replication.facts import ReplicaType
from glance_ontap_store.replication.facts import Target
from glance_ontap_store.replication.policy import Policy
from glance_ontap_store.survey import allocated
from glance_ontap_store.survey import answer
from glance_ontap_store.survey import facts
from glance_ontap_store.survey import glance
from glance_ontap_store.survey import inventory
from glance_ontap_store.survey import keystone
from glance_ontap_store.survey import listing
from glance_ontap_store.survey import remains
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.cinder import CinderSurvey
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.facts import StoreConfig
from glance_ontap_store.survey.listing import StoreVolumes

# The states of the volumes that a plan is about; None: Cinder registered it itself.
_STATES = (State.SEALED, State.REPLICATING, None)
# Cinder's mark of the volume that a host copies another one into.
_INTO = "target:"
# How far to look back for uses if no replica expires, and a FlexVol has no room.
_LOOK_BACK_S = 30 * 86400.0


class ReplicaGatherer:
    """Gathers the facts as the user of *admin*, and as the users of the stores.

    *say* gets lines about the progress. *image_endpoint* is the URL of the glance-api
    that shows the images; None for the one in the catalog.
    """

    def __init__(
        self,
        config: GlanceConfig,
        stores: Sequence[StoreConfig],
        admin: Session,
        say: Callable[[str], object],
        image_endpoint: str | None = None,
    ) -> None:
        self._config = config
        self._stores = stores
        self._admin = admin
        self._say = say
        self._image_endpoint = image_endpoint
        # Types that were asked about; stores may share one.
        self._encrypts: dict[str, Answer[bool]] = {}

    def facts(self, policy: Policy, with_files: bool = False) -> Facts:
        """Return the facts. With *with_files*, mount the FlexVols and measure files.

        :raises errors.Misconfigured: a store's options are wrong, or the policy needs
            an administrator
        :raises errors.Broken: a list could not be read to its end
        """
        is_admin = listing.is_admin(self._admin)
        self._say("Listing volumes ...")
        found = tuple(listing.volumes(self._stores, self._admin, self._say))
        cinder = CinderSurvey(found[0].settings, self._admin, self._say)
        pools = rights.known(cinder.pools(), "pools", rights.POOLS)
        services = rights.known(cinder.services(), "services", rights.SERVICES)
        types = answer.known(cinder.volume_types(), "its volume types")
        if not is_admin:
            rights.check_specs(types)
            found = _as_operator(found, cinder)
        targets = tuple(self._target(each, cinder, pools, types) for each in found)
        self._say("Listing images ...")
        images = glance.images(
            self._admin, found[0].settings, self._image_endpoint, self._say
        )
        gathered = Facts(
            now=datetime.datetime.now(datetime.timezone.utc),
            images=answer.known(images, "its images", "Glance"),
            targets=targets,
            copies=tuple(
                copy
                for each, target in zip(found, targets, strict=True)
                for copy in copies(each, target.project_id)
            ),
            pools=pools,
            services=services,
            quotas=_quotas(found, targets),
        )
        gathered = self._with_uses(gathered, policy, cinder, is_admin)
        return self._measured(gathered, found) if with_files else gathered

    def _target(
        self,
        store: StoreVolumes,
        cinder: CinderSurvey,
        pools: Iterable[Pool],
        types: Sequence[VolumeType],
    ) -> Target:
        settings = store.settings
        kind = facts.called(settings.volume_type, types)
        project: str | None = None
        if not settings.owned_by_project:
            project = answer.known(
                keystone.login(store.session), "the store's project", "Keystone"
            ).project_id
        return Target(
            store_id=store.store.id,
            pools=tuple(pool for pool in pools if kind and kind.allows(pool)),
            volume_type=kind.name if kind else settings.volume_type,
            replica_type=self._replica_type(store, cinder, types),
            project_id=project,
            allowed_projects=frozenset(settings.allowed_projects),
        )

    def _replica_type(
        self, store: StoreVolumes, cinder: CinderSurvey, types: Sequence[VolumeType]
    ) -> ReplicaType:
        option = store.settings.replica_volume_type
        kind = facts.called(option, types)
        if kind is None:
            return ReplicaType(option)
        is_visible = kind.is_public
        if not is_visible:
            # An administrator sees all types, and the store's user those it may use.
            own = CinderSurvey(store.settings, store.session).volume_types()
            is_visible = (
                facts.called(option, answer.known(own, "its volume types")) is not None
            )
        if kind.id not in self._encrypts:
            self._encrypts[kind.id] = rights.known(
                cinder.encrypts(kind.id),
                "encryption of volume types",
                rights.ENCRYPTION,
            )
        return ReplicaType(option, kind, self._encrypts[kind.id], is_visible)

    def _with_uses(
        self, gathered: Facts, policy: Policy, cinder: CinderSurvey, is_admin: bool
    ) -> Facts:
        """Add the volumes of images that are new enough to keep a replica."""
        ttl_s = policy.longest_ttl_s
        if ttl_s is None and retiring.below_floor(policy, gathered):
            ttl_s = _LOOK_BACK_S
        if ttl_s is None:
            return gathered
        if not is_admin:
            # Cinder would show others the volumes of their own project alone, and no
            # replica would seem to be used.
            raise errors.Misconfigured(
                "The policy has a ttl, or a FlexVol is below its floor. Then it matters"
                " which images are used, and Cinder shows the volumes of all projects"
                " to administrators only. Give the cloud of one (--os-cloud), or write"
                " ttl: never."
            )
        self._say("Listing the volumes that were made of images ...")
        since = gathered.now - datetime.timedelta(seconds=ttl_s)
        uses: dict[tuple[str, str], datetime.datetime] = {}
        for volume in answer.known(cinder.volumes_since(since), "its volumes"):
            made_at = remains.time_of(volume.created_at)
            if volume.image_id and volume.pool and made_at:
                key = (volume.image_id, volume.pool)
                uses[key] = max(made_at, uses.get(key, made_at))
        return dataclasses.replace(gathered, uses=uses)

    def _measured(self, gathered: Facts, stores: Iterable[StoreVolumes]) -> Facts:
        """Add the bytes that the files of the copies occupy."""
        types = {each.store.id: each.type_name for each in stores}
        rows = [
            inventory.row(copy.volume, copy.store_id, types[copy.store_id])
            for copy in gathered.copies
        ]
        occupied = allocated.occupied(
            [row for row in rows if row is not None], self._config, self._say
        )
        return dataclasses.replace(gathered, occupied=occupied)


def _as_operator(
    stores: Sequence[StoreVolumes], cinder: CinderSurvey
) -> tuple[StoreVolumes, ...]:
    """Return the stores with their volumes as Cinder shows them to the operator.

    The user of a store is told neither their places nor their migration.

    :raises errors.StoreError: the operator is not told either
    """
    shown = {each.id: each for each in answer.known(cinder.volumes(), "its volumes")}
    rights.check_shown(shown.values())
    for store in stores:
        ids = {each.id for each in store.volumes}
        if ids and ids.isdisjoint(shown) and not store.settings.owned_by_project:
            raise errors.Refused(
                f"The user of --os-cloud does not see the volumes of store"
                f" {store.store.id!r}: give an administrator's credentials, or a user's"
                " in the project of the store."
            )
    return tuple(
        dataclasses.replace(
            store,
            volumes=tuple(shown.get(each.id, each) for each in store.volumes),
        )
        for store in stores
    )


def copies(store: StoreVolumes, project_id: str | None) -> Iterable[Copy]:
    """Yield the volumes that hold, or shall hold, an image in the store.

    Users may describe a volume as they like. So only those count that are in the
    project *project_id* of the store's own user, if all of the store's are.
    """
    for volume in store.volumes:
        if project_id is not None and volume.project_id not in (None, project_id):
            continue
        record = Record.parse(volume.metadata)
        is_ours = record.store == store.store.id or access.claims(
            volume, record, store.store.id, store.type_name
        )
        is_of_image = record.image_id is not None and record.state in _STATES
        is_in_between = volume.is_leaving or (volume.migration or "").startswith(_INTO)
        if is_ours and is_of_image and not is_in_between:
            yield Copy(store.store.id, volume)


def _quotas(
    stores: Iterable[StoreVolumes], targets: Iterable[Target]
) -> Mapping[str, Answer[Mapping[str, Room]]]:
    """Return the quotas of the stores' projects, each asked for once."""
    found: dict[str, Answer[Mapping[str, Room]]] = {}
    for store, target in zip(stores, targets, strict=True):
        project = target.project_id
        if project is not None and project not in found:
            own = CinderSurvey(store.settings, store.session)
            found[project] = own.quota(project)
    return found
