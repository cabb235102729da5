# SPDX-License-Identifier: Apache-2.0
"""The lab's cloud for tests with a store in their own process."""

from collections.abc import Iterator
import contextlib
import functools
import os
from pathlib import Path
import time
from typing import Any

from glance_store import location
import openstack
from openstack import connection

from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.location import StoreLocation
from glance_ontap_store.requester import Requester
from glance_ontap_store.tests.fakes.glance import Context
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.pattern import Pattern
from lab import layout
from lab import stores
from lab.client import Lab
from lab.polling import wait_until


class Part:
    """The part of the tests that the running test belongs to (see `__main__`)."""

    is_shared = False


def must_be_alone() -> None:
    """Refuse a change that other tests of the shared part would notice."""
    assert not Part.is_shared, "this test changes the lab: mark it `exclusive`"


def context(user: str, token: str | None = None) -> Context:
    """Return the context of a request of *user*, with *token* or the user's own."""
    cloud = cloud_of(user)
    return Context(
        project_id=cloud.current_project_id,
        is_admin=user == "admin",
        auth_token=token or cloud.session.get_token(),
        service_catalog=tuple(
            {
                "type": kind,
                "name": name,
                "endpoints": [
                    {
                        "region": layout.REGION,
                        "internalURL": cloud.session.get_endpoint(
                            service_type=kind, interface="internal"
                        ),
                    }
                ],
            }
            for kind, name in (("volumev3", "cinder"), ("image", "glance"))
        ),
    )


def requesters_volumes(user: str) -> CinderClient:
    """Return Cinder's client of store ``own`` with the token of *user*."""
    return stores.cinder("own", Requester.from_context(context(user)))


@functools.cache
def cloud_of(user: str) -> connection.Connection:
    """Return the cloud as ``admin``, ``alice`` or ``bob``, one for all tests."""
    return openstack.connect(cloud=user)


