# SPDX-License-Identifier: Apache-2.0
"""What `check` looks at: values only, gathered elsewhere, judged elsewhere."""

from collections.abc import Mapping
import dataclasses

from glance_ontap_store.settings import Settings
from glance_ontap_store.survey.answer import Answer


@dataclasses.dataclass(frozen=True)
class StoreConfig:
    """One store of type ``ontap`` as glance-api.conf has it.

    *settings* None: *mistakes* say why.
    """

    id: str
    settings: Settings | None
    mistakes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class CinderStoreConfig:
    """A store of upstream's type ``cinder``, which shares things with ours."""

    id: str
    volume_type: str | None
    mount_point_base: str | None


@dataclasses.dataclass(frozen=True)
class GlanceConfig:
    """glance-api.conf, as far as it concerns the stores.

    *files* are what glance-api is started with, in that order.
    """

    files: tuple[str, ...]
    directories: tuple[str, ...]
    stores: tuple[StoreConfig, ...]
    cinder_stores: tuple[CinderStoreConfig, ...] = ()
    lock_path: str | None = None
    show_image_direct_url: bool = False
    show_multiple_locations: bool = False
    # [privsep_ontap] helper_command, which takes rootwrap's place.
    helper_command: str | None = None


@dataclasses.dataclass(frozen=True)
class Host:
    """This host, as the user who runs the command sees it.

    Names to where they were found, None for not at all. Of paths: what is wrong
    with them, None for nothing.
    """

    user: str
    is_root: bool
    programs: Mapping[str, str | None]
    packages: Mapping[str, str | None]
    directories: Mapping[str, str | None]
    rootwrap: Mapping[str, Answer[str | None]]
    sudo: Answer[bool]


@dataclasses.dataclass(frozen=True)
class Login:
    """Who one is to Keystone after logging in."""

    user_id: str
    project_id: str
    roles: frozenset[str]


@dataclasses.dataclass(frozen=True)
class VolumeType:
    """*extra_specs* are complete for an administrator only."""

    id: str
    name: str
    is_public: bool
    extra_specs: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def is_called(self, text: str | None) -> bool:
        return text in (self.id, self.name)


@dataclasses.dataclass(frozen=True)
class Room:
    """One quota of a project: *limit* -1 for none."""

    limit: int
    used: int

    @property
    def left(self) -> float:
        return float("inf") if self.limit < 0 else self.limit - self.used


@dataclasses.dataclass(frozen=True)
class Pool:
    """One pool of Cinder's scheduler: with ONTAP over NFS, one FlexVol."""

    name: str
    pool_name: str | None
    backend_name: str | None
    vendor: str | None
    protocol: str | None


@dataclasses.dataclass(frozen=True)
class StoreFacts:
    """What Keystone and Cinder said to one store's own credentials.

    *is_login_good*: whether the user and password alone are right, asked where
    the login was refused. *volume_types* are those that the store may use,
    *quota* by Cinder's names (``volumes``, ``gigabytes_<type>``, …).
    """

    config: StoreConfig
    login: Answer[Login]
    is_login_good: Answer[bool]
    endpoint: Answer[str]
    microversion: Answer[tuple[int, int]]
    volume_types: Answer[tuple[VolumeType, ...]]
    quota: Answer[Mapping[str, Room]]


@dataclasses.dataclass(frozen=True)
class AdminFacts:
    """What Cinder tells administrators alone; *encrypted* by the type's id.

    *covers*: the ids of the stores that are in this cloud and region. Of others
    it says nothing, even where a type has the same name.
    """

    volume_types: Answer[tuple[VolumeType, ...]]
    encrypted: Mapping[str, Answer[bool]]
    pools: Answer[tuple[Pool, ...]]
    covers: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class CinderBackend:
    """A back end of cinder.conf."""

    section: str
    driver: str | None
    backend_name: str | None
    protocol: str | None
    qcow2: bool


@dataclasses.dataclass(frozen=True)
class CinderConfig:
    """cinder.conf, as far as it decides what becomes of images.

    *glance_user*: the login of the user of ``[glance]``, None if there is none.
    """

    allowed_direct_url_schemes: tuple[str, ...]
    backends: tuple[CinderBackend, ...]
    glance_user: Answer[Login] | None


@dataclasses.dataclass(frozen=True)
class Facts:
    """Everything that `check` knows when it begins to judge."""

    glance: GlanceConfig
    host: Host
    stores: tuple[StoreFacts, ...]
    admin: AdminFacts
    cinder: Answer[CinderConfig]
