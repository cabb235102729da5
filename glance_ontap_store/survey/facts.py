# SPDX-License-Identifier: Apache-2.0
"""The facts that `check` judges, as values; other modules gather and judge them."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses

from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Room
from glance_ontap_store.cinder.api import Service
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.settings import Password
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.inventory import Row


@dataclasses.dataclass(frozen=True)
class StoreConfig:
    """One store of type ``ontap`` in glance-api.conf.

    *settings* is None if its options are wrong; *mistakes* say why.
    """

    id: str
    settings: Settings | None
    mistakes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class CinderStoreConfig:
    """A store of upstream's type ``cinder``: its type or base may clash with ours."""

    id: str
    volume_type: str | None
    mount_point_base: str | None


@dataclasses.dataclass(frozen=True)
class LocationPolicy:
    """The requests that Glance's policy ``fetch_image_location`` shows locations to.

    *vouched*: a user's, together with a service's token. *users*: a user's alone.
    *file* is Glance's policy file, None if it has none. The defaults are Glance's.
    """

    vouched: bool = False
    users: bool = False
    file: str | None = None


@dataclasses.dataclass(frozen=True)
class GlanceConfig:
    """The part of glance-api.conf that concerns the stores.

    *files* and *directories* are those that glance-api is started with, in its order.
    *kinds* are the types of all stores by their ids (``enabled_backends``).
    """

    files: tuple[str, ...]
    directories: tuple[str, ...]
    stores: tuple[StoreConfig, ...]
    cinder_stores: tuple[CinderStoreConfig, ...] = ()
    kinds: Mapping[str, str] = dataclasses.field(default_factory=dict)
    lock_path: str | None = None
    # That of [os_brick].
    brick_lock_path: str | None = None
    show_image_direct_url: bool = False
    show_multiple_locations: bool = False
    location_policy: Answer[LocationPolicy] = LocationPolicy()
    # [privsep_ontap] helper_command, which takes rootwrap's place.
    helper_command: str | None = None
    # The image cache keeps a copy of each downloaded image on the host's disk.
    has_image_cache: bool = False
    # glance-scrubber deletes images later (delayed_delete).
    delays_deletion: bool = False


@dataclasses.dataclass(frozen=True)
class HostFacts:
    """This host, as the user who runs the command sees it.

    *programs* and *packages* map a name to a path or version, None if missing.
    *directories* and *rootwrap* map a path to a problem with it, None if it is fine.
    *shared* maps the mount point bases that are not on a disk of this host to their
    file systems, in words.
    """

    programs: Mapping[str, str | None]
    packages: Mapping[str, str | None]
    directories: Mapping[str, str | None]
    rootwrap: Mapping[str, Answer[str | None]]
    sudo: Answer[bool]
    shared: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # The block protocols (iscsi, fc, nvme) for which an array can know this host.
    block_names: frozenset[str] = frozenset()
    has_multipathd: bool = False
    # That of multipath for LUNs of NetApp: ``queue``, ``fail`` or a number.
    # None if no store uses multipath.
    no_path_retry: Answer[str] | None = None
    # Where os-brick has its locks in other services, which are named for people.
    brick_lock_paths: Mapping[str, Answer[str | None]] = dataclasses.field(
        default_factory=dict
    )


@dataclasses.dataclass(frozen=True)
class Login:
    """The ids and roles that a login to Keystone gave."""

    user_id: str
    project_id: str
    roles: frozenset[str]


def called(text: str | None, types: Iterable[VolumeType]) -> VolumeType | None:
    """Return the volume type with this name or id, if it is among *types*."""
    return next((kind for kind in types if text and kind.is_called(text)), None)


@dataclasses.dataclass(frozen=True)
class StoreFacts:
    """Keystone's and Cinder's answers to one store's own credentials.

    *is_password_right*: Keystone accepts user and password without a project. It is
    asked only if the login was refused. *volume_types* are those that the store may
    use.
    *quota* has Cinder's names (``volumes``, ``gigabytes_<type>``, ...).
    """

    config: StoreConfig
    login: Answer[Login]
    is_password_right: Answer[bool]
    endpoint: Answer[str]
    microversion: Answer[tuple[int, int]]
    volume_types: Answer[tuple[VolumeType, ...]]
    quota: Answer[Mapping[str, Room]]

    @property
    def id(self) -> str:
        """The store's id."""
        return self.config.id

    @property
    def settings(self) -> Settings | None:
        """The store's settings; None if its options are wrong."""
        return self.config.settings

    @property
    def volume_type(self) -> VolumeType | None:
        """The store's volume type; None if unset, not seen by the store, or unknown."""
        if isinstance(self.volume_types, Unknown):
            return None
        return self.volume_type_in(self.volume_types)

    def volume_type_in(self, types: Iterable[VolumeType]) -> VolumeType | None:
        """Return the store's volume type as *types* show it; None if it is absent."""
        return called(self.settings.volume_type, types) if self.settings else None

    def quotas(self) -> "Iterator[Quota]":
        """Return the quotas that uploads and replicas need, as far as known."""
        login, quota, settings = self.login, self.quota, self.settings
        if isinstance(login, Unknown) or isinstance(quota, Unknown) or not settings:
            return
        project = login.project_id
        if isinstance(settings.credential, Password):
            project = settings.credential.project_name
        types = () if isinstance(self.volume_types, Unknown) else self.volume_types
        named = (settings.volume_type, settings.replica_volume_type)
        kinds = [kind for text in named if (kind := called(text, types))]
        names = dict.fromkeys([None, *(kind.name for kind in kinds)])
        for name in ("gigabytes", "volumes"):
            for of_type in names:
                full_name = f"{name}_{of_type}" if of_type else name
                if full_name in quota:
                    yield Quota(
                        store_id=self.id,
                        project_id=login.project_id,
                        project=project,
                        name=name,
                        volume_type=of_type,
                        full_name=full_name,
                        room=quota[full_name],
                    )


