# SPDX-License-Identifier: Apache-2.0
"""Two stores on two FlexVols of one back end, as facts for `replication`."""

from collections.abc import Iterable
import dataclasses
import datetime
from typing import Any

from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Service
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.replication.facts import Copy
from glance_ontap_store.replication.facts import Facts
from glance_ontap_store.replication.facts import ReplicaType
from glance_ontap_store.replication.facts import Target
from glance_ontap_store.replication.policy import Match
from glance_ontap_store.replication.policy import Policy
from glance_ontap_store.replication.policy import Rule
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import Step
from glance_ontap_store.survey.image import Image
from glance_ontap_store.units import GIB

NOW = datetime.datetime(2026, 6, 30, 12, tzinfo=datetime.timezone.utc)
DAY_S = 86400.0
PROJECT = "images-project"
SERVICE = "h@ontap"


def pool_name(number: int) -> str:
    return f"{SERVICE}#192.0.2.1:/fv{number}"


def pool(number: int, **changes: Any) -> Pool:
    """A FlexVol of 1000 GiB with 800 GiB free."""
    found = Pool(
        name=pool_name(number),
        pool_name=f"192.0.2.1:/fv{number}",
        backend_name="ontap",
        vendor="NetApp",
        protocol="nfs",
        total_gib=1000,
        free_gib=800,
    )
    return dataclasses.replace(found, **changes)


TYPE = VolumeType("type-id", "ontap", True, {"volume_backend_name": "ontap"})


def target(number: int, found: Pool | None = None, **changes: Any) -> Target:
    made = Target(
        store_id=f"fv{number}",
        pools=(found or pool(number),),
        volume_type=f"ontap-fv{number}",
        replica_type=ReplicaType("ontap", TYPE),
        project_id=PROJECT,
    )
    return dataclasses.replace(made, **changes)


def days_ago(days: float) -> datetime.datetime:
    return NOW - datetime.timedelta(days=days)


def image(name: str = "debian", **changes: Any) -> Image:
    """An active raw image of 10 GiB in the first store, uploaded a year ago."""
    found = Image(
        id=f"id-of-{name}",
        owner="acme",
        name=name,
        size=10 * GIB,
        disk_format="raw",
        container_format="bare",
        hash_algo="sha512",
        hash_value=f"digest-of-{name}",
        stores=frozenset({"fv1"}),
        created_at=f"{days_ago(365):%Y-%m-%dT%H:%M:%SZ}",
    )
    return dataclasses.replace(found, **changes)


def copy(
    of: Image, number: int = 1, days: float = 365, *, suffix: str = "", **changes: Any
) -> Copy:
    """The image-volume in a store, made some days ago; *changes* are its record's.

    It is an uploaded one unless ``replica_of`` is given.
    """
    record = Record(
        image_id=of.id,
        owner=of.owner,
        size=of.size,
        store=f"fv{number}",
        state=State.SEALED,
        hash_algo=of.hash_algo,
        hash_value=of.hash_value,
    )
    volume = Volume(
        id=f"{of.name}-in-fv{number}{suffix}",
        status="available",
        size_gib=10,
        metadata=dataclasses.replace(record, **changes).to_metadata(),
        pool=pool_name(number),
        project_id=PROJECT,
        created_at=f"{days_ago(days):%Y-%m-%dT%H:%M:%S.%f}",
    )
    return Copy(f"fv{number}", volume)


def replica(
    of: Image, number: int = 2, days: float = 10, *, suffix: str = "", **changes: Any
) -> Copy:
    changes = {"replica_of": f"{of.name}-in-fv1", **changes}
    return copy(of, number, days, suffix=suffix, **changes)


def half_made(of: Image, number: int = 2, **changes: Any) -> Copy:
    return replica(of, number, **{"state": State.REPLICATING, **changes})


def with_volume(found: Copy, **changes: Any) -> Copy:
    """The copy with other values of its volume."""
    return Copy(found.store_id, dataclasses.replace(found.volume, **changes))


def facts(images: Iterable[Image], *copies: Copy, **changes: Any) -> Facts:
    found = Facts(
        now=NOW,
        images={each.id: each for each in images},
        targets=(target(1), target(2)),
        copies=copies,
        pools=(pool(1), pool(2)),
        services=(Service(SERVICE, "nova"),),
    )
    return dataclasses.replace(found, **changes)


def with_pools(found: Facts, *pools: Pool) -> Facts:
    """The facts with these FlexVols, one for each store in their order."""
    targets = tuple(
        dataclasses.replace(each, pools=(pool,))
        for each, pool in zip(found.targets, pools, strict=True)
    )
    return dataclasses.replace(found, pools=pools, targets=targets)


def policy(*stores: str, ttl_days: float | None = None, **changes: Any) -> Policy:
    """All images in these stores; without any in both."""
    rule = Rule(
        "rules[0]",
        Match(),
        stores or ("fv1", "fv2"),
        None if ttl_days is None else ttl_days * DAY_S,
    )
    return dataclasses.replace(Policy(rules=(rule,)), **changes)


def carried_out(found: Facts, steps: Iterable[Step]) -> Facts:
    """The facts after all steps were carried out, without a failure."""
    images = dict(found.images)
    copies = {each.volume.id: each for each in found.copies}
    for step in steps:
        now = images[step.image.id]
        stores, number = set(now.stores), int(step.store_id.removeprefix("fv"))
        match step.action:
            case Action.RETIRE | Action.DISCARD:
                copies.pop(step.replica or "")
                if step.action is Action.RETIRE:
                    stores.remove(step.store_id)
            case Action.MAKE | Action.RESUME:
                copies.pop(step.replica or "", None)
                made = replica(now, number, days=0, replica_of=step.source or "gone")
                copies[made.volume.id] = made
                stores.add(step.store_id)
            case Action.REFRESH:
                old = copies[step.replica or ""]
                record = dataclasses.replace(old.record, owner=now.owner)
                metadata = record.to_metadata()
                copies[old.volume.id] = with_volume(old, metadata=metadata)
        images[now.id] = dataclasses.replace(now, stores=frozenset(stores))
    return dataclasses.replace(found, images=images, copies=tuple(copies.values()))