@functools.cache
def owner(store_id: str) -> connection.Connection:
    """Return the cloud as the store's user, who owns its image-volumes.

    One for all tests, because each keeps a connection, and Cinder's API has only 100.
    """

    def ask(name: str) -> str:
        return stores.option(store_id, f"ontap_store_{name}")

    return connection.Connection(
        auth={
            "auth_url": ask("auth_address"),
            "username": ask("user_name"),
            "password": ask("password"),
            "project_name": ask("project_name"),
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        region_name=stores.option(store_id, "ontap_os_region_name"),
    )


@contextlib.contextmanager
def snapshot(store_id: str, volume_id: str) -> Iterator[None]:
    """Give the store's volume a snapshot until the block ends."""
    with snapshot_as(owner(store_id), volume_id):
        yield


@contextlib.contextmanager
def snapshot_as(cloud: Any, volume_id: str) -> Iterator[Any]:
    """Give the user's volume a snapshot until the block ends."""
    storage = cloud.block_storage
    made = storage.create_snapshot(volume_id=volume_id, name="functional")
    storage.wait_for_status(made, status="available")
    try:
        yield made
    finally:
        storage.delete_snapshot(made.id)
        storage.wait_for_delete(made)


# Cinder counts a deleted volume's quota a moment after it has forgotten the volume.
_QUOTA_S = 1


def used(admin: Any, project_id: str) -> dict[str, int]:
    """Return the use of the project's quotas, by their names, when it rests."""
    storage = admin.block_storage

    def now() -> dict[str, int]:
        shown = storage.get(f"/os-quota-sets/{project_id}?usage=True").json()
        return {
            name: quota["in_use"] + quota["reserved"]
            for name, quota in shown["quota_set"].items()
            if isinstance(quota, dict)
        }

    def resting() -> dict[str, int] | None:
        before = now()
        statuses = {each.status for each in storage.volumes(all_projects=True)}
        time.sleep(_QUOTA_S)
        return before if "deleting" not in statuses and before == now() else None

    return wait_until(resting, "no volume is being deleted") or {}


def used_gib(admin: Any, project_id: str) -> int:
    """Return the gigabytes that the project's quota counts when it rests."""
    return used(admin, project_id)["gigabytes"]


@contextlib.contextmanager
def quota(admin: Any, project_id: str, **values: int) -> Iterator[None]:
    """Change Cinder's quota of the project until the block ends."""

    must_be_alone()

    def put(new: dict[str, int]) -> None:
        answer = admin.block_storage.put(
            f"/os-quota-sets/{project_id}", json={"quota_set": new}
        )
        assert answer.status_code == 200, answer.text

    before = admin.block_storage.get(f"/os-quota-sets/{project_id}").json()["quota_set"]
    put(values)
    try:
        yield
    finally:
        put({name: before[name] for name in values})


@contextlib.contextmanager
def glance_options(lab: Any, options: dict[str, dict[str, Any]]) -> Iterator[None]:
    """Give Glance *options* by group until the block ends."""
    must_be_alone()
    before = lab.glance_config.read_text("utf-8")
    for group, values in options.items():
        for name, value in values.items():
            lab.set_glance_option(group, name, value)
    lab.restart("glance")
    try:
        yield
    finally:
        lab.glance_config.write_text(before, "utf-8")
        lab.restart("glance")


@contextlib.contextmanager
def cinder_options(lab: Any, options: dict[str, dict[str, str]]) -> Iterator[None]:
    """Give Cinder's volume service *options* by group until the block ends."""

    must_be_alone()
    before = lab.cinder_config.read_text("utf-8")
    for group, values in options.items():
        for name, value in values.items():
            lab.set_cinder_option(group, name, value)
    lab.restart("cinder-volume")
    try:
        yield
    finally:
        lab.cinder_config.write_text(before, "utf-8")
        lab.restart("cinder-volume")


def at(store_id: str, volume_id: str) -> location.Location:
    """Return the location that Glance would hand to the store."""
    return location.Location(
        "cinder",
        StoreLocation,
        None,
        uri=f"cinder://{store_id}/{volume_id}",
        backend=store_id,
    )


def located(store_id: str, url: str) -> location.Location:
    return at(store_id, url.rpartition("/")[2])


class Leftovers:
    """The possible remains of an upload, compared before and after it."""

    def __init__(self, lab: Any, admin: Any, base: str, flexvol: str = "fv1") -> None:
        self._admin = admin
        self._flexvol = Path(lab.flexvol(flexvol))
        self._base = base
        self.before = self.now()

    def new(self) -> dict[str, set[str]]:
        """Return what has been added, by kind; {} if nothing was.

        Deletions that earlier tests have begun do not count.
        """
        now = self.now()
        added = {kind: now[kind] - self.before[kind] for kind in now}
        return {kind: found for kind, found in added.items() if found}

    def now(self) -> dict[str, set[str]]:
        storage = self._admin.block_storage
        attachments = storage.get(
            "/attachments?all_tenants=1", microversion="3.54"
        ).json()["attachments"]
        return {
            "volumes": {volume.id for volume in storage.volumes(all_projects=True)},
            "attachments": {attachment["id"] for attachment in attachments},
            "connections": connected(self._base),
            "files": {path.name for path in self._flexvol.iterdir()},
        }


def connected(base: str) -> set[str]:
    """Return what leads from this host to volumes: mounts below *base*, and devices.

    Devices are all of the host's. So only tests that run alone may ask.
    """
    devices = Lab.from_facts().devices()
    return mounted_below(base) | {
        f"{where}: {device['name']}" for where, device in devices.items()
    }


def mounted_below(base: str) -> set[str]:
    """Return the mount points below *base*, as the kernel lists them."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        points = {line.split()[4] for line in file}
    return {point for point in points if point.startswith(os.path.join(base, ""))}


class Announcing(Pattern):
    """A pattern that calls *on_read* before each read."""

    def __init__(self, size: int, on_read: Any) -> None:
        super().__init__(size)
        self._on_read = on_read

    def read(self, size: int = pattern.MIB) -> bytes:
        self._on_read(self)
        return super().read(size)
