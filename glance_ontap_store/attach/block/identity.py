# SPDX-License-Identifier: Apache-2.0
"""Decides whether a device is the volume that it has to be. Pure.

Linux keeps the device of a LUN that the array does not show any more, and gives it to
the next LUN with the same number, with the old identity and the old bytes in memory.
"""

from collections.abc import Sequence

from glance_ontap_store import errors
from glance_ontap_store.attach.block import sysfs
from glance_ontap_store.attach.block.brick import Found
from glance_ontap_store.attach.block.connection import BlockConnection
from glance_ontap_store.attach.block.sysfs import Seen


def known(found: Found, seen: Seen) -> frozenset[str]:
    """Return the identities that the device has or had.

    *found* is what os-brick knew when the host was connected, and *seen* what the
    kernel knows after it has asked the array again.
    """
    told = sysfs.identity(found.wwn) if found.wwn else None
    return seen.ids | ({told} if told else set())


def certain(
    connection: BlockConnection, found: Found, ids: frozenset[str]
) -> str | None:
    """Return the identity of the device; None if nothing tells one.

    *ids*: those that it is `known` by.

    :raises errors.Broken: they differ, or it is not the one that Cinder named
    """
    if len(ids) > 1:
        raise errors.Broken(
            f"{found.path} has had more than one identity ({', '.join(sorted(ids))}):"
            f" it was the device of another volume before {connection.place} came to"
            " its place. Nothing was read or written. Try again; if it stays so, see"
            " glance-ontap sweep and multipath -ll."
        )
    device = next(iter(ids), None)
    if connection.uuid is not None and device not in (None, connection.uuid):
        raise errors.Broken(
            f"{found.path} is {device}, and not {connection.place}. Nothing was read or"
            " written. See nvme list and the log of this host's kernel (dmesg)."
        )
    return device


def taken(
    found: Found, device: str, volume_id: str, others: Sequence[str]
) -> errors.StoreError:
    """Return the error for a device that *others* of this host have: volume ids."""
    if set(others) == {volume_id}:
        return errors.ImageVolumeInUse(
            f"Another process of this host has volume {volume_id} as {found.path}."
        )
    names = ", ".join(sorted(set(others) - {volume_id}))
    return errors.Broken(
        f"{found.path} ({device}) is the device of volume {names} on this host, and not"
        f" of volume {volume_id}: its attachment was deleted before its device was"
        " gone. Nothing was read or written. End what uses the device and remove it"
        " (multipath -f, echo 1 > /sys/block/NAME/device/delete)."
    )
