# SPDX-License-Identifier: Apache-2.0
"""Read what the kernel tells of block devices (sysfs). It changes nothing."""

from collections.abc import Iterator
import dataclasses
import os

# The modes in which a SCSI disk gives blocks back and reads zeros there afterwards
# (drivers/scsi/sd.c, zeroing_mode).
_THIN_MODES = ("writesame_16_unmap", "writesame_10_unmap")


@dataclasses.dataclass(frozen=True)
class Seen:
    """One device as the kernel sees it.

    *ids* are the identities of the device and, where it is a multipath device, of all
    its paths: see `identity`. *number* is ``major:minor``, None if there is no such
    device. *disks* are the SCSI disks among device and paths, and *zeroing* has their
    modes. *is_path*: it is a path of a multipath device. *is_partitioned*: devices
    were made of its partitions, and nothing else is built on it.
    """

    name: str
    ids: frozenset[str] = frozenset()
    number: str | None = None
    disks: tuple[str, ...] = ()
    zeroing: frozenset[str] = frozenset()
    is_path: bool = False
    is_partitioned: bool = False

    @property
    def unmaps_when_zeroed(self) -> bool:
        """Return whether a range that the kernel is to zero takes no space after it.

        A SCSI disk says how it zeroes. Of other devices nothing is known to be slow.
        """
        return self.zeroing <= frozenset(_THIN_MODES)


def identity(text: str) -> str | None:
    """Return the identity in the words of os-brick; None if *text* has none.

    ``naa.600a0980`` of sysfs, ``mpath-3600a0980`` of the device mapper and
    ``3600a0980`` of os-brick are the same.
    """
    found = text.strip().lower().removeprefix("mpath-")
    for prefix, number in (("naa.", "3"), ("eui.", "2"), ("t10.", "1")):
        if found.startswith(prefix):
            return number + found.removeprefix(prefix)
    return found.removeprefix("uuid.") or None


class Sysfs:
    """The kernel's tree of devices below *root*."""

    def __init__(self, root: str = "/sys") -> None:
        self._root = os.path.join(root, "class", "block")

    def look(self, name: str) -> Seen:
        """Return what is known of device *name*, such as ``sda`` or ``dm-0``."""
        parts = [name, *self._names(name, "slaves")]
        kinds = [
            self._text(name, "holders", holder, "dm", "uuid") or ""
            for holder in self._names(name, "holders")
        ]
        return Seen(
            name=name,
            ids=frozenset(found for part in parts for found in self._ids(part)),
            number=self._text(name, "dev"),
            disks=tuple(part for part in parts if self._disks(part)),
            zeroing=frozenset(mode for part in parts for mode in self._zeroing(part)),
            is_path=any(kind.startswith("mpath-") for kind in kinds),
            is_partitioned=bool(kinds)
            and all(kind.startswith("part") for kind in kinds),
        )

    def devices(self, wanted: str) -> list[str]:
        """Return the names of all devices with that identity."""
        return [name for name in self._listed(self._root) if wanted in self._ids(name)]

    def _ids(self, name: str) -> Iterator[str]:
        for parts in (("device", "wwid"), ("wwid",), ("dm", "uuid")):
            text = self._text(name, *parts)
            # Other maps of the device mapper have identities of other kinds.
            if text and (parts[0] != "dm" or text.startswith("mpath-")):
                found = identity(text)
                if found is not None:
                    yield found

    def _zeroing(self, name: str) -> Iterator[str]:
        for disk in self._disks(name):
            # A disk that does not tell is not known to be thin.
            yield self._text(name, "device", "scsi_disk", disk, "zeroing_mode") or ""

    def _disks(self, name: str) -> list[str]:
        return self._names(name, os.path.join("device", "scsi_disk"))

    def _names(self, name: str, directory: str) -> list[str]:
        return self._listed(os.path.join(self._root, name, directory))

    @staticmethod
    def _listed(path: str) -> list[str]:
        try:
            return sorted(os.listdir(path))
        except OSError:
            return []

    def _text(self, *parts: str) -> str | None:
        try:
            with open(os.path.join(self._root, *parts), encoding="ascii") as file:
                return file.read().strip()
        except (OSError, UnicodeDecodeError):
            return None