@dataclasses.dataclass(frozen=True)
class Quota:
    """A quota of a store's project.

    *project* is its name if that is known, otherwise its id. *name* is
    ``gigabytes`` or ``volumes``; *volume_type* is a name, None if the quota is for
    all types. *full_name* is Cinder's name of the quota.
    """

    store_id: str
    project_id: str
    project: str
    name: str
    volume_type: str | None
    full_name: str
    room: Room


@dataclasses.dataclass(frozen=True)
class AdminFacts:
    """Cinder's and Glance's answers to an administrator.

    *encrypted* is by the type's id. *rows* are the volumes of the stores that are
    covered. *raw_images* are the ids of the images that Glance calls raw, of those
    whose bytes are something else.

    *covers* are the ids of the stores in this cloud and region. The answers say
    nothing about others, even if a type has the same name.
    """

    volume_types: Answer[tuple[VolumeType, ...]]
    encrypted: Mapping[str, Answer[bool]]
    pools: Answer[tuple[Pool, ...]]
    services: Answer[tuple[Service, ...]]
    rows: Answer[tuple[Row, ...]]
    raw_images: Answer[frozenset[str]]
    covers: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class CinderBackend:
    """A back end of cinder.conf, with Cinder's defaults.

    *is_cloning_uploads* is ``image_upload_use_cinder_backend``, *is_internal*
    ``image_upload_use_internal_tenant``, and *caches_images*
    ``image_volume_cache_enabled``.
    """

    section: str
    driver: str | None
    backend_name: str | None
    protocol: str | None
    qcow2: bool
    is_sparse: bool = True
    uses_zapi: bool = False
    mount_options: str = ""
    is_cloning_uploads: bool = False
    is_internal: bool = False
    # ``true``, ``false``, or ``auto``, for which Cinder decides at its first start.
    secure_operations: str = "auto"
    secure_permissions: str = "auto"
    caches_images: bool = False
    # LUNs take their full size of the FlexVol (netapp_lun_space_reservation).
    reserves_space: bool = False


@dataclasses.dataclass(frozen=True)
class CinderConfig:
    """The part of cinder.conf that decides how volumes are made from images.

    *glance_user* is the login of the user of ``[glance]``, None if there is none.
    *service_user* is that of ``[service_user]``, None if Cinder sends no service
    token.
    *internal_project* is the id of the project of Cinder's own volumes; None unless
    its user is set too. *zone* is the availability zone of volumes without one.
    """

    allowed_direct_url_schemes: tuple[str, ...]
    backends: tuple[CinderBackend, ...]
    glance_user: Answer[Login] | None
    service_user: Answer[Login] | None
    internal_project: str | None = None
    zone: str = "nova"


@dataclasses.dataclass(frozen=True)
class Facts:
    """Everything that `check` knows when it starts to judge.

    *cinder_release* is the major version of Cinder's package, None if unknown.
    """

    glance: GlanceConfig
    host: HostFacts
    stores: tuple[StoreFacts, ...]
    admin: AdminFacts
    cinder: Answer[CinderConfig]
    cinder_release: int | None = None

    @property
    def quotas(self) -> tuple[Quota, ...]:
        """All quotas, once for a project even if several stores share it."""
        found: dict[tuple[str, str], Quota] = {}
        for store in self.stores:
            for quota in store.quotas():
                found.setdefault((quota.project_id, quota.full_name), quota)
        return tuple(found.values())

    @property
    def names_of_types(self) -> Mapping[str, str]:
        """The names of all volume types that anyone was shown, by their ids."""
        answers = [store.volume_types for store in self.stores]
        return {
            kind.id: kind.name
            for types in [*answers, self.admin.volume_types]
            if not isinstance(types, Unknown)
            for kind in types
        }
