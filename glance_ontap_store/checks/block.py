# SPDX-License-Identifier: Apache-2.0
"""Judge this host, and the back ends, for volumes that are LUNs or namespaces."""

from collections.abc import Iterator
from collections.abc import Mapping
import os

from oslo_utils import strutils

from glance_ontap_store.checks import codes
from glance_ontap_store.checks import remedies
from glance_ontap_store.checks import volume_types
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.registry import Judges
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import AdminFacts
from glance_ontap_store.survey.facts import Facts
from glance_ontap_store.survey.facts import StoreFacts

# Protocol, as NetApp's driver reports it, in lower case -> what gives a host its name.
_NAMED_BY = {
    "iscsi": (
        "an initiator name",
        "Install open-iscsi or iscsi-initiator-utils, which makes"
        " /etc/iscsi/initiatorname.iscsi.",
    ),
    "fc": (
        "a Fibre Channel port",
        "Check the HBA and its driver: /sys/class/fc_host is empty.",
    ),
    "nvme": (
        "an NQN",
        "Install nvme-cli, and make /etc/nvme/hostnqn: nvme gen-hostnqn.",
    ),
}

# Those whose volumes are LUNs.
_LUNS = frozenset({"iscsi", "fc"})
# Cinder leaves space allocation to ONTAP from here on (block_base.py).
_KEEPS_DEFAULT = 29
_SPACE_ALLOCATION = "netapp:space_allocation"
_NEEDS = ("facts", "facts.admin", "facts.admin.volume_types", "facts.admin.pools")

judges = Judges()


def _protocols(
    store: StoreFacts,
    admin: AdminFacts,
    types: tuple[VolumeType, ...],
    pools: tuple[Pool, ...],
) -> Mapping[str, str]:
    """Return the block protocols of the store's pools, with their names for people."""
    reached = volume_types.reached_by(store, admin, types, pools)
    found = {(pool.protocol or "").lower(): pool.protocol or "" for pool in reached}
    return {low: name for low, name in sorted(found.items()) if low in _NAMED_BY}


def is_all(facts: Facts) -> bool:
    """Return whether all stores' volumes are known to be LUNs or namespaces."""
    admin = facts.admin
    if admin is None or isinstance(admin, Unknown):
        return False
    types, pools = admin.volume_types, admin.pools
    if isinstance(types, Unknown) or isinstance(pools, Unknown):
        return False
    reached = [
        volume_types.reached_by(store, admin, types, pools) for store in facts.stores
    ]
    return all(reached) and all(
        (pool.protocol or "").lower() in _NAMED_BY
        for found in reached
        for pool in found
    )


@judges.per_store(*_NEEDS)
def host_has_a_name(
    store: StoreFacts,
    facts: Facts,
    admin: AdminFacts,
    types: tuple[VolumeType, ...],
    pools: tuple[Pool, ...],
) -> Iterator[Finding]:
    """Report a host that an array cannot know by a protocol of the store's pools."""
    for low, name in _protocols(store, admin, types, pools).items():
        if low not in facts.host.block_names:
            what, remedy = _NAMED_BY[low]
            yield codes.BLOCK_HOST_NAME(
                store.id,
                f"The store's volumes are {name}, and this host has not {what}: Cinder"
                " cannot connect them.",
                remedy,
            )


@judges.per_store("settings", *_NEEDS)
def multipath_ends(
    store: StoreFacts,
    settings: Settings,
    facts: Facts,
    admin: AdminFacts,
    types: tuple[VolumeType, ...],
    pools: tuple[Pool, ...],
) -> Iterator[Finding]:
    """Report a multipathd that does not run, or queues without end."""
    protocols = _protocols(store, admin, types, pools)
    if not settings.use_multipath or not protocols:
        return
    found = facts.host.no_path_retry
    if not facts.host.has_multipathd:
        yield codes.MULTIPATHD(
            store.id,
            "ontap_use_multipath is true, and multipathd does not run on this host.",
            "Start multipathd (package multipath-tools or device-mapper-multipath), or"
            " set ontap_use_multipath to false.",
        )
    elif not _LUNS & set(protocols):
        return
    elif isinstance(found, Unknown):
        yield codes.not_asked(
            store.id,
            "whether multipath queues without end when all paths to a LUN are lost",
            found.text,
            "Run multipath -t as root: no_path_retry in overrides, or of the device"
            " NETAPP LUN, must be a number.",
        )
    elif found == "queue":
        yield codes.NO_PATH_RETRY(
            store.id,
            "multipath has no_path_retry = queue for LUNs of NetApp, which is its own"
            " setting: if all paths are lost, or the LUN goes offline, a transfer never"
            " ends.",
            "Set no_path_retry 12 in the section overrides of /etc/multipath.conf, and"
            " run: multipathd reconfigure. In the section defaults it has no effect on"
            " NetApp's LUNs.",
        )


