# SPDX-License-Identifier: Apache-2.0
"""The mark of a process on what it makes in Cinder."""

import dataclasses
import re

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TOKEN = re.compile(_UUID)
_MARK = re.compile(f"({_UUID}):({_UUID})")
_MOUNTPOINT = "glance_store:"


@dataclasses.dataclass(frozen=True)
class Mark:
    """One process of the processes that share a base directory.

    *base_id* is the UUID of the base (``ontap_mount_point_base``), and *token* that
    of the process. The text of a mark is ``<base id>:<token>``.
    """

    base_id: str
    token: str

    def __str__(self) -> str:
        return f"{self.base_id}:{self.token}"

    @property
    def mountpoint(self) -> str:
        """The ``mountpoint`` of a connector: Cinder shows it as the ``device``."""
        return f"{_MOUNTPOINT}{self}"

    @classmethod
    def parse(cls, text: str | None) -> "Mark | None":
        """Return the mark that *text* is, or None."""
        found = _MARK.fullmatch(text or "")
        return cls(*found.groups()) if found else None

    @classmethod
    def of_device(cls, device: str | None) -> "Mark | None":
        """Return the mark in the ``device`` of an attachment, or None."""
        if device is None or not device.startswith(_MOUNTPOINT):
            return None
        return cls.parse(device.removeprefix(_MOUNTPOINT))


def is_token(text: str) -> bool:
    """Return whether *text* has the form of a process's token."""
    return _TOKEN.fullmatch(text) is not None
