# SPDX-License-Identifier: Apache-2.0
"""Parse the connection information that Cinder gives for a block volume."""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
from typing import Any

from glance_ontap_store import errors

# Cinder's ``driver_volume_type`` -> what people call it.
PROTOCOLS: Mapping[str, str] = {
    "iscsi": "iSCSI",
    "fibre_channel": "FC",
    "nvmeof": "NVMe/TCP",
}

_DENIED = (
    "The device is read-only: does the array permit writes there? It does not to the"
    " destination of a SnapMirror, for instance. See also the log of this host's kernel"
    " (dmesg)."
)
_LUN = errors.Remedies(
    failed=(
        "Check the paths to the LUN (multipath -ll), whether the LUN is online on the"
        " array, and the log of this host's kernel (dmesg)."
    ),
    denied=_DENIED,
)
_NAMESPACE = errors.Remedies(
    failed=(
        "Check the paths to the namespace (nvme list-subsys), whether the namespace is"
        " online on the array, and the log of this host's kernel (dmesg)."
    ),
    denied=_DENIED,
)

# What os-brick needs of each: one key of each group.
_NEEDED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "iscsi": (
        ("target_iqn", "target_iqns"),
        ("target_portal", "target_portals"),
        ("target_lun", "target_luns"),
    ),
    "fibre_channel": (
        ("target_wwn", "target_wwns"),
        ("target_lun", "target_luns"),
    ),
    "nvmeof": (("target_nqn",), ("portals",), ("vol_uuid",)),
}


@dataclasses.dataclass(frozen=True)
class BlockConnection:
    """The way to a LUN or a namespace.

    *protocol* is Cinder's ``driver_volume_type``. *properties* are for os-brick, and
    may contain the password of CHAP: they are in no text of this object.
    """

    protocol: str
    properties: Mapping[str, Any] = dataclasses.field(repr=False)

    @property
    def place(self) -> str:
        """Where the volume is, for messages."""
        found = self.properties
        kind = PROTOCOLS[self.protocol]
        if self.protocol == "nvmeof":
            return f"{kind} namespace {found['vol_uuid']} of {found['target_nqn']}"
        target = _first(found, "target_iqn", "target_iqns", "target_wwn", "target_wwns")
        return f"{kind} LUN {_first(found, 'target_lun', 'target_luns')} of {target}"

    @property
    def remedies(self) -> errors.Remedies:
        """What an operator can do about a device that fails."""
        return _NAMESPACE if self.protocol == "nvmeof" else _LUN

    @property
    def uuid(self) -> str | None:
        """The identity that the device must have; None where Cinder does not tell."""
        found = self.properties.get("vol_uuid")
        return str(found).lower() if found else None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The words that must not get into any message."""
        return tuple(_secrets(self.properties))


def _first(properties: Mapping[str, Any], *names: str) -> object:
    for name in names:
        found = properties.get(name)
        if found not in (None, [], ()):
            return found[0] if isinstance(found, list | tuple) else found
    return "(unknown)"


def _secrets(properties: Mapping[str, Any]) -> Iterator[str]:
    for name, value in properties.items():
        if "password" in name and isinstance(value, str) and value:
            yield value


def parse(info: Mapping[str, Any]) -> BlockConnection:
    """Return the connection that an attachment's ``connection_info`` describes.

    The format is that of NetApp's drivers, with ``driver_volume_type`` among the
    properties, as Cinder's API for attachments shows it.

    :raises errors.Broken: something that os-brick needs is missing
    :raises errors.Misconfigured: the volume is encrypted on the host
    """
    protocol = str(info.get("driver_volume_type"))
    for names in _NEEDED[protocol]:
        if all(info.get(name) in (None, "", [], ()) for name in names):
            raise errors.Broken(
                f"Cinder's connection information for {PROTOCOLS[protocol]} has no"
                f" {' or '.join(names)}. See the log of cinder-volume."
            )
    if info.get("encrypted"):
        raise errors.Misconfigured(
            "The volume type encrypts on the host, so that a volume would not contain"
            " the image's bytes. Change ontap_volume_type to a type without encryption"
            " (NetApp Volume Encryption does no harm)."
        )
    return BlockConnection(protocol, dict(info))