@judges.per_store(*_NEEDS)
def locks_are_shared(
    store: StoreFacts,
    facts: Facts,
    admin: AdminFacts,
    types: tuple[VolumeType, ...],
    pools: tuple[Pool, ...],
) -> Iterator[Finding]:
    """Report services of this host that do not wait for each other in os-brick."""
    if not _protocols(store, admin, types, pools):
        return
    glance, others = facts.glance, facts.host.brick_lock_paths
    ours = glance.brick_lock_path or glance.lock_path
    unlike = {
        name: path
        for name, path in sorted(others.items())
        if isinstance(path, Unknown) or not _is_same(path, ours)
    }
    for name, path in unlike.items():
        if isinstance(path, Unknown):
            yield codes.not_asked(
                store.id,
                f"whether {name} has the lock_path of glance-api for os-brick",
                path.text,
                "Run the command as a user who may read that file.",
            )
        else:
            yield codes.BRICK_LOCK_PATH(
                store.id,
                f"os-brick of glance-api has its locks in {ours or 'no directory'}, and"
                f" that of {name} in {path or 'no directory'}: they do not wait for"
                " each other, and one may log out the session of the other.",
                "Set lock_path in [os_brick] to one directory in the configuration of"
                " both, where both may write.",
            )
    if glance.brick_lock_path is None and not others:
        yield codes.BRICK_LOCK_PATH(
            store.id,
            "lock_path in [os_brick] of glance-api.conf is not set: glance-api,"
            " cinder-volume and nova-compute of this host do not wait for each other"
            " when they connect LUNs, and one may log out the session of another.",
            "Set it to one directory, for example /var/lib/os-brick/locks, in the"
            " configuration of all three.",
        )


def _is_same(path: str | None, ours: str | None) -> bool:
    return (
        path is not None
        and ours is not None
        and os.path.normpath(path) == os.path.normpath(ours)
    )


@judges.per_store(*_NEEDS)
def luns_reserve_no_space(
    store: StoreFacts,
    facts: Facts,
    admin: AdminFacts,
    types: tuple[VolumeType, ...],
    pools: tuple[Pool, ...],
) -> Iterator[Finding]:
    """Report back ends whose LUNs, and clones, take their full size at once."""
    config = facts.cinder
    known = {}
    if not isinstance(config, Unknown):
        known = {each.section: each.reserves_space for each in config.backends}
    luns = [
        pool
        for pool in volume_types.reached_by(store, admin, types, pools)
        if (pool.protocol or "").lower() in _LUNS
    ]
    for section in sorted({pool.section for pool in luns}):
        # A pool that is not thick may have thick LUNs in a FlexVol that is thin.
        is_thick = any(pool.is_thick for pool in luns if pool.section == section)
        if known.get(section, is_thick):
            yield codes.LUN_SPACE_RESERVATION(
                store.id,
                f"netapp_lun_space_reservation is not disabled in [{section}] of"
                " cinder.conf: an image-volume takes its full size of the FlexVol, and"
                " so does each clone of it.",
                "Set it to disabled and restart cinder-volume. LUNs that exist keep"
                " their reservation.",
            )
        elif section not in known:
            yield codes.not_asked(
                store.id,
                f"whether the LUNs of back end {section} take their full size at once",
                "its section of cinder.conf was not given",
                "Give it with --cinder-conf FILE: netapp_lun_space_reservation must be"
                " disabled.",
            )


@judges.per_store(*_NEEDS)
def luns_have_space_allocation(
    store: StoreFacts,
    facts: Facts,
    admin: AdminFacts,
    types: tuple[VolumeType, ...],
    pools: tuple[Pool, ...],
) -> Iterator[Finding]:
    """Report a volume type whose LUNs go offline when the FlexVol is full."""
    kind = volume_types.full_type(store, admin, types)
    if kind is None or not _LUNS & set(_protocols(store, admin, types, pools)):
        return
    name, release = kind.name, facts.cinder_release
    value = kind.extra_specs.get(_SPACE_ALLOCATION)
    remedy = remedies.run(
        *("volume", "type", "set"),
        *("--property", f"{_SPACE_ALLOCATION}=<is> true", name),
    )
    why = None
    if value is not None and not _is_true(value):
        why = f"Volume type {name!r} has {_SPACE_ALLOCATION} = {value}"
    elif value is None and release is not None and release < _KEEPS_DEFAULT:
        why = f"Volume type {name!r} lacks {_SPACE_ALLOCATION}, and Cinder before"
        why += " 2026.2 turns it off then"
    if why is not None:
        yield codes.LUN_SPACE_ALLOCATION(
            store.id,
            f"{why}: a full FlexVol takes the LUN offline, and zeros of images take"
            " space.",
            remedy,
        )
    elif value is None:
        yield codes.not_asked(
            store.id,
            "whether the store's LUNs have space allocation",
            f"volume type {name!r} does not say it, and only Cinder 2026.2 or later"
            " with ONTAP 9.15.1 or later turns it on by itself",
            remedy,
        )


def _is_true(spec: str) -> bool:
    """Return whether Cinder takes the extra spec for true (is_boolean_str)."""
    first, _, value = spec.strip().partition(" ")
    return first == "<is>" and strutils.bool_from_string(value)
